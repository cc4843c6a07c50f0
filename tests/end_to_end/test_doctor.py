"""The doctor as it is typed, at an engine that runs, one that was killed hard, and the one after it."""

import asyncio
from pathlib import Path
from typing import Any

from palyra.control.doctor import Asked, Where, doctor, report_json
from palyra.core.clock import ManualClock, SystemClock
from tests.doctor.test_live import a_house
from tests.support.process import palyra, serve


def told(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(one["check"], one["object"], one["severity"]) for one in document["findings"] if one["severity"] != "info"}


def looked(asked: Asked, config: Path, state: Path) -> tuple[int, dict[str, Any]]:
    """As the command, in this process."""
    where = Where(config, state, {"HOME": str(state.parent)})
    report, code = asyncio.run(doctor(asked, where, SystemClock(), lambda known: None))
    return code, report_json(report)


async def started_again(where: Where) -> None:
    async with a_house(where, ManualClock(SystemClock().now_ms())):
        """The next engine, which ends in order."""


def test_an_engine_that_is_killed_leaves_what_the_doctor_names_and_the_next_start_puts_right(tmp_path: Path) -> None:
    config, state = tmp_path / "palyra.toml", tmp_path / "state"
    config.write_text('version = 1\n\n[gateway]\nbind = "127.0.0.1:0"\n\n[scheduler]\nenabled = false\n')
    config.chmod(0o600)
    engine = serve(state, config)
    code, document, complaints = palyra("doctor", "--strict", "--deep", state_dir=state, config=config)
    assert (code, complaints) == (0, "")
    assert document["engine"] == {"running": True, "pid": engine.pid}
    assert told(document) == set()

    engine.kill()
    code, document = looked(Asked(strict=True, deep=True), config, state)
    assert code == 0
    assert document["engine"] == {"running": False}
    assert {check["status"] for check in document["checks"]} == {"pass", "fail"}
    leftovers = {
        ("state.leftovers", "operators.sock", "warning"),
        ("state.leftovers", "engine.lock", "warning"),
    }
    assert told(document) == leftovers

    code, document = looked(Asked(repair=True, deep=True), config, state)
    assert code == 0
    assert document["result"]["steps"] == [{"repair_id": "state.cleanup", "outcome": "applied"}]
    assert not (state / "operators.sock").exists()

    asyncio.run(started_again(Where(config, state)))
    code, document = looked(Asked(strict=True, deep=True), config, state)
    assert (code, told(document)) == (0, set())
