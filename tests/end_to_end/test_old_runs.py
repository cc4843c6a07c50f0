"""Runs that are old enough go: what they used stays in every budget without an end, in every sum, and over restarts."""

import pytest

from palyra.control.queries import LedgerQuery, RunQuery
from palyra.control.usage_queries import UsageQuery
from palyra.core.errors import NotFoundError
from palyra.core.windows import DAY_MS
from palyra.engine.upkeep import rows_until
from palyra.governance.recount import history_start
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, HAIKU, MINI, Premises, chat
from tests.end_to_end.test_starting_again import next_start
from tests.end_to_end.test_system_jobs import done
from tests.governance.policies import policy

BUDGETS = """
[[budgets]]
policy_id = "ever"
metric_kind = "requests"
interval_kind = "lifetime"
hard_limit = 1000
[[budgets]]
policy_id = "everybody"
scope_kind = "user"
scope_id = "*"
interval_kind = "lifetime"
hard_limit = 1000
[[budgets]]
policy_id = "month"
metric_kind = "total_tokens"
interval_kind = "monthly"
hard_limit = 1_000_000
"""
LATER = '[[budgets]]\npolicy_id = "later"\nmetric_kind = "total_tokens"\ninterval_kind = "lifetime"\nhard_limit = 9\n'
YEAR = 366 * DAY_MS


def endless(here: Premises) -> dict[str, int]:
    """What budgets without an end have counted."""
    found = here.engine.ledger.counters(here.clock.now_ms())
    return {f"{one.policy_id} {one.scope_value}": one.settled for one in found if one.policy_id != "month"}


async def test_what_old_runs_used_is_never_forgotten(opened: Opener) -> None:
    here = await opened(BUDGETS)
    began = here.clock.now_ms()
    for model in (MINI, HAIKU, ACME, MINI):
        assert (await here.ask(chat(model=model, max_tokens=100))).status == 200
    await here.rest()
    old = await here.runs()
    here.set_wall(began + YEAR)
    assert (await here.ask(chat(model=MINI))).status == 200
    await here.rest()
    before = endless(here)
    year = UsageQuery(began, began + YEAR)
    used = await here.control.ask(year)
    assert (await done(here, "journal_vacuum")).detail["runs_folded"] == 0
    here.set_wall(began + YEAR + 40 * DAY_MS)
    assert (await here.ask(chat(model=MINI))).status == 200
    await here.rest()
    told = await done(here, "journal_vacuum", 2)
    assert told.detail["runs_folded"] == len(old) == 4
    assert [run.run_id for run in await here.runs() if run in old] == []
    for run in old:
        with pytest.raises(NotFoundError):
            await here.control.ask(RunQuery(run.run_id))
    readers = here.engine.journal.readers
    assert [len(await readers.holds_of_run(old[0].run_id)), len(await readers.usage_of_run(old[0].run_id))] == [0, 0]
    assert (await here.control.ask(year)).total == used.total
    now = endless(here)
    assert now["ever *"] == before["ever *"] + 1 == 6
    assert now.keys() == before.keys()
    assert now["everybody local"] > before["everybody local"] > 0
    for house in (here, await next_start(here, opened, "again", BUDGETS)):
        assert endless(house) == now
        answer = await house.control.ask(LedgerQuery())
        assert answer.ok, answer
        folded = await house.engine.journal.fold_old_runs(rows_until(house.clock.now_ms(), 400))
        assert folded.runs == 0
    assert (await done(here, "rollup_check")).detail["differences"] == 0
    assert endless(here) == now
    tokens = sum(run.input_tokens + run.output_tokens for run in [*old, *await here.runs()])
    later = await next_start(here, opened, "later", BUDGETS + LATER)
    assert endless(later) == {**now, "later *": tokens}


def test_no_window_with_an_end_is_let_go_of() -> None:
    zones = ("UTC", "Pacific/Apia", "America/Los_Angeles", "Australia/Lord_Howe")
    intervals = ("hourly", "daily", "weekly", "monthly", "rolling_24h", "rolling_30d")
    for now in range(1_795_348_800_000, 1_795_348_800_000 + 120 * DAY_MS, 7 * 3_600_000):
        needed = min(
            history_start(policy(interval_kind=interval, timezone=zone), now)
            for interval in intervals
            for zone in zones
        )
        assert rows_until(now, 31) <= needed
        assert rows_until(now, 400) <= now - 400 * DAY_MS < rows_until(now, 400) + DAY_MS
