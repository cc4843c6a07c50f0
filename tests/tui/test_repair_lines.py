"""A repair as lines: what would be applied can be read in full, whatever it says, and what it does is seen."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from palyra.control.doctor_queries import ChangeView, DoctorReport, DoctorReportQuery, StepOutcomeView
from palyra.core.safe_text import safe
from palyra.tui.details.finding import FindingRow, finding_rows
from palyra.tui.details.repair import CONTINUED, Footing, step_lines
from palyra.tui.doctoring import merged
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, text_of, width_of
from tests.tui.fake_doctor import BROKEN, CLOSE, MIGRATE, OPEN_KEY, RESTORE, doctor_told, ill
from tests.tui.fake_views import HOSTILE


def shown(text: str, width: int) -> list[Line]:
    """The rows of one line of a diff."""
    change = ChangeView("f", "modify", f"--- f\n+++ f\n{text}\n")
    rows = step_lines(replace(RESTORE, changes=(change,)), "repair 1 of 1", Footing(False), width)
    begin = next(number for number, row in enumerate(rows) if text_of(row).strip() == "+++ f")
    return rows[begin + 1 :]


@given(st.text(max_size=400), st.sampled_from([52, 79, 119]))
def test_every_line_of_a_diff_is_there_in_full(text: str, width: int) -> None:
    line = f"+{' '.join(text.split())}"
    first, *more = [text_of(row)[1:] for row in shown(line, width)]
    whole = first + "".join(row.removeprefix(CONTINUED) for row in more)
    assert whole == f"  {safe(line)}"
    assert all(width_of(row) < width for row in shown(line, width))


def test_signs_of_a_diff_have_their_tones_and_its_head_has_none_of_them() -> None:
    tones = {text_of(row).strip(): row[-1].tone for row in step_lines(RESTORE, "", Footing(True), 79)}
    assert tones["-hard_limit 45.00"] is Tone.BAD
    assert tones["+hard_limit = 40.00"] is Tone.GOOD
    assert {tones[name] for name in ("--- palyra.toml", "+++ palyra.toml", "@@ -11,6 +11,5 @@")} == {Tone.MUTED}
    (removed,) = shown("--- a comment of SQL that goes", 79)
    assert removed[-1].tone is Tone.BAD, "only the first two lines name files"


def test_nothing_a_terminal_would_obey_reaches_a_row() -> None:
    step = replace(
        CLOSE, title=HOSTILE, impact=HOSTILE, notes=(HOSTILE,), changes=(ChangeView(HOSTILE, HOSTILE, HOSTILE),)
    )
    for row in step_lines(step, HOSTILE, Footing(True, HOSTILE), 79):
        assert all(char.isprintable() for char in text_of(row)), row


def test_an_engine_that_does_not_run_is_not_stopped() -> None:
    stops = "The engine is stopped for it"
    told = {
        live: [text_of(row) for row in step_lines(MIGRATE, "", Footing(True, live=live), 79)] for live in (True, False)
    }
    assert any(stops in row for row in told[True])
    assert not any(stops in row for row in told[False])


def test_findings_of_one_object_have_rows_of_their_own() -> None:
    report = doctor_told(replace(ill(), findings=(OPEN_KEY, OPEN_KEY, BROKEN)), DoctorReportQuery())
    assert isinstance(report, DoctorReport)
    rows = finding_rows(report)
    assert [one.id for one in rows] == [BROKEN.id, OPEN_KEY.id, f"{OPEN_KEY.id}#2"]
    assert len({one.id for one in rows}) == 3


def test_what_stands_after_a_run_says_why() -> None:
    def row(name: str, *repairs: str) -> FindingRow:
        return FindingRow(name, name, "warning", name, name, (), repairs)

    before = [row("a", "r.a"), row("b", "r.b"), row("c", "r.c"), row("d", "r.d"), row("e"), row("f", "r.f")]
    outcomes = [
        StepOutcomeView("r.a", "applied"),
        StepOutcomeView("r.b", "failed", "no space left on device"),
        StepOutcomeView("r.c", "not_run"),
        StepOutcomeView("r.f", "applied"),
    ]
    after = merged(before, [*before[1:], row("new")], outcomes)
    assert {one.id: one.why for one in after} == {
        "a": "",
        "b": "its repair failed: no space left on device",
        "c": "its repair was not begun: one before it failed",
        "d": "its repair was not ticked",
        "e": "nothing repairs it by itself",
        "f": "its repair was applied, and it is found all the same",
        "new": "",
    }
    assert [one.gone for one in after] == [True, *[False] * 6]
