"""A run, opened: what it is doing or how it ended, why it went where it went, each attempt with its hold."""

from palyra.control.prices import PartView
from palyra.control.queries import AttemptView, NoteView, RunDetail
from palyra.control.snapshots import RunView
from palyra.tui import format as show
from palyra.tui.details.decision import why_lines
from palyra.tui.details.layout import Cell, heading, pairs, table
from palyra.tui.details.words import run_mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, wrap

_PER = {1: "1", 1_000: "1k", 1_000_000: "1M"}
_HOLDS = {"held": Tone.ACCENT, "settled": Tone.GOOD, "released": Tone.MUTED, "expired": Tone.WARN}


def run_lines(run: RunView, detail: RunDetail | None, zone: str, now: int, width: int) -> list[Line]:
    """Everything about a run, in lines."""
    glyph, word, tone = run_mark(run)
    why = f" {run.reason}" if run.reason else ""
    asked = "" if run.model_asked in ("", run.model) else f" (asked {run.model_asked})"
    how = "stream" if run.streaming else "whole answer"
    lines = pairs(
        [
            ("run", part(run.run_id)),
            ("state", part(f"{glyph} {word}{why}", tone)),
            ("who", strong(run.principal)),
            ("session", part(run.session)),
            ("model", strong(f"{run.model}{asked}")),
            ("asked by", part(f"{run.wire}, {how}")),
            ("tokens", part(f"{run.input_tokens:,} in, {run.output_tokens:,} out")),
            ("cost", part(cost_words(run))),
            ("accepted", part(show.moment(run.accepted_at, zone, now))),
            ("took", part(timing_words(run, now))),
            *([("heartbeat", part(beat_words(run, now)))] if run.live and run.beat_at is not None else []),
        ],
        width,
    )
    if run.message:
        lines.extend(wrap(run.message, width - 1, indent=" "))
    if run.flags:
        lines.append(line(" ", muted(f"{'flags':<11}"), part(", ".join(run.flags))))
    if detail is None:
        return [*lines, BLANK, line(" ", muted("decision, attempts and notes …"))]
    if detail.decision is not None:
        lines += [
            BLANK,
            heading(f"why {detail.decision.outcome.replace('_', ' ')}"),
            *why_lines(detail.decision, width),
        ]
    if detail.attempts:
        lines += [BLANK, *_attempts(detail.attempts, zone, now, width), *_charges(detail.attempts, width)]
    if detail.notes:
        lines += [BLANK, heading("notes"), *_notes(detail.notes, zone, now, width)]
    return lines


def cost_words(run: RunView) -> str:
    """What the run cost to the nano-dollar, or what it holds while it lives."""
    if run.live:
        return f"holds {show.money(run.held_nano_usd)}"
    return "unpriced" if run.cost_nano_usd is None else show.exact_money(run.cost_nano_usd)


def beat_words(run: RunView, now: int) -> str:
    """How long ago it proved that it lives, and that it gets on."""
    ages = [show.age(now - at) for at in (run.beat_at, run.progress_at) if at is not None]
    return ", progress ".join(f"{age} ago" for age in ages)


def timing_words(run: RunView, now: int) -> str:
    """How long it took, and how soon the first byte came."""
    first = "" if run.first_byte_at is None else f", first byte {show.latency(run.first_byte_at - run.accepted_at)}"
    if run.finished_at is None:
        return f"{show.stopwatch(now - run.accepted_at)}{first}"
    return f"{show.latency(run.finished_at - run.accepted_at)}{first}"


def _attempts(attempts: tuple[AttemptView, ...], zone: str, now: int, width: int) -> list[Line]:
    narrow = width < 72
    rows: list[list[Cell]] = []
    for attempt in attempts:
        price = "" if attempt.price_state == "known" else f" {attempt.price_state}"
        source = " ".join([*_came_to(attempt), attempt.usage_source, *_recovered(attempt), *attempt.flags]).strip()
        row: list[Cell] = [
            show.short_model(attempt.model) if narrow else f"{attempt.number}  {attempt.model}",
            part(attempt.state, _HOLDS.get(attempt.state, Tone.PLAIN)),
            show.money(attempt.bound_nano_usd),
            f"{show.exact_money(attempt.actual_nano_usd)}{price}",
        ]
        rows.append(row if narrow else [*row, f"{source}"])
    head = ["attempt", "hold", "bound", "charged"] if narrow else ["attempt", "hold", "bound", "charged", "from"]
    return table(head, rows, width, right=frozenset([2, 3]))


def _came_to(attempt: AttemptView) -> list[str]:
    """Why it was made, and with what it failed."""
    status = "" if attempt.status is None else f" {attempt.status}"
    failed = [f"{attempt.error_class}{status}"] if attempt.error_class else []
    return [*([attempt.course.replace("_", " ")] if attempt.course else []), *failed]


def _recovered(attempt: AttemptView) -> list[str]:
    return ["recovered"] if attempt.recovered else []


def _charges(attempts: tuple[AttemptView, ...], width: int) -> list[Line]:
    """What makes up each charge, and how an answer that contradicted itself could be understood."""
    lines: list[Line] = []
    for attempt in attempts:
        if attempt.parts:
            rows: list[list[Cell]] = [_part_row(one) for one in attempt.parts]
            head = [f"charge {attempt.number}", "count", "rate", "nano-dollars"]
            lines += [BLANK, *table(head, rows, width, right=frozenset([1, 2, 3]))]
        if len(attempt.readings) > 1:
            ways = [f"{name.replace('_', ' ')} {show.exact_money(amount)}" for name, amount in attempt.readings]
            lines += wrap(f"understood as {', '.join(ways)}; the dearest is charged", width - 1, indent=" ")
    return lines


def _part_row(one: PartView) -> list[Cell]:
    rate = f"${one.usd} / {_PER.get(one.per, one.per)}"
    return [_unit_words(one.unit), f"{one.count:,}", rate, _grouped(one.nano)]


def _grouped(number: str) -> str:
    """A decimal number with its thousands apart: `1,234,567.5`."""
    whole, point, decimals = number.partition(".")
    return f"{int(whole):,}{point}{decimals}"


def _unit_words(unit: str) -> str:
    return unit.removesuffix("_tokens").replace("_", " ")


def _notes(notes: tuple[NoteView, ...], zone: str, now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for note in notes:
        facts = "  ".join(f"{name} {value}" for name, value in note.data.items() if value not in ("", None))
        text = f"{show.moment(note.at, zone, now):<10} {note.kind}  {facts}"
        lines.extend(wrap(text, width - 1, indent="   ", hang=" " * 14))
    return lines
