"""Seats for runs that wait for a person."""

import asyncio
from contextlib import ExitStack

from palyra.core.clock import ManualClock
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.approvals import ApprovalDesk
from palyra.governance.grants import GrantBook
from palyra.runs.parking import Parking, Seat

T0 = 1_795_348_800_000
MANY = 40


async def test_those_who_wait_for_one_answer_hear_of_it_in_the_order_they_came() -> None:
    parking = Parking(
        ApprovalDesk(str, GrantBook()), ManualClock(T0), places=MANY, places_per_key=MANY, keepalive_seconds=10
    )
    heard: list[int] = []

    async def sit(number: int, seat: Seat) -> None:
        await seat.decision
        heard.append(number)

    record = ApprovalRecord("a1", 2, "ann", "main", (), (), T0, T0 + 1, "low")
    with ExitStack() as seats:
        waiting = [asyncio.create_task(sit(n, seats.enter_context(parking.seat("a1", "k1", 60)))) for n in range(MANY)]
        await asyncio.sleep(0)
        parking.decided([record])
        await asyncio.gather(*waiting)
    assert heard == list(range(MANY))
    assert len(parking) == 0
