"""Whatever of the books somebody changes with the file in hand: `palyra ledger verify` finds it without an engine."""

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from palyra.config.model import LoadedConfig
from palyra.control.offline import offline_control
from palyra.control.queries import LedgerAnswer, LedgerQuery
from palyra.core.clock import ManualClock
from tests.attacks.conversation import asked
from tests.attacks.target import SETTINGS, Target, target
from tests.end_to_end.premises import MINI, configuration
from tests.support.upstream import Upstream

CHANGED = "CASE typeof({0}) WHEN 'text' THEN {0} || 'x' ELSE {0} + 1 END"
OF_HOLDS = (
    *("hold_id", "run_id", "attempt", "principal", "session", "key_id", "channel", "agent", "job"),
    *("provider", "model", "terminal_at", "actual_usd", "actual_tokens"),
)
OF_USAGE = (
    *("hold_id", "run_id", "attempt", "at", "provider", "model", "principal", "session", "key_id", "channel"),
    *("agent", "job", "input_total", "output_total", "cache_read", "reasoning", "charge", "latency_ms"),
)
OF_SUMS = ("runs", "ok", "cost", "input_tokens", "output_tokens", "attempts")
OF_DAYS = ("principal", "model", "runs", "cost", "input_tokens", "attempts")


@dataclass(frozen=True)
class Kept:
    """The state of a house that served six requests and closed."""

    state: Path
    config: LoadedConfig
    now_ms: int


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    root = tmp_path_factory.mktemp("books")

    async def served(house: Target) -> None:
        for number in range(6):
            body = {"model": MINI, "messages": [{"role": "user", "content": "hi"}], "stream": number % 3 == 0}
            answer = await asked(house, "/v1/chat/completions", json.dumps(body).encode())
            assert answer is not None
            assert answer.status == 200

    with target(root) as house:
        house.run(served(house))
        upstream = Upstream()
        upstream.base_url = house.provider.base_url
        config, now = configuration(upstream, SETTINGS), house.clock.now_ms()
    with closing(sqlite3.connect(root / "state" / "journal.db")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.commit()
    return Kept(root / "state", config, now)


async def verified(kept: Kept, state: Path) -> LedgerAnswer:
    async with offline_control(kept.config, state, None, ManualClock(kept.now_ms)) as control:
        return await control.ask(LedgerQuery())


def tampered(kept: Kept, place: Path, sql: str) -> LedgerAnswer:
    shutil.copy(kept.state / "journal.db", place / "journal.db")
    with closing(sqlite3.connect(place / "journal.db")) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        assert database.execute(sql).rowcount > 0, sql
        database.commit()
    return asyncio.run(verified(kept, place))


def test_every_number_and_name_that_somebody_changes_is_found(kept: Kept, tmp_path: Path) -> None:
    place = tmp_path / "state"
    shutil.copytree(kept.state, place, ignore=shutil.ignore_patterns("*.sock", "journal.db*"))
    honest = tampered(kept, place, "UPDATE runs SET message = message")
    assert honest.ok, honest
    third = "WHERE rowid = (SELECT rowid FROM {} ORDER BY rowid LIMIT 1 OFFSET 2)"
    deeds = [
        f"UPDATE {table} SET {column} = {CHANGED.format(column)} {third.format(table)}"
        for table, columns in (("holds", OF_HOLDS), ("usage", OF_USAGE))
        for column in columns
    ]
    for table, columns in (("usage_sums", OF_SUMS), ("usage_days", OF_DAYS)):
        deeds += [f"UPDATE {table} SET {column} = {CHANGED.format(column)}" for column in columns]
    deeds += [f"DELETE FROM {table}" for table in ("usage_sums", "usage_days", "usage", "holds", "runs")]
    deeds += [
        "DELETE FROM holds WHERE seq = 3",
        "DELETE FROM usage WHERE seq = 3",
        "DELETE FROM runs WHERE seq = 3",
        "UPDATE holds SET state = 'released' WHERE seq = 3",
        "UPDATE holds SET state = 'held', terminal_at = NULL WHERE seq = 3",
        "UPDATE holds SET moves = json_set(moves, '$[0][5]', 1) WHERE seq = 3",
    ]
    missed = [sql for sql in deeds if tampered(kept, place, sql).ok]
    assert missed == []


def test_what_is_wrong_with_a_hold_is_told_by_its_name(kept: Kept, tmp_path: Path) -> None:
    place = tmp_path / "state"
    shutil.copytree(kept.state, place, ignore=shutil.ignore_patterns("*.sock", "journal.db*"))
    with closing(sqlite3.connect(kept.state / "journal.db")) as database:
        ((hold_id,),) = database.execute("SELECT hold_id FROM holds WHERE seq = 3").fetchall()
    for sql, why in (
        ("DELETE FROM holds WHERE seq = 3", "it is missing, and its usage is there"),
        ("DELETE FROM usage WHERE seq = 3", "its usage is missing"),
        ("UPDATE holds SET principal = 'bea' WHERE seq = 3", "it is not of whom its run is"),
        ("UPDATE usage SET model = 'cheap' WHERE seq = 3", "its usage is of something else"),
        ("UPDATE usage SET charge = charge - 1 WHERE seq = 3", "its usage is another amount"),
        ("DELETE FROM runs WHERE seq = 3", "its run is missing"),
    ):
        assert f"hold {hold_id}: {why}" in tampered(kept, place, sql).rollup_differences, sql
