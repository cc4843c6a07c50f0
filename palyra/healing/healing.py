"""The self-healing loop: looks at the house, keeps the incidents, begins remedies. One for each engine."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from palyra.config.operations import HealingConfig, HealingMode
from palyra.core.clock import Clock
from palyra.core.conditions import Condition, Domain
from palyra.core.lag import LoopLag
from palyra.core.pulse import WorkHeartbeatKind
from palyra.core.values import value
from palyra.healing.acts import Acts
from palyra.healing.attempts import Attempts
from palyra.healing.book import IncidentBook
from palyra.healing.checks import Check, Checks
from palyra.healing.features import Modes, feature_of
from palyra.healing.heartbeats import Heartbeats, Key, limits_of
from palyra.healing.record import INTERRUPTED, IncidentEvent, IncidentRecord, IncidentState, TimelineKind
from palyra.healing.remedier import Escalation, Hands, Remedier
from palyra.healing.remedies import RemedyChest
from palyra.healing.transitions import FLAPPING_WITHIN_MS, PALYRA
from palyra.healing.watching import HeartbeatCheck, Relate
from palyra.journal.changes import Change
from palyra.journal.readers import Readers

log = logging.getLogger(__name__)

CYCLE_MS = 15_000
OWNER_RESTARTED = "owner_restarted"
SWITCHED_OFF = "switched_off"
OWNED = frozenset(
    f"heartbeat:{kind}"
    for kind in (WorkHeartbeatKind.RUN, WorkHeartbeatKind.BACKGROUND_TASK, WorkHeartbeatKind.CRON_JOB)
)
"""Incidents of work that ends with the engine it runs in."""


@value
class HealingMeans:
    """What the loop needs of the house. `write_and_wait` raises JournalUnavailableError; `ask` opens the approval of a
    remedy and returns its id, empty where none can be opened; `relate` tells what else a piece of work is about."""

    clock: Clock
    new_id: Callable[[], str]
    boot_id: str
    lag: LoopLag
    write: Callable[[Sequence[Change]], None]
    write_and_wait: Callable[[Sequence[Change]], Awaitable[None]]
    ask: Callable[[Escalation], str]
    relate: Relate


class Healing:
    """Heartbeats, incidents and remedies of one engine.

    Rooms may beat and tell from the start on; `restore` takes what the journal knows, `run` watches until it is
    cancelled, `close` ends remedies that are under way.
    """

    def __init__(self, house: HealingMeans, config: HealingConfig) -> None:
        self._house = house
        self._clock = house.clock
        self.heartbeats = Heartbeats(house.clock, house.boot_id, limits_of(config))
        self.modes = Modes(config, self._modes_changed)
        self.book = IncidentBook(house.new_id, house.boot_id)
        self.acts = Acts(self.book)
        self.attempts = Attempts(house.new_id, house.boot_id)
        self.chest = RemedyChest()
        self.watch = HeartbeatCheck(self.heartbeats, house.lag, house.clock.now_ms, house.relate)
        self._checks = Checks()
        self._checks.add(Check("heartbeats", self.watch.look, self.watch.next_due))
        hands = Hands(house.write, house.write_and_wait, self._holds, house.ask, self._checks.clear, self.wake)
        self.remedier = Remedier(self.book, self.attempts, self.chest, self.modes, house.clock, hands)
        self._listeners: list[Callable[[IncidentEvent], None]] = []
        self._woken = asyncio.Event()
        self._sleeps_until = 0
        """Monotonic ms."""
        self.last_look_at: int | None = None
        self.last_look_ms = 0.0
        self.looked_s: float | None = None
        """When it looked last, in monotonic seconds."""
        self.looks = 0
        self.heartbeats.on_change(self._work_changed)

    def add_check(self, check: Check) -> None:
        """Something more to look at in each cycle."""
        self._checks.add(check)

    def on_event(self, listener: Callable[[IncidentEvent], None]) -> None:
        """Calls back with whatever happens to incidents that people may want to hear of."""
        self._listeners.append(listener)

    def tell(self, condition: Condition) -> None:
        """A condition holds until it is cleared."""
        self._checks.tell(condition)
        self.wake()

    def clear(self, key: str) -> None:
        """The condition that was told with this key has gone. Its incident ends with the next cycle."""
        self._checks.clear(key)

    def wake(self) -> None:
        """There is something to look at now."""
        self._woken.set()

    def configure(self, config: HealingConfig) -> None:
        """The configuration was read anew; it counts from the next look on."""
        self.heartbeats.limits = limits_of(config)
        self.watch.expect_all()
        self.modes.configure(config)

    # From start to end

    async def restore(self, readers: Readers) -> None:
        """Incidents as they were; what ended with the engine before, ends. Raises JournalUnavailableError."""
        now = self._clock.now_ms()
        records, episodes = await readers.incidents(), await readers.latest_episodes(now - FLAPPING_WITHIN_MS)
        self.book.restore(records, episodes, now)
        tries, circuits = await readers.remedy_attempts(now - FLAPPING_WITHIN_MS), await readers.healing_circuits()
        left = self.attempts.restore(tries, circuits, now)
        for attempt in left:
            record = self.book.find(attempt.incident_id)
            if record is not None:
                data = {"remedy": attempt.remedy, "attempt": attempt.attempt_id, "detail": INTERRUPTED}
                self.book.log(record, now, TimelineKind.REMEDY_FAILED, PALYRA, data)
        for record in self.book.live():
            if record.state is IncidentState.REMEDIATING:
                self.book.put(replace(record, state=IncidentState.OPEN, version=record.version + 1, updated_at=now))
        for record in self.book.holding():
            if record.family in OWNED and record.boot_id != self._house.boot_id:
                self.book.gone(record.domain, record.key, now, OWNER_RESTARTED)
        self._house.write([*self.book.changes(now), *self.attempts.saved(*left)])

    async def run(self) -> None:
        """Looks every 15 s, and exactly when the next piece of work would be late. Never returns."""
        next_cycle = self.heartbeats.now() + CYCLE_MS
        while True:
            now = self.heartbeats.now()
            regular = now >= next_cycle
            if regular:
                next_cycle = now + CYCLE_MS
            self._woken.clear()
            again = self.look(regular=regular)
            self._sleeps_until = next_cycle if again is None else min(next_cycle, max(again, now + 1))
            left = (self._sleeps_until - self.heartbeats.now()) / 1000
            try:
                async with self._clock.timeout(max(left, 0.0)):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def close(self) -> None:
        """Ends remedies under way as interrupted and hands over what is not written yet."""
        await self.remedier.close()
        self._house.write(self.book.remaining(self._clock.now_ms()))

    # One look

    def look(self, *, regular: bool) -> int | None:
        """Looks at everything now. In a `regular` cycle what still holds is counted, and what has gone ends.

        Returns when there will be more to see (monotonic ms); None: not before the next cycle.
        """
        began = self._clock.monotonic()
        now = self._clock.now_ms()
        found: set[tuple[Domain, str]] = set()
        switched_off: set[tuple[Domain, str]] = set()
        for condition in self._checks.look(now):
            key = condition.domain, condition.key
            if self.modes.of(feature_of(condition.domain, condition.kin)) is HealingMode.DISABLED:
                switched_off.add(key)
                continue
            found.add(key)
            self.book.see(condition, now, counted=regular)
        if regular:
            for record in self.book.holding():
                key = record.domain, record.key
                if key not in found:
                    self.book.gone(*key, now, *([SWITCHED_OFF] if key in switched_off else []))
            self.book.sweep(now)
            self.attempts.forget(lambda one: (known := self.book.find(one)) is not None and known.live, now)
        planned = self.remedier.plan(now)
        self._hand_over(now)
        self.looked_s = self._clock.monotonic()
        self.last_look_at, self.last_look_ms = now, (self.looked_s - began) * 1000
        self.looks += 1
        dues = [due for due in (planned, self._checks.next_due(now)) if due is not None]
        return self.heartbeats.now() + max(1, min(dues) - now) if dues else None

    def settle(self) -> None:
        """Hands over what an operator's act changed. To be called after each act."""
        self._hand_over(self._clock.now_ms())
        self.wake()

    def _hand_over(self, now: int) -> None:
        changes = self.book.changes(now)
        if changes:
            self._house.write(changes)
        for event in self.book.events():
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:
                    log.exception("a listener failed on incident %s", event.record.incident_id)

    def _holds(self, record: IncidentRecord) -> bool:
        return self._checks.holds(record.domain, record.key, self._clock.now_ms())

    def _work_changed(self, key: Key) -> None:
        due = self.watch.expect(key)
        if due is not None and due < self._sleeps_until:
            self.wake()

    def _modes_changed(self) -> None:
        self.remedier.reconsider()
        self.wake()
