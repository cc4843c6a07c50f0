"""The installations a configuration must answer for, one test each."""

from pathlib import Path

import pytest

from palyra.config.load import load_config
from palyra.config.model import LoadedConfig
from palyra.config.problem import Code, LayerName
from tests.config.loading import load, sound


def test_without_file_and_environment_everything_is_default(tmp_path: Path) -> None:
    result = load_config(None, {"HOME": str(tmp_path)}, system_file=tmp_path / "none.toml")
    assert result.config == LoadedConfig()
    assert (result.problems, result.warnings, result.path) == ((), (), None)
    assert len(result.origins) > 100
    assert {str(origin) for origin in result.origins.values()} == {"default"}


def test_three_mistakes_are_found_in_one_pass() -> None:
    result = load(
        """version = 1
        [gateway]
        bnid = "127.0.0.1:7142"
        [smart_routing]
        complexity_low = 1.7
        [providers.own]
        kind = "openai_compatible"
        base_url = "ftp://x"
        """
    )
    assert result.config is None
    assert [(problem.code, problem.key, problem.origin.line) for problem in result.problems] == [
        (Code.UNKNOWN_KEY, "gateway.bnid", 3),
        (Code.OUT_OF_RANGE, "smart_routing.complexity_low", 5),
        (Code.BAD_URL, "providers.own.base_url", 8),
    ]
    assert result.problems[0].suggestions == ("bind",)
    assert str(result.problems[0]) == 'palyra.toml:3 gateway.bnid: unknown key. Did you mean "bind"?'


def test_a_variable_that_is_no_number_is_named() -> None:
    (problem,) = load("", {"PALYRA_TASKS__CONCURRENCY": "seven"}).problems
    assert problem.code is Code.ENV_INVALID
    assert problem.key == "tasks.concurrency"
    assert "PALYRA_TASKS__CONCURRENCY" in str(problem)


def test_a_mistyped_variable_gets_the_right_one_suggested() -> None:
    (problem,) = load("", {"PALYRA_GATEWAY__BNID": "x"}).problems
    assert problem.code is Code.ENV_UNKNOWN
    assert problem.suggestions == ("PALYRA_GATEWAY__BIND",)


def test_the_environment_wins_over_the_file_and_says_what_it_shadows() -> None:
    result = load("version = 1\n[tasks]\nconcurrency = 8\n", {"PALYRA_TASKS__CONCURRENCY": "9"})
    assert result.config is not None
    assert result.config.tasks.concurrency == 9
    origin = result.origins["tasks.concurrency"]
    assert str(origin) == "env PALYRA_TASKS__CONCURRENCY"
    assert [str(shadow) for shadow in origin.shadows] == ["file:3", "default"]


def test_two_credentials_in_one_file_conflict_and_stay_secret() -> None:
    result = load(
        """version = 1
        [providers.own]
        kind = "anthropic"
        api_key = "sk-very-secret-1"
        api_key_vault_ref = "global/anthropic"
        """
    )
    (problem,) = result.problems
    assert (problem.code, problem.key, problem.origin.line) == (
        Code.CONFLICT,
        "providers.own.api_key_vault_ref",
        5,
    )
    assert "sk-very-secret-1" not in f"{result!r} {result.problems} {problem}"


def test_a_credential_of_the_environment_displaces_the_files() -> None:
    result = load(
        '[providers.own]\nkind = "anthropic"\napi_key_vault_ref = "global/anthropic"\n',
        {"PALYRA_PROVIDERS__OWN__API_KEY": "sk-very-secret-2"},
    )
    assert result.config is not None
    own = result.config.providers["own"]
    assert own.api_key is not None
    assert own.api_key.reveal() == "sk-very-secret-2"
    assert own.api_key_vault_ref is None
    origin = result.origins["providers.own.api_key"]
    assert str(origin) == "env PALYRA_PROVIDERS__OWN__API_KEY"
    shadow, default = origin.shadows
    assert (str(shadow), shadow.key) == ("file:4", "providers.own.api_key_vault_ref")
    assert default.layer is LayerName.DEFAULT


def test_a_file_without_version_loads_with_a_warning_and_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "palyra.toml"
    old = b"# mine\n[gateway]\nbind = '127.0.0.1:1' # here\n"
    file.write_bytes(old)
    result = load_config(file, {})
    assert result.config is not None
    assert (result.config.version, result.config.gateway.bind) == (1, "127.0.0.1:1")
    (warning,) = result.warnings
    assert warning.key == "version"
    assert file.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["palyra.toml"]


def test_a_newer_file_is_refused_and_its_keys_are_not_judged() -> None:
    (problem,) = load("version = 99\n[new_section]\nx = 1\n").problems
    assert (problem.code, problem.key, problem.origin.line) == (Code.VERSION_NEWER, "version", 1)
    assert "Upgrade Palyra" in str(problem)


def test_listening_off_loopback_without_tls_is_refused() -> None:
    (problem,) = load('[gateway]\nbind = "0.0.0.0:7142"\n').problems
    assert (problem.code, problem.key) == (Code.INSECURE_BIND, "gateway.bind")
    assert "tls_cert" in str(problem)
    assert "allow_remote" in str(problem)


def test_limits_the_wrong_way_round_and_an_id_used_twice() -> None:
    result = load(
        """version = 1
        [[budgets]]
        policy_id = "team"
        soft_limit = 12
        hard_limit = 10
        [[budgets]]
        policy_id = "team"
        hard_limit = 1
        """
    )
    conflict, duplicate = result.problems
    assert (conflict.code, conflict.key, conflict.origin.line) == (Code.CONFLICT, "budgets[0].soft_limit", 4)
    assert (duplicate.code, duplicate.key, duplicate.origin.line) == (
        Code.DUPLICATE_ID,
        "budgets[1].policy_id",
        7,
    )
    assert "palyra.toml:3" in duplicate.message


def test_a_nano_dollar_is_the_smallest_limit() -> None:
    (problem,) = load('[[budgets]]\npolicy_id = "x"\nhard_limit = 0.0000000001\n').problems
    assert (problem.code, problem.key) == (Code.PRECISION, "budgets[0].hard_limit")
    config = sound('[[budgets]]\npolicy_id = "x"\nhard_limit = 0.000000001\n')
    assert config.budgets[0].hard_limit == 1


@pytest.mark.parametrize("user_file", ["refused", "directory"])
def test_a_users_file_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_file: str
) -> None:
    system = tmp_path / "system.toml"
    system.write_text("version = 1\n[tasks]\nconcurrency = 2\n")
    user = tmp_path / "palyra" / "palyra.toml"
    user.parent.mkdir()
    if user_file == "directory":
        user.mkdir()
    else:
        user.write_text("version = 1\n")
        _refuse_opening(monkeypatch, user)
    result = load_config(None, {"XDG_CONFIG_HOME": str(tmp_path)}, system_file=system)
    assert result.config is None
    assert [problem.code for problem in result.problems] == [Code.UNREADABLE]
    assert str(user) in str(result.problems[0])
    assert result.path == user


def _refuse_opening(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """As mode 000 does for everybody but root."""
    import os

    real = os.open

    def refusing(opened: Path, *rest: int) -> int:
        if opened == path:
            raise PermissionError(13, "Permission denied")
        return real(opened, *rest)

    monkeypatch.setattr("palyra.config.paths.os.open", refusing)
