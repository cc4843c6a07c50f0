"""A secret in a configuration leaves by none of the commands about it, whatever is wrong with the file."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from palyra.cli.config import config_commands
from palyra.main import Launcher

KEY = "Zq3vX8pL0dKf2hJw9sRt"
"""Of no known form: nothing but its place says that it is secret. Each file has one of its own, since one that was read
as a secret is known as one from then on."""
PROVIDER = '[providers.own]\nkind = "openai_compatible"\n'
HOOK = '[[notifications.webhook]]\nname = "ops"\n'
PROBE = '[[probes]]\nid = "web"\n'

FILES = {
    "inline": f'{PROVIDER}api_key = "{KEY}"\n',
    "of a wrong type": f'{PROVIDER}api_key = ["{KEY}"]\n',
    "twice": f'{PROVIDER}api_key = "{KEY}"\napi_key = "{KEY}"\n',
    "beside another": f'{PROVIDER}api_key = "{KEY}"\napi_key_env = "{KEY}"\n',
    "instead of a name": f'{PROVIDER}api_key_env = "{KEY}!"\n',
    "instead of a reference": f'{PROVIDER}api_key_vault_ref = "{KEY}"\n',
    "instead of a profile": f'{PROVIDER}auth_profiles = ["{KEY}"]\n',
    "open": f'{PROVIDER}api_key = "{KEY}\n',
    "bare": f"{PROVIDER}api_key = {KEY}\n",
    "of a misspelled key": f'{PROVIDER}api_kye = "{KEY}"\n',
    "before what is broken": f'{PROVIDER}api_key = "{KEY}"\n[gateway\n',
    "after what is broken": f'[gateway\n{PROVIDER}api_key = "{KEY}"\n',
    "before what is no text": f'{PROVIDER}api_key = "{KEY}" # \xff\n',
    "deep": f'{PROVIDER}api_key = {"[" * 20}"{KEY}"{"]" * 20}\n',
    "in an address": f'{PROVIDER}base_url = "https://ana:{KEY}@x.example/v1"\n',
    "in a query": f'{PROVIDER}base_url = "https://x.example/v1?key={KEY}"\n',
    "in a path": f'{PROVIDER}base_url = "https://x.example/{KEY}/v1"\n',
    "in the path of a webhook": f'{HOOK}url = "https://x.example/{KEY}"\n',
    "in the query of a webhook": f'{HOOK}url = "https://x.example/?t={KEY}"\n',
    "in the reference of a webhook": f'{HOOK}url = "https://x.example"\nsecret_ref = "{KEY}"\n',
    "in the path of a probe": f'{PROBE}target = "https://x.example/{KEY}"\n',
    "in the address of a probe": f'{PROBE}target = "https://ana:{KEY}@x.example"\n',
    "in the query of a probe": f'{PROBE}target = "https://x.example/?t={KEY}"\n',
    "in a probe of another kind": f'{PROBE}target = "https://x.example/?t={KEY}"\nkind = "tcp"\n',
    "in a probe that is none": f'{PROBE}target = ["https://x.example/?t={KEY}"]\n',
    "copied elsewhere": f'{PROVIDER}api_key = "{KEY}"\nauth_scheme = "{KEY}"\n[console]\ntheme = "{KEY}"\n',
}
VARIABLES = {
    "PALYRA_PROVIDERS__OWN__API_KEY": KEY,
    "PALYRA_PROVIDERS__OWN__API_KEY_ENV": f"{KEY}!",
    "PALYRA_PROVIDERS__OWN__API_KEY_VAULT_REF": KEY,
    "PALYRA_PROVIDERS__OWN__AUTH_PROFILES": f"[{KEY}",
    "PALYRA_PROVIDERS__OWN__API_KYE": KEY,
    "PALYRA_PROVIDERS__OWN__BASE_URL": f"https://ana:{KEY}@x.example",
    "PALYRA_API_KEY": KEY,
}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PALYRA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PALYRA_STATE_DIR", str(tmp_path / "state"))


COMMANDS = ("check", "check --json", "show --json", "migrate", "init")


def leaks(path: Path, secret: str) -> list[str]:
    """The commands whose output, or error, holds the secret."""
    found = []
    for words in COMMANDS:
        result = CliRunner().invoke(config_commands(Launcher()), [*words.split(), "--config", str(path)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        if secret in result.output:
            found.append(words)
    return found


def test_a_secret_of_the_file_is_never_printed(tmp_path: Path) -> None:
    path = tmp_path / "palyra.toml"
    told = {}
    for number, (name, text) in enumerate(FILES.items()):
        secret = f"{KEY}{number:02}"
        version = "version = 1\n" if number % 2 else ""
        path.write_bytes(f"{version}{text.replace(KEY, secret)}".encode("latin-1"))
        if found := leaks(path, secret):
            told[name] = found
    assert told == {}


def test_a_secret_of_the_environment_is_never_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "palyra.toml"
    path.write_text(f"version = 1\n{PROVIDER}")
    told = {}
    for number, (name, text) in enumerate(VARIABLES.items()):
        secret = f"{KEY}e{number}"
        with monkeypatch.context() as patch:
            patch.setenv(name, text.replace(KEY, secret))
            if found := leaks(path, secret):
                told[name] = found
    assert told == {}
