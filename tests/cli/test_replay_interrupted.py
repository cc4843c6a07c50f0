"""Ctrl+C while `palyra replay` works: it and its worker end, whatever either was doing, and say nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.test_commands import Shell, shell

__all__ = ["shell"]

EVENTS = 300_000
"""Enough that a worker is found reading them."""


def many_events(state_dir: Path) -> None:
    """Fills the log with slices of requests that are not in it."""
    with closing(sqlite3.connect(state_dir / "journal.db")) as database:
        database.execute(
            "INSERT INTO replay_log (at, kind, ref, usd, tokens) WITH RECURSIVE numbers (n) AS"
            " (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) SELECT n, 1, 1000000 + n, 1, 1 FROM numbers",
            (EVENTS,),
        )
        database.commit()


TRIES = 10
"""Replays that may be over before anybody looked at the right moment."""


def worker_of(pid: int) -> int | None:
    """The process that replays for one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in map(int, children):
        try:
            if b"replay_worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        except OSError:
            continue
    return None


def reads_journal(pid: int) -> bool:
    try:
        files = Path(f"/proc/{pid}/fd")
        return any(os.readlink(files / name).endswith("journal.db") for name in os.listdir(files))
    except OSError:
        return False


def asked(pid: int) -> tuple[int, ...] | None:
    """It works, and has no worker yet."""
    return () if reads_journal(pid) else None


def starting(pid: int) -> tuple[int, ...] | None:
    """Its worker has not come to its own code: a moment ago there was none."""
    worker = worker_of(pid)
    return None if worker is None else (worker,)


def reading(pid: int) -> tuple[int, ...] | None:
    worker = worker_of(pid)
    return (worker,) if worker is not None and reads_journal(worker) else None


@pytest.mark.parametrize("moment", [asked, starting, reading])
@pytest.mark.parametrize("stopped", [False, True], ids=["busy", "hung"])
def test_ctrl_c_ends_a_replay_and_its_worker(
    shell: Shell, moment: Callable[[int], tuple[int, ...] | None], stopped: bool
) -> None:
    shell("run", "one")
    many_events(shell.state_dir)
    places = ["--state-dir", str(shell.state_dir), "--config", str(shell.config)]
    command = [sys.executable, "-m", "palyra.entry", "replay", *places]
    for _ in range(TRIES):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        while (workers := moment(process.pid)) is None and process.poll() is None:
            pass
        if workers is not None:
            break
        process.communicate()
    assert workers is not None, "the moment never came"
    try:
        for worker in workers if stopped else ():
            os.kill(worker, signal.SIGSTOP)
        os.killpg(process.pid, signal.SIGINT)
        said, complained = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said, complained) == (130, b"", b"")
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()
