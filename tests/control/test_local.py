"""Consoles on a real engine, in its own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from palyra.config.load import interpret
from palyra.control.commands import AddPolicy, CancelRun, DecideApproval, EditPolicy, RemovePolicy, RevokeGrant
from palyra.control.local import LocalControl
from palyra.control.snapshots import OperatorView, Topic
from palyra.core.clock import ManualClock
from palyra.engine import Installation
from palyra.house import House, open_house

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
async def a_house(directory: Path) -> AsyncIterator[House]:
    loaded = interpret(CONFIG, Path("palyra.toml"), {}, {})
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
