"""A job, opened: when it fires next, how its last fires went, what it does and under which rules."""

from collections.abc import Sequence

from palyra.control.jobs_queries import FireView, InstantView, JobDetail, JobView
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.layout import Cell, heading, pairs, table
from palyra.tui.details.words import Mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part, strong, wrap

_STATES: dict[str, tuple[str, Tone]] = {
    "active": (glyphs.OK, Tone.GOOD),
    "paused": (glyphs.IDLE, Tone.MUTED),
    "exhausted": (glyphs.CROSSED, Tone.MUTED),
    "faulted": (glyphs.BAD, Tone.BAD),
}
_MADE = {"operator": "made by an operator", "config": "made in palyra.toml", "system": "made by Palyra"}
_FIRES: dict[str, tuple[str, Tone]] = {
    "pending": (glyphs.IDLE, Tone.MUTED),
    "running": (glyphs.OK, Tone.ACCENT),
    "backoff": (glyphs.ATTENTION, Tone.WARN),
    "review": (glyphs.ATTENTION, Tone.WARN),
    "completed": (glyphs.OK, Tone.GOOD),
    "failed": (glyphs.BAD, Tone.BAD),
    "denied": (glyphs.BAD, Tone.WARN),
    "cancelled": (glyphs.CROSSED, Tone.MUTED),
    "skipped": (glyphs.CROSSED, Tone.MUTED),
}
TROUBLE = ("failed", "denied")
ROOMY = 60
"""From this width on a slot is told in UTC too."""
_MARKS = {"forward": "clocks go forward", "back": "clocks go back"}
_SHORT_MARKS = {"forward": "set ahead", "back": "set back"}
"""For a narrow panel, where a cut word would tell nothing."""


def job_mark(job: JobView) -> Mark:
    """What it waits for a person with comes first, then what is under way, then its own state: no good one where its
    newest fire came to nothing."""
    if job.review_id:
        return glyphs.ATTENTION, "review", Tone.WARN
    if job.state == "active" and job.active:
        glyph, tone = _FIRES.get(job.active, (glyphs.IDLE, Tone.MUTED))
        return glyph, job.active, tone
    glyph, tone = _STATES.get(job.state, (glyphs.IDLE, Tone.MUTED))
    if job.state == "active" and job.last_state in TROUBLE:
        glyph, tone = _FIRES[job.last_state]
    return glyph, job.state, tone


def fire_mark(state: str) -> Mark:
    """Glyph, word and tone of a fire."""
    glyph, tone = _FIRES.get(state, (glyphs.IDLE, Tone.MUTED))
    return glyph, state, tone


def last_words(job: JobView, now: int) -> tuple[str, Tone]:
    """How its newest fire that ended came out, and how long ago."""
    if job.last_at is None:
        return "never ran", Tone.MUTED
    tone = _FIRES.get(job.last_state, (glyphs.IDLE, Tone.MUTED))[1]
    word = "ok" if job.last_state == "completed" else job.last_state
    return f"{word} {show.age(now - job.last_at)}", tone


def next_words(job: JobView, now: int) -> str:
    """The time until its next slot."""
    if job.next_slot is None:
        return show.NONE
    return f"in {show.span(job.next_slot - now)}" if job.next_slot > now else "now"


def late_words(job: JobView) -> str:
    """How late its newest fire started."""
    return show.NONE if job.lateness_ms is None else show.latency(max(0, job.lateness_ms))


