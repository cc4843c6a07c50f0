"""What a hold and its settlement cost in memory, and that the cost follows the budgets a request matches.

`python -m benchmarks.ledger` takes and settles holds of many callers on a ledger with 10, 1,000, 10,000 and 100,000
policies of which 5 count each request, and with more and fewer matching ones among 10,000; the first hold of a caller,
for whom counters have to be found, is told apart. No journal is written, and making the requests is not measured.
Times are processor time, of all rounds each number is the median.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

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


def cost(count: int, matching: int, holds: int, rounds: int) -> tuple[float, float]:
    """The medians over rounds, each on a ledger of its own: of callers' first holds, and of those that follow."""
    in_force = PolicySet(policies(count, matching))
    callers = scopes()
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        ledger = Ledger(in_force)
        settle_heap()
        first = timed(ledger, callers, range(CALLERS))
        found.append((first, timed(ledger, callers, range(CALLERS, CALLERS + holds))))
        gc.unfreeze()
    return statistics.median(one[0] for one in found), statistics.median(one[1] for one in found)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    options.add_argument("--rounds", type=int, default=7, metavar="N", help="how often (7)")
    options.add_argument("--holds", type=int, default=20_000, metavar="N", help="holds of one round (20,000)")
    options.add_argument("--json", type=Path, metavar="FILE", help="where every number goes")
    chosen = options.parse_args()
    by_size: dict[int, tuple[float, float]] = {}
    for count in SIZES:
        sys.stderr.write(f"{count:,} policies …\n")
        by_size[count] = cost(count, MATCHING, chosen.holds, chosen.rounds)
    by_matching: dict[int, tuple[float, float]] = {}
    for matching in MATCHINGS:
        sys.stderr.write(f"{matching} matching …\n")
        by_matching[matching] = cost(AMONG, matching, chosen.holds, chosen.rounds)
    for count, (_, micros) in by_size.items():
        goal = f"<= {GOAL_US:.0f} us" if count == AMONG else ""
        print(f"{f'hold + settle, {count:,} policies, {MATCHING} matching':<56}{micros:>8.2f} us   {goal}".rstrip())
    ratio = by_size[SIZES[-1]][1] / by_size[SIZES[0]][1]
    print(f"{'  the most policies against the fewest':<56}{ratio:>8.2f}      <= {GOAL_RATIO}")
    for matching, (first, micros) in by_matching.items():
        print(f"{f'hold + settle, {AMONG:,} policies, {matching} matching':<56}{micros:>8.2f} us")
        print(f"{'  the first of a caller':<56}{first:>8.2f} us")
    if chosen.json is not None:
        numbers = {"first_and_further_us": by_size, "first_and_further_us_by_matching": by_matching, "ratio": ratio}
        chosen.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
