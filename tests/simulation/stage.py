"""Setting the stage: the engine's threads, randomness, disk and network are those of the simulation while it runs."""

import asyncio
import gc
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite.core
import pytest

from palyra.core.ids import IdSource
from palyra.diagnostics.collecting import OffLoop
from palyra.engine import engine as engine_module
from palyra.engine import settings
from palyra.governance.ledger import Ledger
from palyra.journal import writer
from palyra.journal.journal import Journal
from palyra.journal.lock import EngineLock
from tests.simulation.calendar import BEGIN, episodes
from tests.simulation.loop import InlineQueue, InlineQueues, InlineThread, SimClock
from tests.simulation.people import population
from tests.simulation.provider import Network
from tests.simulation.sizes import Size
from tests.simulation.world import Month

T = TypeVar("T")


@contextmanager
def month(seed: int, size: Size, root: Path) -> Iterator[Month]:
    """A month ready to run; on leaving, everything is as it was."""
    dice = random.Random(seed)
    clock = SimClock(BEGIN)
    queues = InlineQueues(clock, random.Random(seed + 1))
    made = Month(
        seed=seed,
        root=root,
        people=population(size.people, dice),
        episodes=episodes(dice, size.a_day, size.requests),
        clock=clock,
        queues=queues,
        dice=dice,
        kill_every=size.kill_every,
    )
    with pytest.MonkeyPatch.context() as patch:
        threads_within(patch, queues)
        _taps(patch, made)
        patch.setattr(writer, "_commit", made.disk.commit)
        patch.setattr(engine_module, "IdSource", partial(IdSource, entropy=random.Random(seed + 2).randbytes))
        patch.setattr(settings, "random", random.Random(seed + 3))
        patch.setattr(engine_module, "EngineLock", partial(_lock, made))
        patch.setattr(
            engine_module, "Transport", lambda *_: Network(clock, random.Random(dice.random()), made.sent, made.counted)
        )
        try:
            with _logs(made):
                yield made
        finally:
            forget_connections()


class _Told(logging.Handler):
    """What the engine logs as an exception belongs to what happened."""

    def __init__(self, made: Month) -> None:
        super().__init__(logging.ERROR)
        self._made = made

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and not self._made.dead:
            self._made.trace = self.format(record)


@contextmanager
def _logs(made: Month) -> Iterator[None]:
    log, told = logging.getLogger("palyra"), _Told(made)
    before = log.propagate
    log.propagate = False
    log.addHandler(told)
    try:
        yield
    finally:
        log.removeHandler(told)
        log.propagate = before


def _lock(made: Month, state_dir: Path) -> EngineLock:
    lock = EngineLock(state_dir)
    made.locks.append(lock)
    return lock


def forget_connections() -> None:
    """Those of the dead were closed beneath them; nobody is to complain when they are collected."""
    for one in gc.get_objects():
        if isinstance(one, aiosqlite.core.Connection) and isinstance(one._tx, InlineQueue):
            one._connection = None


async def _at_once(work: Callable[..., T], *args: Any, **named: Any) -> T:
    """What would be done on a thread, done in its turn: when a thread ends is nobody's to know."""
    await asyncio.sleep(0)
    return work(*args, **named)


def threads_within(patch: pytest.MonkeyPatch, queues: InlineQueues) -> None:
    patch.setattr(asyncio, "to_thread", _at_once)
    patch.setattr(OffLoop, "run", lambda _, work: _at_once(work))
    patch.setattr(aiosqlite.core, "SimpleQueue", queues)
    patch.setattr(aiosqlite.core, "Thread", InlineThread)
    patch.delattr(aiosqlite.core.Connection, "__del__")


def _taps(patch: pytest.MonkeyPatch, made: Month) -> None:
    """Everything the engine decides on passes by the watch, in the order in which it does."""
    submit, apply = Journal.submit, Ledger.apply

    def submitting(journal: Journal, unit: Any, **how: Any) -> Any:
        made.saw(unit)
        done = submit(journal, unit, **how)
        made.submitted(unit, done)
        return done

    def applying(ledger: Ledger, recount: Any, at: int) -> Any:
        changes = apply(ledger, recount, at)
        made.applied(ledger.policies)
        return changes

    patch.setattr(Journal, "submit", submitting)
    patch.setattr(Ledger, "apply", applying)
