"""`palyra config`: what it prints, what it writes, and its exit codes. Nothing of it needs an engine."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from palyra.cli import output
from palyra.cli.config import config_commands
from palyra.config.minimal import minimal_file
from palyra.main import Launcher

SECRET = "sk-very-secret-0123456789"
HOOK = "T0123456789ABCDEFGHIJ"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PALYRA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PALYRA_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "palyra.toml"
    path.write_text("version = 1\n[tasks]\nconcurrency = 8\n")
    return path


def run(*words: str) -> Result:
    result = CliRunner().invoke(config_commands(Launcher()), words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def told(*words: str, code: int = 0) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == code, result.output
    data = json.loads(result.stdout)
    assert data["schema_version"] == 1
    return data


def value(data: Any, key: str) -> Any:
    (found,) = [one for one in data["values"] if one["key"] == key]
    return found


# path


def test_every_place_is_told_and_which_is_chosen(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = tmp_path / "config" / "palyra" / "palyra.toml"
    data = told("path")
    assert data["candidates"][0] == {"source": "user", "path": str(user), "state": "missing"}
    assert [one["source"] for one in data["candidates"]] == ["user", "system"]
    user.parent.mkdir(parents=True)
    user.mkdir()
    data = told("path")
    assert (data["chosen"], data["candidates"][0]["state"]) == (str(user), "unreadable")
    data = told("path", "--config", str(file))
    assert data == {
        "schema_version": 1,
        "chosen": str(file),
        "candidates": [{"source": "--config", "path": str(file), "state": "readable"}],
    }
    assert run("path", "--config", str(file)).stdout.splitlines()[0] == str(file)
    monkeypatch.setenv("PALYRA_CONFIG", str(tmp_path / "gone.toml"))
    data = told("path", code=3)
    assert (data["chosen"], data["candidates"][0]["state"]) == (str(tmp_path / "gone.toml"), "missing")
    assert run("path", "--config", str(file)).exit_code == 0


# check


def test_all_problems_are_printed_at_once(file: Path) -> None:
    file.write_text(
        "version = 1\n[gateway]\nbnid = 'x'\n[smart_routing]\ncomplexity_low = 1.7\n"
        "[providers.own]\nkind = 'openai_compatible'\nbase_url = 'ftp://x'\n"
    )
    result = run("check", "--config", str(file))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == 'palyra.toml:3 gateway.bnid: unknown key. Did you mean "bind"?'
    assert [line.partition(" ")[0] for line in lines] == ["palyra.toml:3", "palyra.toml:5", "palyra.toml:8"]
    assert "3 problems" in result.stderr
    data = told("check", "--config", str(file), code=1)
    assert (data["ok"], data["config_path"]) == (False, str(file))
    assert [(one["code"], one["key"], one["origin"]) for one in data["problems"]] == [
        ("unknown_key", "gateway.bnid", "file:3"),
        ("out_of_range", "smart_routing.complexity_low", "file:5"),
        ("bad_url", "providers.own.base_url", "file:8"),
    ]
    assert data["problems"][0]["suggestions"] == ["bind"]


def test_a_sound_configuration_has_no_problems_and_warnings_are_none(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("check", "--config", str(file)).exit_code == 0
    assert run("check").exit_code == 0
    file.write_text("[tasks]\nconcurrency = 8\n")
    result = run("check", "--config", str(file))
    assert (result.exit_code, "no version" in result.stderr) == (0, True)
    monkeypatch.setenv("PALYRA_GATEWAY__BNID", "x")
    data = told("check", "--config", str(file), code=1)
    assert data["problems"][0]["suggestions"] == ["PALYRA_GATEWAY__BIND"]
    assert "Traceback" not in run("check", "--config", str(file)).output


def test_a_file_nobody_can_read_is_a_problem(tmp_path: Path) -> None:
    for path, code in (
        (tmp_path / "none.toml", "unreadable"),
        (tmp_path, "unreadable"),
        (Path("/dev/null"), "unreadable"),
    ):
        assert told("check", "--config", str(path), code=1)["problems"][0]["code"] == code


# show


def test_a_value_is_shown_with_its_origin_and_what_it_shadows(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALYRA_TASKS__CONCURRENCY", "9")
    data = told("show", "--config", str(file))
    assert value(data, "tasks.concurrency") == {
        "key": "tasks.concurrency",
        "value": 9,
        "origin": "env PALYRA_TASKS__CONCURRENCY",
        "shadows": ["file:3", "default"],
        "pending": None,
    }
    assert value(data, "gateway.idle_timeout")["value"] == "1m15s"
    assert value(data, "gateway.max_body")["value"] == "32MiB"
    assert value(data, "governance.on_unknown_price")["value"] == "flat:1.00"
    assert value(data, "approvals.max_grant_usd")["value"] is None
    assert data["engine"] is None
    assert len(data["values"]) > 100
    (line,) = [line for line in run("show", "--config", str(file)).stdout.splitlines() if "tasks.concurrency" in line]
    assert line.split() == ["tasks.concurrency", "9", "env", "PALYRA_TASKS__CONCURRENCY", "file:3,", "default"]


def test_a_person_sees_one_table_after_the_other_within_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "palyra.toml"
    path.write_text(
        "version = 1\n[tasks]\nconcurrency = 8\n[[budgets]]\npolicy_id = 'each-user'\nscope_kind = 'user'\n"
        "hard_limit = 5\n[[notifications.webhook]]\nname = 'ops'\n"
        f"url = 'https://a-very-long-name-of-a-host.in-some-domain.example/services/{'x' * 40}'\n"
    )
    monkeypatch.setattr(output, "_terminal_cells", lambda: 80)
    told = run("show", "--config", str(path), "--changed").stdout
    tables = [block.splitlines() for block in told.split("\n\n")]
    assert [lines[0].split()[0] for lines in tables] == ["key", "budgets[0]", "tasks", "notifications.webhook[0]"]
    assert tables[2] == ["tasks        value  from    shadows", "concurrency  8      file:3  default"]
    # A long value breaks its own table alone.
    assert [line.split()[0] for line in tables[1]] == ["budgets[0]", "policy_id", "scope_kind", "hard_limit"]
    assert not [line for line in told.splitlines() if len(line) > 80 and "https://" not in line]


def test_only_a_section_or_only_what_is_changed_is_shown(file: Path) -> None:
    data = told("show", "--config", str(file), "--section", "tasks")
    assert [one["key"] for one in data["values"]] == ["tasks.concurrency", "tasks.retention_days"]
    data = told("show", "--config", str(file), "--changed")
    assert [one["key"] for one in data["values"]] == ["version", "tasks.concurrency"]
    assert "at its default" in run("show", "--config", str(file), "--section", "vault", "--changed").stdout
    result = run("show", "--section", "gatewy")
    assert (result.exit_code, "Did you mean gateway?" in result.stderr) == (2, True)


def test_secrets_are_asterisks_wherever_they_come_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        f"version = 1\n[providers.one]\nkind = 'anthropic'\napi_key = '{SECRET}'\n"
        "[providers.two]\nkind = 'anthropic'\napi_key_vault_ref = 'global/two'\n"
        f"[[notifications.webhook]]\nname = 'ops'\nurl = 'https://hooks.example/services/{HOOK}'\n"
    )
    monkeypatch.setenv("PALYRA_PROVIDERS__TWO__API_KEY", f"{SECRET}-2")
    for words in (["show"], ["show", "--json"], ["check"], ["check", "--json"]):
        output = run(*words, "--config", str(file)).output
        assert SECRET not in output
        assert HOOK not in output
    data = told("show", "--config", str(file))
    assert value(data, "providers.one.api_key")["value"] == "********"
    shown = value(data, "providers.two.api_key")
    assert (shown["value"], shown["shadows"]) == ("********", ["file:7 (providers.two.api_key_vault_ref)", "default"])
    assert value(data, "notifications.webhook[0].url")["value"] == "https://hooks.example/services/********"
    file.write_text(file.read_text().replace("[providers.two]", f"api_key_vault_ref = '{SECRET}'\n[providers.two]"))
    for words in (["show"], ["show", "--json"], ["check"], ["check", "--json"]):
        result = run(*words, "--config", str(file))
        assert (result.exit_code, SECRET in result.output) == (1, False)


def test_a_broken_configuration_shows_its_problems(file: Path) -> None:
    file.write_text("version = 1\n[tasks\n")
    data = told("show", "--config", str(file), code=1)
    assert (data["values"], data["problems"][0]["code"]) == ([], "syntax")
    result = run("show", "--config", str(file))
    assert (result.exit_code, "palyra.toml:2" in result.stdout) == (1, True)


# migrate


def test_a_file_of_an_older_version_is_brought_forward_once(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    old = b"# mine\r\n[tasks] # here\r\nconcurrency = 3\r\n"
    path.write_bytes(old)
    data = told("migrate", "--config", str(path), "--dry-run")
    assert (data["changes"], data["written"], path.read_bytes()) == (["version = 1 added"], False, old)
    data = told("migrate", "--config", str(path))
    assert (data["from_version"], data["backup"]) == (0, f"{path}.bak.1")
    assert path.read_bytes() == b"version = 1\r\n\r\n" + old
    assert Path(data["backup"]).read_bytes() == old
    data = told("migrate", "--config", str(path))
    assert (data["changes"], data["backup"]) == ([], None)
    assert "nothing to do" in run("migrate", "--config", str(path)).stdout
    assert sorted(one.name for one in tmp_path.glob("old.toml*")) == ["old.toml", "old.toml.bak.1"]


@pytest.mark.parametrize("text", ["version = 99\n", "version = true\n", "version = \n"])
def test_what_cannot_be_migrated_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    assert run("migrate", "--config", str(path)).exit_code == 1
    assert (path.read_text(), [one.name for one in tmp_path.glob("odd*")]) == (text, ["odd.toml"])
    assert run("migrate", "--config", str(tmp_path / "none.toml")).exit_code == 1
    assert run("migrate").exit_code == 1


# init


def test_a_first_file_is_written_and_one_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    user = tmp_path / "config" / "palyra" / "palyra.toml"
    assert told("init") == {"schema_version": 1, "config_path": str(user), "backup": None}
    assert (user.read_bytes(), stat.S_IMODE(user.stat().st_mode)) == (minimal_file(), 0o600)
    assert told("path")["chosen"] == str(user)
    user.write_text("version = 1\n# mine\n")
    result = run("init")
    assert (result.exit_code, "--force" in result.stderr) == (1, True)
    assert user.read_text() == "version = 1\n# mine\n"
    data = told("init", "--force")
    assert Path(data["backup"]).read_text() == "version = 1\n# mine\n"
    assert user.read_bytes() == minimal_file()
    user.write_text("version = 99\n")
    assert run("init", "--force").exit_code == 1
    assert user.read_text() == "version = 99\n"


@pytest.mark.parametrize("words", [["show", "--sectoin", "x"], ["nonsense"], ["check", "extra"]])
def test_usage_errors_exit_with_two(words: list[str]) -> None:
    assert run(*words).exit_code == 2


HOSTILE: dict[str, bytes] = {
    "byte order mark": b"\xef\xbb\xbfversion = 1\n",
    "too large": b"version = 1\n#" + b"x" * 1024 * 1024,
    "nested too deeply": b"version = 1\nx = " + b"[" * 17 + b"]" * 17 + b"\n",
    "very deep": b"x = " + b"[" * 100_000,
    "a lone return": b"version = 1\r[tasks]\r",
    "no text": b"\xff\xfe\x00v",
    "zeros": b"\0" * 64,
    "cut off": b'version = 1\n[gateway]\nbind = "127.0.0.1',
    "many digits": b"version = " + b"9" * 6000,
    "escapes": b'version = 1\n"\\u001b]52;c;x\\u0007" = 1\n',
    "a duplicate": b"version = 1\nversion = 1\n",
}


@pytest.mark.parametrize("what", [*HOSTILE, "directory", "pipe", "device", "loop", "dangling link", "no permission"])
def test_whatever_lies_there_is_told_and_stays_as_it_is(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "palyra.toml"
    match what:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere" / "palyra.toml")
        case "no permission":
            path.write_text("version = 1\n")
            path.chmod(0)
            _forbid(monkeypatch, path)
        case _:
            path.write_bytes(HOSTILE[what])
    before = path.read_bytes() if what in HOSTILE else None
    for words in (["check"], ["show"], ["migrate"], ["path"], ["init"]):
        plain, data = run(*words, "--config", str(path)), run(*words, "--config", str(path), "--json")
        if words == ["init"] and what == "dangling link":
            # There is no file so far: one is written where the link leads.
            assert (plain.exit_code, data.exit_code) == (0, 1)
            continue
        expected = 1
        if words == ["path"]:
            expected = 3 if what == "dangling link" else 0
        elif words == ["migrate"] and what in ("nested too deeply", "escapes"):
            # What is wrong with these is not their version.
            expected = 0
        assert (plain.exit_code, data.exit_code) == (expected, expected), words
        assert "Traceback" not in plain.output + data.output
        assert "\x1b" not in plain.output + data.output
        if words in (["check"], ["show"]):
            assert json.loads(data.stdout)["problems"]
    if before is not None:
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["palyra.toml"]


def _forbid(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """As mode 000 does for everybody but root."""
    real = os.open

    def refusing(opened: Any, *rest: Any, **more: Any) -> int:
        if opened == path:
            raise PermissionError(13, "Permission denied")
        return real(opened, *rest, **more)

    def asked(about: Any, *rest: Any, **more: Any) -> bool:
        return os.fspath(about) != str(path) and allowed(about, *rest, **more)

    allowed = os.access
    monkeypatch.setattr("palyra.config.paths.os.open", refusing)
    monkeypatch.setattr(os, "access", asked)
