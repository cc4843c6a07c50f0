"""No image of a process that holds secrets is left by a crash."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, resource, sys
_, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
atexit.register(lambda: print("core", *resource.getrlimit(resource.RLIMIT_CORE), "of", most))
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
    _, now, most, _, before = done.stdout.splitlines()[-1].split()
    assert (now, most) == ("0", before)
