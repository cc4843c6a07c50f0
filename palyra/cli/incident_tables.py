"""Incidents as the commands print them for people."""

from palyra.cli.output import instant, say, table
from palyra.control.incidents_queries import (
    HealingView,
    IncidentDetail,
    IncidentsPage,
    IncidentStats,
    IncidentView,
    ProviderCallView,
    RemedyView,
    TimelineView,
)
from palyra.core.durations import format_duration
from palyra.core.plural import plural

NOTHING = "–"


def show_page(page: IncidentsPage) -> None:
    """Prints a page of incidents."""
    if page.healing is not None:
        _show_healing(page.healing)
    if not page.incidents:
        say("No incidents.")
        return
    table(
        ("incident", "severity", "state", "since", "count", "assignee", "what"),
        [
            (
                view.incident_id,
                view.severity,
                state_words(view),
                instant(view.opened_at),
                f"{view.occurrences:,}",
                view.assignee or NOTHING,
                _what(view),
            )
            for view in page.incidents
        ],
        right=(4,),
    )
    if page.next_cursor:
        say(f"{page.total:,} in all; go on with --cursor {page.next_cursor}")


def show_detail(detail: IncidentDetail) -> None:
    """Prints an incident with its timeline and remedies."""
    view = detail.incident
    say(f"{view.summary} ({view.severity}, {state_words(view)})")
    facts = [
        ("incident", f"{view.incident_id}, version {view.version}, episode {view.episode}"),
        ("cause", view.cause),
        ("detail", view.detail),
        ("began", instant(view.condition_since)),
        ("found", f"{instant(view.opened_at)}, {plural(view.occurrences, 'time')}"),
        ("about", ", ".join(f"{kind} {name}" for kind, name in view.related.items()) or view.subject),
        ("acked by", view.acknowledged_by),
        ("assignee", view.assignee),
        ("snoozed", view.snooze_reason if view.snoozed_until is not None else ""),
        ("ended", f"{instant(view.resolved_at)} by {view.resolved_by}: {view.reason}" if view.resolved_at else ""),
        ("below", "" if detail.parent is None else f"{detail.parent.incident_id} {detail.parent.summary}"),
        ("last beat", "" if detail.last_beat_ms is None else f"{format_duration(detail.last_beat_ms)} ago"),
        ("advanced", "" if detail.last_progress_ms is None else f"{format_duration(detail.last_progress_ms)} ago"),
        ("last call", "" if detail.call is None else _call(detail.call)),
        ("next try", "" if detail.next_try is None else instant(detail.next_try)),
    ]
    for name, text in facts:
        if text:
            say(f"  {name:<9} {text}")
    for remedy in detail.remedies:
        show_remedy(remedy)
    for child in detail.children:
        say(f"  child     {child.incident_id} {child.severity}, {state_words(child)}: {child.summary}")
    for attempt in detail.attempts:
        who = "by itself" if attempt.asked_by == "auto" else f"for {attempt.asked_by}"
        told = f": {attempt.detail}" if attempt.detail else ""
        say(f"  tried     {instant(attempt.planned_at)} {attempt.remedy} {who}, {attempt.status}{told}")
    if detail.timeline_before:
        say(f"  What was before: --before {detail.timeline_before}")
    for line in detail.timeline:
        say(f"  {instant(line.at)} {line.kind.replace('_', ' ')} by {line.by}{_data(line)}")


def _call(call: ProviderCallView) -> str:
    if call.dispatched_at is None:
        return f"none so far{f', {call.ended}' if call.ended else ''}"
    when = instant(call.dispatched_at)
    return f"{call.model or call.provider}, attempt {call.attempts} {when}, {call.ended or call.phase}"


def show_remedy(remedy: RemedyView) -> None:
    """Prints a remedy."""
    alone = {"yes": f"by itself, {plural(remedy.left, 'try', 'tries')} left", "once": "by itself, once"}
    how = alone.get(remedy.auto, "needs an allow" if remedy.auto == "approval" else "only if somebody asks")
    say(f"  remedy    {remedy.name} ({remedy.risk} risk, {remedy.blast}; {how})")
    for line in remedy.preview:
        say(f"            {line}")


def show_stats(stats: IncidentStats) -> None:
    """Prints what incidents came to within a window."""
    say(f"Episodes that began within {stats.window}:")
    table(
        ("severity", "episodes", "unacknowledged", "unresolved", "MTTD", "MTTA", "MTTR"),
        [
            (
                one.severity or "all",
                f"{one.episodes:,}",
                f"{one.unacknowledged:,}",
                f"{one.unresolved:,}",
                _span(one.mttd_ms),
                _span(one.mtta_ms),
                _span(one.mttr_ms),
            )
            for one in stats.measures
        ],
        right=(1, 2, 3, 4, 5, 6),
    )


def show_modes(healing: HealingView) -> None:
    """Prints what the healing loop may do."""
    table(
        ("feature", "mode", "set", "circuit"),
        [
            (
                name,
                mode,
                "until the engine stops" if name in healing.said else "as configured",
                f"open until {instant(healing.circuits[name])}" if name in healing.circuits else "closed",
            )
            for name, mode in healing.modes.items()
        ],
    )


def _show_healing(healing: HealingView) -> None:
    for name, until in healing.circuits.items():
        say(f"Nothing is done about {name} by itself until {instant(until)}: it was tried too often.")
    if healing.suspended_until is not None:
        say(f"The loop stood still; nobody is judged until {instant(healing.suspended_until)}.")


def state_words(view: IncidentView) -> str:
    """Where an incident stands, in words."""
    if not view.live:
        return "resolved, muted" if view.muted else "resolved"
    words = [view.state]
    words += ["flapping"] if view.flapping else []
    words += [f"snoozed until {instant(view.snoozed_until)}"] if view.snoozed_until is not None else []
    words += ["acknowledged"] if view.acknowledged_at is not None else []
    return ", ".join(words)


def _what(view: IncidentView) -> str:
    return f"{view.summary} (+{view.children:,})" if view.children else view.summary


def _span(milliseconds: int | None) -> str:
    return NOTHING if milliseconds is None else format_duration(milliseconds)


def _data(line: TimelineView) -> str:
    told = ", ".join(f"{name} {value}" for name, value in line.data.items() if value not in ("", None))
    return f": {told}" if told else ""
