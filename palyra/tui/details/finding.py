"""What the doctor found: a fault as it is listed, and opened with its evidence, what it costs and what mends it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from palyra.control.diagnostics_queries import Diagnosis
from palyra.control.doctor_queries import CheckView, DoctorReport, FindingView, StepView
from palyra.core.plural import plural
from palyra.core.values import value
from palyra.tui import glyphs
from palyra.tui.details.words import Mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, column, line, muted, part, strong, wrap

LABEL = 8
_MARKS = {
    "blocking": (glyphs.BAD, Tone.BAD),
    "warning": (glyphs.ATTENTION, Tone.WARN),
    "info": (glyphs.NOTE, Tone.MUTED),
}
_FOUNDATIONS = ("config.", "journal.", "recovery.")
"""What no engine starts without: of what is equally bad it comes first."""
_RANKS = {"blocking": 0, "warning": 1, "info": 2}
_COSTS = {
    "blocking": "Palyra, or this part of it, cannot do its work until it is put right.",
    "warning": "Work goes on; left alone it may cost something.",
    "info": "Nothing suffers from it.",
}
_PARTS = {
    "auth": "auth_profiles",
    "config": "config",
    "journal": "journal",
    "providers": "model_provider",
    "recovery": "recovery",
    "scheduler": "scheduler",
    "tasks": "tasks",
    "vault": "vault",
}
"""The node of the health graph that checks of a group look after."""


@value
class FindingRow:
    """One object at fault as it is listed; or a check that could not look, which counts as failed.

    `gone`: it was found before, and is not any more. `why` is why it still stands after a repair.
    """

    id: str
    check: str
    severity: str
    message: str
    told: str
    """The message as short as a row wants it: files without the directory they all lie in."""
    evidence: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    manual: str = ""
    gone: bool = False
    why: str = ""


@value
class GroupRow:
    """The checks of one group that found nothing, where no engine can tell how its parts are."""

    name: str
    checks: tuple[CheckView, ...]

    @property
    def skipped(self) -> tuple[CheckView, ...]:
        """The checks that could not be made."""
        return tuple(one for one in self.checks if one.status == "skipped")


def finding_rows(report: DoctorReport) -> list[FindingRow]:
    """The worst first. A check that could not answer stands among those of its severity."""
    rows = [_row(one, report) for one in report.findings]
    rows += [_unanswered(one) for one in report.checks if one.status == "error"]
    return _apart(sorted(rows, key=lambda one: (_RANKS.get(one.severity, 0), not one.check.startswith(_FOUNDATIONS))))


def _apart(rows: Sequence[FindingRow]) -> list[FindingRow]:
    """Rows with ids of their own, where several faults of one object share one."""
    met: dict[str, int] = {}
    made: list[FindingRow] = []
    for one in rows:
        met[one.id] = times = met.get(one.id, 0) + 1
        made.append(one if times == 1 else replace(one, id=f"{one.id}#{times}"))
    return made


def group_rows(report: DoctorReport) -> list[GroupRow]:
    """What the doctor looked at and found nothing wrong with, by group."""
    groups: dict[str, list[CheckView]] = {}
    for one in report.checks:
        groups.setdefault(one.id.partition(".")[0], []).append(one)
    return [
        GroupRow(name, tuple(checks))
        for name, checks in groups.items()
        if all(one.status in ("pass", "skipped") for one in checks)
    ]


def counted(findings: Sequence[FindingRow]) -> dict[str, int]:
    """How many there are of each severity, worst first; those that are gone are not counted."""
    return {name: count for name in _RANKS if (count := sum(one.severity == name and not one.gone for one in findings))}


def _row(one: FindingView, report: DoctorReport) -> FindingRow:
    told = one.message.replace(f"{report.state_dir}/", "")
    if report.config_path:
        told = told.replace(report.config_path, PurePath(report.config_path).name)
    return FindingRow(one.id, one.check, one.severity, one.message, told, one.evidence, one.repairs, one.manual)


def _unanswered(one: CheckView) -> FindingRow:
    told = f"could not be looked at: {one.reason}"
    manual = "Until it can be, take it for failed. The log says more."
    return FindingRow(one.id, one.id, one.severity, f"{one.id} {told}", told, manual=manual)


def finding_mark(one: FindingRow) -> Mark:
    """Glyph, word and tone of a finding."""
    if one.gone:
        return glyphs.OK, "put right", Tone.GOOD
    glyph, tone = _MARKS.get(one.severity, (glyphs.BAD, Tone.BAD))
    return glyph, one.severity, tone


def severity_mark(severity: str) -> tuple[str, Tone]:
    """Glyph and tone of a severity."""
    return _MARKS.get(severity, (glyphs.BAD, Tone.BAD))


def group_mark(one: GroupRow) -> Mark:
    """Glyph, word and tone of checks that found nothing."""
    if len(one.skipped) == len(one.checks):
        return glyphs.IDLE, "skipped", Tone.MUTED
    return glyphs.OK, "passed", Tone.GOOD


def group_words(one: GroupRow) -> str:
    """How many checks passed and how many could not be made."""
    passed, skipped = len(one.checks) - len(one.skipped), one.skipped
    if not skipped:
        return f"{plural(passed, 'check')} passed"
    if not passed:
        return f"not looked at: {skipped[0].reason}"
    return f"{passed} of {len(one.checks)} checks passed; {skipped[0].id.partition('.')[2]}: {skipped[0].reason}"


def finding_preview(
    one: FindingRow, told: Diagnosis | None, steps: Mapping[str, StepView], keys: str, width: int
) -> list[Line]:
    """The essence of the selected finding: what is wrong, what it costs, what mends it."""
    lines = [*_labelled("found", one.told, width), *_evidence(one, width)[:3]]
    if one.why:
        lines += _labelled("still", one.why, width, Tone.WARN)
    lines += _labelled("costs", _cost(one, told), width)
    return [*lines, *_ways(one, steps, keys, width)]


def finding_lines(
    one: FindingRow, told: Diagnosis | None, steps: Mapping[str, StepView], keys: str, width: int
) -> list[Line]:
    """Everything known of a finding. `keys` says how its repair is shown, `steps` are those of the newest plan."""
    glyph, word, tone = finding_mark(one)
    lines = [
        line(" ", part(f"{glyph} ", tone), strong(one.check)),
        line(" ", part(word, tone)),
        BLANK,
        *_labelled("found", one.message, width),
        *_evidence(one, width),
    ]
    if one.why:
        lines += _labelled("still", one.why, width, Tone.WARN)
    return [*lines, *_labelled("costs", _cost(one, told), width), BLANK, *_ways(one, steps, keys, width, full=True)]


def group_lines(one: GroupRow, width: int) -> list[Line]:
    """Each check of a group, and why it was skipped."""
    name_cells = max(len(check.id) for check in one.checks) + 2
    lines: list[Line] = []
    for check in one.checks:
        well = check.status == "pass"
        sign = part(f" {glyphs.OK if well else glyphs.IDLE} ", Tone.GOOD if well else Tone.MUTED)
        rows = wrap("passed" if well else check.reason, max(16, width - name_cells - 4), tone=Tone.MUTED)
        lines += [
            line(part("   ") if number else sign, column("" if number else check.id, name_cells), *row)
            for number, row in enumerate(rows)
        ]
    return lines


def _evidence(one: FindingRow, width: int) -> list[Line]:
    lines: list[Line] = []
    for number, text in enumerate(one.evidence):
        lines += _labelled("" if number else "seen", text, width)
    return lines


def _cost(one: FindingRow, told: Diagnosis | None) -> str:
    """What a fault of this severity means, and what suffers from the part it lies in."""
    if one.gone:
        return "Nothing any more."
    words, graph = _COSTS.get(one.severity, _COSTS["blocking"]), None if told is None else told.health_graph
    node = _PARTS.get(one.check.partition(".")[0], "")
    hit = () if graph is None else next((part.impact for part in graph.nodes if part.id == node), ())
    return f"{words} It hits {', '.join(hit)}." if hit else words


def _ways(one: FindingRow, steps: Mapping[str, StepView], keys: str, width: int, *, full: bool = False) -> list[Line]:
    if one.gone:
        return []
    lines: list[Line] = []
    for name in one.repairs:
        step = steps.get(name)
        words = name if step is None else f"{step.title} ({name})"
        lines += _labelled("repair", words, width, Tone.ACCENT)
        if full and step is not None:
            lines += _labelled("", step.impact, width, Tone.MUTED)
    if one.repairs:
        lines += _labelled("", keys, width, Tone.MUTED)
    if one.manual:
        lines += _labelled(
            "by hand" if one.repairs else "do", one.manual, width, Tone.PLAIN if one.repairs else Tone.ACCENT
        )
    return lines


def _labelled(label: str, text: object, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    rows = wrap(text, max(16, width - LABEL - 2), tone=tone)
    return [line(" ", muted((label if not number else "").ljust(LABEL)), *row) for number, row in enumerate(rows)]
