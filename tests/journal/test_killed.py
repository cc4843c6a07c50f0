"""What was promised survives kill -9, and what was not promised is there whole or not at all."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.core.errors import StateError
from palyra.journal.audit import HeadStatus, verify
from palyra.journal.journal import Journal
from palyra.journal.lock import EngineLock
from palyra.journal.rows import RunFilter

ROOT = Path(__file__).parents[2]


def start(state_dir: Path, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.journal.writing_process", str(state_dir), name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


async def test_every_promise_is_kept_after_a_kill(tmp_path: Path) -> None:
    promised: dict[str, str] = {}
    for kill, lines in enumerate((1, 11, 60, 250, 700)):
        writing = start(tmp_path, f"run{kill}")
        assert writing.stdout is not None
        with writing, writing.stdout:
            said = [writing.stdout.readline() for _ in range(lines)]
            if kill == 2:
                with pytest.raises(StateError, match=f"pid {writing.pid}"):
                    EngineLock(tmp_path).acquire()
            writing.send_signal(signal.SIGKILL)
            said += writing.stdout.readlines()
        for line in said:
            what, run_id = line.decode().split()
            promised[run_id] = what
        lock = EngineLock(tmp_path)
        lock.acquire()
        journal = await Journal.open(tmp_path, ManualClock())
        try:
            assert journal.audit_intact
            found = 0
            cursor = ""
            while True:
                page = await journal.readers.runs(RunFilter(text=f"run{kill}-"), limit=500, cursor=cursor)
                for run in page.runs:
                    (hold,) = await journal.readers.holds_of_run(run.run_id)
                    assert len(await journal.readers.decisions_of_run(run.run_id)) == 1
                    usage = await journal.readers.usage_of_run(run.run_id)
                    notes = await journal.readers.run_notes(run.run_id)
                    whole = (hold.state, run.state, len(usage), len(notes))
                    assert whole in {("held", "pending", 0, 0), ("settled", "completed", 1, 1)}
                    if promised.get(run.run_id) == "settled":
                        assert hold.state == "settled"
                    found += run.run_id in promised
                cursor = page.cursor
                if not cursor:
                    break
            assert found == sum(run_id.startswith(f"run{kill}-") for run_id in promised)
            assert await journal.readers.rollup_differences() == ()
        finally:
            await journal.close()
            lock.release()
        report = verify(tmp_path / "journal.db", tmp_path / "audit.head")
        assert report.ok, report
        assert report.head_status in (HeadStatus.OK, HeadStatus.BEHIND)
    assert len(promised) > 300
