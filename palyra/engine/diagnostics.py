"""Diagnostics of an engine, built of its own parts: who collects what, what is listened to, what is looked at."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from palyra import __version__
from palyra.diagnostics.collecting import SLOW_LIMIT_S, Collector, Diagnostics, OffLoop
from palyra.diagnostics.failures import FailureBook
from palyra.diagnostics.house import (
    DoorFigures,
    judge_config,
    judge_event_loop,
    judge_gateway,
    judge_governance,
    judge_notifications,
    judge_recovery,
    judge_vault,
)
from palyra.diagnostics.outside import judge_observability
from palyra.diagnostics.probe_checks import ProbeChecks
from palyra.diagnostics.probing import Prober
from palyra.diagnostics.serving import judge_auth_profiles, judge_model_provider
from palyra.diagnostics.snapshot import EngineData
from palyra.diagnostics.storing import COMMIT_SLOW_MS, judge_disk, judge_journal, judge_memory
from palyra.diagnostics.work import judge_scheduler, judge_self_healing, judge_tasks
from palyra.engine import collect_house, collect_serving, collect_work
from palyra.engine.disks import Disks
from palyra.engine.hearing import Hearing
from palyra.journal.observation_rows import SIZES, SizeRow
from palyra.runs.durable import Durable
from palyra.vault.secrets import SecretSource

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often counts are written down and the journal is looked at."""
HOUR_MS = 3_600_000
DAY_HOURS = 24
MINUTE_S = 60.0

Doors = Callable[[], DoorFigures]


