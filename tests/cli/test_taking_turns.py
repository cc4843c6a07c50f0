"""Two commands at once on one state directory: the one that comes second waits for the first."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from palyra import main
from palyra.cli.launch import Place
from palyra.control.access_queries import AccessQuery
from palyra.core.clock import SystemClock
from palyra.core.errors import StateError
from palyra.core.private_files import private_dir
from palyra.journal.lock import EngineLock


@pytest.fixture
def place(tmp_path: Path) -> Place:
    config = tmp_path / "palyra.toml"
    config.write_text("version = 1\n")
    config.chmod(0o600)
    return Place(config, private_dir(tmp_path / "state"))


def holding(place: Place) -> EngineLock:
    assert place.state_dir is not None
    lock = EngineLock(place.state_dir)
    lock.acquire()
    return lock


async def test_a_command_waits_for_the_engine_of_another_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = holding(place)
    waited: list[float] = []

    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            if seconds != main.PAUSE_S:
                await super().sleep(seconds)
                return
            waited.append(seconds)
            if len(waited) == 3:
                first.release()

    monkeypatch.setattr(main, "SystemClock", Clock)
    monkeypatch.setattr(main, "PAUSE_S", 0.123)
    async with AsyncExitStack() as stack:
        control = await main.engines_control(place, stack)
        assert [one.key_id for one in (await control.ask(AccessQuery())).keys] == ["default"]
        assert len(waited) == 3


async def test_one_that_stays_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "PAUSE_S", 0.0)
    first = holding(place)
    async with AsyncExitStack() as stack:
        with pytest.raises(StateError, match="already runs") as caught:
            await main.engines_control(place, stack)
    assert caught.value.code == "locked"
    first.release()
