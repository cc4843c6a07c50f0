"""What the doctor would do and did: a step as a diff, how far a run has come, what came of it, and runs of before."""

from collections.abc import Iterator

from palyra.control.doctor_queries import ChangeView, RunOfRepairs, StepOutcomeView, StepView
from palyra.core.plural import plural
from palyra.core.safe_text import cells, safe
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.finding import severity_mark
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.details.layout import heading
from palyra.tui.details.words import Mark
from palyra.tui.doctoring import Came, Undoing, Work
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, column, line, muted, part, spread, strong, width_of, wrap

BAR = 30
CONTINUED = "    "
"""What the further rows of a long line begin with."""
_DIFF = {"+": Tone.GOOD, "-": Tone.BAD, "@": Tone.MUTED}
_HEADS = ("--- ", "+++ ")
_WELL = ("applied", "undone")
_OUTCOMES = {
    "applied": (glyphs.OK, Tone.GOOD),
    "undone": (glyphs.OK, Tone.GOOD),
    "not_run": (glyphs.IDLE, Tone.MUTED),
    "blocked": (glyphs.ATTENTION, Tone.WARN),
    "needs_stop": (glyphs.ATTENTION, Tone.WARN),
}
_RUNS = {
    "completed": (glyphs.OK, Tone.GOOD),
    "partial": (glyphs.ATTENTION, Tone.WARN),
    "running": (glyphs.ATTENTION, Tone.WARN),
    "failed": (glyphs.BAD, Tone.BAD),
    "rolled_back": (glyphs.CROSSED, Tone.MUTED),
}
_SEVERITY_CELLS = 10


# A step and what it changes.


@value
class Footing:
    """How a step stands: whether it is ticked, why it cannot be done from here, and whether an engine runs."""

    ticked: bool
    barred: str = ""
    live: bool = True


def step_lines(step: StepView, place: str, footing: Footing, width: int) -> list[Line]:
    """One repair as a unified diff. `place` says which of how many it is."""
    ticked, barred = footing.ticked, footing.barred
    box = part(f" [{'x' if ticked else ' '}] ", Tone.MUTED if barred else Tone.ACCENT, bold=ticked)
    right = line(muted(place))
    title, *rest = wrap(step.title, width - 7 - width_of(right))
    rows = [spread((box, *(strong(one.text) for one in title)), right, width - 1)]
    rows += [line("     ", *(strong(one.text) for one in row)) for row in rest]
    return [
        *rows,
        *_marks(step, "It loses something: it takes a tick of its own (space).", footing, width),
        *_changes(step, width),
    ]


def undo_lines(undoing: Undoing, footing: Footing, *, zone: str, now: int, width: int) -> list[Line]:
    """What taking a run back would do, as the diff of its own."""
    run, step = undoing.run, undoing.step
    what = f"Take back the {run.kind or 'run'} of {show.moment(run.created_at_ms, zone, now)}"
    box = f" [{'x' if footing.ticked else ' '}] " if step.force else " "
    head: Line = (
        part(box, Tone.ACCENT, bold=True),
        strong(what),
        muted(f"  by {run.operator}" if run.operator else ""),
    )
    names = ", ".join(one.repair_id for one in run.steps if one.outcome in _WELL)
    rows = [spread(head, line(muted(f"run {show.short_id(run.run_id)}")), width - 1)]
    rows += wrap(
        f"It did: {names}" if names else "Nothing is known of what it did.", width - 1, indent=" ", tone=Tone.MUTED
    )
    if not step.changes:
        return [*rows, *wrap("There is nothing left to take back.", width - 1, indent=" ", tone=Tone.WARN)]
    since = "What was changed since is replaced, kept in a backup: it takes a tick of its own (space)."
    return [*rows, *_marks(step, since, footing, width), *_changes(step, width)]


