"""The registry's files when processes die in the middle, write at once, or run under a careless umask."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.vault.access import AccessRegistry

ROOT = Path(__file__).parents[2]

KILLED_AT_EACH_STEP = '''
import json, os, shutil, signal, sys
from pathlib import Path
from palyra.core.clock import ManualClock
from palyra.providers.fingerprints import Fingerprints
from palyra.vault.access import AccessRegistry

home = Path(sys.argv[1])
os.umask(0)
os.fsync = lambda descriptor: None  # nobody cuts the power

def begin(state):
    AccessRegistry.open(state, ManualClock())
    Fingerprints.open(state)

def change(state):
    AccessRegistry.open(state, ManualClock()).add_key("ci", "bot")

def told(act, before):
    """What is found after a death before each step of an act."""
    number = 0
    while True:
        number += 1
        state = home / "state"
        shutil.rmtree(state, ignore_errors=True)
        if before is not None:
            shutil.copytree(before, state)
        child = os.fork()
        if child == 0:
            left = [number]

            def dying(real):
                def step(*args, **kwargs):
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **kwargs)

                return step

            for name in ("open", "rename", "replace", "unlink", "link", "fchmod", "fdopen", "mkdir", "chmod"):
                setattr(os, name, dying(getattr(os, name)))
            act(state)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), status
        modes = {oct(path.stat().st_mode & 0o777) for path in (state.rglob("*") if state.exists() else ())}
        registry = AccessRegistry.open(state, ManualClock())
        Fingerprints.open(state)
        opens = registry.authenticate((state / "gateway-key.txt").read_text().strip())
        yield {
            "killed": status != 0, "unavailable": registry.unavailable, "opens": opens is not None,
            "keys": sorted(registry.keys), "modes": sorted(modes),
        }
        if status == 0:
            return

first = list(told(begin, None))
begin(home / "begun")
for number in range(6):
    AccessRegistry.open(home / "begun", ManualClock()).add_key(f"k{number}", "bot")
print(json.dumps([first, list(told(change, home / "begun"))]))
'''

ADDS_KEYS = """
import os, sys
from pathlib import Path
from palyra.core.clock import SystemClock
from palyra.vault.access import AccessRegistry

os.fsync = lambda descriptor: None
registry = AccessRegistry.open(Path(sys.argv[1]), SystemClock())
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    registry.add_key(f"{sys.argv[2]}-{number}", "bot")
"""


def run(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_a_death_at_any_step_leaves_a_registry_that_opens_and_files_of_its_owner_alone(tmp_path: Path) -> None:
    printed, _ = run(KILLED_AT_EACH_STEP, str(tmp_path)).communicate(timeout=300)
    first, changed = json.loads(printed)
    for told in (first, changed):
        assert [one["killed"] for one in told] == [True] * (len(told) - 1) + [False]
        assert {one["unavailable"] for one in told} == {""}
        assert all(one["opens"] for one in told)
        assert set().union(*(one["modes"] for one in told)) <= {"0o600"}
    assert {tuple(one["keys"]) for one in first} == {("default",)}
    before = ("default", *(f"k{number}" for number in range(6)))
    keys = [tuple(one["keys"]) for one in changed]
    assert set(keys) == {before, ("ci", *before)}
    assert keys == sorted(keys, key=len)


def test_what_several_processes_add_at_once_is_all_there(tmp_path: Path) -> None:
    registry = AccessRegistry.open(tmp_path, ManualClock())
    processes = [run(ADDS_KEYS, str(tmp_path), name) for name in ("one", "two")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    tokens = [registry.add_key(f"own-{number}", "bot") for number in range(20)]
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0
    registry.refresh()
    assert set(registry.keys) == {"default", *(f"{who}-{n}" for who in ("one", "two", "own") for n in range(20))}
    assert all(registry.authenticate(token) for token in tokens)


def test_whatever_the_umask_files_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        registry = AccessRegistry.open(tmp_path / "deep" / "state", ManualClock())
        registry.add_key("ci", "bot")
    finally:
        os.umask(before)
    state = tmp_path / "deep" / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}
