"""`palyra reload` against a served engine, and what it says where none runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import Served, palyra, serve

QUIET = "version = 1\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "palyra.toml"
    path.write_text(QUIET)
    return path


@pytest.fixture
def served(tmp_path: Path, file: Path) -> Iterator[Served]:
    engine = serve(tmp_path / "state", file)
    yield engine
    assert engine.stop() == 0


def test_a_served_engine_reads_its_file_again(served: Served, file: Path) -> None:
    state = served.state_dir
    log = state / "logs" / "palyra.log"
    file.write_text(f'{QUIET}[[budgets]]\npolicy_id = "all"\nhard_limit = 5\n[tasks]\nconcurrency = 9\n')
    code, told, _ = palyra("reload", state_dir=state)
    assert (code, told["status"]) == (0, "accepted")
    assert told["data"] == {"applied": "budgets", "pending": "tasks", "warnings": ""}
    code, budgets, _ = palyra("budgets", "list", state_dir=state, config=file)
    assert "all" in json.dumps(budgets)

    code, shown, _ = palyra("config", "show", "--changed", state_dir=state, config=file)
    waiting = {one["key"]: one["pending"] for one in shown["values"]}
    assert (code, waiting["tasks.concurrency"], waiting["budgets[0].hard_limit"]) == (0, "restart", None)
    assert shown["engine"]["pending_restart"] == ["tasks"]

    file.write_text(f"{QUIET}[gateway]\nmax_runs = 0\nnonsense = 1\n")
    code, told, _ = palyra("reload", state_dir=state)
    assert (code, told["code"], len(told["faults"])) == (1, "config_invalid", 2)
    assert "palyra.toml:3 gateway.max_runs" in told["faults"][0]["message"]

    file.write_text(f'{QUIET}[logging]\nformat = "json"\nlevel = "debug"\nfile = "logs/other.log"\n')
    assert palyra("reload", state_dir=state)[0] == 0
    assert "applied: budgets" in log.read_text()
    assert palyra("reload", state_dir=state)[0] == 0
    (*_, last) = (state / "logs" / "other.log").read_text().splitlines()
    assert "nothing that was different" in json.loads(last)["message"]


def test_without_an_engine_there_is_nothing_to_reload(tmp_path: Path) -> None:
    code, _, complaint = palyra("reload", state_dir=tmp_path / "state")
    assert code == 5
    assert "No engine runs" in complaint
    assert not (tmp_path / "state").exists()
