"""`palyra models` and `palyra providers` on installations of their own, without an engine running."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.main import Launcher

CONFIG = """
version = 1 # ours
[providers.house]
kind = "deterministic"
[providers.spare]
kind = "anthropic"
enabled = false
[[models]]
provider = "house"
upstream = "large"
aliases = ["big"]
[[models]]
provider = "house"
upstream = "small"
[[models]]
provider = "house"
upstream = "vectors"
role = "embeddings"
[[models]]
provider = "house"
upstream = "gone"
enabled = false
[[pricing]]
provider = "house"
model = "large"
input = "2.50"
output = "10"
"""


class Shell:
    """Runs commands on one installation."""

    def __init__(self, directory: Path, config: str | None) -> None:
        self.config = directory / "palyra.toml"
        self._places = ["--state-dir", str(directory / "state")]
        if config is not None:
            self.config.write_text(config)
            self._places += ["--config", str(self.config)]
        self._app = build_app(Launcher())

    def __call__(self, *words: str, code: int = 0, given: str | None = None) -> str:
        result = CliRunner().invoke(self._app, [*words, *self._places], input=given)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result.output

    def json(self, *words: str, code: int = 0, given: str | None = None) -> Any:
        return json.loads(self(*words, "--json", code=code, given=given))


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, CONFIG)


def test_at_a_first_start_the_deterministic_provider_is_ok(tmp_path: Path) -> None:
    first = Shell(tmp_path, None)
    told = first.json("models", "status")
    assert (told["ok"], told["live"], told["issues"]) == (True, False, [])
    assert [(one["provider_id"], one["health"]) for one in told["providers"]] == [("deterministic", "ok")]
    assert told["defaults"] == {"chat": "deterministic/echo", "embeddings": "deterministic/embed"}
    text = first("models", "status")
    assert text.startswith("No engine runs here")
    assert "no issues" in text


def test_an_issue_is_told_and_ends_in_one(tmp_path: Path) -> None:
    bare = Shell(tmp_path, 'version = 1\n[providers.acme]\nkind = "anthropic"\napi_key_env = "NO_SUCH_KEY_HERE"\n')
    told = bare.json("models", "status", code=1)
    assert {issue["subject"] for issue in told["issues"]} == {"acme", "defaults.chat"}
    assert "NO_SUCH_KEY_HERE" in bare("models", "status", code=1)


def test_models_are_listed_by_provider_and_role(shell: Shell) -> None:
    listed = {one["model_id"]: one for one in shell.json("models", "list")["models"]}
    assert list(listed) == ["house/large", "house/small", "house/vectors", "house/gone"]
    large = listed["house/large"]
    assert (large["input_usd"], large["output_usd"], large["is_default"]) == ("2.5", "10", True)
    assert (large["source"], large["capabilities"], large["aliases"]) == (
        "config",
        ["streaming", "json", "responses"],
        ["big"],
    )
    assert listed["house/gone"]["enabled"] is False
    chosen = shell.json("models", "list", "--provider", "house", "--role", "embeddings")["models"]
    assert [one["model_id"] for one in chosen] == ["house/vectors"]
    assert "disabled" in shell("models", "list")
    assert "audio_transcription" in shell("models", "list", "--role", "audio", code=2)
    assert "There is no provider 'nobody'" in shell("models", "list", "--provider", "nobody", code=3)
    assert "nobody to ask" in shell("models", "list", "--refresh")


def test_a_prompt_is_explained_with_all_that_decided(shell: Shell) -> None:
    told = shell.json(
        "models",
        "explain",
        "--prompt",
        "-",
        "--json-mode",
        "--max-tokens",
        "50",
        "--tag",
        "team=a",
        given="analyze the security of this",
    )
    assert told["score"] == pytest.approx(0.3, abs=0.03)
    assert told["parts"]["json"] == 0.2
    assert told["candidates"][0]["model_id"] == told["actual_model"]
    assert {one["model_id"] for one in told["candidates"]} == {"house/large", "house/small"}
    assert (told["action"], told["live"], told["bound_output"]) == ("degrade", False, 50)
    text = shell("models", "explain", "--prompt", "hello", "--model", "big", "--vision")
    assert "house/large" in text
    assert "capability_missing" in text
    assert "passed over" in text
    assert "NAME=VALUE" in shell("models", "explain", "--tag", "x", code=2)
    assert "--at" in shell("models", "explain", "--at", "soon", code=2)
    assert "no model" in shell("models", "explain", "--model", "nobody", code=3)


def test_connections_are_tested_by_an_engine_of_their_own(shell: Shell) -> None:
    told = shell.json("models", "test-connection")
    assert told["ok"] is True
    assert {one["provider_id"]: one["state"] for one in told["tests"]} == {"house": "ok", "spare": "disabled"}
    sent = shell.json("models", "test-connection", "--model", "house/small", "--send")
    assert (sent["tests"][0]["state"], sent["tests"][0]["model_id"]) == ("ok", "house/small")
    assert shell.json("usage")["total"]["requests"] == 1
    text = shell("models", "test-connection", "--provider", "spare", code=1)
    assert "spare: disabled" in text
    assert "enabled = true" in text


def test_defaults_are_written_into_the_file(shell: Shell) -> None:
    told = shell.json("models", "set", "--chat", "house/small", "--embeddings", "house/vectors")
    assert told["defaults"] == {"chat": "house/small", "embeddings": "house/vectors"}
    assert (told["reload_needed"], told["warnings"]) == (False, [])
    written = shell.config.read_text()
    assert written.startswith(CONFIG)
    assert tomllib.loads(written)["defaults"] == {"chat": "house/small", "embeddings": "house/vectors"}
    assert shell.json("models", "status")["defaults"]["chat"] == "house/small"
    assert "The next start reads it" in shell("models", "set", "--chat", "big")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--chat ID"),
        (("--chat", "house/larg"), 3, "Did you mean house/large?"),
        (("--chat", "house/vectors"), 2, "is for embeddings"),
        (("--chat", "house/gone"), 2, "switched off"),
    ],
)
def test_what_cannot_be_a_default_is_refused(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in shell("models", "set", *words, code=code)
    assert shell.config.read_text() == CONFIG


def test_without_a_file_there_is_nothing_to_write_to(tmp_path: Path) -> None:
    assert "no configuration file" in Shell(tmp_path, None)("models", "set", "--chat", "deterministic/echo", code=2)


def test_providers_are_listed_and_shown(shell: Shell) -> None:
    listed = shell.json("providers", "list")
    assert [(one["provider_id"], one["health"], one["models"]) for one in listed["providers"]] == [
        ("house", "ok", 3),
        ("spare", "disabled", 0),
    ]
    shown = shell.json("providers", "show", "house")
    assert shown["provider"]["provider_id"] == "house"
    assert len(shown["models"]) == 4
    assert "health       ok" in shell("providers", "show", "house")
    assert "There are house, spare" in shell("providers", "show", "hous", code=3)
    assert shell.json("providers", "discover") == {"providers": []}
    assert "is not asked for models" in shell("providers", "discover", "house", code=1)
