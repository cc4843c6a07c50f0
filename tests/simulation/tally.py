"""Every hold, and what all of them together come to in every policy: sums anybody could do with a pencil."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation import naive

SHAPE = ("enabled", "scope_kind", "scope_id", "metric_kind", "interval_kind", "timezone", "on_unknown_price")
"""The fields of a policy that decide what it counts and where."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a hold recorded in one policy."""

    scope_value: str
    start: int
    metric: str
    held: int
    actual: int | None
    enforced: bool
    drawn: tuple[tuple[str, int], ...]
    limit: int | None
    rolling: str = ""
    """The kind of rolling window it was admitted to."""


@dataclass(frozen=True, slots=True)
class HoldFact:
    """A hold as it stands."""

    hold_id: str
    run_id: str
    attempt: int
    scope: Mapping[str, Any]
    provider: str
    model: str
    created_at: int
    bound_usd: int | None
    bound_tokens: int
    moves: Mapping[str, Move]
    state: str = "held"
    actual_usd: int | None = None
    actual_tokens: int | None = None
    requests: int = 0
    overrun: int = 0

    @property
    def drawn(self) -> Iterator[tuple[str, int]]:
        for move in self.moves.values():
            yield from move.drawn


@dataclass(slots=True)
class Sums:
    settled: int = 0
    held: int = 0
    drawn: int = 0

    @property
    def used(self) -> int:
        return self.settled + self.held


Cells = dict[str, dict[int, Sums]]
"""By scope value and start."""


@dataclass(slots=True)
class Tally:
    """Holds by id, the policies in force by id, and per policy the sums of each cell. `drawn` is per grant."""

    holds: dict[str, HoldFact] = field(default_factory=dict)
    policies: dict[str, Mapping[str, str]] = field(default_factory=dict)
    cells: dict[str, Cells] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)

    def put(self, fact: HoldFact) -> None:
        """Takes a hold in, or another state of it."""
        before = self.holds.get(fact.hold_id)
        if before is not None:
            self._add(before, -1, self.policies)
            for grant_id, share in before.drawn:
                self.drawn[grant_id] -= share
        self.holds[fact.hold_id] = fact
        self._add(fact, 1, self.policies)
        for grant_id, share in fact.drawn:
            self.drawn[grant_id] = self.drawn.get(grant_id, 0) + share

    def drop(self, hold_id: str) -> None:
        """A hold that never became durable."""
        fact = self.holds.pop(hold_id)
        self._add(fact, -1, self.policies)
        for grant_id, share in fact.drawn:
            self.drawn[grant_id] -= share

    def govern(self, policies: Iterable[Mapping[str, str]]) -> None:
        """Other policies are in force. Those that count something else are counted again from the first hold on."""
        wanted = {policy["policy_id"]: policy for policy in policies}
        again: dict[str, Mapping[str, str]] = {}
        for policy_id, policy in wanted.items():
            before = self.policies.get(policy_id)
            if before is None or any(before[name] != policy[name] for name in SHAPE):
                again[policy_id] = policy
                self.cells[policy_id] = {}
        for policy_id in self.policies.keys() - wanted.keys():
            del self.cells[policy_id]
        self.policies = wanted
        for fact in self.holds.values():
            self._add(fact, 1, again)

    def parts(self, fact: HoldFact, policy: Mapping[str, str]) -> tuple[str, int, Sums] | None:
        """What a hold comes to in one policy: the scope value, the start of the cell and the amounts."""
        value = naive.value_of(policy, fact.scope, fact.provider, fact.model)
        if value is None:
            return None
        start = naive.window_start(policy["interval_kind"], policy["timezone"], fact.created_at)
        move = fact.moves.get(policy["policy_id"])
        if move is not None and move.metric == policy["metric_kind"]:
            drawn = sum(share for _, share in move.drawn)
            if fact.state == "held":
                return value, start, Sums(0, move.held, drawn)
            return value, start, Sums(move.actual or 0, 0, drawn)
        if fact.state == "held":
            return value, start, Sums(0, naive.worth(policy, fact.bound_usd, fact.bound_tokens), 0)
        if fact.state == "released":
            return value, start, Sums()
        return value, start, Sums(naive.worth(policy, fact.actual_usd, fact.actual_tokens or 0, fact.requests), 0, 0)

    def _add(self, fact: HoldFact, sign: int, policies: Mapping[str, Mapping[str, str]]) -> None:
        for policy_id, policy in policies.items():
            part = self.parts(fact, policy)
            if part is None:
                continue
            value, start, amount = part
            sums = self.cells[policy_id].setdefault(value, {}).setdefault(start, Sums())
            sums.settled += sign * amount.settled
            sums.held += sign * amount.held
            sums.drawn += sign * amount.drawn

    def sums(self, policy_id: str, value: str, at: int) -> Sums:
        """What a request at an instant is judged by."""
        policy = self.policies[policy_id]
        first, last = naive.counts_from(policy["interval_kind"], policy["timezone"], at)
        found = Sums()
        for start, cell in self.cells[policy_id].get(value, {}).items():
            if start >= first and (last is None or start <= last):
                found.settled += cell.settled
                found.held += cell.held
                found.drawn += cell.drawn
        return found

    def open_holds(self) -> list[HoldFact]:
        return [fact for fact in self.holds.values() if fact.state == "held"]
