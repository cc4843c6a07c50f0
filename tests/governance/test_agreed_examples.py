"""The agreed examples of how budgets behave, in their agreed order, with their exact amounts and instants.

Run as a program, this is the engine that dies in one of them: it takes a hold, meters it, and is killed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from palyra.config.choices import RoutingMode
from palyra.control.commands import DecideApproval
from palyra.core.clock import ManualClock
from palyra.core.errors import ConflictError
from palyra.core.windows import Interval, Window, window_for
from palyra.gateway.operators import status_of
from palyra.governance.approval_record import ApprovalDecision
from palyra.governance.candidates import OutputLimits
from palyra.governance.complexity import complexity
from palyra.governance.evaluate import Demand
from palyra.governance.grants import GrantKind, GrantState
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import GrantSaved, HoldTaken, RunSaved
from palyra.journal.journal import Journal
from palyra.journal.lock import EngineLock
from palyra.journal.rows import HoldRow
from palyra.runs.recovery import Recovered
from tests.core.test_windows import at, local
from tests.end_to_end.asking import ask
from tests.end_to_end.premises import Premises, premises
from tests.end_to_end.tools import error_of, pending_approval, tools
from tests.governance.office import DENY, NOON, Office, allow
from tests.governance.plans import CHEAP, DEFAULT, PREMIUM, plan
from tests.governance.policies import CENT, DOLLAR, policy, scope
from tests.governance.store import Store, request, taken
from tests.journal.samples import a_run
from tests.support.upstream import Upstream

HOUR = 3_600_000
ROOT = Path(__file__).parents[2]
ENFORCED, SUGGEST, DRY_RUN = RoutingMode.ENFORCED, RoutingMode.SUGGEST, RoutingMode.DRY_RUN
TEN_CENTS_OF_OUTPUT = 10_000
"""Output tokens of the default model that cost $0.10."""


def books(*policies: UsageBudgetPolicyRecord, spent: int = 0, mode: RoutingMode = ENFORCED) -> Ledger:
    """A ledger in which so many nano-dollars are settled at noon."""
    made = Ledger(PolicySet(policies), default_mode=mode)
    if spent:
        spend(made, "earlier", spent)
    return made


def spend(ledger: Ledger, hold_id: str, usd: int, at: int = NOON, session: str = "main") -> None:
    taken(ledger.hold(request(hold_id, at, usd, scope=scope(session=session))))
    ledger.settle(hold_id, at=at, usd=usd, tokens=1)


def sums(ledger: Ledger, at: int = NOON) -> dict[str, tuple[int, int]]:
    """(settled, held) of each counter, by the value of its scope."""
    return {state.scope_value: (state.settled, state.held) for state in ledger.counters(at)}


def settled_at(ledger: Ledger, at: int) -> int:
    """What the one budget has settled, as a request of that instant finds it."""
    (found,) = ledger.evaluate(scope(), "openai", "openai/gpt", Demand(0, 0), at=at)
    return found.settled


@asynccontextmanager
async def a_house(state_dir: Path, text: str = "", now: int = NOON) -> AsyncIterator[Premises]:
    async with Upstream().serving() as upstream, premises(upstream, state_dir, text, ManualClock(now)) as here:
        yield here


# 1


@pytest.mark.parametrize(
    ("noon", "start", "end", "hours"),
    [
        ("2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00", 23),
        ("2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00", 25),
    ],
)
def test_a_day_in_prague_lasts_as_long_as_its_clocks_say(noon: str, start: str, end: str, hours: int) -> None:
    day = window_for(Interval.DAILY, "Europe/Prague", at(noon))
    assert day == Window(at(start), at(end))
    assert day.end == day.start + hours * HOUR


# 2


def test_a_day_without_midnight_begins_at_its_first_reading() -> None:
    day = window_for(Interval.DAILY, "America/Santiago", at("2026-09-06T12:00"))
    assert day.start == at("2026-09-06T04:00")
    assert local("America/Santiago", day.start).isoformat() == "2026-09-06T01:00:00-03:00"


def test_an_hour_in_which_the_clock_goes_back_by_half_of_one_lasts_longer() -> None:
    hour = window_for(Interval.HOURLY, "Australia/Lord_Howe", at("2026-04-04T15:10"))
    assert hour == Window(at("2026-04-04T14:00"), at("2026-04-04T15:30"))


# 3


def test_what_was_held_before_midnight_is_charged_to_the_earlier_day() -> None:
    ledger = books(policy(timezone="Europe/Prague"))
    held, settled = at("2026-11-22T22:59:59.999"), at("2026-11-22T23:00:03")
    assert local("Europe/Prague", settled).isoformat() == "2026-11-23T00:00:03+01:00"
    row = taken(ledger.hold(request("h1", held, 40 * CENT)))
    change = ledger.settle("h1", at=settled, usd=13 * CENT, tokens=1).change
    assert settled_at(ledger, held) == 13 * CENT
    assert settled_at(ledger, settled) == 0
    store = Store()
    store.submit(HoldTaken(row), change)
    again = store.restore(ledger.policies, settled)
    assert (settled_at(again, held), settled_at(again, settled)) == (13 * CENT, 0)


# 4


def test_reaching_the_limit_exactly_passes_with_a_warning() -> None:
    ledger = books(policy(), spent=90 * CENT)
    made = plan(ledger, NOON, max_tokens=TEN_CENTS_OF_OUTPUT, limits=OutputLimits(clamp_output=False))
    assert made.proceeds
    assert [(item.bound, item.projected, item.status) for item in made.decision.evaluations] == [
        (10 * CENT, DOLLAR, "soft_limit")
    ]
    taken(ledger.hold(request("h1", NOON, 10 * CENT)))
    assert sums(ledger) == {"*": (90 * CENT, 10 * CENT)}


# 5


@pytest.mark.parametrize(
    ("mode", "runs", "would_block"), [(ENFORCED, False, ()), (SUGGEST, True, ("day",)), (DRY_RUN, True, ("day",))]
)
def test_going_over_blocks_and_in_looser_modes_is_only_told(
    mode: RoutingMode, runs: bool, would_block: tuple[str, ...]
) -> None:
    ledger = books(policy(), spent=95 * CENT, mode=mode)
    made = plan(ledger, NOON, max_tokens=TEN_CENTS_OF_OUTPUT, limits=OutputLimits(clamp_output=False))
    (found,) = made.decision.evaluations
    assert (found.settled, found.bound, found.hard, found.status) == (95 * CENT, 10 * CENT, DOLLAR, "blocked")
    assert (made.proceeds, made.decision.blocked, made.decision.would_block) == (runs, not runs, would_block)
    assert ("would_block" in made.decision.reason_codes) is runs
    assert isinstance(ledger.hold(request("h1", NOON, 10 * CENT)), HoldRow) is runs
    assert sums(ledger) == {"*": (95 * CENT, 10 * CENT if runs else 0)}


# 6


async def test_a_block_outweighs_a_question_and_nobody_is_asked(tmp_path: Path) -> None:
    async with a_house(tmp_path / "state") as here:
        await here.add_budget("warns", "10", soft_limit="0")
        await here.add_budget("stops", "0")
        await here.add_budget("asks", "0", action="approval_required")
        answer = await ask(here)
        assert (answer.status, answer.error["code"]) == (402, "budget_blocked")
        statuses = {item["policy_id"]: item["status"] for item in answer.error["palyra"]["evaluations"]}
        assert statuses == {"warns": "soft_limit", "stops": "blocked", "asks": "approval_required"}
        decision = (await here.run()).decision
        assert decision is not None
        assert decision.outcome == "blocked"
        assert await here.approvals() == ()


# 7


def test_what_one_session_spends_leaves_the_counter_of_another_alone() -> None:
    ledger = books(policy(scope_kind="session", scope_id="B"))
    spend(ledger, "h1", 20 * CENT, session="B")
    spend(ledger, "h2", 70 * CENT, session="A")
    taken(ledger.hold(request("h3", NOON, 5 * DOLLAR, scope=scope(session="A"))))
    assert sums(ledger) == {"B": (20 * CENT, 0)}


# 8


@pytest.mark.parametrize(("after", "state"), [(59_999, GrantState.ACTIVE), (60_000, GrantState.EXPIRED)])
def test_a_grant_for_a_minute_ends_to_the_millisecond(after: int, state: GrantState) -> None:
    office = Office()
    (grant,) = office.decide(office.ask(), allow(GrantKind.TIMEBOXED, duration_ms=60_000)).grants
    held = office.grants.get(grant.grant_id)
    assert held is not None
    assert held.state(NOON + after) is state
    assert office.admitted(at=NOON + after) is (state is GrantState.ACTIVE)


# 9


@pytest.mark.parametrize("kind", [GrantKind.ONCE, GrantKind.SESSION])
def test_when_another_asks_the_first_ones_grant_stays_and_the_other_gets_a_record_of_his_own(kind: GrantKind) -> None:
    office = Office()
    anns = office.ask(principal="ann")
    (grant,) = office.decide(anns, allow(kind)).grants
    bobs = office.ask(principal="bob", run_id="r2")
    assert bobs.approval_id != anns.approval_id
    assert (bobs.principal, bobs.run_ids, bobs.pending) == ("bob", ("r2",), True)
    held = office.grants.get(grant.grant_id)
    assert held is not None
    assert held.state(NOON) is GrantState.ACTIVE
    assert not office.admitted(principal="bob", run_id="r2")
    assert office.admitted(principal="ann")


# 10


def test_a_raised_limit_keeps_what_was_spent_and_ends_what_was_allowed_and_asked_under_the_old_one() -> None:
    office, store = Office(policy(hard="10", action="approval_required")), Store()
    spend(office.ledger, "h1", 7 * DOLLAR)
    (grant,) = office.decide(office.ask(4 * DOLLAR, session="other"), allow(GrantKind.SESSION)).grants
    pending = office.ask(5 * DOLLAR)
    store.change(office.ledger, PolicySet([policy(hard="12", action="approval_required", revision=2)]), NOON)
    (ended,), changes = office.desk.void("day", NOON)
    assert sums(office.ledger) == {"*": (7 * DOLLAR, 0)}
    assert [one.row.state for one in changes if isinstance(one, GrantSaved)] == ["void"]
    held = office.grants.get(grant.grant_id)
    assert held is not None
    assert held.state(NOON) is GrantState.VOID
    assert (ended.approval_id, ended.decision, ended.reason) == (
        pending.approval_id,
        ApprovalDecision.ERROR,
        "policy_edited",
    )
    assert office.admitted(usd=5 * DOLLAR)
    assert not office.admitted(usd=1)


# 11


@pytest.mark.parametrize(
    ("text", "wants_json", "images", "score", "model"),
    [("hello", False, 0, 0.0007, "a/cheap"), ("8 bytes!", True, 1, 0.3509, "b/default")],
)
def test_a_greeting_goes_to_the_cheapest_model_and_a_picture_to_the_default(
    text: str, wants_json: bool, images: int, score: float, model: str
) -> None:
    found = complexity(text, wants_json=wants_json, images=images).score
    assert round(found, 4) == score
    assert chosen(books(), found) == (model, False)


# 12


@pytest.mark.parametrize(
    ("wants_json", "score", "soft", "model", "withheld"),
    [
        (False, 0.70, "0.05", "b/default", False),
        (True, 0.90, "0.05", "c/premium", False),
        (True, 0.90, "0.049999999", "b/default", True),
    ],
)
def test_long_work_goes_to_a_premium_model_only_where_that_keeps_budgets_soft(
    wants_json: bool, score: float, soft: str, model: str, withheld: bool
) -> None:
    text = "and " * 3000
    found = complexity(text, wants_json=wants_json).score
    assert found == pytest.approx(score, abs=1e-12)
    assert chosen(books(policy(soft_limit=soft)), found) == (model, withheld)


def chosen(ledger: Ledger, score: float) -> tuple[str, bool]:
    """What `auto` takes for 1,000 tokens, $0.05 of the premium model, and whether that one was withheld."""
    made = plan(
        ledger, NOON, explicit="", complexity=score, max_tokens=1000, candidates=(PREMIUM, DEFAULT, CHEAP)
    ).decision
    return made.actual_model, "budget_withheld_premium_model" in made.reason_codes


# 13


@pytest.mark.parametrize(("then", "counted"), [("2026-11-22T10:00:59.999", True), ("2026-11-22T10:01:00", False)])
def test_a_charge_leaves_a_rolling_day_with_its_minute(then: str, counted: bool) -> None:
    ledger = books(policy(interval_kind="rolling_24h"))
    spend(ledger, "h1", 40 * CENT, at=at("2026-11-21T10:00:30"))
    assert settled_at(ledger, at(then)) == (40 * CENT if counted else 0)


# 14


async def held_and_metered_until_killed(state_dir: Path) -> None:
    EngineLock(state_dir).acquire()
    journal = await Journal.open(state_dir, ManualClock(NOON))
    ledger = books(policy())
    row = taken(ledger.hold(request("h1", NOON, 40 * CENT, 1000, run_id="r1")))
    run = a_run("r1", boot_id=row.boot_id, scope=row.scope, state="running", phase="stream", accepted_at=NOON)
    await journal.submit([RunSaved(run), HoldTaken(row)])
    await journal.submit([ledger.meter("h1", 20, 640, 13 * CENT)])
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_killed_engines_hold_is_settled_as_metered(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o700)
    dying = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, str(state_dir), cwd=ROOT)
    assert await dying.wait() == -signal.SIGKILL
    budget = '[[budgets]]\npolicy_id = "day"\nhard_limit = 1\ninterval_kind = "daily"\n'
    async with a_house(state_dir, budget, now=NOON + 5_000) as here:
        assert here.engine.recovered == Recovered(runs=1, charged=1, released=0)
        hold = await here.engine.journal.readers.hold("h1")
        assert hold is not None
        assert (hold.bound_usd, hold.metered_usd) == (40 * CENT, 13 * CENT)
        assert (hold.state, hold.actual_usd, hold.usage_source, hold.recovered) == (
            "settled",
            13 * CENT,
            "metered",
            True,
        )
        assert here.counted("day", "*") == (13 * CENT, 0)
        run = (await here.run("r1")).run
        assert (run.state, run.reason, run.cost_nano_usd) == ("failed", "interrupted", 13 * CENT)


# 15


def test_a_denial_after_an_allowance_is_a_conflict() -> None:
    office = Office()
    record = office.ask()
    office.decide(record, allow(GrantKind.ONCE))
    with pytest.raises(ConflictError, match="already resolved/allow") as caught:
        office.decide(record, DENY)
    assert (status_of(caught.value), caught.value.code) == (409, "already_decided")
    assert office.desk.get(record.approval_id).decision is ApprovalDecision.ALLOW
    assert office.admitted()


async def test_who_denies_too_late_is_told_how_it_stands(tmp_path: Path) -> None:
    async with a_house(tmp_path / "state") as here:
        await here.add_budget("desk", "0", action="approval_required")
        await ask(here, park="0")
        approval_id = (await here.pending()).approval_id
        await here.allow(approval_id)
        late = await here.control.send(DecideApproval(approval_id, "deny"))
        assert (late.status, late.data["status"], late.data["decision"]) == ("conflict", "resolved", "allow")
        assert (await ask(here, park="0")).status == 200


async def test_who_denies_too_late_over_http_is_told_too(tmp_path: Path) -> None:
    async with a_house(tmp_path / "state") as here:
        approval_id = await pending_approval(here)
        async with tools(here) as tool:
            where = f"approvals/{approval_id}/decision"
            assert (await tool["approver"]("POST", where, {"decision": "allow"})).status_code == 200
            late = await tool["admin"]("POST", where, {"decision": "deny"})
        record = error_of(late)["palyra"]["record"]["approval"]
        assert (late.status_code, error_of(late)["code"]) == (409, "already_decided")
        assert (record["status"], record["decision"], record["decided_by"]) == ("resolved", "allow", "approver")
        assert (await ask(here, park="0")).status == 200


if __name__ == "__main__":
    asyncio.run(held_and_metered_until_killed(Path(sys.argv[1])))
