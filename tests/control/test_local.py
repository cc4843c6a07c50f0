"""Consoles on a real engine, in its own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.config.load import interpret
from palyra.control.access_commands import AddKey, SetKey
from palyra.control.access_queries import AccessQuery
from palyra.control.commands import AddPolicy, CancelRun, DecideApproval, EditPolicy, RemovePolicy, RevokeGrant
from palyra.control.local import DECIDED_SHOWN, PENDING_SHOWN, LocalControl
from palyra.control.queries import AuditQuery, RunQuery
from palyra.control.snapshots import OperatorView, Topic
from palyra.control.usage_queries import UsageQuery
from palyra.core.clock import ManualClock
from palyra.core.errors import JournalUnavailableError, StateError
from palyra.core.instants import LATEST_MS
from palyra.core.scope import Scope
from palyra.core.windows import HOUR_MS
from palyra.engine import Installation
from palyra.governance.approvals import Petition
from palyra.governance.evaluate import Demand
from palyra.house import House, open_house
from palyra.journal.changes import RunSaved
from tests.runs.test_live import a_row

NOW = ManualClock().now_ms()

CONFIG = b"""
version = 1
[[budgets]]
policy_id = "house"
hard_limit = 100
[[budgets]]
policy_id = "calls"
metric_kind = "requests"
scope_kind = "user"
hard_limit = 2
soft_limit = 1
"""


@asynccontextmanager
async def a_house(directory: Path, config: bytes = CONFIG) -> AsyncIterator[House]:
    loaded = interpret(config, Path("palyra.toml"), {}, {})
    assert loaded.config is not None, loaded.problems
    async with open_house(Installation(loaded.config, directory / "state"), ManualClock(), {}, serving=False) as house:
        yield house


def control_of(house: House, role: str = "admin") -> LocalControl:
    return LocalControl(house.face, OperatorView("maria", role, "uid"))


async def test_a_snapshot_has_what_was_asked_for_and_the_status_always(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = control_of(house)
        bare = await control.snapshot([])
        assert (bare.engine.phase, bare.engine.mode, bare.operator.name) == ("ready", "enforced", "maria")
        assert (bare.runs, bare.approvals, bare.budgets) == ((), (), ())
        assert [provider.health for provider in bare.providers] == ["ok"]
        full = await control.snapshot(list(Topic))
        assert [view.policy_id for view in full.budgets] == ["calls", "house"]
        assert [view.scope_value for view in full.budgets] == ["*", "*"]
        assert not control.attached


async def test_the_version_grows_with_every_change(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = control_of(house)
        before = (await control.snapshot([])).version
        await control.send(AddPolicy({"policy_id": "x", "hard_limit": "1"}))
        assert (await control.snapshot([])).version > before


async def test_viewers_change_nothing_and_approvers_no_policies(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for command in (
            DecideApproval("01A", "allow"),
            RevokeGrant("01G"),
            CancelRun("01R"),
            AddPolicy({"policy_id": "x", "hard_limit": "1"}),
            EditPolicy("house", {"hard_limit": "1"}),
            RemovePolicy("house"),
        ):
            assert (await control_of(house, "viewer").send(command)).status == "denied"
        approver = control_of(house, "approver")
        assert (await approver.send(AddPolicy({"policy_id": "x", "hard_limit": "1"}))).status == "denied"
        assert (await approver.send(RevokeGrant("01G"))).status == "not_found"
        assert (await approver.send(CancelRun("01R"))).status == "not_found"


async def test_policies_of_the_file_and_stale_revisions_are_refused(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = control_of(house)
        assert (await control.send(EditPolicy("house", {"hard_limit": "1"}))).status == "conflict"
        await control.send(AddPolicy({"policy_id": "x", "hard_limit": "1"}))
        assert (await control.send(EditPolicy("x", {"hard_limit": "2"}, revision=1))).ok
        stale = await control.send(EditPolicy("x", {"hard_limit": "3"}, revision=1))
        assert (stale.status, "revision 2" in stale.message) == ("stale", True)
        bad = await control.send(AddPolicy({"policy_id": "y", "hard_limit": "-1", "timezone": "Prague"}))
        assert bad.status == "invalid"
        assert "hard_limit" in bad.message
        assert "Europe/Prague" in bad.message


def ask(house: House, session: str, principal: str = "ann") -> str:
    """A request that the budget `tight` refuses; its approval."""
    engine = house.engine
    scope = Scope(principal=principal, session=session)
    now = engine.clock.now_ms()
    said = engine.ledger.evaluate(scope, "openai", "openai/gpt", Demand(10, 0), at=now)
    breached = tuple(item for item in said if item.refused)
    opened = engine.desk.open(Petition(principal, session, f"run-{session}", breached), now)
    assert opened is not None
    engine.write(opened.changes)
    return opened.record.approval_id


async def tighten(house: House) -> LocalControl:
    control = control_of(house)
    added = {"policy_id": "tight", "hard_limit": "0", "action": "approval_required"}
    assert (await control.send(AddPolicy(added))).ok
    return control


async def test_who_asks_is_told_beforehand_that_four_eyes_will_refuse_them(tmp_path: Path) -> None:
    async with a_house(tmp_path, CONFIG + b"[approvals]\nfour_eyes = true\n") as house:
        control = await tighten(house)
        ask(house, "own", "maria")
        ask(house, "other")
        pending = (await control.snapshot([Topic.APPROVALS])).approvals
        assert {one.session: one.barred for one in pending} == {
            "own": "Nobody may decide on a request of their own.",
            "other": "",
        }


@pytest.mark.parametrize("error", [OverflowError("too large"), JournalUnavailableError("full"), StateError("closed")])
async def test_a_decision_the_journal_refuses_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with a_house(tmp_path) as house:
        control = await tighten(house)
        approval_id = ask(house, "main")
        with monkeypatch.context() as patched:

            def refuse(unit: object) -> None:
                patched.undo()
                raise error

            patched.setattr(house.engine.journal, "submit", refuse)
            with suppress(OverflowError):
                assert not (await control.send(DecideApproval(approval_id, "allow"))).ok
        shot = await control.snapshot([Topic.APPROVALS])
        assert [view.status for view in shot.approvals] == ["pending"]
        assert [view.state for view in shot.grants] == ["void"]
        assert (await control.send(DecideApproval(approval_id, "allow"))).ok


async def test_a_revocation_the_journal_refuses_holds_and_is_written_later(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = await tighten(house)
        decided = await control.send(DecideApproval(ask(house, "main"), "allow"))
        grant_id = decided.data["grant_ids"]
        disk = house.engine.journal._connection
        await disk.run(lambda database: database.execute("PRAGMA query_only = ON"))
        revoked = await control.send(RevokeGrant(grant_id))
        assert (revoked.ok, revoked.fix) == (True, "The journal cannot be written now; Palyra keeps trying.")
        await disk.run(lambda database: database.execute("PRAGMA query_only = OFF"))
        await house.engine.catch_up()
        assert [row.grant_id for row in await house.engine.journal.readers.grants(state="revoked")] == [grant_id]


async def test_an_amount_beyond_counting_is_invalid_and_decides_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = await tighten(house)
        approval_id = ask(house, "main")
        result = await control.send(DecideApproval(approval_id, "allow", None, "amount", None, 10**30))
        assert (result.status, "larger than anything" in result.message) == ("invalid", True)
        assert [view.status for view in (await control.snapshot([Topic.APPROVALS])).approvals] == ["pending"]


async def test_a_snapshot_has_who_waits_then_the_oldest_and_the_newest_decided_ones(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = await tighten(house)
        for number in range(DECIDED_SHOWN + 1):
            approval_id = ask(house, f"d{number}")
            assert (await control.send(DecideApproval(approval_id, "deny"))).ok
        for number in range(PENDING_SHOWN + 1):
            approval_id = ask(house, f"s{number:03}", f"user{number % 10}")
        shot = await control.snapshot([Topic.APPROVALS])
        assert shot.approvals_pending == PENDING_SHOWN + 1
        pending = [view.session for view in shot.approvals if view.status == "pending"]
        assert pending == [f"s{number:03}" for number in range(PENDING_SHOWN)]
        house.engine.desk.join(approval_id)
        waited_for, *others = (await control.snapshot([Topic.APPROVALS])).approvals
        assert (waited_for.session, waited_for.waiting) == (f"s{PENDING_SHOWN:03}", 1)
        assert [view.session for view in others if view.status == "pending"] == pending[:-1]
        assert sum(view.status == "resolved" for view in shot.approvals) == DECIDED_SHOWN


async def test_an_approvals_view_is_made_again_only_when_it_tells_something_else(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = await tighten(house)
        approval_id = ask(house, "main")
        (before,) = (await control.snapshot([Topic.APPROVALS])).approvals
        (again,) = (await control.snapshot([Topic.APPROVALS])).approvals
        assert again is before
        house.engine.desk.join(approval_id)
        (joined,) = (await control.snapshot([Topic.APPROVALS])).approvals
        assert (joined.waiting, before.waiting) == (1, 0)
        house.engine.desk.leave(approval_id)
        await control.send(DecideApproval(approval_id, "deny"))
        (decided,) = (await control.snapshot([Topic.APPROVALS])).approvals
        assert decided.decision == "deny"


async def test_a_budget_of_the_file_takes_the_id_of_an_operators_one(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await control_of(house).send(AddPolicy({"policy_id": "team", "hard_limit": "1"}))
    taken = CONFIG + b'[[budgets]]\npolicy_id = "team"\nhard_limit = 2\n'
    async with a_house(tmp_path, taken) as house:
        shot = await control_of(house).snapshot([Topic.BUDGETS])
        (view,) = [view for view in shot.budgets if view.policy_id == "team"]
        assert (view.hard_limit, view.source) == (2_000_000_000, "config")
        assert any("team" in problem for problem in shot.engine.problems)
        audit = await control_of(house).ask(AuditQuery())
        assert audit.ok
    async with a_house(tmp_path) as house:
        shot = await control_of(house).snapshot([Topic.BUDGETS])
        assert [view.policy_id for view in shot.budgets] == ["calls", "house"]
        assert shot.engine.problems == ()
        assert (await control_of(house).send(AddPolicy({"policy_id": "team", "hard_limit": "3"}))).ok


async def test_what_a_snapshot_tells_of_is_answered_though_it_was_only_just_submitted(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control, journal = control_of(house), house.engine.journal
        journal.submit([RunSaved(replace(a_row("01A"), state="completed", finished_at=NOW))], patient=True)
        answer = await control.ask(UsageQuery(since=NOW - HOUR_MS, until=NOW + 1))
        assert answer.total.requests == 1


async def test_what_is_known_is_answered_though_nothing_can_be_written(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = control_of(house)
        await house.engine.journal.submit([RunSaved(a_row("01A"))])

        def refuse(*_: object, **__: object) -> "asyncio.Future[None]":
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(JournalUnavailableError("The disk is full."))
            return refused

        house.engine.journal.submit = refuse  # type: ignore[method-assign]
        detail = await control.ask(RunQuery("01A"))
        del house.engine.journal.submit
        assert detail.run.run_id == "01A"


async def test_a_key_ends_when_a_calendar_can_tell(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = control_of(house)
        before = await control.ask(AccessQuery())
        for beyond in (LATEST_MS + 1, 2**63, -1):
            for command in (AddKey("ci", "bot", expires_at=beyond), SetKey("default", expires_at=beyond)):
                refused = await control.send(command)
                assert (refused.status, "1970 to 9999" in refused.message) == ("invalid", True)
        assert await control.ask(AccessQuery()) == before
        assert (await control.send(SetKey("default", expires_at=LATEST_MS))).ok
