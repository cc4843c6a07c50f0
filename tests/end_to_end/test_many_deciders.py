"""Of many who decide at once, one wins: on one desk with its journal, and over the operators' socket."""

import asyncio
import random
from collections import Counter

from palyra.control.commands import DecideApproval
from palyra.control.queries import ApprovalQuery
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import CommandResult
from palyra.vault.records import Role
from tests.end_to_end.asking import ask, asking, closed
from tests.end_to_end.premises import Premises

DECIDERS = 1_000
CONSOLES = 40


def ruling(approval_id: str, number: int) -> DecideApproval:
    scope = random.Random(number).choice(("once", "session", "timeboxed"))
    if number % 2:
        return DecideApproval(approval_id, "deny", reason=f"no, says {number}")
    return DecideApproval(
        approval_id,
        "allow",
        scope=scope,  # type: ignore[arg-type]
        duration_seconds=60 if scope == "timeboxed" else None,
    )


async def check(here: Premises, approval_id: str, results: list[CommandResult]) -> None:
    """One was taken; everybody else was told of that one, and so does the journal."""
    assert Counter(result.status for result in results) == {"accepted": 1, "conflict": len(results) - 1}
    await here.written()
    row = await here.engine.journal.readers.approval(approval_id)
    assert row is not None
    told = {(late.data["decision"], late.data["decided_by"], late.data["version"]) for late in results if not late.ok}
    assert told == {(row.decision, row.decided_by, str(row.version))}
    assert all(
        f"already resolved/{row.decision} by {row.decided_by}" in late.message for late in results if not late.ok
    )
    audit = [
        one
        for one in await here.engine.journal.readers.audit(500)
        if one.kind == "approval" and one.subject == approval_id and one.payload["state"] in ("allow", "deny")
    ]
    assert [(one.actor, one.payload["state"]) for one in audit] == [(row.decided_by, row.decision)]
    grants = await here.engine.journal.readers.grants(approval_id=approval_id)
    assert len(grants) == (1 if row.decision == "allow" else 0)
    detail = await here.control.ask(ApprovalQuery(approval_id))
    assert (detail.approval.decision, len(detail.grants)) == (row.decision, len(grants))


async def test_of_a_thousand_deciders_one_wins(here: Premises) -> None:
    await closed(here)
    waiting = asking(here)
    approval = await here.parked()
    operators = [here.operator(f"op-{number}", Role.APPROVER) for number in range(DECIDERS)]
    order = list(range(DECIDERS))
    random.Random(7).shuffle(order)
    results = await asyncio.gather(*(operators[number].send(ruling(approval.approval_id, number)) for number in order))
    await check(here, approval.approval_id, results)
    (winner,) = [number for number, result in zip(order, results, strict=True) if result.ok]
    assert (await waiting).status == (402 if winner % 2 else 200)


async def test_a_thousand_deciders_while_the_journal_is_slow(here: Premises) -> None:
    """The winner's word is not durable yet when all the others come."""
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    gate = here.engine.journal._writer.gate()
    await gate.reached
    sending = [
        asyncio.create_task(here.operator(f"op-{number}", Role.APPROVER).send(ruling(approval.approval_id, number)))
        for number in range(DECIDERS)
    ]
    await asyncio.sleep(0)
    gate.passed.set_result(None)
    results = list(await asyncio.gather(*sending))
    assert results[0].ok
    await check(here, approval.approval_id, results)


async def test_of_many_consoles_on_the_socket_one_wins(here: Premises) -> None:
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    consoles = [RemoteControl(here.state_dir, environ={}) for _ in range(CONSOLES)]
    try:
        results = await asyncio.gather(
            *(console.send(ruling(approval.approval_id, number)) for number, console in enumerate(consoles))
        )
        await check(here, approval.approval_id, results)
    finally:
        for console in consoles:
            await console.close()


async def test_of_consoles_in_place_and_on_the_socket_one_wins_each_time(here: Premises) -> None:
    """The one in place has the shorter way; however much longer it waits before it sets out, one word counts."""
    await closed(here)
    consoles = [RemoteControl(here.state_dir, environ={}) for _ in range(2)]

    async def in_place(approval_id: str, turns: int) -> CommandResult:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await here.control.send(ruling(approval_id, 1))

    try:
        for number in range(12):
            await ask(here, park="0")
            approval = await here.pending()
            results = await asyncio.gather(
                *(console.send(ruling(approval.approval_id, 1)) for console in consoles),
                in_place(approval.approval_id, number * 4),
            )
            await check(here, approval.approval_id, results)
            await here.advance(61)
    finally:
        for console in consoles:
            await console.close()
