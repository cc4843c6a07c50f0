"""The units that the README prints are understood by systemd, to the last line, and fit what the program does."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shipping.building import ROOT

UNITS: list[str] = re.findall(r"^```ini\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


def test_there_are_units() -> None:
    assert UNITS
    assert all("[Service]" in unit and "/palyra serve" in unit for unit in UNITS)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("number", range(len(UNITS)))
def test_systemd_understands_each(number: int, tmp_path: Path) -> None:
    unit = tmp_path / "palyra.service"
    # The program need not lie where the text says.
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/sh", UNITS[number], flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
