"""What an attempt used is put right: the first row stays, and every number that people and budgets see follows."""

from typing import Any

import pytest

from palyra.control.commands import CorrectUsage
from palyra.control.queries import AuditQuery
from palyra.control.replays import ReplayQuery, replay
from palyra.control.snapshots import CommandResult
from palyra.core.clock import SystemClock
from palyra.journal.corrections import attempts_of
from palyra.journal.replay_log import ReplayLog
from palyra.pricing.rates import RatePart
from palyra.vault.records import Role
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import DAY_MS, HAIKU, MINI, Premises, chat, message
from tests.pricing.house import sum_of_parts
from tests.support.upstream import Reply, Upstream

INPUT, OUTPUT, CACHED = 150, 600, 75
"""Nano-dollars of a token of the model asked here."""


async def served(here: Premises, upstream: Upstream, **fields: Any) -> str:
    """A request of 1,000 tokens in and 500 out; its run."""
    upstream.replies.append(Reply(input_tokens=1_000, output_tokens=500))
    answer = await here.ask(chat(max_tokens=1_000, **fields))
    assert answer.status == 200
    await here.rest()
    return answer.headers["x-palyra-run"]


async def correct(here: Premises, run_id: str, **numbers: Any) -> CommandResult:
    return await here.control.send(CorrectUsage(run_id, "the invoice says so", **numbers))


async def budgets(here: Premises) -> None:
    await here.add_budget("day", "100", interval_kind="daily")
    await here.add_budget("tokens", "100000", metric_kind="total_tokens", interval_kind="rolling_24h")
    await here.add_budget("calls", "100", metric_kind="requests", scope_kind="user")


def counted(here: Premises) -> tuple[int, int, int]:
    return here.counted("day", "*")[0], here.counted("tokens", "*")[0], here.counted("calls", "local")[0]


async def test_budgets_sums_screens_and_the_audit_follow_a_correction(here: Premises, upstream: Upstream) -> None:
    await budgets(here)
    run_id = await served(here, upstream)
    await served(here, upstream)
    each = 1_000 * INPUT + 500 * OUTPUT
    assert counted(here) == (2 * each, 3_000, 2)
    done = await correct(here, run_id, input_tokens=1_200, output_tokens=400)
    assert done.status == "accepted", done
    right = 1_200 * INPUT + 400 * OUTPUT
    assert "now says 1,200 tokens in, 400 out, $0.00042, instead of 1,000 tokens in, 500 out" in done.message
    assert counted(here) == (each + right, 3_100, 2)

    detail = await here.run(run_id)
    assert (detail.run.input_tokens, detail.run.output_tokens, detail.run.cost_nano_usd) == (1_200, 400, right)
    (attempt,) = detail.attempts
    assert attempt.actual_nano_usd == right
    assert any(flag.startswith("correction:") for flag in attempt.flags)
    total = (await here.usage()).total
    assert (total.cost_nano_usd, total.attempts, total.input_tokens) == (each + right, 2, 2_200)
    shot = await here.control.snapshot([])
    assert shot.spend_today_nano_usd == each + right
    assert {run.run_id: run.cost_nano_usd for run in await here.runs()}[run_id] == right

    first, second = await here.engine.journal.readers.usage_of_run(run_id)
    assert (first.charge, first.input_total, second.corrects, second.charge) == (
        each,
        1_000,
        first.hold_id,
        right - each,
    )
    audit = await here.control.ask(AuditQuery())
    assert audit.ok
    await here.check()


async def test_books_are_clean_where_a_correction_goes_over_a_limit(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "0.00136", interval_kind="daily")
    runs = [await served(here, upstream) for _ in range(3)]
    for run_id in runs[:2]:
        assert (await correct(here, run_id, cost_nano_usd=600_000)).ok
    assert here.counted("day", "*")[0] > 1_360_000
    await here.check()


async def test_the_same_again_is_refused_and_another_one_counts_from_the_last(
    here: Premises, upstream: Upstream
) -> None:
    await budgets(here)
    run_id = await served(here, upstream)
    assert (await correct(here, run_id, output_tokens=300)).ok
    before = counted(here)
    again = await correct(here, run_id, output_tokens=300)
    assert (again.status, "says so already: 1,000 tokens in, 300 out" in again.message) == ("conflict", True)
    assert counted(here) == before
    assert (await correct(here, run_id, output_tokens=500)).ok
    assert counted(here)[0] == 1_000 * INPUT + 500 * OUTPUT
    assert (await correct(here, run_id, cached_tokens=400)).ok
    assert counted(here)[0] == 600 * INPUT + 400 * CACHED + 500 * OUTPUT
    assert (await correct(here, run_id, cost_nano_usd=123_456)).ok
    assert counted(here)[0] == 123_456
    (attempt,) = (await here.run(run_id)).attempts
    assert attempt.actual_nano_usd == 123_456
    assert (await correct(here, run_id, input_tokens=500)).ok, "tokens are priced again from a cost that was named"
    assert (await correct(here, run_id, input_tokens=500)).status == "conflict"
    await here.check()


