"""Watching every change at the moment the engine decides on it, with the books of a pencil beside it.

What is wrong is kept in `faults` and not raised: it would be raised into the engine, which survives a lot.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from palyra.journal.changes import (
    Change,
    DecisionMade,
    GrantSaved,
    HoldEnded,
    HoldGrown,
    HoldTaken,
    UsageRecorded,
)
from palyra.journal.rows import DecisionRow, GrantRow, HoldRow, UsageRow
from tests.simulation import facts, naive
from tests.simulation.instants import stamp
from tests.simulation.tally import HoldFact, Move, Sums, Tally


@dataclass(slots=True)
class Asking:
    """What a visitor asks for, as far as the watch wants to know. `hold_id` is the newest hold taken for it."""

    mode: str = ""
    hold_id: str = ""
    durable: bool = False
    sent: int = 0


ASKING: ContextVar[Asking | None] = ContextVar("asking", default=None)


@dataclass(slots=True)
class Watch:
    """`tally` is the state of memory: every change the engine has decided on, durable or not."""

    tally: Tally = field(default_factory=Tally)
    default_mode: str = "enforced"
    faults: list[str] = field(default_factory=list)
    grants: dict[str, GrantRow] = field(default_factory=dict)
    users: dict[str, set[str]] = field(default_factory=dict)
    """Runs that drew from a grant or were sent with it."""
    seen: Counter[str] = field(default_factory=Counter)
    unpriced: frozenset[str] = frozenset()
    """Models of the scene that have no price."""
    at: int = 0
    blind: bool = False
    """Whether the clock was set back further than memory reaches: until all is counted again, nothing is held."""
    _decided: set[str] = field(default_factory=set)

    def fault(self, text: str) -> None:
        self.faults.append(f"{stamp(self.at)} {text}")

    def begin_life(self, holds: Mapping[str, HoldFact], grants: Iterable[GrantRow], default_mode: str) -> None:
        """Another engine starts on what the dead one left behind."""
        for hold_id in [one for one in self.tally.holds if one not in holds]:
            self.tally.drop(hold_id)
        for hold_id, fact in holds.items():
            if self.tally.holds.get(hold_id) != fact:
                self.tally.put(fact)
        self.grants = {row.grant_id: row for row in grants}
        self.default_mode = default_mode
        self.users = {}
        for fact in holds.values():
            for grant_id, _ in fact.drawn:
                self.users.setdefault(grant_id, set()).add(fact.run_id)

    def govern(self, policies: Iterable[Mapping[str, str]]) -> None:
        self.tally.govern(policies)

    # What the engine decides on

    def saw(self, unit: Sequence[Change], at: int) -> None:
        """Changes that memory has made already, in the order in which it made them."""
        self.at = at
        for change in unit:
            match change:
                case DecisionMade():
                    self._decision(change.row)
                case HoldTaken():
                    self._taken(change.row)
                case HoldGrown():
                    self._grown(change, at)
                case HoldEnded():
                    self._ended(change, unit)
                case UsageRecorded():
                    self._used(change.row)
                case GrantSaved():
                    self._grant(change.row)
                case _:
                    pass

    def durable(self, unit: Sequence[Change], done: "asyncio.Future[None]") -> None:
        """`done` tells when a unit is on the disk: from then on its hold may be sent."""
        asking = ASKING.get()
        if asking is None:
            return
        taken = [change.row.hold_id for change in unit if isinstance(change, HoldTaken)]
        if taken:
            asking.hold_id, asking.durable = taken[-1], False

            def landed(future: "asyncio.Future[None]") -> None:
                if not future.cancelled() and future.exception() is None and asking.hold_id == taken[-1]:
                    asking.durable = True

            done.add_done_callback(landed)

    def sent(self) -> None:
        """A byte leaves for a provider."""
        asking = ASKING.get()
        if asking is None:
            self.fault("somebody nobody knows sends to a provider")
            return
        asking.sent += 1
        if not asking.durable:
            self.fault(f"a byte was sent before hold {asking.hold_id or '(none)'} was durable")

    # Decisions

    def _decision(self, row: DecisionRow) -> None:
        """A unit that could not be written comes again, later; what was decided, was decided then."""
        if row.decision_id in self._decided:
            return
        self._decided.add(row.decision_id)
        for code in row.reason_codes:
            self.seen[f"code:{code}"] += 1
        self.seen[f"action:{row.action}"] += 1
        self.seen[f"outcome:{row.outcome}"] += 1
        # One that was put off is told when nobody waits for a place any more, with the numbers of when it was planned.
        for item in () if self.blind or row.action == "defer" else row.body["evaluations"]:
            self._evaluation(row, item)

    def _evaluation(self, row: DecisionRow, item: Mapping[str, Any]) -> None:
        policy = self.tally.policies.get(item["policy_id"])
        where = f"decision {row.decision_id} on {item['policy_id']} {item['scope_value']}"
        if policy is None:
            self.fault(f"{where}: no such budget is in force")
            return
        sums = self.tally.sums(item["policy_id"], item["scope_value"], row.at)
        if (item["settled"], item["held"]) != (sums.settled, sums.held):
            self.fault(f"{where}: told {item['settled']}+{item['held']}, summed {sums.settled}+{sums.held}")
        hard = naive.limit_of(policy)
        if item["hard"] != hard or item["soft"] != naive.soft_of(policy):
            self.fault(f"{where}: limits {item['soft']} and {item['hard']} are not those of {policy}")
        available = item["grants"] - sums.drawn
        if available < 0 or available > self._available(item["policy_id"], item["scope_value"]):
            self.fault(f"{where}: grants of {item['grants']} with {sums.drawn} drawn")
        over = hard is not None and sums.used + item["bound"] > hard + item["grants"]
        blocks = policy["on_unknown_price"] == "block" and item["pricing"] == "block"
        refuses = policy["action"] != "advise" and (over or blocks)
        if (item["status"] in ("blocked", "approval_required")) is not refuses:
            self.fault(f"{where}: says {item['status']} to {item['bound']} with {sums} and a limit of {hard}")

    def _available(self, policy_id: str, value: str) -> int:
        return sum(
            max(0, row.cap - self.tally.drawn.get(row.grant_id, 0))
            for row in self.grants.values()
            if (row.policy_id, row.scope_value) == (policy_id, value) and self._live(row)
        )

    def _live(self, row: GrantRow) -> bool:
        return row.state == "active" and (row.expires_at is None or self.at < row.expires_at)

    # Holds

    def _taken(self, row: HoldRow) -> None:
        fact = facts.taken(row)
        if self.blind:
            self.fault(f"hold {fact.hold_id} was taken while the clock was behind")
        if fact.hold_id in self.tally.holds:
            if self.tally.holds[fact.hold_id] != fact:
                self.fault(f"hold {fact.hold_id} was taken twice")
            return
        asking = ASKING.get()
        requested = asking.mode if asking is not None else ""
        matched: set[str] = set()
        for policy_id, policy in self.tally.policies.items():
            value = naive.value_of(policy, fact.scope, fact.provider, fact.model)
            if value is None:
                continue
            matched.add(policy_id)
            move = fact.moves.get(policy_id)
            if move is None:
                self.fault(f"hold {fact.hold_id} does not count in {policy_id}")
                continue
            start = naive.window_start(policy["interval_kind"], policy["timezone"], fact.created_at)
            amount = naive.worth(policy, fact.bound_usd, fact.bound_tokens)
            rolling = policy["interval_kind"] if policy["interval_kind"] in naive.BUCKETS else ""
            wanted = (value, start, policy["metric_kind"], amount, naive.limit_of(policy), rolling)
            if (move.scope_value, move.start, move.metric, move.held, move.limit, move.rolling) != wanted:
                self.fault(f"hold {fact.hold_id} moves {move} in {policy_id}, not {wanted}")
            sums = self.tally.sums(policy_id, value, fact.created_at)
            unpriced = fact.bound_usd is None and policy["metric_kind"] == "estimated_cost_usd"
            if unpriced and policy["on_unknown_price"] == "block" and move.enforced:
                self.fault(f"hold {fact.hold_id} of unknown price passed {policy_id}")
            self._admitted(fact, policy, move, amount, move.drawn, sums, requested)
        if fact.moves.keys() - matched:
            self.fault(f"hold {fact.hold_id} counts in {fact.moves.keys() - matched}, which it does not match")
        self.tally.put(fact)
        self._draws(fact, ())
        self.seen["holds"] += 1

    def _grown(self, change: HoldGrown, at: int) -> None:
        before = self.tally.holds.get(change.hold_id)
        if before is None or before.state != "held":
            self.fault(f"hold {change.hold_id} grew and is not open")
            return
        fact = facts.grown(before, change)
        for policy_id, move in fact.moves.items():
            policy = self.tally.policies.get(policy_id)
            earlier = before.moves.get(policy_id)
            if earlier is None:
                if move.enforced or move.drawn:
                    self.fault(f"hold {change.hold_id} joined {policy_id} as if it had been admitted: {move}")
                continue
            if move == earlier or policy is None:
                continue
            amount = move.held - earlier.held
            shares = dict(earlier.drawn)
            drawn = tuple((name, share - shares.get(name, 0)) for name, share in move.drawn)
            self._admitted(fact, policy, move, amount, drawn, self._growing_in(before, policy, at), None)
        self.tally.put(fact)
        self._draws(fact, tuple(before.drawn))
        self.seen["slices"] += 1

    def _growing_in(self, fact: HoldFact, policy: Mapping[str, str], at: int) -> Sums:
        """A slice is judged where its hold counts; one that outlived its rolling window by its own bucket."""
        part = self.tally.parts(fact, policy)
        assert part is not None
        value, start, _ = part
        first, _ = naive.counts_from(policy["interval_kind"], policy["timezone"], at)
        if policy["interval_kind"] in naive.BUCKETS and start >= first:
            return self.tally.sums(policy["policy_id"], value, at)
        return self.tally.cells[policy["policy_id"]][value][start]

    def _admitted(
        self,
        fact: HoldFact,
        policy: Mapping[str, str],
        move: Move,
        amount: int,
        drawn: tuple[tuple[str, int], ...],
        sums: Sums,
        requested: str | None,
    ) -> None:
        """Nothing goes beyond limit and grants where the budget is enforced; what is over must be drawn."""
        limit, soft = naive.limit_of(policy), naive.soft_of(policy)
        where = f"hold {fact.hold_id} in {policy['policy_id']} {move.scope_value}"
        projected = sums.used + amount
        if requested is not None:
            mode = naive.mode_of(policy, soft is not None and projected > soft, self.default_mode, requested)
            enforced = mode == "enforced" and policy["action"] != "advise"
            if move.enforced is not enforced:
                self.fault(f"{where}: enforced is {move.enforced}")
        if limit is None:
            return
        over = projected - limit - sums.drawn
        shares = sum(share for _, share in drawn)
        if shares and shares != min(amount, over):
            self.fault(f"{where}: drew {shares} where {over} were missing for {amount}")
        if move.enforced and over > 0 and shares < min(amount, over):
            self.fault(f"{where}: admitted {amount} on {sums} with a limit of {limit}, drawing {shares}")
        if over > 0:
            self.seen["admitted over a limit by grants" if shares else "admitted over a limit, not enforced"] += 1

    def _draws(self, fact: HoldFact, before: tuple[tuple[str, int], ...]) -> None:
        """Whom the grants serve, and that none gives more than its cap."""
        had = dict(before)
        for policy_id, move in fact.moves.items():
            for grant_id, share in move.drawn:
                if share <= had.get(grant_id, 0):
                    continue
                row = self.grants.get(grant_id)
                if row is None:
                    self.fault(f"hold {fact.hold_id} draws from {grant_id}, which nobody gave")
                    continue
                self.seen[f"drawn:{row.kind}"] += 1
                where = f"hold {fact.hold_id} draws {share} from {row.kind} {grant_id}"
                if not self._live(row):
                    self.fault(f"{where}, which has ended ({row.state})")
                if self.tally.drawn[grant_id] > row.cap:
                    self.fault(f"{where}: {self.tally.drawn[grant_id]} of a cap of {row.cap}")
                if (row.policy_id, row.scope_value) != (policy_id, move.scope_value):
                    self.fault(f"{where}, which is for {row.policy_id} {row.scope_value}")
                whose = (row.principal, row.session or fact.scope["session"])
                if row.kind != "amount" and whose != (fact.scope["principal"], fact.scope["session"]):
                    self.fault(f"{where}, which is for {row.principal} {row.session}")
                users = self.users.setdefault(grant_id, set())
                users.add(fact.run_id)
                if row.kind == "once" and len(users) > 1:
                    self.fault(f"{where}, which serves {sorted(users)}")

    def _ended(self, change: HoldEnded, unit: Sequence[Change]) -> None:
        before = self.tally.holds.get(change.hold_id)
        if before is None:
            self.fault(f"hold {change.hold_id} ended and was never taken")
            return
        fact = facts.ended(before, change)
        if before.state != "held":
            if fact != before:
                self.fault(f"hold {change.hold_id} ended twice: {before} and then {fact}")
            return
        if change.state != "released" and not any(
            isinstance(other, UsageRecorded) and other.row.hold_id == change.hold_id for other in unit
        ):
            self.fault(f"hold {change.hold_id} is {change.state} without usage")
        for policy_id, move in fact.moves.items():
            wanted = _actual(move, change)
            if move.actual != wanted:
                self.fault(f"hold {change.hold_id} charges {move.actual} in {policy_id}, not {wanted}")
            drawn, had = sum(share for _, share in move.drawn), sum(share for _, share in before.moves[policy_id].drawn)
            if drawn > had:
                self.fault(f"hold {change.hold_id} draws {drawn} in {policy_id} at its end, {had} before")
        for name in ("hold_id", "scope", "provider", "model", "created_at"):
            assert getattr(fact, name) == getattr(before, name)
        if change.state == "released":
            self._undo_use(before, fact)
        self.tally.put(fact)
        self.seen[f"end:{change.state}"] += 1
        if change.recovered:
            self.seen["recovered"] += 1
        if change.overrun:
            self.seen["overrun"] += 1

    def _undo_use(self, before: HoldFact, fact: HoldFact) -> None:
        """What was not sent has used no grant, if it gave all of it back."""
        left = {grant_id for grant_id, _ in fact.drawn}
        for grant_id, _ in before.drawn:
            others = [
                one for one in self.tally.holds.values() if one.run_id == fact.run_id and one.hold_id != fact.hold_id
            ]
            if grant_id not in left and not any(name == grant_id for one in others for name, _ in one.drawn):
                self.users[grant_id].discard(fact.run_id)

    def _used(self, row: UsageRow) -> None:
        fact = self.tally.holds.get(row.hold_id)
        where = f"usage of hold {row.hold_id} ({row.model})"
        if fact is None or fact.state == "held":
            self.fault(f"{where}: the hold has not ended")
            return
        self.seen[f"usage:{row.usage_source}"] += 1
        self.seen[f"price:{row.price_state}"] += 1
        for flag in row.flags:
            self.seen[f"flag:{flag}"] += 1
        if row.input_total + row.output_total != fact.actual_tokens:
            self.fault(f"{where}: {row.input_total}+{row.output_total} tokens, the hold has {fact.actual_tokens}")
        if fact.actual_usd is not None and row.charge != fact.actual_usd:
            self.fault(f"{where}: charges {row.charge}, the hold {fact.actual_usd}")
        if row.model in self.unpriced:
            flats = [move.actual for move in fact.moves.values() if move.metric == "estimated_cost_usd" and move.actual]
            wanted = max(flats, default=None)
            if row.charge != wanted or row.charge == 0:
                self.fault(f"{where} has no price and is charged {row.charge}, not {wanted}")
        elif row.charge is None:
            self.fault(f"{where} has a price and is charged nothing")
        if row.rates and row.charge != naive.charge_of(list(row.rates)):
            self.fault(f"{where}: {row.charge} is not {naive.charge_of(list(row.rates))}, the sum of {row.rates}")

    def _grant(self, row: GrantRow) -> None:
        before = self.grants.get(row.grant_id)
        if before is None:
            self.seen[f"grant:{row.kind}"] += 1
        if before is None or row.version > before.version:
            self.grants[row.grant_id] = row
            if row.state != "active":
                self.seen[f"grant {row.state}"] += 1


def _actual(move: Move, change: HoldEnded) -> int:
    if move.metric == "requests":
        return change.requests
    if move.metric == "total_tokens":
        return change.actual_tokens
    return move.held if change.actual_usd is None else change.actual_usd
