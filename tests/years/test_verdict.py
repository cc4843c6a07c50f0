"""The judge of the years sees what it is there for: schedulers that fire twice, lose a slot, or stop who is well."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from palyra.core.scope import Scope
from palyra.journal.job_rows import JobRow
from palyra.runs.background import PromptAsk
from tests.scheduler.rows import T0
from tests.years.calendar import slots_of
from tests.years.plans import Plan, cron, job
from tests.years.tally import Tally
from tests.years.verdict import Told, accounted, interval_accounted, judged, verdict
from tests.years.world import years

HOUR = 3_600_000


def short() -> Plan:
    jobs = (cron("hours", "5 * * * *", "Europe/Prague"), job("every", "every", "40m"))
    return Plan(jobs, T0 + 12 * HOUR, 4 * 3_600, 0.0, 1e9, (1,), (2,))


LOSE = "DELETE FROM job_fires WHERE rowid = 3"
DOUBLE = "UPDATE job_fires SET coalesced_count = 1, covers_through = slot + 3600000 WHERE job_id = 'hours'"
OPEN = "UPDATE job_fires SET state = 'running', finished_at = NULL WHERE rowid = 2"
SILENT = "UPDATE job_fires SET state = 'skipped', reason = '' WHERE rowid = 2"
FAULTED = "UPDATE jobs SET state = 'faulted', next_slot = NULL, release_at = NULL"


def test_a_journal_that_does_not_fit_is_seen() -> None:
    with years(short(), 5) as made:
        made.run()
        assert verdict(made) == []
        for harm in (LOSE, DOUBLE, OPEN, SILENT, FAULTED):
            with closing(sqlite3.connect(made.state_dir / "journal.db", isolation_level=None)) as database:
                database.execute("BEGIN")
                database.execute(harm)
                assert judged(made, database), harm
                database.execute("ROLLBACK")
        assert verdict(made) == []


@pytest.mark.parametrize(
    ("fires", "said"),
    [
        ([Told("a", 60, "completed", "", 0, 60), Told("b", 120, "completed", "", 1, 180)], []),
        ([Told("a", 60, "completed", "", 0, 60), Told("b", 180, "completed", "", 0, 180)], ["slot 120"]),
        ([Told("a", 60, "completed", "", 2, 180), Told("b", 120, "skipped", "x", 0, 120)], ["slot 120"]),
        ([Told("a", 60, "completed", "", 1, 180), Told("b", 61, "completed", "", 0, 61)], ["a says", "b has"]),
    ],
)
def test_slots_are_counted_one_by_one(fires: list[Told], said: list[str]) -> None:
    found = list(accounted([60, 120, 180], fires))
    assert all(any(one.startswith(start) for one in found) for start in said)
    assert bool(found) is bool(said)


def an_interval() -> JobRow:
    return job("every", "every", "1m")


@pytest.mark.parametrize(
    ("slots", "turned", "fits"),
    [
        ([1, 2, 3], [], True),
        ([1, 3], [], False),
        ([1, 2], [], False),
        ([1, 2, 2.5, 3.5], [], False),
        ([1, 2, 2.5, 3.5], [1.5], True),
    ],
)
def test_intervals_follow_each_other(slots: list[float], turned: list[float], fits: bool) -> None:
    def at(minute: float) -> int:
        return T0 + int(minute * 60_000)

    fires = [Told(str(slot), at(slot), "completed", "", 0, at(slot)) for slot in slots]
    assert (not list(interval_accounted(an_interval(), fires, at(3.7), [at(one) for one in turned]))) is fits


def test_the_calendar_knows_the_hours_that_are_not() -> None:
    gap = cron("gap", "30 2 * 3 sun", "Europe/Prague")
    slots = slots_of(gap, T0 + 140 * 24 * HOUR)
    assert len(slots) == 4
    assert slots[-1] - slots[-2] == 7 * 24 * HOUR - HOUR // 2


def test_what_happens_twice_outside_is_a_fault() -> None:
    tally = Tally()
    ask = PromptAsk("x", Scope("ann", "s"), "task", run_id="r1", task_id="t1")
    tally.attempt(ask, 1)
    tally.done(ask)
    tally.stopped(ask, "self_healing", beats=False)
    tally.slot("j1", 60, "f1")
    tally.slot("j1", 60, "f1")
    assert tally.faults == []
    tally.attempt(replace(ask, run_id="r2"), 1)
    tally.done(ask)
    tally.stopped(ask, "self_healing", beats=True)
    tally.slot("j1", 60, "f2")
    assert len(tally.faults) == 5
