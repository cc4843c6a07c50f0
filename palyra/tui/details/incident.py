"""An incident, opened: what is wrong and since when, what is done about it, what was tried, and all that happened."""

from collections.abc import Sequence

from palyra.control.incidents_queries import (
    IncidentDetail,
    IncidentView,
    ProviderCallView,
    RemedyAttemptView,
    RemedyView,
    TimelineView,
)
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.layout import Cell, heading, pairs, table
from palyra.tui.details.words import Mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part, wrap

_SEVERITIES: dict[str, tuple[str, Tone]] = {
    "critical": (glyphs.BAD, Tone.BAD),
    "high": (glyphs.BAD, Tone.BAD),
    "medium": (glyphs.ATTENTION, Tone.WARN),
    "low": (glyphs.NOTE, Tone.WARN),
}
_ATTEMPTS: dict[str, tuple[str, Tone]] = {
    "planned": (glyphs.IDLE, Tone.MUTED),
    "running": (glyphs.OK, Tone.ACCENT),
    "succeeded": (glyphs.OK, Tone.GOOD),
    "failed": (glyphs.BAD, Tone.BAD),
    "skipped": (glyphs.CROSSED, Tone.MUTED),
}
_AUTO = {
    "yes": "by itself, {left} left",
    "once": "by itself once, {left} left",
    "no": "only by people",
    "approval": "needs an approval",
}
CHILDREN_SHOWN = 20
PREVIEW_ROWS = 6


def away(incident: IncidentView, now: int) -> bool:
    """Whether somebody snoozed it for now."""
    return incident.snoozed_until is not None and now < incident.snoozed_until


def needs_a_person(incident: IncidentView, now: int) -> bool:
    """Whether nobody has taken notice of the incident."""
    return incident.live and incident.acknowledged_at is None and not away(incident, now)


def incident_mark(incident: IncidentView, now: int) -> Mark:
    """How grave it is; calm where somebody knows of it."""
    glyph, tone = _SEVERITIES.get(incident.severity, (glyphs.ATTENTION, Tone.WARN))
    if not incident.live:
        return glyphs.OK, incident.severity, Tone.MUTED
    return (glyph, incident.severity, tone) if needs_a_person(incident, now) else (glyph, incident.severity, Tone.MUTED)


def state_words(incident: IncidentView, now: int) -> tuple[str, Tone]:
    """What it waits for, in one word."""
    if not incident.live:
        return "resolved", Tone.GOOD
    if away(incident, now):
        return "snoozed", Tone.MUTED
    if incident.state == "remediating":
        return "remedy", Tone.ACCENT
    return ("open", Tone.PLAIN) if incident.acknowledged_at is None else ("acked", Tone.MUTED)


def summary_words(incident: IncidentView) -> str:
    """Its summary with a short form of long ids, as lists show it."""
    subject = incident.subject
    return incident.summary.replace(subject, show.short_id(subject)) if len(subject) == 26 else incident.summary


def mark_words(incident: IncidentView) -> str:
    """What is unusual about it."""
    marks = (("flapping", incident.flapping), ("muted", incident.muted), ("escalated", incident.escalated))
    return " ".join(word for word, holds in marks if holds)


def loop_words(incident: IncidentView, detail: IncidentDetail | None, zone: str, now: int) -> tuple[str, Tone]:
    """What the house does about it now."""
    if not incident.live:
        return f"resolved by {incident.resolved_by or 'palyra'}: {incident.reason.replace('_', ' ')}", Tone.GOOD
    if detail is None:
        return ("a remedy runs", Tone.ACCENT) if incident.state == "remediating" else ("looking …", Tone.MUTED)
    last = detail.attempts[-1] if detail.attempts else None
    if last is not None and last.status in ("planned", "running"):
        doing = f"{last.detail}, " if last.detail else ""
        return f"{last.remedy}: {doing}{'verifying' if last.status == 'running' else 'planned'}", Tone.ACCENT
    tried = f"{last.remedy} {last.status}" if last is not None else ""
    if detail.next_try is not None:
        when = "any moment" if detail.next_try <= now else show.instant(detail.next_try, zone, now)
        return f"{f'{tried}, ' if tried else ''}next try {when}", Tone.WARN
    offered = f"m: {', '.join(remedy.name for remedy in detail.remedies)}" if detail.remedies else ""
    words = ", ".join(text for text in (tried, offered) if text)
    return (words or "nothing is done by itself", Tone.WARN if tried else Tone.MUTED)


