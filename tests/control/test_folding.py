from dataclasses import replace
from pathlib import Path

from palyra.control.folding import RECENT_RUNS, Fold
from palyra.core.clock import ManualClock
from palyra.core.events import Event, EventHub
from palyra.journal.changes import RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from palyra.journal.rows import RunRow
from palyra.runs.live import LiveRun
from tests.journal.samples import a_hold, a_run, a_usage, ended
from tests.runs.test_live import a_row

NOON = 1_795_348_800_000
"""2026-11-22T12:00:00Z."""


def told(hub: EventHub, clock: ManualClock, kind: str, row: RunRow, held: int = 0) -> None:
    hub.publish(Event(kind, clock.now_ms(), row.run_id, {"run": LiveRun(row, held_usd=held)}))


async def test_what_ended_today_is_summed_until_local_midnight() -> None:
    clock, hub = ManualClock(NOON), EventHub()
    fold = Fold(clock, hub, "Europe/Prague")
    told(hub, clock, "run.ended", replace(a_row("01A"), state="completed", cost=7_000_000))
    told(hub, clock, "run.ended", replace(a_row("01B"), state="completed", cost=None))
    assert (fold.spent_today(), fold.requests_total) == (7_000_000, 2)
    # Midnight in Prague is 23:00 UTC.
    clock.tick(11 * 3600 - 1)
    assert fold.spent_today() == 7_000_000
    clock.tick(1)
    assert fold.spent_today() == 0


async def test_runs_are_shown_newest_first_with_what_they_hold_and_old_ones_go() -> None:
    clock, hub = ManualClock(NOON), EventHub()
    fold = Fold(clock, hub, "UTC")
    live = a_row("0000LIVE")
    told(hub, clock, "run.started", live, held=5)
    for number in range(RECENT_RUNS + 20):
        told(hub, clock, "run.ended", replace(a_row(f"01{number:05d}"), state="completed"))
    shown = fold.runs()
    assert len(shown) <= RECENT_RUNS + 1
    assert shown[0][0].run_id == f"01{RECENT_RUNS + 19:05d}"
    assert (live, 5) in shown
    told(hub, clock, "run.ended", replace(live, state="failed"))
    assert ("failed", 0) in [(row.state, held) for row, held in fold.runs()]


async def test_those_alive_stay_however_many_there_are_and_push_out_nothing_that_ended() -> None:
    clock, hub = ManualClock(NOON), EventHub()
    fold = Fold(clock, hub, "UTC")
    for number in range(RECENT_RUNS + 5):
        told(hub, clock, "run.started", a_row(f"00{number:05d}"), held=1)
    ended = replace(a_row("01A"), state="completed")
    told(hub, clock, "run.ended", ended)
    for number in range(RECENT_RUNS + 5):
        told(hub, clock, "run.moved", a_row(f"00{number:05d}"), held=2)
    shown = fold.runs()
    assert shown[0] == (ended, 0)
    assert shown[-1] == (a_row("0000000"), 2)
    assert len(shown) == RECENT_RUNS + 6


async def test_a_closed_fold_hears_no_more() -> None:
    clock, hub = ManualClock(NOON), EventHub()
    fold = Fold(clock, hub, "UTC")
    before = fold.version
    fold.close()
    told(hub, clock, "run.started", a_row("01A"))
    assert (fold.version, fold.runs()) == (before, [])


async def test_a_clock_set_back_over_midnight_and_right_again_forgets_nothing_that_was_spent() -> None:
    clock, hub = ManualClock(NOON), EventHub()
    fold = Fold(clock, hub, "UTC")
    told(hub, clock, "run.ended", replace(a_row("01A"), state="completed", cost=7))
    clock.set_wall(NOON - 20 * 3_600_000)
    told(hub, clock, "run.ended", replace(a_row("01B"), state="completed", cost=5))
    assert fold.spent_today() == 5
    clock.set_wall(NOON)
    assert fold.spent_today() == 7


async def test_what_was_spent_while_a_clock_was_ahead_is_told_on_the_day_it_was_told_for(tmp_path: Path) -> None:
    clock = ManualClock(NOON)
    journal = await Journal.open(tmp_path, clock)
    try:
        for days, charge in ((0, 3), (1, 5), (3, 7)):
            at = NOON + days * 86_400_000
            run = a_run(accepted_at=at - 9)
            usage = a_usage(a_hold(run), hold_id="", at=at, charge=charge)
            await journal.submit([RunSaved(ended(run, finished_at=at)), UsageRecorded(usage)])
        fold = Fold(clock, EventHub(), "Europe/Prague")
        await fold.begin(journal.readers)
    finally:
        await journal.close()
    spent = [fold.spent_today()]
    for _ in range(4):
        clock.tick(86_400)
        spent.append(fold.spent_today())
    assert spent == [3, 5, 0, 7, 0]
