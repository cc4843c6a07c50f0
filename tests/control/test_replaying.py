"""Replays asked of every kind of control: followed, answered, cancelled, and refused in words."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from palyra.config.load import interpret
from palyra.control.codec import GarbledError, decode_query
from palyra.control.offline import offline_control
from palyra.control.remote import RemoteControl
from palyra.control.replaying import KEPT, ReplayDesk
from palyra.control.replays import (
    IDLE_S,
    Asking,
    CancelReplay,
    ReplayAnswer,
    ReplayAsk,
    ReplayProgress,
    ReplayProgressQuery,
    ReplayQuery,
    replay,
)
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import BadInputError, ConflictError, EngineGoneError, NotFoundError, PalyraError
from palyra.gateway.operators import OperatorsServer
from palyra.governance.policy_input import PolicyDefaults
from tests.replaying.busy import START, Busy

TIGHT = {"policy_id": "tight", "hard_limit": "0.001", "interval_kind": "daily", "scope_kind": "user"}


class Following(ManualClock):
    """A clock whose sleepers wait until a replay has ended."""

    def __init__(self, desk: ReplayDesk) -> None:
        super().__init__()
        self._desk = desk

    async def sleep(self, seconds: float) -> None:
        tasks = [running.task for running in self._desk._running.values()]
        if tasks:
            await asyncio.wait(tasks)


@asynccontextmanager
async def busy_house(directory: Path) -> AsyncIterator[Busy]:
    busy = Busy(directory / "state", 3)
    await busy.open()
    try:
        await busy.live(6)
        yield busy
    finally:
        await busy.close()


async def asked(control: Asking, desk: ReplayDesk, query: ReplayQuery) -> tuple[ReplayAnswer, list[ReplayProgress]]:
    heard: list[ReplayProgress] = []
    answer = await replay(control, query, Following(desk), heard.append)
    return answer, heard


async def test_every_control_answers_alike(tmp_path: Path) -> None:
    async with busy_house(tmp_path) as busy:
        face = busy.house.face
        query = ReplayQuery("local", (TIGHT,))
        here, heard = await asked(busy.control, face.replays, query)
        assert (heard[0].state, heard[-1].state) == ("running", "done")
        assert here.requests > 0
        assert here.denied_before < here.denied_after
        assert here.cost_after_nano_usd < here.cost_before_nano_usd
        assert here.saved_nano_usd == here.cost_before_nano_usd - here.cost_after_nano_usd
        bite = here.policies[0]
        assert (bite.policy_id, bite.added, bite.first_day) == ("tight", True, "2026-10-24")
        assert bite.refused == sum(one.refused for one in here.policies if one.added)
        changed = here.examples[0]
        assert changed.run_id
        assert changed.decision_id
        assert "Budget" in changed.reasons[0]
        as_it_was, _ = await asked(busy.control, face.replays, ReplayQuery("same"))
        assert (as_it_was.differences, as_it_was.saved_nano_usd) == (0, 0)
        assert as_it_was.recorded_since is not None
        assert as_it_was.recorded_since >= START
        server = OperatorsServer(busy.state_dir, busy.house.engine.access, busy.house.control_for, {})
        await server.open()
        remote = RemoteControl(busy.state_dir, environ={})
        try:
            there, _ = await asked(remote, face.replays, ReplayQuery("remote", (TIGHT,)))
        finally:
            await remote.close()
            await server.close()
        assert there == here
    loaded = interpret(b"version = 1", Path("palyra.toml"), {}, {})
    assert loaded.config is not None
    async with offline_control(loaded.config, busy.state_dir, None, ManualClock()) as offline:
        alone, _ = await asked(offline, offline._replays, ReplayQuery("offline", (TIGHT,)))
    assert alone.denied_after == here.denied_after
    assert alone.examples == here.examples


async def test_prices_are_tried_too(tmp_path: Path) -> None:
    free = {"provider": "*", "model": "*", "input": "0", "output": "0", "from": "2026-01-01"}
    async with busy_house(tmp_path) as busy:
        answer, _ = await asked(busy.control, busy.house.face.replays, ReplayQuery("free", pricing=(free,)))
        assert answer.cost_before_nano_usd > 0
        assert answer.cost_after_nano_usd == 0


async def test_what_cannot_be_tried_is_refused_all_at_once(tmp_path: Path) -> None:
    desk = ReplayDesk(tmp_path, PolicyDefaults(), ManualClock())
    bad = ReplayQuery(
        "bad",
        ({"policy_id": "a", "hard_limit": "-1", "timezone": "Prag"}, {"policy_id": "b"}, TIGHT, TIGHT),
        pricing=({"provider": "one", "model": "x", "input": "dear"}, {"provider": "one", "inptu": "1"}),
        since=2,
        until=1,
    )
    with pytest.raises(BadInputError) as refused:
        await desk.ask(bad)
    for part in (
        "budgets[0].hard_limit",
        "budgets[0].timezone",
        "budgets[1].hard_limit",
        "'tight' is used twice",
        "pricing[0]: input",
        "pricing[1]: inptu",
        "pricing[1]: inptu: a price has no such field. model",
        "until",
    ):
        assert part in str(refused.value)
    with pytest.raises(NotFoundError):
        await desk.ask(ReplayProgressQuery("bad"))


async def test_a_replay_is_cancelled_by_asking_and_by_leaving(tmp_path: Path) -> None:
    async with busy_house(tmp_path) as busy:
        control, desk = busy.control, busy.house.face.replays
        await control.ask(ReplayQuery("one"))
        assert (await control.ask(CancelReplay("one"))).state == "cancelled"
        assert (await control.ask(ReplayProgressQuery("one"))).state == "cancelled"
        with pytest.raises(ConflictError):
            await control.ask(ReplayQuery("one"))
        follower = asyncio.create_task(replay(control, ReplayQuery("two"), ManualClock()))
        while "two" not in desk._running:
            await settle_loop()
        follower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follower
        assert (await control.ask(ReplayProgressQuery("two"))).state == "cancelled"


class _Leaving:
    """A control whose engine goes while a replay is followed."""

    async def ask(self, query: ReplayAsk) -> ReplayProgress:
        if isinstance(query, ReplayQuery):
            return ReplayProgress(query.replay_id, "running")
        raise EngineGoneError("No engine is running.", fix="")


async def test_leaving_a_replay_whose_engine_is_gone_is_leaving_all_the_same() -> None:
    clock = ManualClock()
    work = asyncio.create_task(replay(_Leaving(), ReplayQuery("one"), clock))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.wait([work])
    assert work.cancelled()


async def test_a_replay_nobody_asks_about_is_ended_and_few_run_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    desk = ReplayDesk(tmp_path, PolicyDefaults(), clock)
    tasks = []
    for name in ("one", "two"):
        await desk.ask(ReplayQuery(name))
        tasks.append(desk._running[name].task)
    with pytest.raises(ConflictError):
        await desk.ask(ReplayQuery("three"))
    clock.tick(IDLE_S)
    await asyncio.wait(tasks)
    for task in tasks:
        assert task.done()
    for name in ("one", "two"):
        assert (await desk.ask(ReplayProgressQuery(name))).state in ("cancelled", "failed")
    await desk.close()
    assert len(desk._ended) <= KEPT


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (-1, None, "since: -1 is outside the years 1970 to 9999"),
        (0, 10**18, "until: 1000000000000000000 is outside the years 1970 to 9999"),
        (10**30, -5, "since: 1000000000000000000000000000000 is outside"),
        (7, 7, "until: a period ends after it starts."),
        (8, 7, "until: a period ends after it starts."),
    ],
)
async def test_periods_that_never_were_are_refused(tmp_path: Path, since: int, until: int | None, told: str) -> None:
    desk = ReplayDesk(tmp_path, PolicyDefaults(), ManualClock())
    with pytest.raises(BadInputError, match=told):
        await desk.ask(ReplayQuery("never", since=since, until=until))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "0.5", '"soon"', "null"])
def test_a_period_that_is_no_number_crosses_no_socket(number: str) -> None:
    with pytest.raises(GarbledError, match="since"):
        decode_query(f'{{"kind": "replay", "replay_id": "x", "since": {number}}}'.encode())


async def test_what_a_worker_said_before_it_died_is_told_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = "import sys; sys.exit('early\\n' * 9999 + 'MemoryError: ' + 'Bearer ' + 'q' * 40)"
    monkeypatch.setattr("palyra.control.replaying.PROGRAM", (sys.executable, "-c", died))
    desk = ReplayDesk(tmp_path, PolicyDefaults(), ManualClock())
    with pytest.raises(PalyraError) as failed:
        await replay(desk, ReplayQuery("died"), Following(desk))
    assert "its process ended with status 1 and gave no answer; it said: early / early / MemoryError: " in str(
        failed.value
    )
    assert "qqqq" not in str(failed.value)
    monkeypatch.setenv("ACME_CREDENTIAL", "canary-of-the-environment")
    looking = "import os, sys; sys.exit(f'it sees {sorted(os.environ.values())}')"
    monkeypatch.setattr("palyra.control.replaying.PROGRAM", (sys.executable, "-c", looking))
    with pytest.raises(PalyraError, match="it said: it sees") as seen:
        await replay(desk, ReplayQuery("looking"), Following(desk))
    assert "canary" not in str(seen.value)
    killed = "import os; os.kill(os.getpid(), 9)"
    monkeypatch.setattr("palyra.control.replaying.PROGRAM", (sys.executable, "-c", killed))
    with pytest.raises(PalyraError, match=r"its process was killed by signal 9 and gave no answer\.?$"):
        await replay(desk, ReplayQuery("killed"), Following(desk))


async def test_a_failure_is_told_in_words(tmp_path: Path) -> None:
    desk = ReplayDesk(tmp_path, PolicyDefaults(), ManualClock())
    with pytest.raises(PalyraError, match="no journal"):
        await replay(desk, ReplayQuery("lost"), Following(desk))