def job_lines(job: JobView, detail: JobDetail | None, zone: str, now: int, width: int) -> list[Line]:
    """Times of slots are those of the job's own zone, other times those of the console."""
    glyph, word, tone = job_mark(job)
    lines = pairs(
        [
            ("job", strong(job.name)),
            ("state", part(f"{glyph} {word}", tone)),
            ("schedule", part(f"{job.schedule} {job.expression}")),
            ("zone", part(job.timezone)),
            ("does", part(job.what)),
            ("for", part(job.owner)),
            ("late by", part(late_words(job))),
            ("fired", part(f"{plural(job.fired, 'time')}, {_MADE.get(job.source, job.source)}")),
        ],
        width,
    )
    if job.why:
        by = f" ({job.state_by}, {show.moment(job.state_at, zone, now)})" if job.state_by else ""
        lines += wrap(f"{job.state}: {job.why}{by}", width - 1, indent=" ", tone=tone)
    if job.review_id:
        missed = plural(job.review_slots, "slot")
        told = f"{missed} passed while nothing ran. R decides: one fire, each in order, or none."
        lines += wrap(told, width - 1, indent=" ", tone=Tone.WARN)
    if job.failures:
        lines.append(line(" ", part(f"{plural(job.failures, 'fire')} in a row failed", Tone.BAD)))
    if detail is None:
        return [*lines, BLANK, line(" ", muted("next slots and fires …"))]
    lines += [BLANK, heading("next"), *slot_lines(detail.upcoming, now, width=width)]
    lines += [BLANK, heading("fires"), *_fires(detail.fires, zone, now, width)]
    return [*lines, BLANK, *_rules(job, detail, width)]


def _minute(local: str) -> str:
    """Without seconds where there are none."""
    minute, _, seconds = local.rpartition(":")
    return minute if seconds == "00" and minute.count(":") == 1 else local


def slot_lines(upcoming: Sequence[InstantView], now: int, *, most: int = 10, width: int = ROOMY) -> list[Line]:
    """One slot a line: local time, UTC where there is room for it, how far away, whether clocks are changed there."""
    if not upcoming:
        return [line(" ", muted("none"))]
    marks = _MARKS if width >= ROOMY else _SHORT_MARKS
    return [
        line(
            " ",
            part(f"{_minute(one.local)} {one.offset}"),
            muted(f"  {show.clock(one.at, 'UTC')}" if width >= ROOMY else ""),
            muted(f"  in {show.span(one.at - now)}"),
            *((part(f"  {marks.get(one.mark, one.mark)}", Tone.WARN),) if one.mark else ()),
        )
        for one in upcoming[:most]
    ]


def _fires(fires: Sequence[FireView], zone: str, now: int, width: int) -> list[Line]:
    if not fires:
        return [line(" ", muted("none yet"))]
    rows: list[list[Cell]] = []
    for fire in fires:
        glyph, word, tone = fire_mark(fire.state)
        slot = "by hand" if fire.slot is None else show.moment(fire.slot, zone, now)
        rows.append(
            [
                part(f"{glyph} {word}", tone),
                slot if not fire.coalesced else f"{slot} +{fire.coalesced}",
                show.NONE if fire.lateness_ms is None else show.latency(max(0, fire.lateness_ms)),
                show.run_money(fire.cost_nano_usd),
            ]
        )
    lines = table(["fire", "slot", "late", "cost"], rows, width, right=frozenset([2, 3]))
    for fire in fires:
        said = ": ".join(text for text in (fire.reason.replace("_", " "), fire.error) if text)
        if said and fire.state != "completed":
            slot = "by hand" if fire.slot is None else show.moment(fire.slot, zone, now)
            lines += wrap(f"{slot} {said}", width - 1, indent=" ", hang="   ", tone=Tone.MUTED)
    return lines


def _rules(job: JobView, detail: JobDetail, width: int) -> list[Line]:
    values: list[tuple[str, Part]] = [
        ("if missed", part(job.misfire.replace("_", " "))),
        ("if busy", part(job.concurrency)),
        ("attempts", part(str(detail.max_attempts))),
        ("lasts", part(f"at most {show.span(detail.max_duration)}")),
        ("jitter", part(f"{detail.jitter_ms:,} ms")),
        ("session", part(detail.session)),
        ("made by", part(detail.created_by)),
        ("id", part(job.job_id)),
    ]
    return pairs(values, width)
