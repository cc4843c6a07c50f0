"""What a hold and its settlement cost in memory, and that the cost follows the budgets a request matches.

`python -m benchmarks.ledger` takes and settles holds of many callers on a ledger with 10, 1,000, 10,000 and 100,000
policies of which 5 count each request, and with more and fewer matching ones among 10,000; the first hold of a caller,
for whom counters have to be found, is told apart. No journal is written, and making the requests is not measured.
Times are processor time, of all rounds each number is the median.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Numbers, Rounds
from palyra.core.heap import settle_heap
from palyra.core.scope import Scope
from palyra.governance.holds import HoldRequest
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import parse_policy
from palyra.governance.policy_set import PolicySet
from palyra.journal.rows import HoldRow

SIZES = (10, 1_000, 10_000, 100_000)
MATCHING = 5
MATCHINGS = (1, 5, 20)
AMONG = 10_000
GOAL_US = 5.0
GOAL_RATIO = 1.25


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(5, "how often")
    holds: int = option(20_000, "holds of one round")


QUICK = Size(rounds=2, holds=1_000)

CALLERS = 50
AT_ONCE = 10
"""Holds that are open at the same time."""
BEGIN = 1_795_348_800_000
STEP_MS = 1
"""How far the clock moves from one request to the next."""

SHAPES = (
    {"scope_kind": "global", "interval_kind": "monthly", "hard_limit": "1000000"},
    {"scope_kind": "user", "scope_id": "*", "interval_kind": "daily", "timezone": "Europe/Prague"},
    {"scope_kind": "key", "scope_id": "*", "interval_kind": "rolling_24h", "metric_kind": "requests"},
    {"scope_kind": "model", "scope_id": "openai/gpt-4o-mini", "interval_kind": "hourly", "metric_kind": "total_tokens"},
    {"scope_kind": "tag", "scope_id": "team=red", "interval_kind": "weekly", "timezone": "Asia/Kathmandu"},
)
"""The budgets that count every request, one after another."""

ELSEWHERE = ("user", "session", "key", "agent", "channel", "tag")
"""Whom the others are for: callers that never come."""


def policies(count: int, matching: int) -> Iterator[UsageBudgetPolicyRecord]:
    for number in range(matching):
        shape = {"hard_limit": "900000000", **SHAPES[number % len(SHAPES)]}
        yield parse_policy({"policy_id": f"counts-{number:06}", **shape})
    for number in range(matching, count):
        kind = ELSEWHERE[number % len(ELSEWHERE)]
        value = f"team=absent-{number}" if kind == "tag" else f"absent-{number}"
        fields = {"policy_id": f"other-{number:06}", "scope_kind": kind, "scope_id": value, "hard_limit": "10"}
        yield parse_policy(fields)


def scopes() -> list[Scope]:
    return [
        Scope(f"user-{number}", f"session-{number}", f"key-{number % 10}", tags={"team": "red"})
        for number in range(CALLERS)
    ]


def request(number: int, scope: Scope) -> HoldRequest:
    return HoldRequest(
        hold_id=f"hold-{number}",
        run_id=f"run-{number}",
        attempt=1,
        boot_id="boot",
        scope=scope,
        provider="openai",
        model="openai/gpt-4o-mini",
        at=BEGIN + number * STEP_MS,
        bound_usd=1_000_000 + number,
        bound_tokens=1_500,
        expected_input=500,
        expected_usd=500_000,
        price_state="known",
    )


def timed(ledger: Ledger, callers: Sequence[Scope], numbers: range) -> float:
    """Microseconds for each hold with its settlement, holds being open a few at a time."""
    hold, settle, now = ledger.hold, ledger.settle, time.process_time
    taken = 0
    took = 0.0
    for first in numbers[::AT_ONCE]:
        together = [request(number, callers[number % CALLERS]) for number in range(first, first + AT_ONCE)]
        begun = now()
        for wanted in together:
            taken += type(hold(wanted)) is HoldRow
        for wanted in together:
            settle(wanted.hold_id, at=wanted.at, usd=700_000, tokens=900)
        took += now() - begun
    if taken < len(numbers):
        raise SystemExit(f"{len(numbers) - taken} holds were refused: nothing was measured.")
    return took * 1e6 / taken


def cost(in_force: PolicySet, callers: Sequence[Scope], holds: int) -> tuple[float, float]:
    """On a ledger of its own: of callers' first holds, and of those that follow."""
    ledger = Ledger(in_force)
    settle_heap()
    first = timed(ledger, callers, range(CALLERS))
    further = timed(ledger, callers, range(CALLERS, CALLERS + holds))
    gc.unfreeze()
    return first, further


def measure(setting: Setting, size: Size) -> Found:
    say("policies")
    kinds = sorted({*((count, MATCHING) for count in SIZES), *((AMONG, matching) for matching in MATCHINGS)})
    sets = {kind: PolicySet(policies(*kind)) for kind in kinds}
    callers = scopes()
    rounds: list[Numbers] = []
    for place in range(size.rounds):
        say(f"round {place + 1} of {size.rounds}")
        numbers: Numbers = {}
        for (count, matching), in_force in sets.items():
            first, further = cost(in_force, callers, size.holds)
            numbers |= {f"first_{count}_{matching}_us": first, f"us_{count}_{matching}": further}
        numbers["ratio"] = numbers[f"us_{SIZES[-1]}_{MATCHING}"] / numbers[f"us_{SIZES[0]}_{MATCHING}"]
        rounds.append(numbers)
    found = Rounds(rounds)
    told = f"hold and settle in memory, {AMONG:,} policies of which"
    rows = (
        found.row(f"{told} {MATCHING} match", f"us_{AMONG}_{MATCHING}", "µs", most=GOAL_US),
        found.row(f"the same, {SIZES[-1]:,} policies ÷ {SIZES[0]}", "ratio", most=GOAL_RATIO),
        found.row("the first hold of a caller, for whom counters are made", f"first_{AMONG}_{MATCHING}_us", "µs"),
    )
    more = tuple(
        found.row(
            f"hold and settle in memory, {count:,} policies of which {matching} match", f"us_{count}_{matching}", "µs"
        )
        for count, matching in kinds
    )
    return Found(rows, found.all, more=more)


BENCHMARK = Benchmark("ledger", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
