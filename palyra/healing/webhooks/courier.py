"""Notifications on their way: written down before they are sent, tried until they arrive or are given up.

A delivery keeps its id over all tries and restarts, so that a receiver knows one that it got twice. Those about one
thing go to a webhook in order: the end of an incident never overtakes its beginning. What is given up becomes a dead
letter, which waits for a person.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from palyra.core.clock import Clock
from palyra.core.conditions import Clear, Condition, Domain, Severity, Tell
from palyra.core.errors import ConflictError, NotFoundError
from palyra.core.plural import plural
from palyra.core.values import value
from palyra.healing.notices.notice import WEBHOOK_KEY, Notice, of_test
from palyra.healing.webhooks.rules import BACKOFF_S, JITTER, LONGEST_WAIT_S, Fate, Outcome, judge
from palyra.healing.webhooks.sender import Sender
from palyra.healing.webhooks.target import Webhook
from palyra.journal.changes import AuditAdded, Change
from palyra.journal.delivery_rows import DELIVERIES, WEBHOOKS, DeliveryRow, DeliveryState, WebhookRow
from palyra.runs.durable import Durable

log = logging.getLogger(__name__)

DEAD_AT_MOST = 1_000
WAITING_AT_MOST = 1_000
"""For one webhook; what comes then is a dead letter at once."""
FLYING_AT_MOST = 8
"""Tries at a time, for one webhook."""
_LONGEST_MS = round(max(BACKOFF_S[-1] * (1 + JITTER), LONGEST_WAIT_S) * 1000)

GONE = Outcome(error="no webhook of this name is configured any more")

Died = Callable[[DeliveryRow], None]
"""Hears of a delivery that was given up."""


@dataclass(slots=True)
class _Waiting:
    """A delivery on its way. `due` is monotonic seconds; it is not sent before it is `kept` in the journal."""

    row: DeliveryRow
    due: float
    kept: bool = True
    flying: bool = False


@value
class WebhookState:
    """How a webhook does; `dead` counts the dead letters that are there."""

    row: WebhookRow
    place: str
    format: str
    pending: int
    dead: int

    @property
    def failing(self) -> bool:
        """Whether it has dead letters and nothing arrived since the newest."""
        return self.dead > 0 and (self.row.delivered_at or 0) <= (self.row.failed_at or 0)


def _nobody_told(row: DeliveryRow) -> None:
    pass


class Courier:
    """Owns every delivery and dead letter. Everything but `run`, `test` and `close` is synchronous."""

    def __init__(
        self,
        webhooks: Mapping[str, Webhook],
        sender: Sender,
        durable: Durable,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        tell: Tell,
        clear: Clear,
        died: Died,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.webhooks = dict(webhooks)
        self.version = 0
        """Grows with everything a console could show."""
        self.failed: Callable[[DeliveryRow], None] = _nobody_told
        """Told of every try that failed."""
        self._sender = sender
        self._durable = durable
        self._clock = clock
        self._new_id = new_id
        self._tell = tell
        self._clear = clear
        self._died = died
        self._uniform = uniform
        self._waiting: dict[str, dict[str, _Waiting]] = {name: {} for name in webhooks}
        self._dead: dict[str, DeliveryRow] = {}
        self._rows: dict[str, WebhookRow] = {name: WebhookRow(name, 0) for name in webhooks}
        self._flights: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()

    def restore(self, deliveries: Iterable[DeliveryRow], rows: Iterable[WebhookRow]) -> None:
        """Takes up what an earlier engine left: what waits goes on, and what is dead is a condition again."""
        self._rows |= {row.name: row for row in rows}
        now = self._clock.now_ms()
        for delivery in sorted(deliveries, key=lambda one: (one.ended_at or 0, one.delivery_id)):
            if delivery.state is DeliveryState.DEAD:
                self._dead[delivery.delivery_id] = delivery
            elif delivery.webhook in self.webhooks:
                # The wall clock may have been set meanwhile.
                wait_ms = min(max(0, delivery.next_at - now), _LONGEST_MS)
                due = self._clock.monotonic() + wait_ms / 1000
                self._waiting[delivery.webhook][delivery.delivery_id] = _Waiting(delivery, due)
            else:
                self._durable.write(self._bury(delivery, GONE, now))
        self._tell_failing()

    def configure(self, webhooks: Mapping[str, Webhook]) -> None:
        """Other webhooks. What waits for one that is gone becomes a dead letter, once it is not being sent any more."""
        gone = self.webhooks.keys() - webhooks.keys()
        self.webhooks = dict(webhooks)
        for name in webhooks:
            self._waiting.setdefault(name, {})
            self._rows.setdefault(name, WebhookRow(name, 0))
        now = self._clock.now_ms()
        for name in gone:
            self._clear(WEBHOOK_KEY + name)
            for waiting in [one for one in self._waiting[name].values() if not one.flying]:
                del self._waiting[name][waiting.row.delivery_id]
                self._durable.write(self._bury(waiting.row, GONE, now))
        self._tell_failing()
        self.version += 1
        self._moved.set()

    def _tell_failing(self) -> None:
        for name in self.webhooks:
            if self.state(name).failing:
                self._tell(self._condition(name))

    def post(self, notice: Notice, also: Sequence[Change] = ()) -> tuple[str, ...]:
        """Writes a notice down for every webhook that is to be told, together with the changes `also`, and sends it.

        Returns the webhooks' names. A notice about webhooks goes only where nothing is dead.
        """
        now = self._clock.now_ms()
        unit: list[Change] = []
        fresh: list[_Waiting] = []
        names = [hook.name for hook in self.webhooks.values() if hook.wants(notice)]
        if notice.of_webhooks:
            names = [name for name in names if not self.state(name).failing]
        for name in names:
            row = self._addressed(notice, name, now)
            if len(self._waiting[name]) >= WAITING_AT_MOST:
                unit += self._bury(row, Outcome(error="too many notifications waited for this webhook"), now)
                continue
            waiting = _Waiting(row, self._clock.monotonic(), kept=False)
            self._waiting[name][row.delivery_id] = waiting
            fresh.append(waiting)
            unit.append(DELIVERIES.saved(row))
        unit += also
        if unit:
            self._keep(unit, fresh)
            self.version += 1
        return tuple(names)

    async def run(self) -> None:
        """Sends what is due, for as long as the engine runs."""
        try:
            while True:
                self._moved.clear()
                due = self._start_due()
                if due is None:
                    await self._moved.wait()
                    continue
                timer = self._clock.call_later(due - self._clock.monotonic(), self._moved.set)
                try:
                    await self._moved.wait()
                finally:
                    timer.cancel()
        finally:
            await self._land()

    async def close(self) -> None:
        """Leaves what has not arrived to the next engine."""
        await self._land()
        await self._sender.close()

    async def test(self, name: str) -> Outcome:
        """Sends a test at once, a single time. Raises NotFoundError."""
        row = self._addressed(of_test(name, self._clock.now_ms()), self._known(name).name, self._clock.now_ms())
        return await self._sender.send(self.webhooks[name], row)

    # What people see and do

    def dead(self) -> list[DeliveryRow]:
        """The dead letters, newest first."""
        return list(reversed(self._dead.values()))

    def pending(self) -> list[DeliveryRow]:
        """What is on its way, oldest first."""
        rows = [one.row for waiting in self._waiting.values() for one in waiting.values()]
        return sorted(rows, key=lambda row: row.delivery_id)

    def state(self, name: str) -> WebhookState:
        """Raises NotFoundError."""
        hook = self._known(name)
        dead = sum(row.webhook == name for row in self._dead.values())
        return WebhookState(self._rows[name], hook.place, hook.format.value, len(self._waiting[name]), dead)

    def states(self) -> list[WebhookState]:
        """How each webhook does."""
        return [self.state(name) for name in self.webhooks]

    def retry(self, delivery_ids: Collection[str], by: str) -> None:
        """Sends dead letters again, under their ids and with all tries before them; all of them or, where one is at
        fault, none. Raises NotFoundError, and ConflictError where a webhook is not configured any more."""
        rows = [self._dead_one(delivery_id) for delivery_id in dict.fromkeys(delivery_ids)]
        for row in rows:
            if row.webhook not in self.webhooks:
                raise ConflictError(
                    f"No webhook {row.webhook} is configured any more, to which {row.delivery_id} was to go.",
                    fix="Discard it, or configure the webhook again.",
                    code="wrong_state",
                )
        now = self._clock.now_ms()
        unit: list[Change] = []
        fresh: list[_Waiting] = []
        for row in rows:
            del self._dead[row.delivery_id]
            again = replace(
                row, version=row.version + 1, state=DeliveryState.PENDING, tries=0, next_at=now, ended_at=None
            )
            waiting = _Waiting(again, self._clock.monotonic(), kept=False)
            self._waiting[row.webhook][row.delivery_id] = waiting
            fresh.append(waiting)
            unit += [DELIVERIES.saved(again), _audit(now, row, by, "retried")]
        self._keep(unit, fresh)
        self.version += 1

    def retry_webhook(self, name: str, by: str) -> int:
        """Sends all dead letters of a webhook again; how many. Raises NotFoundError."""
        ids = [row.delivery_id for row in self._dead.values() if row.webhook == self._known(name).name]
        self.retry(ids, by)
        return len(ids)

    def discard(self, delivery_ids: Collection[str], by: str) -> None:
        """Drops dead letters; all of them or, where one is unknown, none. Raises NotFoundError."""
        rows = [self._dead_one(delivery_id) for delivery_id in dict.fromkeys(delivery_ids)]
        now = self._clock.now_ms()
        for row in rows:
            del self._dead[row.delivery_id]
            self._durable.write([DELIVERIES.forgotten(row.delivery_id), _audit(now, row, by, "discarded")])
        for name in {row.webhook for row in rows} & self.webhooks.keys():
            if not self.state(name).dead:
                self._clear(WEBHOOK_KEY + name)
        self.version += 1

    # Sending

    def _keep(self, unit: Sequence[Change], fresh: Sequence[_Waiting]) -> None:
        kept = self._durable.begin(unit)

        def ready(written: "asyncio.Future[None]") -> None:
            # With a journal that cannot be written people have to be told all the more.
            if not written.cancelled() and (error := written.exception()) is not None:
                log.warning("notifications are sent before they are kept: %s", error)
            for one in fresh:
                one.kept = True
            self._moved.set()

        kept.add_done_callback(ready)

    def _start_due(self) -> float | None:
        """Begins what is due. When more will be; None while only something that happens can bring it."""
        now = self._clock.monotonic()
        earliest: float | None = None
        for name, waiting in self._waiting.items():
            places = FLYING_AT_MOST - sum(one.flying for one in waiting.values())
            first = {one.row.subject: one for one in reversed(waiting.values())}
            for one in first.values():
                if one.flying or not one.kept:
                    continue
                if one.due > now:
                    earliest = one.due if earliest is None else min(earliest, one.due)
                elif places > 0:
                    places -= 1
                    self._fly(name, one)
        return earliest

    def _fly(self, name: str, one: _Waiting) -> None:
        one.flying = True
        flight = asyncio.create_task(self._try(self.webhooks[name], one), name=f"palyra:webhook:{name}")
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    async def _try(self, hook: Webhook, one: _Waiting) -> None:
        try:
            outcome = await self._sender.send(hook, one.row)
        except Exception:
            log.exception("the webhook %s could not be told", hook.name)
            outcome = Outcome(error="could not be sent; the log says why")
        finally:
            one.flying = False
        self._landed(hook.name, one, outcome)
        self._moved.set()

    def _landed(self, name: str, one: _Waiting, outcome: Outcome) -> None:
        now = self._clock.now_ms()
        tries = one.row.tries + bool(outcome.error)
        verdict = judge(outcome, tries, self._uniform)
        tried = replace(one.row, version=one.row.version + 1, tries=tries, status=outcome.status, error=outcome.error)
        self.version += 1
        fate = Fate.DEAD if verdict.fate is Fate.AGAIN and name not in self.webhooks else verdict.fate
        match fate:
            case Fate.ARRIVED:
                del self._waiting[name][tried.delivery_id]
                told = self._rows[name]
                row = replace(told, version=told.version + 1, delivered=told.delivered + 1, delivered_at=now)
                self._rows[name] = row
                self._durable.write([DELIVERIES.forgotten(tried.delivery_id), WEBHOOKS.saved(row)])
                self._clear(WEBHOOK_KEY + name)
            case Fate.AGAIN:
                self.failed(tried)
                one.row = replace(tried, next_at=now + round(verdict.wait_s * 1000))
                one.due = self._clock.monotonic() + verdict.wait_s
                self._durable.write([DELIVERIES.saved(one.row)])
            case Fate.DEAD:
                self.failed(tried)
                del self._waiting[name][tried.delivery_id]
                self._durable.write(self._bury(tried, outcome, now))

    def _bury(self, row: DeliveryRow, outcome: Outcome, now: int) -> list[Change]:
        """Makes a dead letter of a delivery, and tells that there is one. Beyond so many the oldest is dropped."""
        dead = replace(
            row,
            version=row.version + 1,
            state=DeliveryState.DEAD,
            status=outcome.status,
            error=outcome.error,
            ended_at=now,
        )
        self._dead[dead.delivery_id] = dead
        unit: list[Change] = [DELIVERIES.saved(dead)]
        while len(self._dead) > DEAD_AT_MOST:
            oldest = self._dead.pop(next(iter(self._dead)))
            unit += [DELIVERIES.forgotten(oldest.delivery_id), *self._counted(oldest.webhook, dropped=1)]
        unit += self._counted(dead.webhook, died=1, failed_at=now, error=outcome.error)
        log.warning("webhook %s: notification %s was given up: %s", dead.webhook, dead.delivery_id, outcome.error)
        self._died(dead)
        if dead.webhook in self.webhooks:
            self._tell(self._condition(dead.webhook))
        return unit

    def _counted(
        self, name: str, *, died: int = 0, dropped: int = 0, failed_at: int | None = None, error: str = ""
    ) -> list[Change]:
        row = self._rows.get(name)
        if row is None:
            return []
        row = self._rows[name] = replace(
            row,
            version=row.version + 1,
            died=row.died + died,
            dropped=row.dropped + dropped,
            failed_at=failed_at or row.failed_at,
            error=error or row.error,
        )
        return [WEBHOOKS.saved(row)]

    def _condition(self, name: str) -> Condition:
        state = self.state(name)
        oldest = min((row.ended_at or 0 for row in self._dead.values() if row.webhook == name), default=0)
        return Condition(
            domain=Domain.NOTIFICATION,
            key=WEBHOOK_KEY + name,
            severity=Severity.MEDIUM,
            summary=f"webhook {name} did not take {plural(state.dead, 'notification')}",
            cause=state.row.error,
            subject=name,
            since=oldest,
        )

    def _addressed(self, notice: Notice, name: str, now: int) -> DeliveryRow:
        return DeliveryRow(
            delivery_id=self._new_id(),
            version=1,
            webhook=name,
            event=notice.event,
            severity=notice.severity.value,
            subject=notice.subject,
            summary=notice.summary,
            at=notice.at,
            facts=dict(notice.facts),
            state=DeliveryState.PENDING,
            tries=0,
            next_at=now,
        )

    def _dead_one(self, delivery_id: str) -> DeliveryRow:
        row = self._dead.get(delivery_id)
        if row is None:
            raise NotFoundError(
                f"There is no dead letter {delivery_id!r}.", fix="List them with `palyra incidents dead-letters list`."
            )
        return row

    def _known(self, name: str) -> Webhook:
        hook = self.webhooks.get(name)
        if hook is None:
            known = ", ".join(self.webhooks) or "none"
            raise NotFoundError(
                f"No webhook {name!r} is configured; known: {known}.", fix="Add it under [[notifications.webhook]]."
            )
        return hook

    async def _land(self) -> None:
        """Ends the tries under way; they did not fail, so they count for nothing."""
        for flight in tuple(self._flights):
            flight.cancel()
        for flight in tuple(self._flights):
            with suppress(asyncio.CancelledError):
                await flight


def _audit(at: int, row: DeliveryRow, by: str, verb: str) -> AuditAdded:
    return AuditAdded(at, "notification", row.delivery_id, by, {"verb": verb, "webhook": row.webhook})
