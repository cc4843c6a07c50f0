"""Looking at services outside, each at its own pace: what is found is kept, and told where one is down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from palyra.config.operations import ProbeConfig
from palyra.core.clock import Clock
from palyra.core.conditions import Clear, Condition, Domain, Severity, Tell
from palyra.diagnostics.failure import Source
from palyra.diagnostics.failures import FailureBook
from palyra.diagnostics.outside import ComponentData, ProbeData
from palyra.diagnostics.probe_state import DOWN, UNKNOWN, UP, Checked, after, digest, fresh, probe_data
from palyra.journal.changes import Change
from palyra.journal.observation_rows import PROBES, ProbeRow

log = logging.getLogger(__name__)

FIRST_S = 1.0
"""How long after the start services are first looked at."""
LONGEST_NAP_S = 60.0
COMPONENTS = ("connector", "browser", "other")

Check = Callable[[ProbeConfig], Awaitable[Checked]]


class Prober:
    """The probes of one engine: `restore`, then `run` until cancelled."""

    def __init__(
        self,
        probes: Iterable[ProbeConfig],
        check: Check,
        clock: Clock,
        failures: FailureBook,
        write: Callable[[Sequence[Change]], None],
        *,
        tell: Tell,
        clear: Clear,
    ) -> None:
        self._check = check
        self._clock = clock
        self._failures = failures
        self._write = write
        self._tell, self._clear = tell, clear
        self._probes: dict[str, ProbeConfig] = {one.id: one for one in probes}
        self._rows: dict[str, ProbeRow] = {}
        self._due: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()

    def restore(self, rows: Iterable[ProbeRow]) -> None:
        """What an earlier engine found, of probes that are still configured; the others are forgotten."""
        known = {row.probe_id: row for row in rows}
        self._rows = dict(known)
        self.configure(self._probes.values())

    def configure(self, probes: Iterable[ProbeConfig]) -> None:
        """Other probes. What is known of one stays as long as it looks at the same."""
        self._probes = {one.id: one for one in probes}
        gone = [name for name in self._rows if name not in self._probes]
        for name in gone:
            self._drop(name)
        if gone:
            self._write([PROBES.forgotten(name) for name in gone])
        first = self._clock.monotonic() + FIRST_S
        for name, probe in self._probes.items():
            row = self._rows.get(name)
            if row is None or row.target != digest(probe):
                before = 0 if row is None else row.version
                self._drop(name)
                self._rows[name] = replace(fresh(probe), version=before)
            self._due[name] = min(self._due.get(name, first), first)
            if probe.enabled and self._rows[name].state == DOWN:
                self._told(probe, self._rows[name])
            else:
                self._clear(f"probe:{name}")
        self._woken.set()

    async def run(self) -> None:
        """Looks until it is cancelled; whatever is being looked at then is let go."""
        try:
            while True:
                self._start_due()
                await self._nap()
        finally:
            tasks = list(self._under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def data(self) -> tuple[ProbeData, ...]:
        """As they are now, in the order of the configuration."""
        now = self._clock.now_ms()
        return tuple(probe_data(probe, self._rows[name], now) for name, probe in self._probes.items())

    def components(self, probes: Sequence[ProbeData]) -> dict[str, ComponentData]:
        """Sums of the probes by component, those without a probe included."""
        found: dict[str, ComponentData] = {}
        for component in COMPONENTS:
            own = [one for one in probes if one.component == component and one.state != "disabled"]
            states = [one.state for one in own]
            found[component] = ComponentData(
                len(own),
                states.count(UP),
                states.count(DOWN),
                states.count(UNKNOWN),
                self._failures.lately(Source.PROBE, {one.id for one in own}),
            )
        return found

    def _drop(self, name: str) -> None:
        self._rows.pop(name, None)
        self._due.pop(name, None)
        task = self._under_way.pop(name, None)
        if task is not None:
            task.cancel()
        self._clear(f"probe:{name}")

    def _start_due(self) -> None:
        now = self._clock.monotonic()
        for name, probe in self._probes.items():
            if probe.enabled and name not in self._under_way and self._due[name] <= now:
                self._due[name] = now + probe.interval / 1000
                task = asyncio.create_task(self._once(probe), name=f"palyra:probe:{name}")
                self._under_way[name] = task
                task.add_done_callback(lambda ended, name=name: self._ended(name, ended))  # type: ignore[misc]

    async def _once(self, probe: ProbeConfig) -> None:
        checked = await self._check(probe)
        if self._probes.get(probe.id) != probe:
            return
        before = self._rows[probe.id]
        row = after(before, probe, checked, self._clock.now_ms())
        self._rows[probe.id] = row
        self._write([PROBES.saved(row)])
        if not checked.ok:
            self._failures.record(Source.PROBE, probe.id, checked.code, checked.error, {"probe": probe.id})
        if row.state == before.state:
            return
        log.log(logging.WARNING if row.state == DOWN else logging.INFO, "probe %s is %s", probe.id, row.state)
        if row.state == DOWN:
            self._told(probe, row)
        else:
            self._clear(f"probe:{probe.id}")

    def _told(self, probe: ProbeConfig, row: ProbeRow) -> None:
        self._tell(
            Condition(
                Domain.CONNECTOR,
                f"probe:{probe.id}",
                Severity.HIGH if probe.critical else Severity.MEDIUM,
                f"The {probe.component} {probe.id} is down",
                row.error,
                probe.id,
                since=row.changed_at or 0,
                related={"probe": probe.id},
            )
        )

    def _ended(self, name: str, task: "asyncio.Task[None]") -> None:
        if self._under_way.get(name) is task:
            del self._under_way[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("probe %s could not be looked at", name, exc_info=error)
        self._woken.set()

    async def _nap(self) -> None:
        now = self._clock.monotonic()
        dues = [self._due[name] for name, one in self._probes.items() if one.enabled and name not in self._under_way]
        self._woken.clear()
        seconds = max(0.0, min([now + LONGEST_NAP_S, *dues]) - now)
        timer = self._clock.call_later(seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
