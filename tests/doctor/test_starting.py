"""The doctor starts where nothing else does: without the engine, without the loader, whatever is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from palyra.doctor.surroundings import REQUIRED

ROOT = Path(__file__).parents[2]
TRUNCATED = 'version = 1\n\n[gateway\nbind = "x'

AT_ONCE = """
import sys
import palyra.cli.doctor
loaded = [name for name in sys.modules if name.startswith(("palyra.engine", "palyra.house", "palyra.config.load",
    "palyra.config.model", "pydantic", "aiohttp", "textual", "sqlite3"))]
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""

WITHOUT = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
from palyra.cli.doctor import run
code = run({arguments!r})
assert not [name for name in sys.modules if name.startswith(("palyra.engine", "palyra.house", "textual"))]
sys.exit(code)
"""


def environ(root: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(root), "XDG_CONFIG_HOME": str(root / "config")}


def doctor(root: Path, *arguments: str, missing: tuple[str, ...] = ()) -> tuple[dict[str, Any], int]:
    """The document of a process of its own, and its exit code. Without limits, however slow this machine is."""
    given = [*arguments, "--json", "--deep", "--state-dir", str(root / "state")]
    program = WITHOUT.format(missing=missing, arguments=given)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, cwd=ROOT, env=environ(root), check=False
    )
    assert done.stderr == b""
    return json.loads(done.stdout), done.returncode


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in document["checks"]}


def test_it_is_there_before_engine_loader_and_database() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, cwd=ROOT, check=False)
    assert done.stderr.decode() == ""
    assert done.returncode == 0


def test_where_there_is_nothing_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    document, code = doctor(tmp_path, "--strict")
    assert code == 0
    assert {one["check"] for one in document["findings"]} == {"state.directory", "config.found"}
    assert list(tmp_path.iterdir()) == []


def test_with_a_broken_configuration_and_no_usable_state_it_tells_both(tmp_path: Path) -> None:
    (tmp_path / "config/palyra").mkdir(parents=True)
    (tmp_path / "config/palyra/palyra.toml").write_text(TRUNCATED)
    (tmp_path / "state").write_bytes(b"")
    document, code = doctor(tmp_path, "--strict")
    assert code == 1
    blocking = {one["check"] for one in document["findings"] if one["severity"] == "blocking"}
    assert {"state.directory", "config.syntax"} <= blocking
    assert "error" not in statuses(document).values()


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        (("palyra.config.load",), "config.values"),
        (("typer", "pydantic"), "config.values"),
        (("typer", "aiosqlite", "tomlkit", "httpx"), "journal.open"),
        (("sqlite3", "_sqlite3", "cryptography"), "env.sqlite"),
    ],
)
def test_what_cannot_be_loaded_costs_only_the_checks_that_need_it(
    missing: tuple[str, ...], error: str, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/journal.db").write_bytes(b"")
    (tmp_path / "state/journal.db").chmod(0o644)
    document, code = doctor(tmp_path, "--strict", missing=missing)
    assert code == 1
    told = statuses(document)
    assert told[error] == "error"
    assert told["state.directory"] == "pass"
    assert told["state.permissions"] == "fail"
    assert told["config.found"] == "fail"


def test_flags_nobody_knows_give_a_document_too(tmp_path: Path) -> None:
    document, code = doctor(tmp_path, "--repiar")
    assert code == 2
    assert document["error"]["code"] == "usage"
    assert "--repiar" in document["error"]["message"]


def test_the_command_of_the_whole_program_goes_the_same_way(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "palyra.entry",
            "doctor",
            "--state-dir",
            str(tmp_path / "state"),
            "--only",
            "confg.found",
        ],
        capture_output=True,
        cwd=ROOT,
        env=environ(tmp_path),
        check=False,
    )
    assert done.returncode == 2
    assert b"config.found" in done.stdout


def test_the_packages_it_asks_for_are_those_that_are_declared() -> None:
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    told = {f"{name}{needed}" for name, (_, needed) in REQUIRED.items()}
    assert told == set(declared)
