"""Waiting for a person: parked runs hold nothing but a place, and hear of the decision at once."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from palyra.core.clock import Clock
from palyra.governance.approvals import ApprovalDecision, ApprovalDesk, ApprovalRecord
from palyra.runs.live import LiveRun
from palyra.runs.request import Client, RunReport


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
        self._waiting: dict[str, set[asyncio.Future[ApprovalRecord]]] = {}
        self._keys: Counter[str] = Counter()
        self._parked_until: dict[str, int] = {}

    def __len__(self) -> int:
        return self._keys.total()

    def has_place(self, key_id: str) -> bool:
        return len(self) < self._places and self._keys[key_id] < self._per_key

    def parked_until(self, approval_id: str) -> int | None:
        """When the last of those who wait for it gives up (unix ms); None when nobody waits."""
        return self._parked_until.get(approval_id)

    def decided(self, records: Iterable[ApprovalRecord]) -> None:
        """Tells everybody who waits for these."""
        for record in records:
            for waiter in self._waiting.get(record.approval_id, ()):
                if not waiter.done():
                    waiter.set_result(record)

    async def wait(
        self, approval_id: str, run: LiveRun, client: Client, report: RunReport, seconds: float
    ) -> tuple[Verdict, ApprovalRecord | None]:
        """Waits at most `seconds`; a streamed request gets a sign of life at each keep-alive interval.

        Raises RunStoppedError, also when the caller leaves, and ClientGoneError.
        """
        key_id = run.row.scope.key_id
        decision: asyncio.Future[ApprovalRecord] = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(approval_id, set())
        waiters.add(decision)
        self._keys[key_id] += 1
        self._desk.join(approval_id)
        give_up = self._clock.monotonic() + seconds
        until = self._clock.now_ms() + int(seconds * 1000)
        self._parked_until[approval_id] = max(until, self._parked_until.get(approval_id, 0))
        try:
            with run.stoppable():
                while (left := give_up - self._clock.monotonic()) > 0:
                    try:
                        async with self._clock.timeout(min(left, self._keepalive)):
                            record = await asyncio.shield(decision)
                    except TimeoutError:
                        if decision.done():
                            record = decision.result()
                        else:
                            if run.row.streaming and self._clock.monotonic() < give_up:
                                await client.parked(replace(report, approval_id=approval_id))
                            continue
                    assert record.decision is not None
                    return _VERDICTS[record.decision], record
            return Verdict.OVER, None
        finally:
            decision.cancel()
            waiters.discard(decision)
            if not waiters:
                self._waiting.pop(approval_id, None)
                self._parked_until.pop(approval_id, None)
            self._keys[key_id] -= 1
            self._desk.leave(approval_id)