class Diagnosing:
    """What one engine knows of itself. `doors` tells of the gateway once there is one."""

    def __init__(self, engine: "Engine", durable: Durable, vault: SecretSource) -> None:
        self._engine = engine
        self._durable = durable
        self.doors: Doors | None = None
        self.failures = FailureBook(engine.clock, engine.ids.new, durable.write)
        self.hearing = Hearing(engine, self.failures)
        self._checks = ProbeChecks(vault, engine.clock)
        self.prober = Prober(
            engine.config.probes,
            self._checks.check,
            engine.clock,
            self.failures,
            durable.write,
            tell=engine.healing.tell,
            clear=engine.healing.clear,
        )
        self._sizes: dict[int, int] = {}
        """Bytes of the journal, by the hour since the epoch."""
        self._slow_since: float | None = None
        self._began_s: float | None = None
        self._file = OffLoop("journal size")
        self.disks = Disks()
        self.diagnostics = Diagnostics(
            engine.clock,
            self._collectors(),
            self._of_engine,
            tell=engine.healing.tell,
            clear=engine.healing.clear,
            failed=self.hearing.collector,
        )

    async def restore(self) -> None:
        """What an earlier engine knew. Raises JournalUnavailableError."""
        readers = self._engine.journal.readers
        self.failures.restore(await readers.failures())
        self.prober.restore(await readers.probes())
        await self.hearing.restore(readers)
        self._sizes = {row.hour: row.bytes for row in await readers.journal_sizes()}

    async def run(self) -> None:
        """Looks at the journal and writes counts down, until it is cancelled."""
        self._began_s = self._engine.clock.monotonic()
        while True:
            self.look()
            await self._measure()
            await self._engine.clock.sleep(LOOK_S)

    def look(self) -> None:
        """What moves by itself."""
        engine = self._engine
        self.hearing.look()
        self.failures.flush()
        slowest = engine.journal.slowest_commit_ms(MINUTE_S)
        if slowest is None or slowest <= COMMIT_SLOW_MS:
            self._slow_since = None
        elif self._slow_since is None:
            self._slow_since = engine.clock.monotonic()

    async def close(self) -> None:
        """Keeps what is known of failures, and ends the collectors and probes."""
        self.failures.flush()
        await self.diagnostics.close()
        await self._checks.close()

    def slow_ms(self) -> int:
        """For how long commits have been slow."""
        since = self._slow_since
        return 0 if since is None else round(1000 * (self._engine.clock.monotonic() - since))

    def age_ms(self, looked_s: float | None) -> int | None:
        """How long ago a part that looks by itself did so: one that never did is as late as this engine works; None
        before it does."""
        since = self._began_s if looked_s is None else looked_s
        return None if since is None else round(1000 * (self._engine.clock.monotonic() - since))

    def growth_24h(self) -> int | None:
        """By how many bytes the journal grew in a day; None as long as nobody has watched it for one."""
        hour = self._engine.clock.now_ms() // HOUR_MS
        now, before = self._sizes.get(hour), self._sizes.get(hour - DAY_HOURS)
        return None if now is None or before is None else now - before

    async def _measure(self) -> None:
        """Notes once an hour how large the journal is."""
        hour = self._engine.clock.now_ms() // HOUR_MS
        if hour in self._sizes:
            return
        try:
            size = await self._file.run(self._engine.journal.path.stat)
        except OSError as error:
            log.warning("the journal's size could not be read: %s", error)
            return
        self._sizes[hour] = size.st_size
        old = [one for one in self._sizes if one < hour - DAY_HOURS]
        for one in old:
            del self._sizes[one]
        self._durable.write([SIZES.saved(SizeRow(hour, size.st_size)), *(SIZES.forgotten(one) for one in old)])

    def _of_engine(self) -> EngineData:
        engine = self._engine
        state = engine.reloading.state
        return EngineData(
            version=__version__,
            boot_id=engine.boot_id,
            pid=engine.pid,
            started_at=engine.started_at,
            uptime_ms=max(0, engine.clock.now_ms() - engine.started_at),
            phase=engine.phase,
            config_path=state.path or None,
            config_pending=state.pending_restart,
        )

    def _collectors(self) -> list[Collector[Any]]:
        engine, serving, work, house = self._engine, collect_serving, collect_work, collect_house

        def of(collect: "Callable[[Engine], Awaitable[Any]]") -> Callable[[], Awaitable[Any]]:
            return partial(collect, engine)

        def off(collect: "Callable[[Engine, OffLoop], Awaitable[Any]]", name: str) -> Callable[[], Awaitable[Any]]:
            return partial(collect, engine, OffLoop(name))

        return [
            Collector("model_provider", of(serving.model_provider), judge_model_provider),
            Collector("auth_profiles", of(serving.auth_profiles), judge_auth_profiles),
            Collector("memory", of(house.memory), judge_memory, SLOW_LIMIT_S, in_threads=True),
            Collector("observability", of(serving.observability), judge_observability),
            Collector("self_healing", of(work.self_healing), judge_self_healing),
            Collector("scheduler", of(work.scheduler), judge_scheduler),
            Collector("tasks", of(work.tasks), judge_tasks),
            Collector("journal", off(house.journal, "journal"), judge_journal, SLOW_LIMIT_S, in_threads=True),
            Collector("governance", of(house.governance), judge_governance),
            Collector("gateway", self._gateway, judge_gateway),
            Collector("event_loop", of(house.event_loop), judge_event_loop),
            Collector("disk", off(house.disk, "disk"), judge_disk, SLOW_LIMIT_S, in_threads=True),
            Collector("vault", of(house.vault), judge_vault),
            Collector("config", of(house.config), judge_config),
            Collector("notifications", of(serving.notifications), judge_notifications),
            Collector("recovery", off(house.recovery, "recovery"), judge_recovery, in_threads=True),
        ]

    async def _gateway(self) -> Any:
        return await collect_serving.gateway(self._engine, None if self.doors is None else self.doors())


async def diagnosing(engine: "Engine", durable: Durable, vault: SecretSource) -> Diagnosing:
    """With what an earlier engine saw; every other room is there already."""
    room = Diagnosing(engine, durable, vault)
    await room.restore()
    engine.notices.courier.failed = room.hearing.delivery
    return room
