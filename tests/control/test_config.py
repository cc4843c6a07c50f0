"""How a configuration stands, asked of an engine and of a journal without one."""

from pathlib import Path

from palyra.config.load import Sources
from palyra.control.commands import Reload
from palyra.control.config_queries import ConfigAnswer, ConfigQuery
from palyra.control.local import Doors, EngineFace, LocalControl
from palyra.control.offline import offline_control
from palyra.control.snapshots import OperatorView
from palyra.core.clock import ManualClock
from palyra.engine import Engine, Installation
from tests.config.loading import sound


async def test_without_an_engine_nothing_waits_and_nothing_is_reloaded(tmp_path: Path) -> None:
    file = tmp_path / "palyra.toml"
    async with offline_control(sound(""), tmp_path / "state", file, ManualClock()) as control:
        assert await control.ask(ConfigQuery()) == ConfigAnswer(live=False, path=str(file), version=1)
        refused = await control.send(Reload())
        assert (refused.status, refused.ok) == ("denied", False)


async def test_an_engine_tells_what_its_file_says_by_now(tmp_path: Path) -> None:
    file, clock = tmp_path / "palyra.toml", ManualClock()
    file.write_text("version = 1\n")
    sources = Sources(file, {"PALYRA_TASKS__CONCURRENCY": "5"}, {"gateway.bind": "127.0.0.1:0"})
    config = sources.load().config
    assert config is not None
    engine = await Engine.open(Installation(config, tmp_path / "state", file, sources=sources), clock, {})
    try:
        face = EngineFace(engine, Doors)
        await face.begin()
        control = LocalControl(face, OperatorView("ada", "admin", "uid"))
        # The environment and the command line it was started with count on.
        first = await control.ask(ConfigQuery())
        assert (first.live, first.path, first.waiting, first.reloaded_at) == (True, str(file), {}, None)
        file.write_text("[runs]\nslice_tokens = 64\n[tasks]\nconcurrency = 8\n[gateway]\nbind = '127.0.0.1:1'\n")
        second = await control.ask(ConfigQuery())
        assert second.waiting == {"runs.slice_tokens": "reload"}
        assert [one.key for one in second.warnings] == ["version"]
        assert (await control.send(Reload())).data["applied"] == "runs"
        assert (await control.snapshot([])).engine.config_path == str(file)
        file.unlink()
        gone = await control.ask(ConfigQuery())
        assert ([one.code for one in gone.problems], gone.waiting, gone.reload_ok) == (["unreadable"], {}, True)
        assert (await control.send(Reload())).code == "config_invalid"
        assert engine.config.runs.slice_tokens == 64
    finally:
        await engine.close()
