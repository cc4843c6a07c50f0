"""kill -9 of the engine under load, at random moments: nothing that was told is lost, nothing held is counted twice."""

import json
import math
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from palyra.core.clock import SystemClock
from palyra.core.money import parse_usd
from tests.support.upstream import Upstream
from tests.toughness.books import Books, Row, read_books
from tests.toughness.load import Burst, Witness, later, write_config
from tests.toughness.nursery import Nursery
from tests.toughness.programs import Engine, Installation

LIVE = ("pending", "parked", "running")
TERMINAL = ("completed", "failed", "cancelled", "refused")
UPKEEP = ("jobs", "job_fires", "job_attempts")
"""Palyra's own jobs, the only ones there are, and what they did: they go on while an engine is up."""
JUDGED_ANEW = ("alerts", "incidents", "incident_episodes", "memory_upkeep")
"""Stay, and tell at each start what is the case then."""
PASSING = ("told", "failures", "probes", "journal_sizes", "healing_circuits", "memory_traces")
"""What an engine notes of itself and of its surroundings, and whom it told: goes when it is over."""
GROWING = ("audit", "replay_log", "replay_bodies", "incident_timeline", *JUDGED_ANEW, *PASSING, *UPKEEP)
"""A start adds to these: what it is governed by, for replays; what it finds."""
PLANNED = ("planned_after", "next_slot", "release_at", "last_slot", "updated_at", "failures")
"""What planning moves in the row of a job, with the numbers that only grow."""
MOST_DELAY_S = 0.03
"""After a random number of things was told to somebody outside, the kill comes within this time."""


@dataclass
class Tally:
    """What a series of kills went through, to show that it was no idle one.

    `again` are attempts after one that failed. `orphans` are holds that a kill left open, `metered` those of them with
    a reading; `unsure` are whole answers that clients had got just before a kill, too late to be settled as such.
    """

    kills: int = 0
    kills_at_start: int = 0
    orphans: int = 0
    metered: int = 0
    unsure: int = 0
    runs: int = 0
    again: int = 0


