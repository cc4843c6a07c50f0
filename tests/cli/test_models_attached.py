"""`palyra models` and `palyra providers` at an engine that runs: everything passes over the operators' socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.config.load import load_config
from palyra.control.local import LocalControl
from palyra.control.remote import RemoteControl
from palyra.control.serving_queries import ConnectionQuery, SelectionQuery, ServingQuery
from palyra.control.snapshots import OperatorView
from palyra.core.clock import SystemClock
from palyra.core.errors import BadInputError, NotFoundError
from palyra.engine import Installation
from palyra.house import House, open_house
from palyra.main import Launcher
from palyra.providers.entries import ModelSource
from tests.support.model_lists import ModelLists

CONFIG = """
version = 1
[gateway]
bind = "127.0.0.1:0"
[cache]
enabled = true
[providers.acme]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key = "sk-test-attached-0001"
probe = false
[providers.house]
kind = "deterministic"
[[models]]
provider = "house"
upstream = "echo"
[[models]]
provider = "acme"
upstream = "m-1"
"""


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)


class Commands:
    """Runs commands in threads, as other processes would."""

    def __init__(self, directory: Path) -> None:
        self._places = ["--state-dir", str(directory / "state"), "--config", str(directory / "palyra.toml")]
        self._app = build_app(Launcher())

    async def __call__(self, *words: str, code: int = 0) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, self._app, [*words, *self._places])
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result.output

    async def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(await self(*words, "--json", code=code))


@asynccontextmanager
async def running(directory: Path, server: ModelLists) -> AsyncIterator[tuple[House, Commands]]:
    path = directory / "palyra.toml"
    await asyncio.to_thread(path.write_text, CONFIG.format(base=server.base_url))
    loaded = load_config(path, {})
    assert loaded.config is not None, loaded.problems
    async with open_house(Installation(loaded.config, directory / "state", path), SystemClock(), {}) as house:
        yield house, Commands(directory)


async def listed(house: House) -> None:
    """Until the engine has read the list of models by itself."""
    heard = asyncio.Event()
    leave = house.engine.events.subscribe(lambda event: heard.set() if event.kind == "provider.models" else None)
    if house.engine.care.discovery.of("acme").at is None:
        await heard.wait()
    leave()


async def test_lists_of_models_are_read_by_themselves_on_the_machines_own_clock(tmp_path: Path) -> None:
    async with ModelLists(["m-1", "m-7"]).serving() as server, running(tmp_path, server) as (house, _palyra):
        await listed(house)
        assert house.engine.registry.resolve("acme/m-7").source is ModelSource.DISCOVERY
        assert len(server.asked) == 1


async def test_an_engine_that_runs_answers_for_itself(tmp_path: Path) -> None:
    async with ModelLists(["m-1", "m-2"]).serving() as server, running(tmp_path, server) as (house, palyra):
        tested = await palyra.json("models", "test-connection", "--refresh")
        assert [(one["provider_id"], one["state"], one["found"]) for one in tested["tests"]] == [
            ("acme", "ok", 2),
            ("house", "ok", 1),
        ]
        status = await palyra.json("models", "status")
        assert (status["live"], status["ok"]) == (True, True)
        assert {one["provider_id"]: one["health"] for one in status["providers"]} == {"acme": "ok", "house": "ok"}
        assert status["cache"] == {"enabled": True, "ttl_ms": 30_000, "entries": 128, "kept": 0, "hits": 0, "misses": 0}
        assert "0 of 128 kept" in await palyra("models", "status")
        server.models.append("m-3")
        listed = {one["model_id"]: one for one in (await palyra.json("models", "list", "--refresh"))["models"]}
        assert listed["acme/m-3"]["source"] == "discovery"
        assert "acme lists 3 models" in await palyra("providers", "discover", "acme")
        assert (await palyra.json("providers", "show", "acme"))["provider"]["discovery"]["count"] == 3
        sent = await palyra.json("models", "test-connection", "--provider", "house", "--send")
        assert sent["tests"][0]["run_id"]
        assert house.engine.ledger.open_holds() == ()
        server.status = 401
        failed = await palyra("models", "test-connection", "--provider", "acme", "--refresh", code=1)
        assert "auth_failed" in failed
        assert "Set a valid credential" in failed
        assert "✖ acme" in await palyra("models", "status", code=1)
        assert (await palyra.json("providers", "discover", "acme", code=1))["providers"][0]["class"] == "auth_invalid"
        told = await palyra("models", "set", "--chat", "acme/m-1")
        assert "`palyra reload` applies it" in told
        assert (await palyra.json("models", "status", code=1))["defaults"]["chat"] == "house/echo"


async def test_the_same_is_told_here_and_over_the_socket(tmp_path: Path) -> None:
    async with ModelLists(["m-1"]).serving() as server, running(tmp_path, server) as (house, palyra):
        # What is told must not change between two questions.
        await listed(house)
        remote = RemoteControl(tmp_path / "state")
        own = LocalControl(house.face, OperatorView("ada", "admin", "uid"))
        try:
            asked = SelectionQuery("hello", at=house.engine.clock.now_ms() + 60_000, tags={"team": "a"})
            assert await remote.ask(asked) == await own.ask(asked)
            assert await remote.ask(ServingQuery()) == await own.ask(ServingQuery())
            test = (await remote.ask(ConnectionQuery("house"))).tests[0]
            assert test == (await own.ask(ConnectionQuery("house"))).tests[0]
            with pytest.raises(NotFoundError, match="no provider 'nobody'"):
                await remote.ask(ConnectionQuery("nobody"))
            with pytest.raises(NotFoundError, match='no model "nobody"'):
                await remote.ask(SelectionQuery("hello", model="nobody"))
            with pytest.raises(BadInputError, match="no task class"):
                await remote.ask(SelectionQuery("hello", task_class="chores"))
        finally:
            await remote.close()
        told = await palyra("models", "explain", "--prompt", "hello")
        assert "No engine runs" not in told
        assert "→" in told
