"""An engine dies, and the next one finds its state directory: what was spent is not forgotten, what was held ends once.

Death is a copy of the state directory taken while the first engine is at work: all that a kill would leave.
"""

import asyncio
import shutil
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from palyra.control.commands import EditPolicy
from palyra.control.queries import ApprovalQuery, RunDetail
from palyra.control.snapshots import Topic
from palyra.core.money import format_usd
from palyra.pricing.rates import RatePart
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, MINI, Premises, chat
from tests.end_to_end.test_streams import OUTPUT, charged, long, read_text, streamed
from tests.pricing.house import sum_of_parts
from tests.support.upstream import Reply, Upstream

PLAIN = chat(max_tokens=100)
Died = Callable[[Premises], Awaitable[Premises]]


def copy_state(here: Premises, name: str) -> Path:
    """What a kill at this moment leaves, in a directory of its own."""

    def passing(directory: str, names: list[str]) -> list[str]:
        """Sockets, and files that are being written beside the one they will replace."""
        return [one for one in names if ".tmp." in one or stat.S_ISSOCK((Path(directory) / one).stat().st_mode)]

    copied = here.state_dir.with_name(name)
    shutil.copytree(here.state_dir, copied, ignore=passing)
    return copied


async def next_start(here: Premises, opened: Opener, name: str = "next", text: str = "") -> Premises:
    await here.written()
    copy_state(here, name)
    return await opened(text, state=name)


async def finish(upstream: Upstream) -> None:
    """Lets the provider answer what the first engine asked, so that it can close in peace."""
    assert upstream.default.gate is not None
    upstream.default.gate.set()


async def mid_stream(here: Premises, upstream: Upstream, **fields: Any) -> str:
    """A stream of which 120 bytes were delivered and the provider holds the rest back; the run's id."""
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    caller = await here.call({**streamed(MINI), **fields})
    await caller.head()
    await read_text(caller, 120)
    (run,) = here.engine.runner.live
    return run.run_id


async def interrupted(again: Premises, run_id: str) -> RunDetail:
    detail = await again.run(run_id)
    assert (detail.run.state, detail.run.reason) == ("failed", "interrupted")
    assert [note.kind for note in detail.notes].count("run_terminal") == 1
    return detail


async def test_a_stream_is_charged_as_far_as_it_was_metered(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    await here.add_budget("day", "1", interval_kind="daily")
    run_id = await mid_stream(here, upstream)
    await here.advance(0.5)
    again = await next_start(here, opened)
    assert (again.engine.recovered.runs, again.engine.recovered.charged, again.engine.recovered.released) == (1, 1, 0)
    detail = await interrupted(again, run_id)
    cost = charged(MINI, 30)
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.usage_source, attempt.recovered) == ("settled", "metered", True)
    assert attempt.actual_nano_usd == detail.run.cost_nano_usd == cost
    assert detail.run.output_tokens == 30
    assert "hold_recovered" in detail.run.flags
    assert detail.decision is not None
    assert detail.decision.reason_codes == ("budget_ok", "explicit_model", "hold_recovered")
    settled = f"The engine died while it ran; its hold was settled then: {format_usd(cost)}."
    assert detail.decision.sentences[-1] == settled
    (row,) = await again.engine.journal.readers.usage_of_run(run_id)
    assert {part["unit"]: part["count"] for part in row.rates}["output_tokens"] == 30
    assert sum_of_parts(tuple(RatePart.from_json(part) for part in row.rates)) == cost
    assert again.counted("day", "*") == (cost, 0)
    usage = (await again.usage()).total
    assert (usage.cost_nano_usd, usage.failed, usage.output_tokens) == (cost, 1, 30)

    third = await next_start(again, opened, "third")
    assert third.engine.recovered.runs == 0
    assert await third.run(run_id) == detail
    assert third.counted("day", "*") == (cost, 0)
    assert (await third.usage()).total == usage
    await finish(upstream)