def auto_words(remedy: RemedyView) -> str:
    """Whether a remedy is tried by itself, in words."""
    return _AUTO.get(remedy.auto, remedy.auto).format(left=remedy.left)


def incident_lines(
    incident: IncidentView, detail: IncidentDetail | None, zone: str, now: int, width: int
) -> list[Line]:
    """`detail` is None until the engine has answered."""
    glyph, word, tone = incident_mark(incident, now)
    state, state_tone = state_words(incident, now)
    doing, doing_tone = loop_words(incident, detail, zone, now)
    lines = [*wrap(incident.summary, width - 1, indent=" ", tone=Tone.STRONG)]
    for text in (incident.cause, incident.detail):
        if text:
            lines += wrap(text, width - 1, indent=" ")
    values: list[tuple[str, Part]] = [
        ("severity", part(f"{glyph} {word}", tone)),
        ("state", part(" ".join(text for text in (state, mark_words(incident)) if text), state_tone)),
        ("holds", part(_holds(incident, now), Tone.PLAIN if incident.holds else Tone.GOOD)),
        ("since", part(show.moment(incident.condition_since, zone, now))),
        ("seen", part(f"{plural(incident.occurrences, 'time')}, episode {incident.episode}")),
        ("owner", part(incident.assignee or "nobody", Tone.PLAIN if incident.assignee else Tone.MUTED)),
        ("acked by", part(_acked(incident, zone, now))),
        ("domain", part(f"{incident.domain}, {incident.feature}")),
        ("now", part(doing, doing_tone)),
    ]
    if away(incident, now) and incident.snoozed_until is not None:
        until = show.instant(incident.snoozed_until, zone, now)
        values.append(("snoozed", part(f"until {until}: {incident.snooze_reason}")))
    lines += [BLANK, *pairs(values, width)]
    if detail is None:
        return [*lines, BLANK, line(" ", muted("evidence, attempts and timeline …"))]
    lines += _evidence(incident, detail, zone, now, width)
    if detail.remedies:
        lines += [BLANK, heading("remedies (m)"), *_remedies(detail.remedies, width)]
    if detail.attempts:
        lines += [BLANK, *_attempts(detail.attempts, zone, now, width)]
    if detail.children:
        lines += [
            BLANK,
            heading(f"{plural(len(detail.children), 'incident')} below it"),
            *_children(detail, now, width),
        ]
    lines += [BLANK, heading("timeline"), *_timeline(detail.timeline, zone, now, width)]
    return [*lines, BLANK, *pairs([("id", part(incident.incident_id)), ("key", part(incident.key))], width)]


def incident_preview(
    incident: IncidentView, detail: IncidentDetail | None, zone: str, now: int, width: int
) -> list[Line]:
    """The essence: what is wrong, why, and what is done about it."""
    glyph, word, tone = incident_mark(incident, now)
    seen = f"  {state_words(incident, now)[0]}, seen {plural(incident.occurrences, 'time')}"
    below = f", {incident.children:,} below it" if incident.children else ""
    head = line(" ", part(f"{glyph} {word}", tone), muted(f"{seen}{below}"))
    doing, doing_tone = loop_words(incident, detail, zone, now)
    said = [row for text in (incident.summary, incident.cause) if text for row in wrap(text, width - 2, indent=" ")]
    done = wrap(doing, width - 13, indent="", tone=doing_tone)[:1]
    rows = [head, *said[: PREVIEW_ROWS - 2], *(line(" ", muted("now        "), *row) for row in done)]
    return rows[:PREVIEW_ROWS]


def _holds(incident: IncidentView, now: int) -> str:
    if not incident.live:
        return "no"
    lasted = show.age(now - incident.condition_since)
    return f"yes, for {lasted}" if incident.holds else "not any more"


def _acked(incident: IncidentView, zone: str, now: int) -> str:
    if incident.acknowledged_at is None:
        return "nobody yet"
    return f"{incident.acknowledged_by}, {show.moment(incident.acknowledged_at, zone, now)}"


def call_words(call: ProviderCallView, zone: str, now: int) -> str:
    """`openai/gpt-5.4, attempt 2 since 4:12, stream`; or how it ended."""
    if call.dispatched_at is None:
        return f"none so far{f', {call.ended}' if call.ended else ''}"
    when = show.moment(call.dispatched_at, zone, now)
    return f"{call.model or call.provider}, attempt {call.attempts} at {when}, {call.ended or call.phase}"