def _marks(step: StepView, loses: str, footing: Footing, width: int) -> list[Line]:
    barred, stops = footing.barred, step.needs_stop and footing.live
    lines = wrap(step.impact, width - 1, indent=" ", tone=Tone.MUTED) if step.impact else []
    for holds, words in (
        (step.force, loses),
        (step.security, "It changes who may read or do what."),
        (stops and not barred, "The engine is stopped for it and started again; you are asked first."),
        (bool(barred), f"Not from here: {barred}"),
    ):
        if holds:
            lines += wrap(f"{glyphs.ATTENTION} {words}", width - 1, indent=" ", hang="   ", tone=Tone.WARN)
    for note in step.notes:
        lines += wrap(note, width - 1, indent="   ", tone=Tone.WARN)
    return lines


def _changes(step: StepView, width: int) -> list[Line]:
    lines: list[Line] = []
    for change in step.changes:
        lines += [row for pieces in _change(change) for row in _rows(pieces, width)]
    return lines


def target_name(change: ChangeView) -> str:
    """A file as it is shown before the run has an id that stands in its name; `.` is the root of them all."""
    return "the directory itself" if change.target == "." else change.target.replace("{run}", "…")


def _change(change: ChangeView) -> Iterator[tuple[str, Tone]]:
    """Lines of a change. What is told in one line, a mode for instance, stands beside the name of its file."""
    target = target_name(change)
    told = change.diff.splitlines()
    if len(told) <= 1:
        yield f"{change.action} {target}  {told[0] if told else ''}".rstrip(), Tone.PLAIN
        return
    yield f"{change.action} {target}", Tone.PLAIN
    for number, text in enumerate(told):
        header = number < len(_HEADS) and text.startswith(_HEADS[number])
        yield f"  {text}", Tone.MUTED if header else _DIFF.get(text[:1], Tone.PLAIN)


def _rows(piece: tuple[str, Tone], width: int) -> Iterator[Line]:
    """A line as it is, on as many rows as it takes: what is applied can be read in full."""
    text, tone = safe(piece[0]), piece[1]
    room, row, used = width - 2, "", 0
    if cells(text) <= room:
        yield line(" ", part(text, tone))
        return
    for char in text:
        taken = cells(char)
        if used + taken > room:
            yield line(" ", part(row, tone))
            row, used = CONTINUED, len(CONTINUED)
        row, used = row + char, used + taken
    yield line(" ", part(row, tone))


# Carrying out.


def work_lines(work: Work, monotonic: float, width: int) -> list[Line]:
    """How far a run has come, and that it is carried out to its end."""
    passed = show.stopwatch(round((monotonic - work.began) * 1_000))
    ratio = work.done / work.total if work.total else 0.0
    count = f" {work.done} of {plural(work.total, 'step')}" if work.total else " getting ready"
    waits = "The engine is stopped first: runs in flight get their time to end." if work.stops else ""
    under_way = line(" ", muted("now "), part(work.step)) if work.step else line(" ", muted(waits))
    honest = "It cannot be stopped midway: a step is done as a whole or not at all. esc only leaves this view."
    return [
        spread(line(" ", strong(f"{work.title} …")), line(muted(passed)), width - 1),
        BLANK,
        (part(" "), *gauge_parts(ratio, BAR, Tone.ACCENT), part(count)),
        under_way,
        BLANK,
        *wrap(honest, width - 1, indent=" ", tone=Tone.MUTED),
    ]


def work_words(work: Work) -> str:
    """The same in a few words."""
    return f"{work.title.lower()} {work.done} of {work.total}" if work.total else f"{work.title.lower()} …"


# What came of it.


def came_lines(came: Came, keys: str, zone: str, now: int, width: int) -> list[Line]:
    """Each step with its outcome, then every finding before and after. `keys` says how it is taken back."""
    done = came.done
    tone = Tone.GOOD if done.complete else Tone.WARN
    sign = glyphs.OK if done.complete else glyphs.ATTENTION
    where = (
        f"{show.moment(came.at, zone, now)}  run {show.short_id(done.run_id)}" if done.run_id else "nothing was written"
    )
    head, *rest = wrap(came.said, width - cells(safe(where)) - 5)
    rows = [
        spread(line(part(f" {sign} ", tone), *(part(one.text, tone) for one in head)), line(muted(where)), width - 1)
    ]
    rows += [line("   ", *(part(one.text, tone) for one in row)) for row in rest]
    rows += [row for one in done.steps for row in _outcome(one, width)]
    if done.trouble:
        rows += wrap(f"{glyphs.ATTENTION} {done.trouble}", width - 1, indent=" ", hang="   ", tone=Tone.WARN)
    return [*rows, BLANK, *_before_and_after(came, width), *([line(" ", muted(keys))] if done.run_id else [])]