class Ordeal:
    """One state directory that goes through many kills."""

    def __init__(self, installation: Installation, upstream: Upstream, seed: int) -> None:
        self.installation = installation
        self.upstream = upstream
        self.seed = seed
        self.dice = random.Random(seed)
        self.witness = Witness()
        self.tally = Tally()
        self.unsure: set[str] = set()

    async def round(self, number: int) -> None:
        """A life under load, its violent end, and what is left of it."""
        installation, dice = self.installation, self.dice
        if dice.random() < 0.2:
            self._kill_at_start()
        engine = installation.serve().ready()
        burst = Burst(
            name=f"b{number}",
            seed=dice.getrandbits(32),
            gateway_url=engine.gateway_url,
            key=engine.key,
            state_dir=installation.state_dir,
            witness=self.witness,
            upstream=self.upstream,
        )
        asked = self.witness.asked
        async with burst.running():
            await burst.happened(dice.randint(1, 250))
            timer = later(dice.random() * MOST_DELAY_S, engine.kill)
        timer.cancel()
        assert self.witness.asked > asked, "the load came to an end before anything was asked"
        self.tally.kills += 1
        before = self._look_at_the_dead()
        engine = installation.serve().ready()
        self._look_at_the_recovered(before)
        self._starting_again_changes_nothing(engine)

    def _kill_at_start(self) -> None:
        """Dies while it still takes up what its predecessor left."""
        engine = self.installation.serve()
        os.sched_yield()
        engine.kill()
        self.tally.kills_at_start += 1

    def _look_at_the_dead(self) -> Books:
        books = read_books(self.installation.state_dir)
        done = self.installation.run("ledger", "verify", "--json")
        report = done.data
        assert set(report["orphan_holds"]) == set(books.open_holds)
        assert done.code == (1 if books.open_holds else 0), report
        assert not report["differences"], report
        assert not report["rollup_differences"], report
        assert all(item.get("overshoot_nano_usd", item.get("overshoot")) == 0 for item in report["overshoot"]), report
        self.tally.orphans += len(books.open_holds)
        self.tally.metered += sum(row["metered_input"] is not None for row in books.open_holds.values())
        return books

    def _look_at_the_recovered(self, before: Books) -> None:
        for what in (("ledger", "verify"), ("audit", "verify")):
            done = self.installation.run(*what, "--json")
            assert done.code == 0, done
            assert done.data["ok"], done
        after = read_books(self.installation.state_dir)
        assert not after.open_holds
        assert all(row["state"] in TERMINAL for row in after["runs"].values())
        nothing_lost(before, after)
        for hold in before.open_holds.values():
            charged_as_specified(hold, after)
        self._nothing_told_is_untrue(after)
        self.tally.runs, self.tally.unsure = len(after["runs"]), len(self.unsure)
        self.tally.again = sum(row["attempt"] > 1 for row in after["holds"].values())

    def _nothing_told_is_untrue(self, after: Books) -> None:
        witness = self.witness
        for run_id, told in witness.ended.items():
            run = after.run(run_id)
            assert run is not None
            assert told == tuple(run[name] for name in ("state", "reason", "cost", "input_tokens", "output_tokens"))
        for run_id, cost in witness.answered.items():
            self._answer_is_accounted_for(after.run(run_id), cost, after)
        for run_id in witness.begun:
            run = after.run(run_id)
            assert run is not None
            assert run["reason"] != "interrupted" or paid(run, after)
        for run_id, code in witness.refused.items():
            run = after.run(run_id)
            assert run is not None, f"{run_id} was refused ({code}) and is not known"
        for approval_id, decision in witness.decided.items():
            assert after["approvals"][(approval_id,)]["decision"] == decision
        for policy_id, limit in witness.policies.items():
            row = after["policies"][(policy_id,)]
            assert row["removed"] == (not limit)
            assert not limit or parse_usd(json.loads(row["body"])["hard_limit"]) == parse_usd(limit)

    def _answer_is_accounted_for(self, run: Row | None, cost: int | None, after: Books) -> None:
        """Settled as the client was told; or, killed before that was durable, charged its last reading or its bound,
        which can lie a little below what a provider counts, and is never nothing."""
        assert run is not None
        if run["state"] == "completed":
            assert run["cost"] == cost
            return
        assert (run["state"], run["reason"]) == ("failed", "interrupted")
        assert paid(run, after)
        assert not cost or run["cost"]
        self.unsure.add(run["run_id"])

    def _starting_again_changes_nothing(self, engine: Engine) -> None:
        first = read_books(self.installation.state_dir)
        engine.kill()
        engine = self.installation.serve().ready()
        again = read_books(self.installation.state_dir)
        for table, rows in first.tables.items():
            for key, row in rows.items():
                now = again[table].get(key)
                assert now == row or lapsed(row, now) or moves_on(table, row, now), (table, row, now)
            assert table in GROWING or len(again[table]) == len(rows)
        assert len(again["audit"]) == len(first["audit"]) + 1
        done = self.installation.run("ledger", "verify", "--json")
        assert done.code == 0, done
        if self.dice.random() < 0.5:
            assert engine.stop() == 0
        else:
            engine.kill()


def paid(run: Row, books: Books) -> bool:
    """Whether the newest attempt of a run has its usage, and every other one has ended."""
    *earlier, newest = sorted(books.holds_of(run["run_id"]), key=lambda hold: int(hold["attempt"]))
    ended = all(hold["state"] in ("settled", "released") for hold in earlier)
    return bool(ended and newest["state"] == "settled" and (newest["hold_id"],) in books["usage"])


def nothing_lost(before: Books, after: Books) -> None:
    """What had ended, or never ends, is as it was; what lived is ended."""
    for table, rows in before.tables.items():
        if table in ("usage_sums", "usage_days", "decision_reasons"):
            continue
        for key, row in rows.items():
            if moves_on(table, row, after[table].get(key)):
                continue
            now = after[table][key]
            if row.get("state") in LIVE:
                assert (now["state"], now["reason"]) == ("failed", "interrupted"), row
            elif run_out(table, row, now):
                continue
            elif voided_at_start(table, row, now):
                assert edited(after, row), row
            elif row.get("state") != "held":
                assert now == row or lapsed(row, now), (table, row, now)