async def test_a_stream_that_was_never_metered_is_charged_at_its_bound(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    run_id = await mid_stream(here, upstream)
    again = await next_start(here, opened)
    detail = await interrupted(again, run_id)
    (attempt,) = detail.attempts
    assert (attempt.usage_source, attempt.actual_nano_usd) == ("bound", attempt.bound_nano_usd)
    await finish(upstream)


async def test_a_plain_call_is_charged_at_its_bound_however_long_it_ran(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    upstream.default = Reply(gate=asyncio.Event())
    waiting = asyncio.create_task(here.ask(PLAIN))
    await upstream.wait_for_requests(1)
    (run,) = here.engine.runner.live
    await here.advance(30)
    again = await next_start(here, opened)
    detail = await interrupted(again, run.run_id)
    (attempt,) = detail.attempts
    assert attempt.bound_nano_usd is not None
    assert attempt.bound_nano_usd >= 100 * OUTPUT[MINI]
    assert (attempt.usage_source, attempt.actual_nano_usd) == ("bound", attempt.bound_nano_usd)
    await finish(upstream)
    assert (await waiting).status == 200


async def test_orphans_may_be_released_instead(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    await here.add_budget("day", "1", interval_kind="daily")
    run_id = await mid_stream(here, upstream)
    await here.advance(0.5)
    again = await next_start(here, opened, text='[governance]\norphan_holds = "release"\n')
    detail = await interrupted(again, run_id)
    assert ([attempt.state for attempt in detail.attempts], detail.run.cost_nano_usd) == (["released"], 0)
    assert again.counted("day", "*") == (0, 0)
    await finish(upstream)


async def test_what_nobody_can_price_stays_a_dollar(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    await here.add_budget("day", "5", interval_kind="daily")
    run_id = await mid_stream(here, upstream, model=ACME)
    await here.advance(0.5)
    again = await next_start(here, opened)
    detail = await interrupted(again, run_id)
    assert (detail.run.cost_nano_usd, detail.attempts[0].price_state) == (1_000_000_000, "unknown_flat")
    assert again.counted("day", "*") == (1_000_000_000, 0)
    await finish(upstream)


async def test_an_open_request_for_a_word_survives_and_its_grant_serves_the_next_run(
    opened: Opener, upstream: Upstream
) -> None:
    here = await opened()
    await here.add_budget("desk", "0", action="approval_required")
    waiting = asyncio.create_task(here.ask(PLAIN))
    approval = await here.parked()
    again = await next_start(here, opened)
    detail = await interrupted(again, approval.run_ids[0])
    assert (detail.attempts, detail.run.cost_nano_usd) == ((), 0)
    kept = await again.pending()
    assert (kept.approval_id, kept.waiting, kept.version) == (approval.approval_id, 0, approval.version)
    await again.allow(kept.approval_id)
    served = await again.ask(PLAIN, {"X-Palyra-Park": "0"})
    assert (served.status, served.headers["x-palyra-outcome"]) == (200, "override_applied")
    await here.deny(approval.approval_id)
    assert (await waiting).status == 402


async def test_grants_keep_what_was_drawn_and_denials_are_remembered(opened: Opener) -> None:
    here = await opened()
    await here.add_budget("desk", "2", metric_kind="requests", action="approval_required")
    no_wait = {"X-Palyra-Park": "0"}
    assert [(await here.ask(PLAIN)).status for _ in range(2)] == [200, 200]
    await here.ask(PLAIN, no_wait)
    await here.allow((await here.pending()).approval_id, scope="session")
    await here.ask(PLAIN, {**no_wait, "X-Palyra-Session": "denied"})
    await here.deny((await here.pending()).approval_id, "no")
    assert (await here.ask(PLAIN, no_wait)).status == 200
    await here.rest()
    again = await next_start(here, opened)
    (grant,) = (await again.control.snapshot([Topic.APPROVALS])).grants
    assert (grant.drawn, grant.cap, grant.state) == (1, 2, "active")
    refused = await again.ask(PLAIN, {**no_wait, "X-Palyra-Session": "denied"})
    assert refused.error["type"] == "budget_denied"
    assert [(await again.ask(PLAIN, no_wait)).status for _ in range(2)] == [200, 402]


async def test_a_once_grant_that_was_used_is_not_used_again(opened: Opener) -> None:
    here = await opened()
    await here.add_budget("desk", "0", action="approval_required")
    no_wait = {"X-Palyra-Park": "0"}
    await here.ask(PLAIN, no_wait)
    approval = await here.pending()
    await here.allow(approval.approval_id)
    assert (await here.ask(PLAIN, no_wait)).status == 200
    await here.rest()
    again = await next_start(here, opened)
    assert (await again.ask(PLAIN, no_wait)).status == 402
    (grant,) = (await again.control.ask(ApprovalQuery(approval.approval_id))).grants
    assert grant.state == "used"


async def test_policies_and_their_revisions_are_as_they_were(opened: Opener) -> None:
    here = await opened()
    await here.add_budget("n", "1", metric_kind="requests")
    await here.send(EditPolicy("n", {"hard_limit": "2"}))
    assert (await here.ask(PLAIN)).status == 200
    await here.rest()
    again = await next_start(here, opened)
    view = await again.budget("n")
    assert (view.revision, view.hard_limit, view.settled) == (2, 2, 1)
    assert [(await again.ask(PLAIN)).status for _ in range(2)] == [200, 402]


async def test_terms_edited_in_the_file_void_what_was_granted_on_others(opened: Opener) -> None:
    budget = (
        '[[budgets]]\npolicy_id = "desk"\nhard_limit = {}\nmetric_kind = "requests"\naction = "approval_required"\n'
    )
    here = await opened(budget.format(1))
    no_wait = {"X-Palyra-Park": "0"}
    assert (await here.ask(PLAIN)).status == 200
    await here.ask(PLAIN, no_wait)
    await here.allow((await here.pending()).approval_id, scope="session")
    await here.ask(PLAIN, {**no_wait, "X-Palyra-Session": "other"})
    approval = await here.pending()
    await here.written()
    same = await next_start(here, opened, "same", budget.format(1))
    assert (await same.ask(PLAIN, no_wait)).status == 200
    edited = await next_start(here, opened, "edited", budget.format("0"))
    assert (await edited.ask(PLAIN, no_wait)).status == 402
    views = {view.approval_id: view for view in await edited.approvals()}
    assert (views[approval.approval_id].decision, views[approval.approval_id].reason) == ("error", "policy_edited")
    assert (await edited.budget("desk")).settled == 1


async def test_closing_and_opening_again_forgets_nothing(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    await here.add_budget("day", "1", interval_kind="daily")
    for body in (PLAIN, {**PLAIN, "stream": True}):
        assert (await here.ask(body)).status == 200
    before = await here.usage()
    counted = here.counted("day", "*")
    today = (await here.control.snapshot([])).spend_today_nano_usd
    assert counted[0] == before.total.cost_nano_usd == today > 0
    key = here.key
    await here.close()
    again = await opened()
    assert again.engine.recovered.runs == 0
    assert again.key == key
    assert (await again.usage()).total == before.total
    assert again.counted("day", "*") == counted
    assert (await again.control.snapshot([])).spend_today_nano_usd == today
    assert (await again.ask(PLAIN)).status == 200


@pytest.mark.parametrize("moment", range(6))
async def test_at_any_moment_of_a_busy_day_the_books_can_be_opened(
    opened: Opener, upstream: Upstream, moment: int
) -> None:
    """Streams, calls and people who wait, killed after so many of them have ended."""
    here = await opened("[runs]\ndefault_output_tokens = 20\nslice_tokens = 16\n")
    await here.add_budget("day", "0.0002", interval_kind="daily")
    await here.add_budget("desk", "4", metric_kind="requests", action="approval_required", scope_kind="session")
    gate = asyncio.Event()
    upstream.choose = lambda seen: long(gate=gate, gate_at=len(upstream.seen) % 13)
    bodies = [{**chat(max_tokens=60), "stream": number % 2 == 0} for number in range(12)]
    asked = [asyncio.create_task(here.ask(body)) for body in bodies]
    await here.until(lambda: len(here.engine.runner.live) >= 4)
    for _ in range(moment):
        await here.advance(0.25)
    copied = copy_state(here, f"killed-{moment}")
    again = await opened(state=copied.name)
    assert (await again.ledger()).ok
    gate.set()
    await here.until(lambda: not [run for run in here.engine.runner.live if run.state != "parked"])
    for view in await here.approvals():
        if view.status == "pending":
            await here.deny(view.approval_id)
    await asyncio.gather(*asked)
