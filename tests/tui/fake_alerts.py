"""Acknowledging and putting away the alerts of the fake engine."""

from dataclasses import replace

from palyra.control.commands import AckAlert, SnoozeAlert
from palyra.control.snapshots import AlertView, CommandResult

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
        said = f"Put away: {found.summary}."
    return tuple(after if item is found else item for item in alerts), CommandResult("accepted", said)
