"""Watching for what is out of the ordinary: judges what was heard, off the hot path, and keeps the alerts.

Each second the counters that moved are judged, some at a time, and those whose window has ended; each minute what
needs sums of the journal, which reader threads make. Nothing here is waited for by a request or a screen.
"""

import asyncio
import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError
from palyra.core.events import Event, EventHub
from palyra.core.values import value
from palyra.governance.alert_book import AlertBook, observe
from palyra.governance.alerts import (
    AlertFacts,
    AlertKind,
    AlertSettings,
    CounterFact,
    ModelMix,
    ModelRecord,
    ProviderState,
    Refusals,
    Routes,
    Spend,
    UnpricedUse,
    build_alert_candidates,
    counter_key,
    drift_key,
    health_key,
    price_key,
)
from palyra.governance.burn import CounterKey
from palyra.governance.evaluate import EvaluationStatus
from palyra.governance.forecast import has_calendar
from palyra.governance.ledger import Ledger
from palyra.governance.standing import forecast_of, standing_of, undrawn
from palyra.journal.changes import Change
from palyra.journal.readers import Readers
from palyra.pricing.drift import EstimateDrift
from palyra.runs.durable import Durable
from palyra.runs.hearing import Hearing

TICK_S = 1.0
SLOW_MS = 60_000
COUNTERS_PER_TICK, COUNTERS_PER_TURN = 100, 10
"""How many counters that moved are judged each second, and how many before everybody else gets a turn."""
MODELS_AT_MOST = 500

ALERT_RAISED = "alert.raised"
"""The event of an alert that people should be told of now; its subject is the alert's id."""

_BUDGET_KINDS = (AlertKind.BUDGET_ALERT, AlertKind.BUDGET_FORECAST)
_SUMMED_KINDS = (AlertKind.COST_SPIKE, AlertKind.UNUSUAL_MODEL_MIX, AlertKind.ROUTING_REGRESSION)


@value
class Surroundings:
    """What the watch asks about the rest of the house; none of it waits."""

    providers: Callable[[], tuple[ProviderState, ...]]
    chat_models: Callable[[], frozenset[str]]
    default_model: Callable[[], str]
    priced: Callable[[str, str, int], bool]
    """Whether a provider's model has a price at an instant, or is not there any more."""
    drift: Callable[[str, str], EstimateDrift]
    """How far the estimates of a provider's model are off."""


