"""A background task, opened: what it is to do, where it stands, why it waits, its attempts and what came of it."""

from palyra.control.task_queries import TaskDetail, TaskView
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.layout import Cell, heading, pairs, table
from palyra.tui.details.words import Mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part, strong, wrap

_STATES: dict[str, tuple[str, Tone]] = {
    "queued": (glyphs.IDLE, Tone.MUTED),
    "running": (glyphs.OK, Tone.ACCENT),
    "paused": (glyphs.IDLE, Tone.WARN),
    "cancel_requested": (glyphs.ATTENTION, Tone.WARN),
    "completed": (glyphs.OK, Tone.GOOD),
    "failed": (glyphs.BAD, Tone.BAD),
    "cancelled": (glyphs.CROSSED, Tone.MUTED),
    "expired": (glyphs.CROSSED, Tone.MUTED),
}
TEXT_LINES = 6
"""How much of a task's text and of its answer is shown."""


def task_mark(task: TaskView) -> Mark:
    """Glyph, word and tone of a task."""
    glyph, tone = _STATES.get(task.state, (glyphs.IDLE, Tone.MUTED))
    word = "stopping" if task.state == "cancel_requested" else task.state
    return glyph, word, tone


def waits_words(task: TaskView) -> str:
    """Why it does not go on, or how far it is."""
    tries = f"attempt {task.attempt}/{task.max_attempts}" if task.attempt else ""
    why = task.waits.replace("_", " ") if task.waits else task.reason.replace("_", " ")
    return " ".join(word for word in (tries, why) if word)


def task_lines(task: TaskView, detail: TaskDetail | None, zone: str, now: int, width: int) -> list[Line]:
    """Everything about a task, in lines."""
    glyph, word, tone = task_mark(task)
    parent = task.parent_task_id or task.parent_run_id
    values: list[tuple[str, Part]] = [
        ("task", part(task.task_id)),
        ("state", part(f"{glyph} {word}", tone)),
        ("kind", strong(task.task_kind.replace("_", " "))),
        ("for", strong(task.owner)),
        ("session", part(task.session)),
        ("model", part(task.model or "as routed")),
        ("attempt", part(f"{task.attempt} of {task.max_attempts}")),
        ("priority", part(f"{task.priority:+d}" if task.priority else "0")),
        ("tokens", part(f"{task.tokens:,} of {task.token_budget:,}")),
        ("made", part(f"{show.moment(task.created_at, zone, now)}, {task.source}")),
    ]
    if task.waits:
        values.append(("waits for", part(task.waits.replace("_", " "), Tone.WARN)))
    if task.live and task.not_before > now:
        values.append(("not before", part(show.instant(task.not_before, zone, now))))
    if task.live and task.expires_at is not None and task.started_at is None:
        values.append(("expires", part(show.instant(task.expires_at, zone, now))))
    if parent:
        values.append(("below", part(f"{parent}{', goes on without it' if task.keep else ''}")))
    lines = pairs(values, width)
    if task.reason or task.error:
        said = ": ".join(text for text in (task.reason.replace("_", " "), task.error) if text)
        lines += wrap(said, width - 1, indent=" ", tone=tone)
    if detail is None:
        return [*lines, BLANK, line(" ", muted("its text and runs …"))]
    if detail.heartbeat_age_ms is not None:
        lines.append(line(" ", muted(f"last sign of life {show.span(detail.heartbeat_age_ms)} ago")))
    if detail.runs:
        rows: list[list[Cell]] = [
            [
                f"{run.attempt}  {run.run_id}",
                " ".join(text for text in (run.state, run.reason) if text),
                show.run_money(run.cost_nano_usd),
            ]
            for run in detail.runs
        ]
        lines += [BLANK, *table(["run", "came to", "cost"], rows, width, right=frozenset([2]))]
    lines += [BLANK, *_text("asked", detail.text, width)]
    if detail.result is not None:
        lines += [BLANK, *_text("answered", detail.result, width)]
    return lines


def _text(label: str, text: str, width: int) -> list[Line]:
    rows = wrap(text or "–", width - 1, indent=" ")
    more = [line(" ", muted(f"… {len(rows) - TEXT_LINES} more lines"))] if len(rows) > TEXT_LINES else []
    return [heading(label), *rows[:TEXT_LINES], *more]
