import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.control.local import LocalControl
from palyra.control.queries import LedgerQuery
from palyra.control.replays import ReplayQuery, replay
from palyra.control.serving_queries import ConnectionQuery
from palyra.control.snapshots import OperatorView, Topic
from palyra.control.usage_queries import UsageQuery
from palyra.core.clock import ManualClock, SystemClock
from palyra.core.errors import StateError
from palyra.core.events import Event
from palyra.demo.guests import GUESTS, guests_at_home
from palyra.demo.history import RUNS
from palyra.demo.run import demo_dir, prepare
from palyra.demo.scene import MODELS, SEED
from palyra.demo.traffic import keep_asking, make_keys
from palyra.house import House, open_house


def test_the_demo_lies_beside_the_real_state_and_never_in_it(tmp_path: Path) -> None:
    environ = {"PALYRA_STATE_DIR": str(tmp_path / "palyra")}
    assert demo_dir(None, environ) == tmp_path / "palyra-demo"
    assert demo_dir(tmp_path / "x", environ) == tmp_path / "x"


async def test_a_directory_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    precious = tmp_path / "state" / "journal.db"
    precious.write_text("precious")
    with pytest.raises(StateError, match="no demo"):
        await prepare(tmp_path / "state", ManualClock(), random.Random(SEED))
    assert precious.read_text() == "precious"


async def test_its_history_is_sound_and_made_anew_at_every_start(tmp_path: Path) -> None:
    clock = ManualClock()
    for _ in range(2):
        installation = await prepare(tmp_path / "state", clock, random.Random(SEED))
        async with open_house(installation, clock, {}, serving=False) as house:
            control = control_of(house)
            answer = await control.ask(UsageQuery(clock.now_ms() - 4 * 86_400_000, clock.now_ms() + 1))
            assert answer.total.requests == RUNS
            assert {entry.key for entry in answer.breakdown} == {model.id for model in MODELS}
            assert sum(entry.numbers.cost_nano_usd for entry in answer.breakdown) == answer.total.cost_nano_usd > 0
            ledger = await control.ask(LedgerQuery())
            assert ledger.ok, ledger
            assert (await control.snapshot([])).engine.demo
            query = ReplayQuery(f"at-{clock.now_ms()}", since=clock.now_ms() - 4 * 86_400_000)
            as_it_was = await replay(control, query, SystemClock())
            assert (as_it_was.requests, as_it_was.differences) == (RUNS, 0)
            assert as_it_was.cost_before_nano_usd == as_it_was.cost_after_nano_usd == answer.total.cost_nano_usd
            assert as_it_was.recorded_since is not None
            tight = {"policy_id": "person-day", "scope_kind": "user", "interval_kind": "daily", "hard_limit": "0.05"}
            tried = await replay(control, replace(query, replay_id="tight", policies=(tight,)), SystemClock())
            assert tried.denied_after > 0
            assert 0 < tried.saved_nano_usd < answer.total.cost_nano_usd


async def test_its_clients_come_through_the_gateway_and_somebody_soon_needs_a_person(tmp_path: Path) -> None:
    clock, dice = SystemClock(), random.Random(SEED)
    installation = await prepare(tmp_path / "state", clock, dice)
    async with open_house(installation, clock, {}) as house:
        asked = asyncio.Event()

        def hear(event: Event) -> None:
            if event.kind == "approval.opened":
                asked.set()

        house.engine.events.subscribe(hear)
        traffic = asyncio.create_task(keep_asking(house.doors().gateway_url, make_keys(house), clock, dice))
        try:
            async with asyncio.timeout(60):
                await asked.wait()
            snapshot = await control_of(house).snapshot([Topic.APPROVALS, Topic.RUNS])
        finally:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
        assert snapshot.approvals_pending >= 1
        assert snapshot.approvals[0].policy_ids == ("research-hour",)
        assert {run.principal for run in snapshot.runs} >= {"jonas", "maria"}


async def test_its_guests_each_have_trouble_of_their_own(tmp_path: Path) -> None:
    clock, dice = SystemClock(), random.Random(SEED)
    async with guests_at_home(clock) as address:
        installation = await prepare(tmp_path / "state", clock, dice, address)
        async with open_house(installation, clock, {}) as house:
            asked = {one.provider_id: one for one in (await control_of(house).ask(ConnectionQuery())).tests}
            assert (asked["aurora"].state, asked["aurora"].found) == ("ok", 3)
            assert asked["northwind"].state == "endpoint_failed"
            assert asked["meridian"].state == "ok"
            control, quick, seen = control_of(house), ManualClock(), set[str]()
            url, keys = house.doors().gateway_url, make_keys(house)
            also = [guest.id for guest in GUESTS]
            traffic = asyncio.create_task(keep_asking(url, keys, quick, dice, also))
            try:
                async with asyncio.timeout(60):
                    while seen != {"breaker open", "credential resting", "another served", "incident", "jobs"}:
                        await quick.advance(0.5)
                        snapshot = await control.snapshot([Topic.RUNS, Topic.JOBS])
                        shown = {one.provider_id: one for one in snapshot.providers}
                        if any("warehouse-import" in one.subject for one in snapshot.incidents):
                            seen.add("incident")
                        if {"ticket digest", "build report"} <= {job.name for job in snapshot.jobs}:
                            seen.add("jobs")
                        if shown["northwind"].breaker.state == "open":
                            seen.add("breaker open")
                        if shown["tidewater"].credentials[0].state == "cooling_down":
                            seen.add("credential resting")
                        if any(run.state == "completed" and run.model_asked != run.model for run in snapshot.runs):
                            seen.add("another served")
            finally:
                traffic.cancel()
                await asyncio.gather(traffic, return_exceptions=True)


def control_of(house: House) -> LocalControl:
    return LocalControl(house.face, OperatorView("local", "admin", "owner"))
