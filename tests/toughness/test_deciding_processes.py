"""Operators in processes of their own decide on one request at once: one word counts, all hear which."""

import asyncio

from tests.toughness.programs import Done, Installation

DECIDERS = 8


async def test_of_several_processes_one_decides(installation: Installation) -> None:
    engine = installation.serve().ready()
    session = ("--policy", "team", "--session", "s", "--amount", "1", "--reason", "a long night")
    asked = installation.run("approvals", "request", *session, "--json")
    assert asked.code == 0, asked.errors
    approval_id = asked.data["data"]["approval_id"]

    def decide(number: int) -> tuple[str, ...]:
        if number % 2:
            return ("approvals", "deny", approval_id, "--reason", f"no {number}", "--json")
        return ("approvals", "allow", approval_id, "--scope", "session", "--json")

    done: list[Done] = await asyncio.gather(*(installation.command(*decide(number)) for number in range(DECIDERS)))
    assert sorted(one.code for one in done) == [0] + [4] * (DECIDERS - 1)
    (winner,) = [number for number, one in enumerate(done) if one.code == 0]
    decision = "deny" if winner % 2 else "allow"
    assert {one.data["data"]["decision"] for one in done if one.code == 4} == {decision}
    shown = installation.run("approvals", "show", approval_id, "--json").data
    assert (shown["approval"]["decision"], len(shown["grants"])) == (decision, int(decision == "allow"))
    assert engine.stop() == 0
    assert installation.run("audit", "verify", "--json").data["ok"]
    assert installation.run("ledger", "verify", "--json").data["ok"]
