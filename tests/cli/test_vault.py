"""`palyra vault`, `auth`, `keys` and `access operators`, with an engine started for each command alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from palyra.cli.app import build_app
from palyra.cli.vault import MOST_READ
from palyra.core import redact
from palyra.main import Launcher

CONFIG = """
version = 1
[gateway]
bind = "127.0.0.1:0"
[providers.acme]
kind = "openai_compatible"
base_url = "http://127.0.0.1:9/v1"
auth_profiles = ["first"]
probe = false
discover = false
[[models]]
provider = "acme"
upstream = "m"
"""
SECRET = "canary-of-the-command-line"


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_known", redact.KnownSecrets())
    for name in ("PALYRA_VAULT_KEY", "PALYRA_OPERATOR", "SSH_USER_AUTH", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)


class Shell:
    def __init__(self, home: Path) -> None:
        self.state = home / "state"
        self.config = home / "palyra.toml"
        self.config.write_text(CONFIG)
        self.config.chmod(0o600)

    def __call__(self, *words: str, typed: str = "", code: int = 0) -> Result:
        place = ["--config", str(self.config), "--state-dir", str(self.state)]
        result = CliRunner().invoke(build_app(Launcher()), [*words, *place], input=typed)
        assert result.exit_code == code, result.output
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").stdout)


def test_a_secret_is_read_from_standard_input_and_told_only_when_it_is_asked_for(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert "absent" in shell("vault", "status").stdout
    assert shell("vault", "set", "global/acme", typed=f"{SECRET}\n").stdout == "global/acme is kept.\n"
    listed = shell("vault", "list")
    assert "global/acme" in listed.stdout
    assert SECRET not in listed.output
    assert "ok" in shell("vault", "status").stdout
    assert SECRET not in shell("vault", "get", "global/acme", code=2).output
    assert shell("vault", "get", "global/acme", "--reveal").stdout == f"{SECRET}\n"
    shell("vault", "set", "global/pem", typed=f"-----BEGIN-----\n{SECRET}\n-----END-----\n")
    assert shell("vault", "get", "global/pem", "--reveal").output == f"-----BEGIN-----\n{SECRET}\n-----END-----\n"
    shell("vault", "delete", "global/pem")
    before = shell.json("vault", "status")["key_id"]
    shell("vault", "rotate")
    status = shell.json("vault", "status")
    assert (status["state"], status["entries"], status["key_id"] != before) == ("ok", 1, True)
    assert shell.json("vault", "get", "global/acme", "--reveal") == {"ref": "global/acme", "text": SECRET}
    assert "--json" not in shell("vault", "get", "global/acme", "--reveal").stderr
    odd = "one\ttwo\x1b[31m\nthree"
    shell("vault", "set", "global/acme", typed=odd)
    shown = shell("vault", "get", "global/acme", "--reveal")
    assert ("\x1b" in shown.output, "--json" in shown.stderr) == (False, True)
    assert shell.json("vault", "get", "global/acme", "--reveal")["text"] == odd
    shell("vault", "delete", "global/acme")
    shell("vault", "get", "global/acme", "--reveal", code=1)
    assert "no vault reference" in shell("vault", "set", "acme", typed=SECRET, code=2).stderr
    assert f"has {MOST_READ}" in shell("vault", "set", "global/acme", typed="x" * (MOST_READ + 9), code=2).stderr
    # An argument is no place for a secret.
    shell("vault", "set", "global/acme", SECRET, code=2)


def test_a_vault_is_given_up_by_who_types_how_much(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell("vault", "set", "global/acme", typed=SECRET)
    (shell.state / "vault" / "vault.key").write_text("A" * 43)
    assert "1 secret cannot be read" in shell("vault", "status", code=1).stderr
    shell("vault", "abandon", typed="2\n", code=4)
    assert "given up with 1 secret" in shell("vault", "abandon", typed="1\n").stdout
    assert shell.json("vault", "status")["state"] == "absent"


def test_profiles_are_added_listed_and_removed(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell("auth", "list").stdout == "There is no auth profile.\n"
    shell("auth", "add", "first", "--provider", "acme", "--vault-ref", "global/acme")
    assert "missing" in shell("auth", "list").stdout
    assert "global/acme" in shell("vault", "status").stderr
    shell("vault", "set", "global/acme", typed=SECRET)
    (row,) = shell.json("auth", "list")["profiles"]
    assert (row["state"], row["bucket"], row["provider_uses"]) == ("eligible", "no_expiry", True)
    assert "eligible" in shell("auth", "clear", "first").stdout
    shell("auth", "clear", "second", code=3)
    shell("auth", "add", "x", "--provider", "acme", "--vault-ref", "global/x", "--type", "cookie", code=2)
    shell("auth", "remove", "first")
    shell("auth", "remove", "first", code=3)


def test_keys_and_operators_are_added_changed_and_ended(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    made = shell(
        "keys", "add", "ci", "--principal", "bot", "--model", "acme/*", "--tag", "team=red", "--expires", "30d"
    )
    assert made.stdout.startswith("plk_ci_")
    assert "bot" in made.stderr
    shell("keys", "set", "ci", "--disable", "--clear", "models")
    row = {one["key_id"]: one for one in shell.json("keys", "list")["keys"]}["ci"]
    assert (row["state"], row["allowed_models"], row["tags"]) == ("disabled", [], ["team=red"])
    shell("keys", "revoke", "ci")
    assert "revoked" in shell("keys", "list").stdout
    shell("keys", "set", "ci", "--clear", "hash", code=2)
    assert "Nobody is registered" in shell("access", "operators", "list").stderr
    shell("access", "operators", "add", "ana", "--role", "approver", "--identity", "unix:ana")
    shell("access", "operators", "set", "ana", "--disable")
    listed = shell.json("access", "operators", "list")["operators"]
    assert [(one["role"], one["enabled"]) for one in listed] == [("admin", True), ("approver", False)]
    owner = listed[0]["operator_id"]
    assert "last enabled admin" in shell("access", "operators", "remove", owner, code=4).stderr
    shell("access", "operators", "set", "ana", "--enable", "--identity", f"unix:{owner}")
    for who, words, code in (
        ((), "--operator or PALYRA_OPERATOR", 1),
        (("--operator", "ana"), "ana is approver; this needs the role admin", 1),
        (("--operator", "carol"), "carol is no operator", 1),
        (("--operator", owner), "", 0),
    ):
        assert words in shell(*who, "vault", "set", "global/acme", typed=SECRET, code=code).stderr
    shell("--operator", owner, "access", "operators", "remove", "ana")
    shell("access", "operators", "add", "bob", "--role", "king", code=2)
