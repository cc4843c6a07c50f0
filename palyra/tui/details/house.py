"""Rows of Diagnostics: findings, checks that found nothing, parts of the house, and the doctor's runs."""

from palyra.control.diagnostics_queries import State
from palyra.control.doctor_queries import RunOfRepairs
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.diagnosis import PartView, part_words, state_mark
from palyra.tui.details.finding import FindingRow, GroupRow, finding_mark, group_mark, group_words
from palyra.tui.details.repair import run_mark, run_words
from palyra.tui.details.words import Mark
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import part
from palyra.tui.widgets.rows import CellValue

COLUMNS = (
    Column("sign", safe(""), 1),
    Column("part", safe("part"), 18, flex=1, most=30),
    Column("state", safe("state"), 9),
    Column("told", safe(""), 20, flex=4),
)
RUNS = (
    Column("sign", safe(""), 1),
    Column("at", safe("at"), 10),
    Column("state", safe("state"), 11),
    Column("kind", safe("what"), 8),
    Column("who", safe("who"), 8, flex=1, most=20, priority=1),
    Column("told", safe("steps"), 20, flex=4),
)


def row_cells(subject: Subject, zone: str, now: int) -> tuple[CellValue, ...]:
    """A cell for each of `COLUMNS`, or for each of `RUNS`."""
    glyph, word, tone = mark_of(subject)
    sign, state, told = part(glyph, tone), part(word, tone), part(told_of(subject), Tone.MUTED)
    match subject:
        case RunOfRepairs():
            at = part(show.moment(subject.created_at_ms or None, zone, now), Tone.MUTED)
            return (sign, at, state, part(subject.kind), part(subject.operator), told)
        case FindingRow():
            return (sign, part(subject.check), state, told if subject.gone else part(subject.told))
        case GroupRow():
            return (sign, part(subject.name), state, told)
    assert isinstance(subject, PartView)
    words, telling = part_words(subject)
    branch = f"{'  ' * (subject.depth - 1)}{glyphs.TRAIL} " if subject.depth else ""
    off = subject.node.effective is State.DISABLED
    return (sign, part(f"{branch}{subject.node.id}", Tone.MUTED if off else Tone.PLAIN), state, part(words, telling))


def name_of(subject: Subject) -> str:
    """The name of a row of the Diagnostics screen."""
    match subject:
        case FindingRow():
            return subject.check
        case GroupRow() | PartView():
            return subject.name
        case RunOfRepairs():
            return subject.run_id or "unreadable run"
    raise AssertionError(subject)


def mark_of(subject: Subject) -> Mark:
    """Glyph, word and tone of a row of the Diagnostics screen."""
    match subject:
        case FindingRow():
            return finding_mark(subject)
        case GroupRow():
            return group_mark(subject)
        case RunOfRepairs():
            return run_mark(subject)
    assert isinstance(subject, PartView)
    return state_mark(subject.node.effective)


def told_of(subject: Subject) -> str:
    """What a row of the Diagnostics screen says."""
    match subject:
        case FindingRow():
            return subject.told
        case GroupRow():
            return group_words(subject)
        case RunOfRepairs():
            return run_words(subject)
    assert isinstance(subject, PartView)
    return part_words(subject)[0]
