"""One fire and one task, killed by SIGKILL before or after the n-th of their writes, and brought to rest by the next
engine. `python -m tests.toughness.writes KIND DIRECTORY` prints what each death came to, as lines of JSON: first a life
that nothing happens to, then one for each side of each write, until there is no write of that number.

Each unit is a commit of its own, so that a write has one number however the threads run, and the jobs of the system are
paused. Each life is a fork of a process that has everything loaded: it owns no loop and no thread by then.
"""

import asyncio
import gc
import json
import logging
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.instants import spell_exactly
from palyra.engine import Engine, Installation
from palyra.journal import writer
from palyra.main import Launcher
from palyra.tasks.asking import TaskAsk
from tests.config.loading import sound

T0, NEXT_DAY = 1_795_348_830_000, 1_795_435_200_000
JOB = {"name": "report", "prompt": "Say hello.", "max_attempts": "3"}
ASK = TaskAsk(text="Say hello.", owner="ann")
STEPS = 5_000


class RestlessError(Exception):
    """Work does not come to its end."""


@dataclass
class Deaths:
    """Counts commits once it is armed; kills the process at the one of that number, 0 never does."""

    place: int = 0
    after: bool = False
    armed: bool = False
    commits: int = 0

    def stand_between(self) -> None:
        commit, take = writer._commit, writer.Writer._take_batch

        def one_by_one(writing: writer.Writer) -> Any:
            rest = list(writing._queue)[1:]
            for _ in rest:
                writing._queue.pop()
            taken = take(writing)
            writing._queue.extend(rest)
            return taken

        def counted(*given: Any) -> Any:
            if not self.armed or not any(unit.rows for unit in given[1].units()):
                return commit(*given)
            self.commits += 1
            if self.commits != self.place:
                return commit(*given)
            if self.after:
                commit(*given)
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        writer._commit = counted  # type: ignore[assignment]
        writer.Writer._take_batch = one_by_one  # type: ignore[method-assign,assignment]


async def first_life(kind: str, state_dir: Path, deaths: Deaths, told: Path) -> int:
    """Does the work; returns how many commits it took."""
    deaths.stand_between()
    clock = ManualClock(T0)
    engine = await Engine.open(Installation(sound(""), state_dir), clock, {})
    await at_rest(engine, clock)
    for lane in engine.jobs.roster.system:
        await engine.jobs.acts.pause(lane.job.name, "a quiet house", "ada")
    await at_rest(engine, clock)
    if kind == "fire":
        await engine.jobs.acts.add({**JOB, "at": spell_exactly(clock.now_ms() + 2_000)}, "ada")
        told.touch()
        deaths.armed = True
        await at_rest(engine, clock, ended=lambda: _exhausted(engine))
    else:
        engine.tasks.open_claims()
        deaths.armed = True
        await engine.tasks.desk.submit(ASK, "ada")
        told.touch()
        await at_rest(engine, clock)
    commits = deaths.commits
    deaths.armed = False
    await engine.close()
    return commits


async def next_life(kind: str, state_dir: Path) -> int:
    clock = ManualClock(NEXT_DAY)
    engine = await Engine.open(Installation(sound(""), state_dir), clock, {})
    engine.tasks.open_claims()
    await at_rest(engine, clock, ended=(lambda: _exhausted(engine)) if kind == "fire" else lambda: True)
    await engine.close()
    return 0


def _exhausted(engine: Engine) -> bool:
    lane = engine.jobs.roster.find("report")
    return lane is not None and lane.job.state == "exhausted" and not lane.fires


async def turns(engine: Engine, clock: ManualClock) -> None:
    await clock.advance(0.25)
    await settle_loop(40)
    await engine.journal.submit(())
    await settle_loop(40)


async def at_rest(engine: Engine, clock: ManualClock, ended: Callable[[], bool] = lambda: True) -> None:
    """Lets time pass until nothing is left to do. Raises RestlessError."""
    quiet = 0
    for _ in range(STEPS):
        await turns(engine, clock)
        busy = engine.jobs.scheduler.busy or len(engine.tasks.desk.book) or len(list(engine.runner.live))
        quiet = 0 if busy or not ended() else quiet + 1
        if quiet == 4:
            return
    works = [f"job {one.order.job.name}" for one in engine.jobs.scheduler._running.values()]
    raise RestlessError(f"at rest: {ended()}; {works}, {list(engine.tasks.desk.book)}, {list(engine.runner.live)}")


def forked(life: Callable[[], Awaitable[int]]) -> tuple[int, int]:
    """A life in a process of its own: what it returned, and the signal that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(writing, str(asyncio.run(_awaited(life))).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RestlessError("a life ended badly")
    return int(said or 0), os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


async def _awaited(life: Callable[[], Awaitable[int]]) -> int:
    return await life()


def found(state_dir: Path) -> dict[str, Any]:
    """What lies in the journal at the end."""
    verified = CliRunner().invoke(build_app(Launcher()), ["ledger", "verify", "--json", "--state-dir", str(state_dir)])
    with closing(sqlite3.connect(state_dir / "journal.db")) as database:

        def rows(question: str) -> list[list[Any]]:
            return [list(row) for row in database.execute(question)]

        return {
            "ledger": verified.exit_code,
            "fires": rows(
                "SELECT f.state, f.attempts FROM job_fires f JOIN jobs j USING (job_id) WHERE j.name = 'report'"
            ),
            "tasks": rows("SELECT state, attempt FROM tasks"),
            "answers": rows("SELECT count(*) FROM task_results")[0][0],
            "runs": rows("SELECT state, reason FROM runs ORDER BY run_id"),
            "held": rows("SELECT count(*) FROM holds WHERE state = 'held'")[0][0],
            "charged": rows("SELECT count(*) FROM holds WHERE state = 'settled'")[0][0],
            "usage": rows("SELECT count(*) FROM usage")[0][0],
        }


def one_death(kind: str, root: Path, place: int, *, after: bool) -> dict[str, Any]:
    name = f"{kind}-{place}-{'after' if after else 'before'}"
    state_dir, told = root / name, root / f"{name}.told"
    deaths = Deaths(place, after)
    commits, ended_by = forked(lambda: first_life(kind, state_dir, deaths, told))
    if place:
        forked(lambda: next_life(kind, state_dir))
    facts = {"place": place, "after": after, "commits": commits, "killed": ended_by == signal.SIGKILL}
    return {**facts, "told": told.exists(), **found(state_dir)}


def say(facts: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(facts)}\n")
    sys.stdout.flush()


def main(kind: str, root: str) -> None:
    logging.disable(logging.CRITICAL)
    # What is made when it is first needed is made once, and not by every copy of this process.
    warm = Path(root) / "warm"
    asyncio.run(first_life(kind, warm, Deaths(), warm.with_suffix(".told")))
    found(warm)
    gc.collect()
    gc.freeze()
    whole = one_death(kind, Path(root), 0, after=False)
    say(whole)
    for place in count(1):
        for after in (False, True):
            death = one_death(kind, Path(root), place, after=after)
            say(death)
            if not death["killed"]:
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
