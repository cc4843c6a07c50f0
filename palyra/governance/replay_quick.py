"""Deciding a request with whole numbers alone, where nothing but limits has a say: no grants, modes, overrides, tried
prices or unknown ones. What comes of it is what the planner would say; everything else is left to the planner."""

import json
from dataclasses import dataclass
from typing import Any

from palyra.config.choices import CostTier
from palyra.core.money import MAX
from palyra.governance.candidates import OutputLimits
from palyra.governance.counters import REQUESTS_UNIT, TOKENS_UNIT
from palyra.governance.evaluate import EvaluationStatus
from palyra.governance.plan_record import FIRST_SHIFT, WEIGHED, Disposition
from palyra.governance.replay_flow import Group
from palyra.governance.replay_input import Shape
from palyra.governance.replay_lanes import ASKS, BLOCKS, Place
from palyra.pricing.charge import ANSWER_AT_MOST

Numbers = list[Any]
"""One model's row of a plan's body."""

_OK, _SOFT, _OVER, _HARD, _APPROVAL, _BLOCKED = (
    EvaluationStatus.OK.strength,
    EvaluationStatus.SOFT_LIMIT.strength,
    EvaluationStatus.OVERRIDE_APPLIED.strength,
    EvaluationStatus.HARD_LIMIT.strength,
    EvaluationStatus.APPROVAL_REQUIRED.strength,
    EvaluationStatus.BLOCKED.strength,
)


@dataclass(slots=True)
class Verdict:
    """What is decided. `index` is the model's in its shape; `refusing` the counters that stop it."""

    disposition: Disposition
    index: int
    usd: int
    tokens: int
    output_bound: int
    send: int | None
    strength: int
    clamped: bool
    refusing: list[Place]


def weigh(body: str, shape: Shape, outcome: int, at: int, limits: OutputLimits, group_of: Any) -> Verdict | None:
    """The verdict on one plan; None where the planner has to be asked. `group_of(index)` has a model's counters."""
    _, _, denied, _, rows, _, _ = json.loads(body)
    if denied or not rows or not all(row[2] for row in rows):
        return None
    row = _first(rows, shape, outcome, at, group_of)
    if row is None:
        return None
    group: Group = group_of(row[0])
    if group.routes:
        return None
    bound, per_choice, send, sliced = row[5]
    verdict = _judged(row, bound, send, group, at)
    if verdict.disposition is Disposition.SERVED or not limits.clamp_output:
        return verdict
    if any(place.rule != BLOCKS for place in verdict.refusing):
        return verdict
    choices = 1 if sliced else shape.choices
    fits = min(_room(row, place, choices) for place in group.in_force if place.rule in (BLOCKS, ASKS))
    fits = min(fits, per_choice - 1)
    if fits < limits.min_output_tokens:
        return verdict
    smaller = _judged(row, fits * choices, send if sliced else fits, group, at)
    if smaller.refusing:
        return verdict
    smaller.clamped = not sliced
    return smaller


def _first(rows: list[Numbers], shape: Shape, outcome: int, at: int, group_of: Any) -> Numbers | None:
    """The model chosen before any budget asks for another; rows are in the order of their cost."""
    if not outcome & WEIGHED:
        first = outcome >> FIRST_SHIFT
        return next((row for row in rows if row[0] == first - 1), None)
    for row in reversed(rows):
        if shape.models[row[0]].tier is CostTier.PREMIUM:
            bound, _, send, _ = row[5]
            if _judged(row, bound, send, group_of(row[0]), at).strength == _OK:
                return row
    for name in (shape.explicit, shape.default):
        for row in rows:
            if name and shape.models[row[0]].model == name:
                return row
    return rows[0]


def _judged(row: Numbers, bound: int, send: int | None, group: Group, at: int) -> Verdict:
    base, rate, denominator = row[2]
    usd = min(-(-(base + rate * bound) // denominator), ANSWER_AT_MOST)
    tokens = sum(row[1]) + bound
    amounts = (usd, tokens, 1)
    strength = _OK
    refusing: list[Place] = []
    for place in group.in_force:
        judged = place.turn(at)
        projected = judged.settled + amounts[place.unit]
        found = _OK
        if projected > place.hard + judged.drawn:
            found = _HARD
            if place.rule == BLOCKS:
                found = _BLOCKED
                refusing.append(place)
            elif place.rule == ASKS:
                found = _APPROVAL
                refusing.append(place)
        elif projected > place.hard:
            found = _OVER
        elif projected > place.soft:
            found = _SOFT
        if found > strength:
            strength = found
    disposition = Disposition.SERVED
    if refusing:
        disposition = Disposition.BLOCKED if strength == _BLOCKED else Disposition.APPROVAL
    return Verdict(disposition, row[0], usd, tokens, bound, send, strength, False, refusing)


def _room(row: Numbers, place: Place, choices: int) -> int:
    """How much output per choice one counter has room for; it was looked at a moment ago."""
    judged = place.judged
    room = place.hard + judged.drawn - judged.settled
    if place.unit == REQUESTS_UNIT:
        return MAX if room >= 1 else -1
    if place.unit == TOKENS_UNIT:
        return int(room - sum(row[1])) // choices
    base, rate, denominator = row[2]
    left = room * denominator - base
    if left < 0:
        return -1
    return left // rate // choices if rate else MAX