def _evidence(incident: IncidentView, detail: IncidentDetail, zone: str, now: int, width: int) -> list[Line]:
    values: list[tuple[str, Part]] = []
    if detail.last_beat_ms is not None:
        values.append(("last beat", part(f"{show.age(detail.last_beat_ms)} ago")))
    if detail.last_progress_ms is not None:
        values.append(("progress", part(f"{show.age(detail.last_progress_ms)} ago")))
    if detail.phase:
        values.append(("phase", part(detail.phase)))
    if detail.call is not None:
        values.append(("last call", part(call_words(detail.call, zone, now))))
    values += [(kind.replace("_", " ")[:10], part(name)) for kind, name in incident.related.items()]
    if incident.subject and incident.subject not in incident.related.values():
        values.append(("subject", part(incident.subject)))
    if detail.parent is not None:
        values.append(("below", part(detail.parent.summary)))
    return [BLANK, heading("evidence"), *pairs(values, width)] if values else []


def _remedies(remedies: Sequence[RemedyView], width: int) -> list[Line]:
    lines: list[Line] = []
    for remedy in remedies:
        words = f"{remedy.name}: {remedy.risk} risk, reaches the {remedy.blast}, {auto_words(remedy)}"
        lines += wrap(words, width - 1, indent=" ", hang="   ")
    return lines


def _attempts(attempts: Sequence[RemedyAttemptView], zone: str, now: int, width: int) -> list[Line]:
    rows: list[list[Cell]] = []
    for attempt in attempts:
        glyph, tone = _ATTEMPTS.get(attempt.status, (glyphs.IDLE, Tone.MUTED))
        word = "verifying" if attempt.status == "running" else attempt.status
        when = show.moment(attempt.started_at or attempt.planned_at, zone, now)
        rows.append([attempt.remedy, part(f"{glyph} {word}", tone), attempt.asked_by, when])
    lines = table(["attempt", "came to", "by", "at"], rows, width, right=frozenset())
    for attempt in attempts:
        if attempt.detail:
            lines += wrap(f"{attempt.remedy}: {attempt.detail}", width - 1, indent=" ", hang="   ", tone=Tone.MUTED)
    return lines


def _children(detail: IncidentDetail, now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for child in detail.children[:CHILDREN_SHOWN]:
        glyph, word, tone = incident_mark(child, now)
        rows = wrap(child.summary, width - 14, indent="")
        lines.append(line(" ", part(f"{glyph} {word:<8} ", tone), *rows[0]))
        lines += [line(" " * 12, *row) for row in rows[1:]]
    more = len(detail.children) - CHILDREN_SHOWN
    return [*lines, line(" ", muted(f"and {more:,} more"))] if more > 0 else lines


def _timeline(timeline: Sequence[TimelineView], zone: str, now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for entry in reversed(timeline):
        by = f" by {entry.by}" if entry.by and entry.by != "palyra" else ""
        words = f"{show.moment(entry.at, zone, now)} {entry.kind.replace('_', ' ')}{by}"
        facts = _facts(entry, zone, now)
        lines += wrap(f"{words}: {facts}" if facts else words, width - 1, indent=" ", hang=" " * 11)
    return lines or [line(" ", muted("nothing yet"))]


def _facts(entry: TimelineView, zone: str, now: int) -> str:
    """What a line of the timeline adds: a note's text as it is, else names and values."""
    if entry.kind == "note":
        return str(entry.data.get("text", ""))
    if entry.kind == "notified":
        return str(entry.data.get("event", "")).replace("_", " ")
    if entry.kind == "severity":
        return f"{entry.data.get('from', '')} to {entry.data.get('to', '')}"
    facts: list[str] = []
    for name, found in entry.data.items():
        if found in ("", None) or isinstance(found, dict | list):
            continue
        told = show.moment(found, zone, now) if name in ("until", "since", "at") and isinstance(found, int) else found
        facts.append(f"{name.replace('_', ' ')} {told}")
    return ", ".join(facts)


def severity_part(severity: str, count: int) -> Part:
    """`2 critical`, as loud as it is."""
    return part(f"{count:,} {severity}", severity_tone(severity))


def severity_tone(severity: str) -> Tone:
    """The tone of a severity."""
    return _SEVERITIES.get(severity, (glyphs.ATTENTION, Tone.WARN))[1]
