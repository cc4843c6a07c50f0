"""No image of a process that holds secrets is left by a crash, and nobody else of its account looks into it."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import atexit, ctypes, resource, sys
_, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
dumpable = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
atexit.register(lambda: print("core", *resource.getrlimit(resource.RLIMIT_CORE), "of", most, dumpable()))
sys.argv = {arguments}
from palyra.entry import cli, console
{entry}()
"""


@pytest.mark.parametrize(
    ("entry", "arguments"), [("cli", ["palyra", "doctor", "--help"]), ("console", ["palyra-tui", "--help"])]
)
def test_programs_leave_no_image_of_their_memory(entry: str, arguments: list[str]) -> None:
    program = PROGRAM.format(entry=entry, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    _, now, most, _, before, dumpable = done.stdout.splitlines()[-1].split()
    assert (now, most, dumpable) == ("0", before, "0")


LOOKING = """
import ctypes, os
from palyra.core.private_process import leave_no_image

def as_somebody():
    os.setgid(65534), os.setuid(65534)
    # To change one's account makes one private by itself.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)

ready, told, stop, done = *os.pipe(), *os.pipe()
if not (held := os.fork()):
    as_somebody()
    if {private}:
        leave_no_image()
    os.close(done), os.write(told, b"."), os.read(stop, 1)
    os._exit(0)
os.read(ready, 1)
as_somebody()
try:
    print(open(f"/proc/{{held}}/environ").read() != "")
except PermissionError:
    print("refused")
os.close(done)
os.waitpid(held, 0)
"""


@pytest.mark.parametrize(("private", "seen"), [(True, "refused"), (False, "True")])
@pytest.mark.skipif(os.geteuid() != 0, reason="to become another account takes root")
def test_others_of_the_account_do_not_see_the_environment_with_its_keys(private: bool, seen: str) -> None:
    program = LOOKING.format(private=private)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == seen, done.stderr
