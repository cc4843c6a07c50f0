"""What a plan was made of, kept in few bytes so that it can be made again under other policies and prices.

The texts that come again (whom a request is for; which models were looked at, with their rate cards) are kept once, by
a hash; the numbers of one request are a small JSON array. What was decided is packed into one number:

    bits 0-1   disposition      bit 5  told a smaller ceiling     bit 8  budgets had a say in the first choice
    bits 2-4   outcome          bit 6  begins with less           bit 9  the first choice is not the baseline
                                bit 7  decided before             bit 10 after an attempt that failed
                                                                  bits 12-21, 22-31  chosen, first: index + 1, 0 none
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from hashlib import blake2b
from typing import Any

from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.governance.candidates import Candidate, Course, Plan, PlanInput, Tried
from palyra.journal.changes import NameKept, PlanKept
from palyra.journal.tables import dumps, own_json
from palyra.pricing.card import RateCard
from palyra.pricing.prompt_size import PromptSize

KNOWN_AT_MOST = 20_000
TOLD, LESS, AGAIN, WEIGHED, ROUTED, LATER = 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 9, 1 << 10
CHOSEN_SHIFT, FIRST_SHIFT, INDEX_MASK = 12, 22, 0x3FF
"""No plan has more candidates than the mask."""


class Disposition(IntEnum):
    """What became of a request when it was planned. `UNSERVABLE`: no model can, whatever budgets say."""

    SERVED = 0
    BLOCKED = 1
    APPROVAL = 2
    UNSERVABLE = 3


@value
class ModelRecord:
    """What re-pricing needs of a model: the name and kind of its provider's, and its card (None: unknown price)."""

    upstream: str
    kind: str
    card: RateCard | None


