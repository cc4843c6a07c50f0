"""What keys cost: bytes to the terminal and time until they show, on a screen that has much to list."""

import random
import statistics
import time
from collections.abc import Sequence

from benchmarks.measured import Numbers
from benchmarks.terminal import LEAST, Piece, Screen, shown

CURSOR = "▌"
MOVES = 100
SETTLED_S = 0.5
"""Nothing for so long: what a key did is painted."""
PAUSE_S = 0.03
"""After such a pause comes what the key made the screen ask for."""

KEYS: tuple[tuple[str, str], ...] = (
    *((key, f"screen {key}") for key in "1234567890"),
    *(("5", "screen 5"), ("j", "down"), ("\x1b[6~", "page down"), ("G", "last"), ("g", "first")),
    *(("\r", "open"), ("\x1b", "back"), ("?", "help"), ("\x1b", "back"), (":", "palette"), ("\x1b", "back")),
    *(("/", "filter"), ("\x1b", "back"), ("S", "sort"), ("S", "sort"), ("S", "sort"), ("S", "sort"), ("T", "theme")),
)
"""Keys that are pressed one after another, each once what the one before did is painted."""


def octets_of_keys(screen: Screen) -> tuple[Numbers, str]:
    """The median and the most bytes that a key has painted, with the most once what it asks for has come too; and which
    key that painted most. What would come anyway is in it."""
    painted: list[tuple[int, str]] = []
    settled: list[int] = []
    for key, name in KEYS:
        screen.quiet(SETTLED_S, 3.0)
        before = len(screen.pieces)
        screen.press(key)
        time.sleep(SETTLED_S)
        screen.quiet(SETTLED_S / 2, 3.0)
        written = screen.pieces[before:]
        settled.append(sum(len(data) for _, data in written))
        painted.append((at_once(written), name))
    most, which = max(painted)
    median = statistics.median(octets for octets, _ in painted)
    return {"key_octets": median, "key_octets_most": most, "key_octets_settled": max(settled)}, which


def at_once(written: Sequence[Piece]) -> int:
    """Bytes up to the first pause."""
    octets, last = 0, None
    for at, data in written:
        if last is not None and at - last > PAUSE_S:
            break
        octets, last = octets + len(data), at
    return octets


def until_painted(screen: Screen) -> Numbers:
    """Milliseconds from a key that moves the cursor to the piece that shows it moved; p50 and p95."""
    dice = random.Random(1)
    screen.press("g")
    screen.quiet(SETTLED_S, 3.0)
    pressed = []
    for number in range(MOVES):
        pressed.append(screen.press("j" if number // 10 % 2 == 0 else "k"))
        time.sleep(dice.uniform(0.12, 0.28))
    moved = [at for at, was, now in _cursors(screen) if was != now and at > pressed[0]]
    took = []
    for begun, end in zip(pressed, [*pressed[1:], pressed[-1] + 1.0], strict=True):
        after = [at for at in moved if begun <= at < end]
        if after:
            took.append((after[0] - begun) * 1000)
    if len(took) < MOVES * 0.9:
        raise RuntimeError(f"only {len(took)} of {MOVES} keys moved the cursor")
    took.sort()
    return {"paint_p50_ms": statistics.median(took), "paint_p95_ms": took[int(len(took) * 0.95)]}


def _cursors(screen: Screen) -> Sequence[tuple[float, int, int]]:
    """For each piece: when it came, and in which line the cursor was before and after it."""
    found, was = [], -1
    for at, lines in shown(screen.pieces, LEAST):
        now = next((number for number, line in enumerate(lines) if line.startswith(CURSOR)), -1)
        found.append((at, was, now))
        was = now
    return found