def _outcome(one: StepOutcomeView, width: int) -> list[Line]:
    glyph, tone = _OUTCOMES.get(one.outcome, (glyphs.BAD, Tone.BAD))
    words = f"{glyph} {one.repair_id}  {one.outcome.replace('_', ' ')}{f': {one.error}' if one.error else ''}"
    rows = wrap(words, width - 1, indent=" ", hang="   ", tone=tone)
    return [*rows, *(row for note in one.notes for row in wrap(note, width - 1, indent="   ", tone=Tone.WARN))]


def _before_and_after(came: Came, width: int) -> list[Line]:
    rows = [one for one in came.rows if not one.gone or one.id in came.before]
    if not rows:
        return [line(part(f" {glyphs.OK} Nothing was wrong, and nothing is.", Tone.GOOD))]
    room = max(16, width - 2 * (_SEVERITY_CELLS + 3) - 2)
    lines = [
        line(
            " ",
            column("finding", room, Tone.MUTED),
            "  ",
            column("before", _SEVERITY_CELLS + 1, Tone.MUTED),
            muted("after"),
        )
    ]
    for one in rows:
        name = f"{one.check}  {one.told}"
        after = (part(f"{glyphs.OK} put right", Tone.GOOD),) if one.gone else _severity(one.severity)
        before = _severity(came.before[one.id]) if one.id in came.before else (part(f"{glyphs.OK} well", Tone.GOOD),)
        gap = part(" " * (_SEVERITY_CELLS + 1 - width_of(before)))
        lines.append(line(" ", column(name, room), "  ", *before, gap, *after))
        if one.why:
            tried = any(step.repair_id in one.repairs for step in came.done.steps)
            lines += wrap(one.why, width - 3, indent="   ", tone=Tone.WARN if tried else Tone.MUTED)
    return lines


def _severity(severity: str) -> tuple[Part, ...]:
    glyph, tone = severity_mark(severity)
    return (part(f"{glyph} {severity}", tone),)


# Runs of before.


def run_mark(run: RunOfRepairs) -> Mark:
    """Glyph, word and tone of a run of the doctor."""
    if run.fault:
        return glyphs.BAD, "unreadable", Tone.BAD
    glyph, tone = _RUNS.get(run.state, (glyphs.IDLE, Tone.MUTED))
    return glyph, run.state.replace("_", " "), tone


def run_words(run: RunOfRepairs) -> str:
    """What a run did, in a few words."""
    if run.fault:
        return run.fault
    if run.rolls_back:
        return f"took back {show.short_id(run.rolls_back)}"
    names = [
        f"{one.repair_id}{'' if one.outcome in _WELL else f' {one.outcome}'.replace('_', ' ')}" for one in run.steps
    ]
    return ", ".join(names) or "nothing was begun"


def run_of_repairs_lines(run: RunOfRepairs, keys: str, zone: str, now: int, width: int) -> list[Line]:
    """Everything known of a run. `keys` says how it is taken back."""
    glyph, word, tone = run_mark(run)
    if run.fault:
        return [line(part(f" {glyph} {word}", tone)), *wrap(run.fault, width - 1, indent=" ")]
    ended = (
        "" if run.finished_at_ms is None else f", took {show.latency(max(0, run.finished_at_ms - run.created_at_ms))}"
    )
    rows = [
        line(part(f" {glyph} {word}", tone), strong(f"  {run.kind}")),
        line(" ", muted("run    "), part(run.run_id)),
        line(" ", muted("at     "), part(f"{show.moment(run.created_at_ms, zone, now)}{ended}")),
        line(" ", muted("by     "), part(run.operator)),
    ]
    if run.rolls_back:
        rows.append(line(" ", muted("undid  "), part(run.rolls_back)))
    rows += [BLANK, heading("steps"), *(row for one in run.steps for row in _outcome(one, width))]
    return [*rows, BLANK, *wrap(keys, width - 1, indent=" ", tone=Tone.MUTED)]