def name_of(text: str) -> int:
    """A text's name: 63 bits of a hash."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


def packed(plan: Plan, candidates: Iterable[Candidate], again: bool, later: bool = False) -> int:
    """What was decided, as one number. `again`: after an earlier decision of its run; `later`: after an attempt."""
    decision = plan.decision
    if plan.candidate is None:
        return Disposition.UNSERVABLE | decision.outcome.strength << 2 | AGAIN * again | LATER * later
    disposition = Disposition.SERVED
    if decision.blocked:
        disposition = Disposition.BLOCKED
    elif decision.approval_required:
        disposition = Disposition.APPROVAL
    place = {id(one): index for index, one in enumerate(candidates, start=1)}
    held = next(one for one in plan.tried if one.candidate is plan.candidate).terms.bound
    return (
        disposition
        | decision.outcome.strength << 2
        | TOLD * (plan.clamped is not None)
        | LESS * (plan.output_bound < held)
        | AGAIN * again
        | LATER * later
        | WEIGHED * plan.weighed
        | ROUTED * (plan.first is not plan.baseline)
        | place[id(plan.candidate)] << CHOSEN_SHIFT
        | place[id(plan.first)] << FIRST_SHIFT
    )


class PlanRecorder:
    """Makes what is to be kept of each plan, with the names it refers to that the journal does not have for certain.

    A name counts as kept once a unit that carries it is durable: until then each plan brings it along, since the unit
    of an earlier one may fail after the later one was made, or never be written.
    """

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._scopes: dict[tuple[object, ...], tuple[int, str]] = {}
        self._shapes: dict[tuple[object, ...], tuple[int, str, tuple[RateCard, ...]]] = {}

    def durable(self, unit: Iterable[object]) -> None:
        """These changes are in the journal now."""
        for change in unit:
            if isinstance(change, NameKept):
                if len(self._known) >= KNOWN_AT_MOST:
                    self._known.clear()
                self._known.add(change.name)

    def changes(
        self,
        given: PlanInput,
        plan: Plan,
        models: Mapping[str, ModelRecord],
        size: PromptSize,
        *,
        at: int,
        awaited: Iterable[str],
        again: bool,
        later: bool = False,
    ) -> list[NameKept | PlanKept]:
        """The plan, after the names it refers to that the journal may not have yet. `models` has every candidate's
        record by its id, `awaited` the approvals whose grants for one run are kept for those who asked."""
        kept: list[NameKept | PlanKept] = []
        scope, scope_text = self._scope(given.scope)
        shape, shape_text, cards = self._shape(given, models)
        if shape not in self._known:
            kept += [NameKept(name_of(card.card_id), dumps(card.to_json())) for card in cards]
            kept.append(NameKept(shape, shape_text))
        if scope not in self._known:
            kept.append(NameKept(scope, scope_text))
        first = next((one for one in plan.tried if one.candidate is plan.first), None)
        kept.append(
            PlanKept(
                run_id=given.run_id,
                at=at,
                scope=scope,
                shape=shape,
                usd=None if first is None else first.estimate.bound_usd,
                tokens=0 if first is None else first.estimate.bound_input + first.terms.bound,
                outcome=packed(plan, given.candidates, again, later),
                body=own_json(_numbers(given, plan, size, awaited)),
            )
        )
        return kept

    def _scope(self, scope: Scope) -> tuple[int, str]:
        tags = tuple(scope.tags.items())
        key = (scope.principal, scope.session, scope.key_id, scope.channel, scope.agent, scope.job, tags)
        found = self._scopes.get(key)
        if found is None:
            if len(self._scopes) >= KNOWN_AT_MOST:
                self._scopes.clear()
            text = dumps([*key[:-1], dict(tags)])
            found = self._scopes[key] = (name_of(text), text)
        return found

    def _shape(self, given: PlanInput, models: Mapping[str, ModelRecord]) -> tuple[int, str, tuple[RateCard, ...]]:
        cards = [models[one.model].card for one in given.candidates]
        mode = "" if given.requested_mode is None else given.requested_mode.value
        tail = [] if given.course is Course.FIRST else [given.course.value, list(given.order)]
        head = (
            given.requested_model,
            given.explicit,
            given.default_model,
            given.streaming,
            given.choices,
            given.task_class.value,
            mode,
        )
        key = (
            *head,
            given.course,
            given.order,
            *(
                (one.model, one.tier, one.excluded, card and card.card_id)
                for one, card in zip(given.candidates, cards, strict=True)
            ),
        )
        found = self._shapes.get(key)
        if found is None:
            if len(self._shapes) >= KNOWN_AT_MOST:
                self._shapes.clear()
            rows = [
                [
                    one.model,
                    one.provider,
                    models[one.model].upstream,
                    models[one.model].kind,
                    one.tier.value,
                    list(one.excluded),
                    None if card is None else name_of(card.card_id),
                ]
                for one, card in zip(given.candidates, cards, strict=True)
            ]
            text = dumps([*head, rows, *tail])
            found = self._shapes[key] = (name_of(text), text, tuple(card for card in cards if card is not None))
        return found


def _numbers(given: PlanInput, plan: Plan, size: PromptSize, awaited: Iterable[str]) -> list[Any]:
    place = {one.model: index for index, one in enumerate(given.candidates)}
    return [
        given.complexity,
        given.max_tokens,
        sorted(given.denied),
        sorted(awaited),
        [_option(place[one.candidate.model], one) for one in plan.tried],
        [plan.output_bound, plan.send_max_tokens],
        _prompt(size),
    ]


def _option(index: int, one: Tried) -> list[Any]:
    estimate, terms, rates = one.estimate, one.terms, one.estimate.rates
    tokens = estimate.input
    price: list[int] = []
    if rates is not None:
        base = rates.fixed + tokens.text * rates.text + tokens.image * rates.image + tokens.audio * rates.audio
        price = [base, rates.output, rates.denominator]
    return [
        index,
        [tokens.text, tokens.image, tokens.audio],
        price,
        estimate.expected_usd,
        [estimate.expected_input, estimate.expected_output],
        [terms.bound, terms.per_choice, terms.send, int(terms.sliced)],
        one.candidate.p50_ms,
        estimate.state.value,
    ]


def _prompt(size: PromptSize) -> list[Any]:
    """What the price of a request hangs on besides its tokens; empty for what most requests are."""
    facts = [
        int(size.cache_marks),
        int(size.cache_one_hour),
        int(size.audio_output),
        size.service_tier,
        size.speed,
        [[tool.name, tool.max_uses] for tool in size.server_tools],
    ]
    return facts if any(facts) else []