class AlertWatch:
    """Owns the judging; the book of alerts is shared with whoever acts on them."""

    def __init__(
        self,
        book: AlertBook,
        settings: AlertSettings,
        ledger: Ledger,
        readers: Readers,
        durable: Durable,
        events: EventHub,
        clock: Clock,
        around: Surroundings,
    ) -> None:
        self.book = book
        self.hearing = Hearing()
        self._settings = settings
        self._ledger = ledger
        self._readers = readers
        self._durable = durable
        self._events = events
        self._clock = clock
        self._around = around
        self._due: list[tuple[int, CounterKey]] = []
        """When windows of counters that were judged end."""
        self._ends: dict[CounterKey, int] = {}
        self._again: dict[CounterKey, None] = {}
        """Counters to be judged though nothing happened to them."""
        self._health: dict[str, ProviderState] = {}
        self._slow_at = -SLOW_MS
        self._recorded_since: int | None = None
        self._leave = events.subscribe(self._hear_event, "policy.edited", "grant.revoked", "approval.ended")
        for record in book.of_kinds(AlertKind.BUDGET_ALERT):
            if record.payload["refused_at"] is not None:
                self.hearing.remember(*_refusals_of(record.payload))

    def configure(self, settings: AlertSettings) -> None:
        """Other thresholds; what is live is judged by them when it is looked at next."""
        self._settings = settings
        self.book.configure(settings.cooldown_ms)

    async def run(self) -> None:
        """Judges each second, for as long as the engine runs."""
        for budget in self._ledger.books:
            self._look_at(budget.policy_id)
        while True:
            await self.tick()
            await self._clock.sleep(TICK_S)

    def close(self) -> None:
        """Judges what happened last, and writes down what has not been so far."""
        self._leave()
        at = self._clock.now_ms()
        self._judge(self.hearing.take(len(self.hearing.touched)), at, happened=True)
        self._judge_prices(at)
        self.publish(at)
        self._write(self.book.remaining())

    async def tick(self) -> None:
        """Judges what is due now."""
        at = self._clock.now_ms()
        slow = self._wake(at) or at - self._slow_at >= SLOW_MS
        if slow:
            self._look_again()
        await self._judge_counters(at)
        self._judge_providers(at)
        self._judge_prices(at)
        if slow:
            self._slow_at = at
            self._judge_drift(at)
            await self._judge_sums()
            at = self._clock.now_ms()
        self.book.sweep(at)
        self.publish(at)

    def publish(self, at: int) -> None:
        """Hands on what the book has to tell and to keep."""
        for record in self.book.to_tell():
            self._events.publish(Event(ALERT_RAISED, at, record.alert_id, {"alert": record}))
        self._write(self.book.changes(at))

    def _write(self, changes: Collection[Change]) -> None:
        if changes:
            self._durable.write(tuple(changes))

    def _hear_event(self, event: Event) -> None:
        if event.kind == "policy.edited":
            self._look_at(event.subject)
        self._look_again()

    def _look_at(self, policy_id: str) -> None:
        """All counters of a policy: its terms are new to whoever judged before."""
        budget = self._ledger.books.get(policy_id)
        if budget is not None and budget.policy.enabled:
            for value in budget.counting(self._clock.now_ms()):
                self._again[policy_id, value] = None

    def _wake(self, at: int) -> bool:
        """Has what was put away until now judged before it comes back. True if that takes more than counters."""
        waking = self.book.waking(at)
        for record in waking:
            if record.kind in _BUDGET_KINDS:
                self._again[record.payload["policy_id"], record.payload["scope_value"]] = None
        return any(record.kind not in _BUDGET_KINDS for record in waking)

    def _look_again(self) -> None:
        """Counters with a live alert: time, an edit or a grant may have cleared it."""
        for record in self.book.of_kinds(*_BUDGET_KINDS):
            self._again[record.payload["policy_id"], record.payload["scope_value"]] = None

    # Budgets

    async def _judge_counters(self, at: int) -> None:
        fresh = self.hearing.take(COUNTERS_PER_TICK)
        quiet = sorted((self._ended_windows(at) | self._again.keys()) - set(fresh))
        self._again.clear()
        for keys, happened in ((fresh, True), (quiet, False)):
            for start in range(0, len(keys), COUNTERS_PER_TURN):
                self._judge(keys[start : start + COUNTERS_PER_TURN], at, happened=happened)
                self.publish(at)
                await asyncio.sleep(0)

    def _judge(self, keys: Sequence[CounterKey], at: int, *, happened: bool) -> None:
        available = undrawn(self._ledger, at)
        facts = [self._fact(key, at, available.get(key, 0)) for key in keys]
        candidates = build_alert_candidates(
            AlertFacts(at, counters=tuple(fact for fact in facts if fact is not None)), self._settings
        )
        looked_at = [counter_key(kind, *key) for key in keys for kind in _BUDGET_KINDS]
        observe(self.book, candidates, looked_at, at, fresh=looked_at if happened else ())

    def _fact(self, key: CounterKey, at: int, available: int) -> CounterFact | None:
        standing = standing_of(self._ledger, key, at, available)
        if standing is None:
            return None
        window = standing.window
        if has_calendar(standing.policy.interval_kind):
            self._ledger.burns.note(key, window, at, standing.settled)
        if window.end is not None and self._ends.get(key) != window.end:
            self._ends[key] = window.end
            heapq.heappush(self._due, (window.end, key))
        refusals = self.hearing.refused(key, at, window.start, standing.policy.sha256)
        return CounterFact(standing, refusals, forecast_of(self._ledger, standing, at))

    def _ended_windows(self, at: int) -> set[CounterKey]:
        ended: set[CounterKey] = set()
        while self._due and self._due[0][0] <= at:
            end, key = heapq.heappop(self._due)
            if self._ends.get(key) == end:
                del self._ends[key]
                self._ledger.burns.forget(key, end)
                if any(self.book.of(counter_key(kind, *key)) for kind in _BUDGET_KINDS):
                    ended.add(key)
        return ended

    # Providers, prices, estimates

    def _judge_providers(self, at: int) -> None:
        states = self._around.providers()
        changed = [state for state in states if self._health.get(state.provider_id) != state]
        self._health = {state.provider_id: state for state in states}
        live = self._live(AlertKind.PROVIDER_HEALTH)
        if changed or live:
            candidates = build_alert_candidates(AlertFacts(at, providers=states), self._settings)
            happened = {health_key(state.provider_id) for state in changed}
            observe(self.book, candidates, live, at, fresh=happened)

    def _judge_prices(self, at: int) -> None:
        """A model whose price became known has no alert any more; others have one from their first use on."""
        used, self.hearing.unpriced = self.hearing.unpriced, set()
        live = self.book.of_kinds(AlertKind.PRICE_UNKNOWN)
        known = {(str(record.payload["provider"]), str(record.payload["model"])) for record in live}
        if not used and not known:
            return
        unpriced = tuple(UnpricedUse(*key) for key in sorted(used | known) if not self._around.priced(*key, at))
        candidates = build_alert_candidates(AlertFacts(at, unpriced=unpriced), self._settings)
        observe(
            self.book, candidates, [record.dedupe_key for record in live], at, fresh={price_key(*key) for key in used}
        )

    def _judge_drift(self, at: int) -> None:
        used, self.hearing.used = self.hearing.used, set()
        live = self.book.of_kinds(AlertKind.ESTIMATE_DRIFT)
        known = {(str(record.payload["provider"]), str(record.payload["model"])) for record in live}
        drifts = tuple(self._around.drift(*key) for key in sorted(used | known))
        candidates = build_alert_candidates(AlertFacts(at, drifts=drifts), self._settings)
        fresh = {drift_key(*key) for key in used}
        observe(self.book, candidates, [record.dedupe_key for record in live], at, fresh=fresh)

    # What needs sums of the journal

    async def _judge_sums(self) -> None:
        ended, self.hearing.ended = self.hearing.ended, False
        live = self._live(*_SUMMED_KINDS)
        if not ended and not live:
            return
        try:
            facts = await self._sums(self._clock.now_ms())
        except JournalUnavailableError:
            self.hearing.ended = True
            return
        candidates = build_alert_candidates(facts, self._settings)
        fresh = {one.dedupe_key for one in candidates} if ended else set()
        observe(self.book, candidates, live, facts.at, fresh=fresh)

    async def _sums(self, at: int) -> AlertFacts:
        since = max(0, at - self._settings.lookback_ms)
        middle = at - self._settings.lookback_ms // 2
        chat, default_model = self._around.chat_models(), self._around.default_model()
        async with self._readers.at_one_moment() as readers:
            if self._recorded_since is None:
                self._recorded_since = await readers.recorded_since()
            older = await readers.usage_totals(since, max(since, middle))
            newer = await readers.usage_totals(max(since, middle), at + 1)
            page = await readers.usage_breakdown(since, at + 1, "model", limit=MODELS_AT_MOST)
            served = await readers.served(since, default_model)
        records = {row.model: ModelRecord(row.model, row.runs, row.failed, row.p50_ms) for row in served}
        default = records.pop(default_model, None)
        runs = {one.key: one.totals.runs - one.totals.refused for one in page.entries if one.key in chat}
        return AlertFacts(
            at,
            spend=Spend(older.cost, newer.cost, self._recorded_since),
            mix=ModelMix({model: count for model, count in runs.items() if count > 0}, len(chat)),
            routes=None if default is None else Routes(default, tuple(records.values())),
        )

    def _live(self, *kinds: AlertKind) -> list[str]:
        return [record.dedupe_key for record in self.book.of_kinds(*kinds)]


def _refusals_of(payload: Mapping[str, Any]) -> tuple[CounterKey, Refusals]:
    """What a counter had refused as a budget alert tells of it."""
    status = EvaluationStatus(payload["status"])
    told = Refusals(status, payload["refused_at"], payload["refusals"], payload["sha256"])
    return (payload["policy_id"], payload["scope_value"]), told
