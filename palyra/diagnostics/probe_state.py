"""How a service outside is, by the checks made of it: pure rules over the row that is kept."""

import hashlib
from dataclasses import replace

from palyra.config.operations import ProbeConfig
from palyra.core.values import value
from palyra.diagnostics.outside import ProbeData
from palyra.journal.observation_rows import ProbeRow

HOUR_MS = 3_600_000
DAY_HOURS = 24
UP, DOWN, UNKNOWN, DISABLED = "up", "down", "unknown", "disabled"


@value
class Checked:
    """What one check came to. `code` is empty where it succeeded."""

    latency_ms: int
    code: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the target answered as it should."""
        return not self.code


def fresh(probe: ProbeConfig) -> ProbeRow:
    """Nothing is known of it."""
    return ProbeRow(probe.id, 0, digest(probe), UNKNOWN)


def digest(probe: ProbeConfig) -> str:
    """What is looked at, without telling it."""
    return hashlib.sha256(f"{probe.kind}\0{probe.target}".encode()).hexdigest()[:16]


def after(row: ProbeRow, probe: ProbeConfig, checked: Checked, now: int) -> ProbeRow:
    """The row after a check: down after `fail_after` failures in a row, up after `recover_after` successes."""
    if checked.ok:
        failures, successes = 0, row.successes + 1
        state = UP if successes >= probe.recover_after else row.state
    else:
        failures, successes = row.failures + 1, 0
        state = DOWN if failures >= probe.fail_after else row.state
    return replace(
        row,
        version=row.version + 1,
        state=state,
        failures=failures,
        successes=successes,
        last_at=now,
        latency_ms=checked.latency_ms,
        error=checked.error,
        code=checked.code,
        changed_at=now if state != row.state else row.changed_at,
        hours=_counted(row.hours, now // HOUR_MS, checked.ok),
    )


def uptime_24h(row: ProbeRow, now: int) -> float | None:
    """The part of the checks of a day that succeeded; None where none was made."""
    since = now // HOUR_MS - DAY_HOURS
    done = sum(made for hour, made, _ in row.hours if hour > since)
    good = sum(fine for hour, _, fine in row.hours if hour > since)
    return round(good / done, 4) if done else None


def probe_data(probe: ProbeConfig, row: ProbeRow, now: int) -> ProbeData:
    """A probe as it is told, from its configuration and what is known of it at `now`."""
    return ProbeData(
        id=probe.id,
        component=probe.component.value,
        kind=probe.kind.value,
        target=probe.target,
        state=row.state if probe.enabled else DISABLED,
        critical=probe.critical,
        consecutive_failures=row.failures,
        last_at=row.last_at,
        latency_ms=row.latency_ms,
        last_error=row.error or None,
        uptime_24h=uptime_24h(row, now),
    )


def _counted(hours: tuple[tuple[int, int, int], ...], hour: int, good: bool) -> tuple[tuple[int, int, int], ...]:
    kept = [one for one in hours if hour - DAY_HOURS < one[0] < hour]
    _, made, fine = next((one for one in hours if one[0] == hour), (hour, 0, 0))
    return (*kept, (hour, made + 1, fine + good))
