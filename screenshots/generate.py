"""Draws the console's screens from seeded data, on a clock that stands still: `python -m screenshots.generate`.

The same data gives the same pictures, byte for byte. Needs the `dev` extra.
"""

import asyncio
import re
import sys
from pathlib import Path

from tests.tui.desk import LARGE, SMALL, console
from tests.tui.fake_worlds import World, empty, normal

HERE = Path(__file__).parent

PICTURES: tuple[tuple[str, tuple[int, int], bool, tuple[str, ...]], ...] = (
    ("triage-80x24", SMALL, True, ("1",)),
    ("triage-120x40", LARGE, True, ("1",)),
    ("approvals-120x40", LARGE, True, ("2",)),
    ("approval-120x40", LARGE, True, ("2", "enter")),
    ("incidents-120x40", LARGE, True, ("3",)),
    ("usage-120x40", LARGE, True, ("4",)),
    ("runs-80x24", SMALL, True, ("5",)),
    ("runs-120x40", LARGE, True, ("5",)),
    ("run-120x40", LARGE, True, ("5", "enter")),
    ("jobs-120x40", LARGE, True, ("6",)),
    ("budgets-120x40", LARGE, True, ("7",)),
    ("models-120x40", LARGE, True, ("8", "j", "j", "j", "j", "j", "t")),
    ("diagnostics-120x40", LARGE, True, ("9",)),
    ("repair-120x40", LARGE, True, ("9", "p")),
    ("audit-120x40", LARGE, True, ("0", "V")),
    ("help-120x40", LARGE, True, ("1", "question_mark")),
    ("palette-120x40", LARGE, True, ("1", "colon")),
    ("first-start-80x24", SMALL, False, ("1",)),
)
"""Name, size, whether there is anything to see, and the keys that lead there."""


async def draw(name: str, size: tuple[int, int], world: World, keys: tuple[str, ...]) -> str:
    """One screen as SVG."""
    async with console(world, size=size) as desk:
        await desk.ready()
        await desk.press(*keys)
        await desk.ready()
        picture = desk.app.export_screenshot(title=f"palyra · {name.rpartition('-')[0]}")
    return alone(picture, name)


def alone(picture: str, name: str) -> str:
    """The same picture with fixed class names, fonts of the viewer's own and every space in its place."""
    picture = re.sub(r"terminal-\d+", f"palyra-{name}", picture)
    picture = re.sub(r"<!--.*?-->\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    return picture.replace("<text ", '<text xml:space="preserve" ')


async def generate(directory: Path) -> list[Path]:
    """Writes every picture and returns where."""
    written: list[Path] = []
    for name, size, busy, keys in PICTURES:
        picture = await draw(name, size, normal() if busy else empty(), keys)
        path = directory / f"{name}.svg"
        await asyncio.to_thread(path.write_text, picture)
        written.append(path)
    return written


if __name__ == "__main__":
    for path in asyncio.run(generate(HERE)):
        sys.stdout.write(f"{path.name}\n")
