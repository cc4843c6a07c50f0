"""How a command ends when nobody reads on, and when Palyra itself is at fault."""

import subprocess
import sys

import pytest

from palyra.cli.options import DONE, REFUSED, run_to_end
from palyra.core.redact import remember

CHATTY = """
import sys
from palyra.cli.options import run_to_end

async def work():
    while True:
        sys.stdout.write("a line nobody reads\\n")
        sys.stdout.flush()

sys.exit(run_to_end(work))
"""


def test_a_reader_that_goes_away_ends_a_command_without_a_word() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHATTY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == "a line nobody reads\n"
        command.stdout.close()
        assert command.stderr.read() == ""
        assert command.wait() == REFUSED


def test_a_fault_of_palyra_is_a_line_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    remember("sk-very-secret-value")

    async def faulty() -> int:
        raise ZeroDivisionError("while holding sk-very-secret-value \x1b[31m")

    assert run_to_end(faulty) == REFUSED
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "ZeroDivisionError" in told
    assert "sk-very" not in told
    assert "\x1b" not in told


def test_what_went_well_says_so() -> None:
    async def fine() -> int:
        return DONE

    assert run_to_end(fine) == DONE