def moves_on(table: str, row: Row, now: Row | None) -> bool:
    """Whether an engine that is up may have left such a row as it is now, by what it does without being asked."""
    if table in PASSING:
        return True
    if table in JUDGED_ANEW:
        return now is not None
    if table not in UPKEEP:
        return False
    if now is None:
        # Upkeep itself forgets fires in which there was nothing to do.
        return table != "jobs"
    if table == "jobs":
        grown = all(now[name] >= row[name] for name in ("revision", "fired"))
        free = (*PLANNED, "revision", "fired")
        return grown and all(now[name] == told for name, told in row.items() if name not in free)
    return now == row or row.get("state") in (*LIVE, "backoff")


def run_out(table: str, row: Row, now: Row) -> bool:
    """Whether the time of a grant or an approval was up before the books were read again."""
    if table == "grants":
        return bool(row["state"] == "active" and now["state"] == "expired" and row["expires_at"] is not None)
    return bool(table == "approvals" and row["status"] == "pending" and now["decision"] == "timeout")


def voided_at_start(table: str, row: Row, now: Row) -> bool:
    """Whether a start ended what an edit had made void: the edit is durable first, its consequences follow."""
    if table == "grants":
        return bool(row["state"] == "active" and now["state"] == "void")
    return bool(table == "approvals" and row["status"] == "pending" and now["reason"] == "policy_edited")


def edited(books: Books, row: Row) -> bool:
    """Whether one of the budgets a grant or an approval speaks of has more than one revision."""
    named = {row["policy_id"]} if "policy_id" in row else set(json.loads(row["policy_ids"]))
    newest = {policy["policy_id"]: policy["revision"] for policy in books["policies"].values()}
    return any(newest.get(policy_id, 0) > 1 for policy_id in named)


def lapsed(row: Row, now: Row | None) -> bool:
    """Whether a grant's time is over, which a start writes down."""
    if now is None or "grant_id" not in row or (row["expires_at"] or math.inf) > SystemClock().now_ms():
        return False
    return {**row, "state": "expired", "version": row["version"] + 1} == now


def charged_as_specified(hold: Row, after: Books) -> None:
    """The last reading of its meter, else its bound, once."""
    ended = after["holds"][(hold["hold_id"],)]
    usage = after["usage"][(hold["hold_id"],)]
    metered = hold["metered_input"] is not None
    tokens = hold["metered_input"] + hold["metered_output"] if metered else hold["bound_tokens"]
    amount = hold["metered_usd"] if metered else hold["bound_usd"]
    assert (ended["state"], ended["recovered"], ended["requests"]) == ("settled", 1, 1)
    assert ended["usage_source"] == usage["usage_source"] == ("metered" if metered else "bound")
    assert (ended["actual_tokens"], ended["actual_usd"]) == (tokens, amount)
    assert usage["input_total"] + usage["output_total"] == tokens
    assert json.loads(usage["flags"]) == ["hold_recovered"]
    if amount is not None:
        assert usage["charge"] == amount
    else:
        assert usage["price_state"] in ("unknown", "unknown_flat")
        assert (usage["charge"] is None) == (usage["price_state"] == "unknown")


async def ordeal(nursery: Nursery, upstream: Upstream, place: Path, kills: int) -> Tally:
    seed = int(os.environ.get("PALYRA_TEST_SEED") or random.SystemRandom().getrandbits(32))
    going_on = Ordeal(
        Installation(nursery, place / "state", write_config(place / "palyra.toml", upstream.base_url)), upstream, seed
    )
    try:
        for number in range(kills):
            await going_on.round(number)
    except BaseException as error:
        error.add_note(f"seed {seed}, kill {going_on.tally.kills}; again with PALYRA_TEST_SEED={seed}")
        raise
    finally:
        going_on.installation.close()
    return going_on.tally


async def test_twelve_kills_lose_nothing(nursery: Nursery, upstream: Upstream, tmp_path: Path) -> None:
    tally = await ordeal(nursery, upstream, tmp_path, 12)
    assert tally.kills == 12
    assert tally.orphans > 12
    assert tally.again > 0


@pytest.mark.soak
async def test_a_hundred_kills_lose_nothing(
    nursery: Nursery, upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = await ordeal(nursery, upstream, tmp_path, 100)
    with capsys.disabled():
        sys.stdout.write(f"\n{tally}\n")
    assert tally.kills == 100
