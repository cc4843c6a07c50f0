"""Opening the demo: a fresh state directory beside the real one, its history, the console, and the traffic."""

import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

from palyra.config.load import interpret
from palyra.config.paths import state_dir as real_state_dir
from palyra.console import run_console
from palyra.core.clock import Clock, SystemClock
from palyra.core.errors import StateError
from palyra.core.private_files import private_dir, write_private
from palyra.demo.guests import GUESTS, guest_tables, guests_at_home
from palyra.demo.history import seed_history
from palyra.demo.plans import PastPlans
from palyra.demo.scene import SEED, configuration
from palyra.demo.traffic import keep_asking, make_keys
from palyra.doctor.reading import Where
from palyra.engine import Installation
from palyra.hosting import HostedControl
from palyra.house import House
from palyra.journal.journal import Journal
from palyra.journal.lock import EngineLock
from palyra.opening import at_a_terminal, check_terminal

MARK = "demo.mark"
"""A state directory without this file is nobody's to empty."""

BIND = "127.0.0.1:0"


def demo_dir(given: Path | None, environ: Mapping[str, str]) -> Path:
    """Where the demo keeps its state: beside the real one, never in it."""
    if given is not None:
        return given.absolute()
    real = real_state_dir(None, environ)
    return real.with_name(f"{real.name}-demo")


def check_ours(state_dir: Path) -> None:
    """Raises StateError for a directory that holds anything but an earlier demo."""
    private_dir(state_dir, ours=(MARK,))
    if any(state_dir.iterdir()) and not (state_dir / MARK).is_file():
        raise StateError(
            f"{state_dir} holds something that is no demo.", fix="Give --state-dir an empty directory, or none."
        )


def clear(state_dir: Path, lock_name: str) -> None:
    """Empties an earlier demo, but for the lock that is held, and marks the directory as the demo's."""
    for entry in state_dir.iterdir():
        if entry.name not in (MARK, lock_name):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    write_private(state_dir / MARK, b"made by palyra demo; emptied at its next start\n")


async def prepare(state_dir: Path, clock: Clock, dice: random.Random, guests: str = "") -> Installation:
    """Empties an earlier demo and writes its history anew; `guests` is where the made-up providers are, if anywhere.

    Raises StateError for a directory that is no demo's.
    """
    check_ours(state_dir)
    text = configuration(dice, BIND) + (guest_tables(guests) if guests else "")
    loaded = interpret(text.encode(), Path("demo.toml"), {}, {})
    assert loaded.config is not None, loaded.problems
    lock = EngineLock(state_dir)
    lock.acquire()
    try:
        clear(state_dir, lock.path.name)
        journal = await Journal.open(state_dir, clock)
        try:
            await seed_history(journal, PastPlans(loaded.config), clock.now_ms(), dice)
        finally:
            await journal.close()
    finally:
        lock.release()
    return Installation(loaded.config, state_dir, demo=True)


async def run_demo(state_dir: Path | None, *, ascii_only: bool | None) -> int:
    """The console on the demo, until it is quit. Raises StateError."""
    check_terminal(os.environ, terminal=at_a_terminal())
    clock, dice = SystemClock(), random.Random(SEED)
    async with guests_at_home(clock) as address:
        installation = await prepare(demo_dir(state_dir, os.environ), clock, dice, address)
        also = [guest.id for guest in GUESTS]

        async def company(house: House) -> None:
            await keep_asking(house.doors().gateway_url, make_keys(house), clock, dice, also)

        async def load() -> HostedControl:
            return HostedControl(
                lambda: installation,
                Where(None, installation.state_dir, os.environ),
                installation.state_dir,
                installation.config,
                clock,
                company=company,
                recovers=False,
            )

        screen, state = installation.config, installation.state_dir
        return await run_console(load, screen, state, read_only=False, ascii_only=ascii_only) or 0
