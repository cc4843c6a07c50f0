"""Old runs that are let go of, killed by SIGKILL before the n-th statement of it. `python -m tests.toughness.folds
DIRECTORY` prints what each death left, as lines of JSON, and then what a whole pass did.

Each life is a fork of a process that has everything loaded: it owns no loop and no thread by then.
"""

import asyncio
import itertools
import json
import logging
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.core.clock import ManualClock
from palyra.core.scope import Scope
from palyra.core.windows import DAY_MS
from palyra.engine import Engine, Installation
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal import folding
from palyra.journal.connection import Connection
from palyra.journal.journal import Journal
from palyra.main import Launcher
from palyra.runs.background import PromptAsk
from palyra.runs.recovery import rebuild
from tests.config.loading import sound
from tests.governance.policies import policy
from tests.toughness.writes import forked

T0 = 1_795_348_830_000
LONG_AFTER = T0 + 500 * DAY_MS
EVER = [
    policy(f"{metric}-{kind}", hard=1_000, metric_kind=metric, interval_kind="lifetime", scope_kind=kind, scope_id="*")
    for metric in ("estimated_cost_usd", "total_tokens", "requests")
    for kind in ("global", "user")
]
RUNS = 4


async def make(state_dir: Path) -> int:
    """Some runs of two users, long ago."""
    clock = ManualClock(T0)
    engine = await Engine.open(Installation(sound(""), state_dir), clock, {})
    for number in range(RUNS):
        who = Scope("ann" if number % 3 else "bob", f"s{number % 2}")
        assert (await engine.background.run(PromptAsk(f"Say {number}.", who, "task"))).completed
    await engine.close()
    return 0


@dataclass
class Watched:
    """A database that dies at its n-th statement."""

    database: sqlite3.Connection
    place: int
    statements: "itertools.count[int]"

    def execute(self, *given: Any) -> Any:
        if next(self.statements) == self.place:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.database.execute(*given)

    def rollback(self) -> None:
        self.database.rollback()


async def fold(state_dir: Path, place: int) -> int:
    """Lets go of all there is, two runs at a time; returns how many statements that took."""
    clock = ManualClock(LONG_AFTER)
    journal = await Journal.open(state_dir, clock)
    statements = itertools.count(1)
    run = Connection.run

    async def watched(connection: Connection, job: Any) -> Any:
        return await run(connection, lambda database: job(Watched(database, place, statements)))

    folding.FIRST_RUNS = folding.MOST_RUNS = 2
    Connection.run = watched  # type: ignore[method-assign, assignment]
    await journal.fold_old_runs(LONG_AFTER // DAY_MS * DAY_MS)
    Connection.run = run  # type: ignore[method-assign]
    await journal.close()
    return next(statements) - 1


async def counted(state_dir: Path) -> dict[str, int]:
    """What budgets without an end have, rebuilt as a start does."""
    clock = ManualClock(LONG_AFTER)
    journal = await Journal.open(state_dir, clock)
    ledger = Ledger()
    await rebuild(ledger, PolicySet(EVER), journal, clock.now_ms())
    await journal.close()
    return {f"{one.policy_id} {one.scope_value}": one.settled for one in ledger.counters(clock.now_ms())}


def found(state_dir: Path) -> dict[str, Any]:
    verified = CliRunner().invoke(build_app(Launcher()), ["ledger", "verify", "--json", "--state-dir", str(state_dir)])
    with closing(sqlite3.connect(state_dir / "journal.db")) as database:

        def count(table: str) -> int:
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

        tables = ("runs", "holds", "usage", "decisions", "run_owners")
        return {
            "ledger": verified.exit_code,
            "left": {table: count(table) for table in tables},
            "folded": [list(row) for row in database.execute("SELECT runs FROM folded")],
            "holds": database.execute("SELECT ifnull(sum(holds), 0) FROM folded_holds").fetchone()[0],
            "counted": asyncio.run(counted(state_dir)),
        }


def say(facts: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(facts)}\n")
    sys.stdout.flush()


def main(root: str) -> None:
    logging.disable(logging.CRITICAL)
    whole = Path(root) / "whole"
    forked(lambda: make(whole))
    say({"killed": False, **found(whole)})
    for place in itertools.count(1):
        state_dir = Path(root) / f"at-{place}"
        shutil.copytree(whole, state_dir)
        _, ended_by = forked(lambda state=state_dir, at=place: fold(state, at))  # type: ignore[misc]
        say({"killed": ended_by == signal.SIGKILL, **found(state_dir)})
        if ended_by != signal.SIGKILL:
            return


if __name__ == "__main__":
    main(sys.argv[1])
