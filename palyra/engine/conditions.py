"""What an engine looks at in each cycle of its self-healing loop, beside heartbeats and what its rooms tell."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.durations import format_duration
from palyra.core.events import Event
from palyra.governance.approval_record import ApprovalRecord
from palyra.healing.checks import Check
from palyra.providers.breaker import BreakerState
from palyra.providers.health import HealthState

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

BREAKER_OPEN_MS = 60_000
LATELY_S = 600.0
"""How long a clock that was set back, or stalls, are told of."""
STALLS = 3
"""So many stalls of the event loop within that time are a condition."""
SET_BACK_S = 60.0
SERVES = frozenset([HealthState.OK, HealthState.DEGRADED, HealthState.UNKNOWN])
_STANDS = {HealthState.MISSING_AUTH: "has no credential", HealthState.DISABLED: "is switched off"}


class ApprovalCheck:
    """Approvals that wait for a person for too long."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    @property
    def _limit_ms(self) -> int:
        return self._engine.config.healing.silent_after.approval

    def look(self, now: int) -> Iterable[Condition]:
        """The approvals that have waited too long at `now`, UTC unix ms."""
        limit = self._limit_ms
        for record in self._engine.desk.pending():
            if now - record.requested_at > limit:
                yield self._condition(record, limit)

    def next_due(self, now: int) -> int | None:
        """When the next would have waited too long, UTC unix ms."""
        limit = self._limit_ms
        dues = [record.requested_at + limit + 1 for record in self._engine.desk.pending()]
        return min([due for due in dues if due > now], default=None)

    def _condition(self, record: ApprovalRecord, limit: int) -> Condition:
        what = record.subject or ", ".join(record.policy_ids)
        return Condition(
            Domain.APPROVAL,
            f"approval:{record.approval_id}",
            Severity.MEDIUM,
            f"Nobody has decided about {what} for {record.principal}",
            f"It has waited for more than {format_duration(limit)}.",
            record.approval_id,
            since=record.requested_at + limit,
            related={"approval": record.approval_id, "principal": record.principal, "session": record.session},
        )


class ProviderCheck:
    """Providers whose breaker stays open, and a default model that nobody can serve."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._not_closed: dict[str, int] = {}
        """Since when (unix ms) each breaker has not been closed."""
        engine.events.subscribe(self._turned, "provider.breaker")

    def _turned(self, event: Event) -> None:
        if event.data.get("state") == BreakerState.CLOSED.value:
            self._not_closed.pop(event.subject, None)
        else:
            self._not_closed.setdefault(event.subject, event.at)

    def look(self, now: int) -> Iterable[Condition]:
        """The providers whose breaker has been open for too long."""
        for provider, since in self._not_closed.items():
            if now - since > BREAKER_OPEN_MS:
                yield Condition(
                    Domain.PROVIDER,
                    f"provider:{provider}",
                    Severity.HIGH,
                    f"The provider {provider} does not answer well",
                    f"Its breaker has been open for more than {BREAKER_OPEN_MS // 1000} s.",
                    provider,
                    since=since + BREAKER_OPEN_MS,
                    related={"provider": provider},
                )
        yield from self._nobody()

    def next_due(self, now: int) -> int | None:
        """When the next breaker would have been open for too long, UTC unix ms."""
        dues = [since + BREAKER_OPEN_MS + 1 for since in self._not_closed.values()]
        return min([due for due in dues if due > now], default=None)

    def _nobody(self) -> Iterable[Condition]:
        engine = self._engine
        default = engine.registry.default_chat
        if default is None:
            return
        named = [default]
        if engine.config.failover.enabled:
            named += [entry for entry in engine.registry.routed if entry.role is default.role]
        if any(engine.care.state(entry.provider) in SERVES for entry in named):
            return
        states = {entry.provider: engine.care.state(entry.provider) for entry in named}
        why = ", ".join(f"{provider} {_STANDS.get(state, f'is {state}')}" for provider, state in sorted(states.items()))
        yield Condition(
            Domain.PROVIDER,
            "provider:none",
            Severity.CRITICAL,
            f"Nobody can serve the default model {default.id}",
            f"{why}.",
            default.id,
            family="provider:none",
            related={"model": default.id},
        )


class HouseCheck:
    """The journal, the clock and the event loop."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def storage(self, now: int) -> Iterable[Condition]:
        """What stands in the way of the journal, and how full its disk is."""
        if not self._engine.journal.healthy:
            yield Condition(
                Domain.STORAGE,
                "storage:journal",
                Severity.CRITICAL,
                "The journal cannot be written: no new work is taken",
                "The log tells what the disk or the database said.",
                "journal",
            )

    def engine(self, now: int) -> Iterable[Condition]:
        """What the loop's clock tells: set back, late, stalled."""
        lag, monotonic = self._engine.lag, self._engine.clock.monotonic()
        if lag.set_back is not None:
            at, by = lag.set_back
            if by > SET_BACK_S and monotonic - at < LATELY_S:
                yield Condition(
                    Domain.ENGINE,
                    "engine:clock",
                    Severity.LOW,
                    "The wall clock was set back",
                    f"By {format_duration(round(by * 1000))}; budgets count by the wall clock.",
                    "clock",
                )
        if sum(monotonic - at < LATELY_S for at in lag.stalls) >= STALLS:
            yield Condition(
                Domain.ENGINE,
                "engine:stall",
                Severity.LOW,
                "The event loop stands still again and again",
                f"For a second or longer, {STALLS} times within {format_duration(round(LATELY_S * 1000))}.",
                "event_loop",
            )


def checks(engine: "Engine") -> Iterable[Check]:
    """Each is looked at under its own guard."""
    approvals, providers, house = ApprovalCheck(engine), ProviderCheck(engine), HouseCheck(engine)
    yield Check("approvals", approvals.look, approvals.next_due)
    yield Check("providers", providers.look, providers.next_due)
    yield Check("storage", house.storage)
    yield Check("engine", house.engine)