async def test_a_correction_survives_a_restart_and_counts_in_the_window_of_its_hold(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened()
    await here.add_budget("day", "100", interval_kind="daily")
    await here.add_budget("month", "100")
    run_id = await served(here, upstream)
    here.set_wall(here.clock.now_ms() + DAY_MS)
    assert (await correct(here, run_id, output_tokens=100)).ok
    right = 1_000 * INPUT + 100 * OUTPUT
    assert (here.counted("day", "*"), here.counted("month", "*")) == ((0, 0), (right, 0))
    shot = await here.control.snapshot([])
    assert shot.spend_today_nano_usd == 0
    clock = here.clock
    await here.close()
    after = await opened(clock=clock)
    assert (after.counted("day", "*"), after.counted("month", "*")) == ((0, 0), (right, 0))


async def test_parts_of_a_corrected_charge_still_make_it_up(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "100", interval_kind="daily")
    run_id = await served(here, upstream)
    await correct(here, run_id, input_tokens=2_000, output_tokens=250)
    right = 2_000 * INPUT + 250 * OUTPUT
    (row,) = attempts_of(await here.engine.journal.readers.usage_of_run(run_id)).values()
    assert sum_of_parts(tuple(RatePart.from_json(part) for part in row.rates)) == row.charge == right
    (attempt,) = (await here.run(run_id)).attempts
    assert {part.unit: part.count for part in attempt.parts} == {"input_tokens": 2_000, "output_tokens": 250}


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({}, "Nothing is named"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"cached_tokens": 1_001}, "lie within it"),
        ({"cost_nano_usd": -1}, "cost"),
    ],
)
async def test_what_cannot_be_is_refused(
    here: Premises, upstream: Upstream, numbers: dict[str, int], says: str
) -> None:
    run_id = await served(here, upstream)
    refused = await correct(here, run_id, **numbers)
    assert refused.status == "invalid"
    assert says in refused.message


async def test_only_admins_correct_and_only_what_was_charged(here: Premises, upstream: Upstream) -> None:
    run_id = await served(here, upstream)
    approver = here.operator("bob", Role.APPROVER)
    assert (await approver.send(CorrectUsage(run_id, "why", output_tokens=1))).status == "denied"
    assert (await here.control.send(CorrectUsage(run_id, "", output_tokens=1))).status == "invalid"
    assert (await correct(here, "nobody", output_tokens=1)).status == "not_found"
    upstream.replies.append(Reply(status=400))
    refused = await here.ask(chat(max_tokens=10))
    nothing = await correct(here, refused.headers["x-palyra-run"], output_tokens=1)
    assert (nothing.status, "Nothing was charged" in nothing.message) == ("conflict", True)


async def test_a_charge_that_does_not_follow_from_tokens_needs_a_cost(here: Premises, upstream: Upstream) -> None:
    """A service tier of its own: which rates were taken is known of the charge, not of the card."""
    upstream.replies.append(Reply(input_tokens=1_000, output_tokens=500))
    answer = await here.ask(message(max_tokens=500, speed="fast"))
    run_id = answer.headers["x-palyra-run"]
    await here.rest()
    assert answer.headers["x-palyra-model"] == HAIKU
    (row,) = await here.engine.journal.readers.usage_of_run(run_id)
    told = await correct(here, run_id, output_tokens=400)
    plain = 1_000 * 1_000 + 500 * 5_000
    assert (told.status == "accepted") == (row.charge == plain)
    assert (await correct(here, run_id, output_tokens=300, cost_nano_usd=777)).ok
    (attempt,) = (await here.run(run_id)).attempts
    assert attempt.actual_nano_usd == 777


async def test_a_flat_charge_stays_and_its_tokens_follow(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "100", interval_kind="daily", on_unknown_price="flat:1.00")
    await here.add_budget("tokens", "100000", metric_kind="total_tokens")
    upstream.replies.append(Reply(input_tokens=10, output_tokens=5))
    answer = await here.ask({**chat(max_tokens=100), "model": "own/acme-7b"})
    await here.rest()
    run_id = answer.headers["x-palyra-run"]
    assert (await correct(here, run_id, output_tokens=50)).ok
    assert (here.counted("day", "*")[0], here.counted("tokens", "*")[0]) == (10**9, 60)
    assert (await correct(here, run_id, cost_nano_usd=5)).status == "invalid"
    assert MINI not in (await here.run(run_id)).run.model


async def test_a_replay_is_told_what_was_used_in_the_end(here: Premises, upstream: Upstream) -> None:
    run_id = await served(here, upstream)
    await correct(here, run_id, input_tokens=1_200)
    await correct(here, run_id, output_tokens=100)
    with ReplayLog.of(here.state_dir) as log:
        (ref,) = log.refs([run_id]).values()
        used = log.usage(ref)
        assert used is not None
        assert (used["input_total"], used["output_total"]) == (1_200, 100)
        assert log.usage(ref + 1_000) is None
    await correct(here, run_id, cost_nano_usd=5)
    with ReplayLog.of(here.state_dir) as log:
        assert log.usage(ref) is None, "no card can price what was named"


async def test_a_replay_follows_what_was_corrected(here: Premises, upstream: Upstream) -> None:
    run_id = await served(here, upstream)
    for corrected in (False, True):
        if corrected:
            assert (await correct(here, run_id, input_tokens=1_200)).ok
            await here.rest()
        now = here.clock.now_ms()
        query = ReplayQuery(f"01KCORRECTED{corrected}", since=now - DAY_MS, until=now + 1)
        told = await replay(here.control, query, SystemClock())
        assert (told.requests, told.differences) == (1, 0)
