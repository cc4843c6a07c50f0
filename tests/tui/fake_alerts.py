"""Acknowledging and putting away the alerts of the fake engine."""

from dataclasses import replace

from palyra.control.commands import AckAlert, SnoozeAlert
from palyra.control.snapshots import AlertView, CommandResult

DOLLAR = 1_000_000_000
MINUTE = 60_000
Alerts = tuple[AlertView, ...]


def answered(alerts: Alerts, command: AckAlert | SnoozeAlert, now: int, by: str) -> tuple[Alerts, CommandResult]:
    """The alerts after a command, and what the engine says to it."""
    found = next((item for item in alerts if item.alert_id == command.alert_id), None)
    if found is None:
        return alerts, CommandResult("not_found", f"No alert {command.alert_id!r} is known.")
    if command.version not in (None, found.version):
        return alerts, CommandResult("stale", f"The alert changed meanwhile; it is {found.state}.")
    if isinstance(command, AckAlert):
        after = replace(found, state="acknowledged", acted_by=by, version=found.version + 1)
        said = f"Acknowledged: {found.summary}."
    else:
        until = now + command.duration_seconds * 1_000
        after = replace(found, state="snoozed", snoozed_until=until, acted_by=by, version=found.version + 1)
        said = f"Snoozed: {found.summary}."
    return tuple(after if item is found else item for item in alerts), CommandResult("accepted", said)


def reaching(alert_id: str, now: int) -> AlertView:
    """A budget that will be used up in the afternoon."""
    return AlertView(
        alert_id,
        "budget_forecast",
        "warning",
        "team-day reaches its limit at 15:20",
        now - MINUTE - 2_000,
        last_seen=now - 2_000,
        occurrences=7,
        notified_at=now - MINUTE - 2_000,
        subject_kind="budget",
        subject="team-day",
        sentences=(
            "$4.20 were used since 08:15. At this pace $45.00 are reached at 15:20, and the window ends near $61.37.",
            "It begins anew at 2026-11-23 00:00 (Europe/Prague).",
        ),
        payload={"policy_id": "team-day", "scope_value": "*", "used": 41 * DOLLAR, "limit": 45 * DOLLAR},
    )
