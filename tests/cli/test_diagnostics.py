"""`palyra diagnostics` at an engine that runs, and where none does."""

import json
from pathlib import Path

import pytest

from palyra.config.load import load_config
from palyra.control.diagnostics_answers import diagnosis_json
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.local import LocalControl
from palyra.control.snapshots import OperatorView
from palyra.core.clock import ManualClock
from palyra.diagnostics.failure import Source
from palyra.diagnostics.section import NAMES
from palyra.engine import Installation
from palyra.house import open_house
from tests.cli.test_models_attached import Commands

CONFIG = """
version = 1
[gateway]
bind = "127.0.0.1:0"
[providers.bare]
kind = "anthropic"
api_key_env = "NOT_SET_ANYWHERE"
probe = false
[providers.house]
kind = "deterministic"
"""


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)


async def test_a_running_house_is_told_in_words_and_as_the_one_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "palyra.toml"
    path.write_text(CONFIG)
    loaded = load_config(path, {}, {})
    assert loaded.config is not None
    palyra = Commands(tmp_path)
    async with open_house(Installation(loaded.config, tmp_path / "state", path), ManualClock(), {}) as house:
        house.engine.diagnosing.failures.record(Source.JOB, "night\x1b[2Jly", "timeout", "too long")
        words = await palyra("diagnostics")
        assert words.startswith("degraded: Palyra ")
        assert "begins with provider:bare" in words
        assert "A provider has no credential that can be used. (bare)" in words
        assert "through provider:bare: model_provider, gateway" in words
        data = await palyra.json("diagnostics")
        assert list(data["sections"]) == list(NAMES)
        control = LocalControl(house.face, OperatorView("ada", "viewer", "uid"))
        own = diagnosis_json(await control.ask(DiagnosticsQuery()))
        assert data == json.loads(json.dumps(own))
        assert data["sections"]["vault"]["state"] == "disabled"
        part = await palyra.json("diagnostics", "--section", "observability", "--section", "disk,journal", "--fresh")
        assert list(part["sections"]) == ["observability", "journal", "disk"]
        (failure,) = part["sections"]["observability"]["data"]["recent_failures"]
        assert (failure["class"], failure["failure_class"]) == ("timeout", "product")
        assert "journal" in await palyra("diagnostics", "--section", "jornal", code=2)
    assert "palyra doctor" in await palyra("diagnostics", code=5)
