"""Waiting for a person: parked runs hold nothing but a place, and hear of the decision at once."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.governance.approval_record import ApprovalDecision, ApprovalRecord
from palyra.governance.approvals import ApprovalDesk
from palyra.runs.live import LiveRun
from palyra.runs.request import Client, RunReport

GATEWAY = "gateway"
"""The source of requests behind which a client's connection is open."""


class Verdict(StrEnum):
    """How waiting ended. `OVER`: the park time passed, the record stays open. `VOID`: a budget was edited."""

    ALLOW = "allow"
    DENY = "deny"
    VOID = "void"
    OVER = "over"


_VERDICTS = {
    ApprovalDecision.ALLOW: Verdict.ALLOW,
    ApprovalDecision.DENY: Verdict.DENY,
    ApprovalDecision.ERROR: Verdict.VOID,
    ApprovalDecision.TIMEOUT: Verdict.OVER,
}


class Parking:
    """Places for parked runs, per house and per key."""

    def __init__(
        self, desk: ApprovalDesk, clock: Clock, *, places: int, places_per_key: int, keepalive_seconds: float
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._places = places
        self._per_key = places_per_key
        self._keepalive = keepalive_seconds
        self._waiting: dict[str, dict[asyncio.Future[ApprovalRecord], None]] = {}
        """Who waits for each approval, in the order they came: whoever waits longest hears first."""
        self._keys: Counter[str] = Counter()
        self._parked_until: dict[str, int] = {}

    def __len__(self) -> int:
        return self._keys.total()

    def has_place(self, key_id: str) -> bool:
        """Whether one more may wait; what no key asked for (jobs, tasks) only counts among all."""
        return len(self) < self._places and (not key_id or self._keys[key_id] < self._per_key)

    def patience(self, source: str, asked: float) -> float:
        """How many seconds a request waits: a client as long as it asked for, a job or a task not longer than a record
        stays open."""
        return asked if source == GATEWAY else min(asked, self._desk.settings.ttl_ms / 1000)

    def parked_until(self, approval_id: str) -> int | None:
        """When the last of those who wait for it gives up (unix ms); None when nobody waits."""
        return self._parked_until.get(approval_id)

    def decided(self, records: Iterable[ApprovalRecord]) -> None:
        """Tells everybody who waits for these."""
        for record in records:
            for waiter in self._waiting.get(record.approval_id, ()):
                if not waiter.done():
                    waiter.set_result(record)

    @contextmanager
    def seat(self, approval_id: str, key_id: str, seconds: float) -> Iterator["Seat"]:
        """A place to wait for one approval, for at most `seconds`; a decision counts from now on.

        To be taken in the same step that found the place free and the approval pending.
        """
        decision: asyncio.Future[ApprovalRecord] = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(approval_id, {})
        waiters[decision] = None
        self._keys[key_id] += 1
        self._desk.join(approval_id)
        until = self._clock.now_ms() + int(seconds * 1000)
        self._parked_until[approval_id] = max(until, self._parked_until.get(approval_id, 0))
        try:
            yield Seat(decision, approval_id, self._clock.monotonic() + seconds, self._clock, self._keepalive)
        finally:
            decision.cancel()
            del waiters[decision]
            if not waiters:
                self._waiting.pop(approval_id, None)
                self._parked_until.pop(approval_id, None)
            self._keys[key_id] -= 1
            self._desk.leave(approval_id)


@value
class Seat:
    """Where one run waits. `gives_up` is an instant of the monotonic clock, `keepalive` seconds."""

    decision: "asyncio.Future[ApprovalRecord]"
    approval_id: str
    gives_up: float
    clock: Clock
    keepalive: float

    async def wait(self, run: LiveRun, client: Client, report: RunReport) -> tuple[Verdict, ApprovalRecord | None]:
        """Waits for the decision; a streamed request gets a sign of life at each keep-alive interval.

        Raises RunStoppedError, also when the caller leaves, and ClientGoneError.
        """
        with run.stoppable():
            while not self.decision.done():
                left = self.gives_up - self.clock.monotonic()
                if left <= 0:
                    return Verdict.OVER, None
                try:
                    async with self.clock.timeout(min(left, self.keepalive)):
                        await asyncio.shield(self.decision)
                except TimeoutError:
                    if run.row.streaming and not self.decision.done() and self.clock.monotonic() < self.gives_up:
                        await client.parked(replace(report, approval_id=self.approval_id))
        record = self.decision.result()
        assert record.decision is not None
        return _VERDICTS[record.decision], record
