"""`/metrics`: what Prometheus is told. No label carries a principal, a session or a tag."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from palyra.config.choices import ScopeKind
from palyra.core.money import NANO
from palyra.core.spread import Spread
from palyra.engine import Engine
from palyra.gateway.tallies import MODELS_MOST, Tallies
from palyra.governance.policy import ANY, UsageBudgetPolicyRecord
from palyra.governance.standing import standings
from palyra.providers.breaker import BreakerState

_BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class Metrics(Collector):
    """Reads the engine when it is asked; what moves with each request is summed in the tallies meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self.tallies = Tallies()
        self._engine = engine
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        engine.journal.listen(self.tallies.hear)

    def text(self) -> bytes:
        """The Prometheus text format, as UTF-8."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of the numbers themselves."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every number, as Prometheus reads it."""
        yield from self._of_requests()
        yield from self._of_money()
        yield from self._of_people()
        yield from self._of_providers()
        yield from self._of_the_house()

    def _of_requests(self) -> Iterator[Metric]:
        told = self.tallies
        yield _counter("palyra_requests", "Requests answered", ("endpoint", "status"), told.requests)
        spreads = (
            ("palyra_request_seconds", "From a request's head to the end of its answer", told.seconds),
            ("palyra_first_byte_seconds", "From a request's head to the first byte of a stream", told.first_bytes),
            ("palyra_gateway_overhead_seconds", "Time requests spent here, nobody being waited for", told.overheads),
        )
        for name, what, found in spreads:
            yield _histogram(name, what, ("endpoint",), {(key,): spread for key, spread in found.items()})

    def _of_money(self) -> Iterator[Metric]:
        engine, told = self._engine, self.tallies
        now, ledger = engine.clock.now_ms(), engine.ledger
        yield _counter("palyra_tokens", "Tokens used", ("direction", "provider", "model"), told.tokens)
        yield _counter("palyra_cost_usd", "Dollars charged", ("provider", "model"), _usd(told.costs))
        corrected = _usd(told.corrected)
        yield _gauge("palyra_corrected_usd", "Dollars that corrections added", ("provider", "model"), corrected)
        yield _counter("palyra_decisions", "Plans made", ("outcome", "mode"), told.decisions)
        yield _counter("palyra_output_clamps", "Plans with less output than asked for", (), {(): told.clamps})
        yield _counter("palyra_stream_cuts", "Streams whose budget ended", (), {(): told.cuts})
        holds = ledger.open_holds()
        held = sum(hold.bound_usd or 0 for hold in holds)
        yield _gauge("palyra_holds_open", "Holds of attempts under way", (), {(): len(holds)})
        yield _gauge("palyra_held_usd", "Dollars they hold", (), {(): held / NANO})
        yield _counter("palyra_holds_ended", "Holds ended", ("state",), _alone(told.holds_ended))
        yield _counter("palyra_overrun_usd", "Dollars above what was held", (), {(): told.overruns / NANO})
        yield _gauge(
            "palyra_budget_used_ratio",
            "Spent and held over the hard limit, of budgets with one counter",
            ("policy",),
            {
                (one.policy.policy_id,): one.used / one.policy.hard_limit
                for one in standings(ledger, now)
                if one.policy.hard_limit and _counts_one(one.policy)
            },
        )
        yield _counter("palyra_price_unknown", "Attempts nobody knew the price of", ("model",), _alone(told.unpriced))
        yield _counter("palyra_usage_flags", "What was odd about usage", ("flag",), _alone(told.flags))
        ratios = {(one.model,): float(one.ratio) for one in engine.experience.drifts() if one.ratio is not None}
        yield _gauge(
            "palyra_estimate_ratio",
            "Input tokens used over expected, newest attempts",
            ("model",),
            dict(list(ratios.items())[:MODELS_MOST]),
        )

    def _of_people(self) -> Iterator[Metric]:
        engine = self._engine
        yield _gauge("palyra_parked_requests", "Requests waiting for a person", (), {(): len(engine.parking)})
        yield _gauge("palyra_approvals_pending", "Approvals waiting", (), {(): len(engine.desk.pending())})
        yield _counter("palyra_approvals", "Approvals resolved", ("decision",), _alone(self.tallies.approvals))

    def _of_providers(self) -> Iterator[Metric]:
        engine = self._engine
        traced = engine.runner.traced
        providers = list(engine.registry.providers)
        attempts = {(provider, kind or "ok"): count for (provider, kind), count in traced.attempts.items()}
        yield _counter("palyra_provider_attempts", "Attempts by how they ended", ("provider", "class"), attempts)
        yield _counter("palyra_failovers", "Failovers to a provider", ("provider",), _alone(traced.failovers))
        states = {(one,): _BREAKER[engine.breakers.of(one).state] for one in providers}
        yield _gauge("palyra_breaker_state", "0 closed, 1 half open, 2 open", ("provider",), states)
        leases = {(one,): engine.leases.of_provider(one).in_use for one in providers}
        yield _gauge("palyra_leases", "Places in use", ("provider",), leases)
        waits = {(task_class,): spread for task_class, spread in traced.waits.items()}
        yield _histogram("palyra_lease_wait_seconds", "Time waited for a place", ("task_class",), waits)
        yield _counter("palyra_cache_hits", "Answers from the cache", (), {(): self.tallies.cache_hits})

    def _of_the_house(self) -> Iterator[Metric]:
        engine = self._engine
        late = engine.runner.late_terminal_writes
        yield _counter("palyra_late_terminal_writes", "Ends of work that was over already", (), {(): late})
        journal = engine.journal
        yield _histogram("palyra_journal_commit_seconds", "Time of a commit", (), {(): journal.commits})
        yield _histogram("palyra_journal_batch_rows", "Rows of a commit", (), {(): journal.batches})
        yield _gauge("palyra_loop_lag_seconds", "How late the loop runs", (), {(): engine.lag.latest_ms / 1000})
        lateness = {(): engine.jobs.scheduler.lateness}
        yield _histogram("palyra_scheduler_lateness_seconds", "How late jobs began", (), lateness)


Samples = Mapping[Any, float]
Spreads = Mapping[Any, Spread]


def _counter(name: str, what: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, amount in samples.items():
        family.add_metric([str(value) for value in values], amount)
    return family


def _gauge(name: str, what: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, amount in samples.items():
        family.add_metric([str(value) for value in values], amount)
    return family


def _histogram(name: str, what: str, labels: tuple[str, ...], samples: Spreads) -> Metric:
    family = HistogramMetricFamily(name, what, labels=labels)
    for values, spread in samples.items():
        family.add_metric(list(values), spread.up_to(), spread.total)
    return family


def _counts_one(policy: UsageBudgetPolicyRecord) -> bool:
    """Whether a budget has one counter, whoever asks."""
    return policy.scope_kind is ScopeKind.GLOBAL or not policy.scope_id.endswith(ANY)


def _alone(samples: Mapping[str, int]) -> dict[tuple[str], int]:
    return {(key,): count for key, count in samples.items()}


def _usd(samples: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], float]:
    return {key: nano / NANO for key, nano in samples.items()}
