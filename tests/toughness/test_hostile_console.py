"""Every byte that reaches a terminal while each text of the engine is hostile: all screens, all they open, all keys."""

import asyncio
import base64
import fcntl
import json
import os
import pty
import re
import struct
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from palyra.tui.app import SCREENS
from tests.support.hostile import ATTACKS, obeyed
from tests.support.process import ENVIRONMENT
from tests.toughness.nursery import Nursery
from tests.toughness.poisoned_console import ATTACK, ENDING, REPORT

OWN = re.compile(
    rb"\x1b\[[0-9;]*[mHJKABCDG]"  # colours and places
    rb"|\x1b\[\?[0-9;]+(?:[hl]|\$p)|\x1b\[[<>=]?[0-9]*u|\x1b\[(?:22|23);2t"  # modes, keys, the title kept
    rb"|\x1b\](?:2;Palyra A \d+ I \d+|22;default|9;[ -~]{1,80})\x07"
    rb"|\x1b\]52;c;(?P<copied>[A-Za-z0-9+/=]*)\x07"
    rb"|\x18\x1b\\"
)
BELL = b"\x07"


def assert_only_ours(seen: bytes) -> int:
    """Nothing but text and what a console paints with; how many texts were copied."""
    copied = [match["copied"] for match in OWN.finditer(seen) if match["copied"]]
    for text in copied:
        assert obeyed(base64.b64decode(text).decode()) is None
    found = obeyed(OWN.sub(b"", seen).replace(BELL, b"").decode())
    assert found is None, found
    return len(copied)


async def walked(nursery: Nursery, directory: Path, size: tuple[int, int], attack: str) -> None:
    report = directory / "report.json"
    environ = {**ENVIRONMENT, ATTACK: attack, REPORT: str(report), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    child = nursery.start(
        "palyra-tui",
        [],
        (slave, slave, slave),
        environ={name: text for name, text in environ.items() if name not in ("LINES", "COLUMNS")},
        terminal=True,
        before="tests.toughness.poisoned_console:walk",
    )
    os.close(slave)
    seen = bytearray()
    try:
        # Ends with an error once nobody has the other side any more.
        with suppress(OSError):
            while data := await asyncio.to_thread(os.read, master, 65536):
                seen += data
        assert child.wait() == 0
    finally:
        child.end()
        os.close(master)
    told = json.loads(report.read_text())
    assert (told["wrong"], told["failures"]) == ([], [])
    actions = {action.id for screen in SCREENS for action in screen.ACTIONS if not action.id.startswith("go.")}
    assert set(told["done"]) == actions | ENDING
    assert len(told["dialogs"]) > 8
    assert assert_only_ours(bytes(seen)) >= 3


async def test_nothing_that_a_terminal_obeys_reaches_it(nursery: Nursery, tmp_path: Path) -> None:
    """What the console says it shows is also what the terminal shows: no text moves what stands beside it."""
    await walked(nursery, tmp_path, (80, 24), "all")


@pytest.mark.soak
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("attack", [*ATTACKS, "all", "long"])
async def test_nor_does_any_of_it_alone(nursery: Nursery, tmp_path: Path, size: tuple[int, int], attack: str) -> None:
    await walked(nursery, tmp_path, size, attack)
