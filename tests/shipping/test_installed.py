"""Palyra installed from its wheel: every program runs, in a directory and a home that know nothing of the checkout."""

import json
import urllib.request
from pathlib import Path

import pytest

from palyra import __version__
from tests.shipping.installed import Installed


def test_commands_serve_answer_and_find_nothing_wrong(installed: Installed) -> None:
    assert installed.palyra("--version") == f"palyra {__version__}\n"
    installed.palyra("config", "init")
    installed.palyra("config", "check")
    with installed.serving() as facts:
        key = Path(facts["key_file"]).read_text().strip()
        body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hello"}]}).encode()
        request = urllib.request.Request(
            f"{facts['gateway_url']}/v1/chat/completions",
            body,
            {"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    assert "checks passed" in installed.palyra("doctor", "--strict")
    kept = {path.name for path in (installed.home / ".local/state/palyra").iterdir()}
    assert {"journal.db", "gateway-key.txt"} <= kept


@pytest.mark.parametrize("program", [("palyra-tui",), ("palyra", "demo")])
def test_a_console_opens_and_ends(installed: Installed, program: tuple[str, ...]) -> None:
    installed.at_a_terminal(*program, until="Triage", keys="q")
