"""A replay done the slow and obvious way: the engine's own ledger, fed request by request with what was recorded."""

import json
from dataclasses import dataclass, field, replace

from palyra.governance.candidates import Plan
from palyra.governance.grants import GrantBook, GrantState
from palyra.governance.holds import HoldRequest, OpenHold
from palyra.governance.ledger import Ledger
from palyra.governance.plan_record import CHOSEN_SHIFT, INDEX_MASK, LATER, TOLD, Disposition
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.governance.replay_input import Decoder, Recorded
from palyra.governance.replay_others import Others
from palyra.governance.replay_trial import Trial
from palyra.governance.routing import plan_usage_routing
from palyra.governance.terms import Terms, read_terms
from palyra.journal.changes import HoldTaken
from palyra.journal.replay_log import CORRECTION, END, GRANT, PLAN, REFUSED_SLICE, SLICE, TERMS, ReplayLog
from palyra.journal.rows import CounterMove, HoldRow
from palyra.pricing.charge import charge
from palyra.pricing.usage import NormalisedUsage
from tests.governance.store import Store

REFUSED = (Disposition.BLOCKED, Disposition.APPROVAL)


@dataclass
class Story:
    """What became of one request, then and now; costs are nano-dollars, None while nobody knows."""

    before: Disposition
    after: Disposition
    asked_before: bool = False
    asked_after: bool = False
    differs: bool = False
    rerouted: int = 0
    told_before: int = 0
    told_after: int = 0
    cut_before: bool = False
    cut_after: bool = False
    cut_short: bool = False
    otherwise: set[int] = field(default_factory=set)
    """Attempts that were not charged as they were, by when they were held."""
    gone: bool = False
    estimated: bool = False
    hold: str = ""
    reprice: bool = False
    model: int = 0
    at: int = 0
    shape: int = 0
    seq: int = 0
    open: OpenHold | None = None
    row: HoldRow | None = None
    moves: tuple[CounterMove, ...] = ()
    cost_before: int = 0
    cost_after: int = 0


@dataclass
class Naive:
    """Feeds a ledger with a log under a trial that holds from the start."""

    log: ReplayLog
    trial: Trial
    stories: dict[int, Story] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.decoder = Decoder(self.log)
        self.others = Others(self.log, self.decoder)
        self.grants = GrantBook()
        self.ledger = Ledger(grants=self.grants)
        self.store = Store()
        self.recorded: dict[str, UsageBudgetPolicyRecord] = {}
        self.now = 0

    def run(self) -> "Naive":
        for rows in self.log.chunks(1):
            for seq, at, kind, ref, scope, shape, usd, tokens, outcome in rows:
                if kind not in (GRANT, CORRECTION):
                    self.now = at
                if kind == TERMS:
                    self._terms(seq, at)
                elif kind == PLAN:
                    self._plan(seq, at, ref, scope, shape, outcome)
                elif kind == SLICE:
                    self._slice(ref, at, usd, tokens)
                elif kind == END:
                    self._end(ref, at, usd, tokens, outcome, scope)
                elif kind == GRANT:
                    self._grant(seq, ref)
                elif kind == REFUSED_SLICE:
                    self._refused_slice(ref, at, tokens)
                elif kind == CORRECTION:
                    self._correct(ref, at, usd, tokens)
        return self

    def _terms(self, seq: int, at: int) -> None:
        terms = read_terms(json.loads(self.log.body(seq)))
        if isinstance(terms, Terms):
            self.recorded = {policy.policy_id: policy for policy in terms.policies}
            self.routing, self.limits = terms.routing, terms.limits
            self.ledger.judge.default_mode = terms.routing.default_mode
        else:
            self.recorded.pop(terms.policy_id, None)
            if terms.policy is not None:
                self.recorded[terms.policy_id] = terms.policy
        self.store.change(self.ledger, PolicySet(self.trial.over(self.recorded)), at)

    def _plan(self, seq: int, at: int, ref: int, scope: int, shape: int, outcome: int) -> None:
        before = Disposition(outcome & 3)
        story = self.stories.get(ref)
        if story is not None:
            story.told_before += bool(outcome & TOLD)
        named = self.decoder.shape(shape).models[0]
        matched = self.ledger.policies.match(self.decoder.scope(scope), named.provider, named.model)
        if any(policy.reroutes and policy in self.trial.policies for policy, _ in matched):
            shape = self.others.wider(shape, seq, self.log.body(seq))
        recorded = self.decoder.plan(scope, shape, at, str(ref), self.limits, self.log.body(seq))
        if story is not None and outcome & LATER and story.after in REFUSED:
            story.before = before
            return
        if story is not None and story.gone:
            story.before, story.after, story.differs = before, Disposition.BLOCKED, True
            return
        if story is not None and story.estimated:
            self._known_at_last(story, before)
            return
        self.grants.awaited = set(recorded.awaited)
        plan = plan_usage_routing(recorded.given, self.ledger, at, self.routing)
        after = _disposition(plan)
        if story is None:
            story = self.stories[ref] = Story(before, after, told_before=bool(outcome & TOLD))
        story.before, story.after = before, after
        story.asked_before |= before is Disposition.APPROVAL
        story.asked_after |= after is Disposition.APPROVAL
        chosen = 0 if plan.candidate is None else recorded.options[plan.candidate.model].index + 1
        then = outcome >> CHOSEN_SHIFT & INDEX_MASK
        served = before is after is Disposition.SERVED
        rerouted = served and chosen != then
        same_terms = (plan.output_bound, plan.send_max_tokens) == (recorded.output_bound, recorded.send_max_tokens)
        story.differs |= before is not after or rerouted or (served and not same_terms and not plan.sliced)
        story.rerouted += rerouted
        story.told_after += after is Disposition.SERVED and plan.clamped is not None
        story.model, story.at, story.shape, story.seq, story.reprice = chosen - 1, at, shape, seq, rerouted
        if after is not Disposition.SERVED:
            story.gone = before is Disposition.APPROVAL and after is Disposition.BLOCKED
            return
        story.hold = f"{ref}-{seq}"
        self._hold(story, recorded, plan, str(ref), at)
        if before is not Disposition.SERVED:
            assert plan.candidate is not None
            option = recorded.options[plan.candidate.model]
            story.open, story.row = self.ledger._open[story.hold], self.store.rows[story.hold]
            ending = self.ledger.settle(story.hold, at=at, usd=option.expected_usd, tokens=option.expected_tokens)
            story.moves = tuple(ending.change.moves)
            self.store.submit(ending.change)
            story.cost_after = (ending.flat if option.expected_usd is None else option.expected_usd) or 0
            story.estimated = True

    def _hold(self, story: Story, recorded: Recorded, plan: Plan, run: str, at: int) -> None:
        assert plan.candidate is not None
        assert plan.estimate is not None
        row = self.ledger.hold(
            HoldRequest(
                hold_id=story.hold,
                run_id=run,
                attempt=1,
                boot_id="boot",
                scope=recorded.given.scope,
                provider=plan.candidate.provider,
                model=plan.candidate.model,
                at=at,
                bound_usd=plan.estimate.bound_usd,
                bound_tokens=plan.estimate.bound_input + plan.output_bound,
                expected_input=0,
                expected_usd=None,
                price_state="known",
                requested_mode=recorded.given.requested_mode,
            )
        )
        assert isinstance(row, HoldRow)
        self.store.submit(HoldTaken(row))

    def _known_at_last(self, story: Story, before: Disposition) -> None:
        """History let a request through at last that was let through here at once."""
        story.before, story.after = before, Disposition.SERVED
        story.differs |= before is not Disposition.SERVED
        if before is not Disposition.SERVED or story.open is None or story.row is None:
            return
        for cell, move in zip(story.open.cells, story.moves, strict=True):
            if cell is not None:
                cell.move(-(move.actual or 0), move.held, 0)
        self.ledger._open[story.hold] = story.open
        del self.ledger._ended[story.hold]
        self.store.rows[story.hold] = story.row
        story.estimated, story.cost_after = False, 0

    def _slice(self, ref: int, at: int, usd: int | None, tokens: int) -> None:
        story = self.stories.get(ref)
        if story is None or not story.hold or story.cut_after or self.ledger.open_hold(story.hold) is None:
            return
        if story.reprice:
            usd = self._price_of_slice(story, tokens)
        growth = self.ledger.grow(story.hold, usd, tokens, at)
        if growth.change is None:
            story.cut_after = story.cut_short = True
        else:
            self.store.submit(growth.change)

    def _refused_slice(self, ref: int, at: int, tokens: int) -> None:
        story = self.stories[ref]
        story.cut_before = True
        row = self.ledger.open_hold(story.hold) if story.hold else None
        if row is None or story.cut_after:
            return
        usd = self._price_of_slice(story, tokens)
        story.cut_after = self.ledger.grow(story.hold, usd, tokens, at).change is None
        if not story.cut_after:
            self.ledger.grow(story.hold, -usd, -tokens, at)

    def _price_of_slice(self, story: Story, tokens: int) -> int:
        row = self.ledger.open_hold(story.hold)
        option = self.decoder.option(story.shape, story.model, story.at, self.log.body(story.seq))
        assert row is not None
        assert option.rates is not None
        output = row.bound_tokens - option.tokens.total
        return option.rates.usd(option.tokens, output + tokens) - option.rates.usd(option.tokens, output)

    def _end(self, ref: int, at: int, usd: int | None, tokens: int, requests: int, flat: int | None) -> None:
        story = self.stories[ref]
        story.cost_before += (flat if usd is None else usd) or 0
        held = self.ledger.open_hold(story.hold) if story.hold else None
        if held is None:
            return
        if (story.reprice and requests) or story.cut_short:
            story.otherwise.add(story.at)
        if story.reprice and requests:
            usd = self._repriced(ref, story, usd)
        if story.cut_short:
            tokens = min(tokens, held.bound_tokens)
            usd = usd if usd is None or held.bound_usd is None else min(usd, held.bound_usd)
        if requests:
            ending = self.ledger.settle(story.hold, at=at, usd=usd, tokens=tokens, requests=requests)
        else:
            ending = self.ledger.release(story.hold, at=at)
        self.store.submit(ending.change)
        story.cost_after += (ending.flat if usd is None else usd) or 0

    def _correct(self, ref: int, at: int, usd: int | None, tokens: int) -> None:
        story = self.stories[ref]
        story.cost_before += usd or 0
        mine = [one for one in self.store.rows.values() if (one.run_id, one.created_at) == (str(ref), at)]
        if not mine or at in story.otherwise:
            return
        story.cost_after += usd or 0
        (row,) = mine
        dollars = None if row.actual_usd is None else row.actual_usd + (usd or 0)
        corrected = self.ledger.correct(row, dollars, (row.actual_tokens or 0) + tokens, self.now)
        self.store.rows[row.hold_id] = corrected

    def _repriced(self, ref: int, story: Story, usd: int | None) -> int | None:
        use = self.log.usage(ref)
        if use is None:
            return usd
        model = self.decoder.shape(story.shape).models[story.model]
        used = NormalisedUsage(input_total=use["input_total"], output_total=use["output_total"])
        return charge(self.decoder.card(model, story.at), used).amount

    def _grant(self, seq: int, ref: int) -> None:
        row = self.log.grant(ref)
        state = GrantState(self.log.body(seq))
        if state is GrantState.ACTIVE:
            refs = self.log.refs(row.run_ids)
            runs = tuple(str(refs[run_id]) for run_id in row.run_ids if run_id in refs)
            self.grants.add(replace(row, state=state.value, run_ids=runs))
        else:
            self.grants.end(row.grant_id, state)

    def sums(self) -> dict[str, int]:
        """As a tally says it."""
        stories = self.stories.values()
        return {
            "requests": len(stories),
            "differences": sum(one.differs or (bool(one.hold) and one.cut_before != one.cut_after) for one in stories),
            "cut_before": sum(one.cut_before for one in stories),
            "cut_after": sum(one.cut_after for one in stories),
            "denied_before": sum(one.before in REFUSED for one in stories),
            "denied_after": sum(one.after in REFUSED for one in stories),
            "approvals_before": sum(one.asked_before for one in stories),
            "approvals_after": sum(one.asked_after for one in stories),
            "rerouted": sum(one.rerouted for one in stories),
            "clamped_before": sum(one.told_before for one in stories),
            "clamped_after": sum(one.told_after for one in stories),
            "cost_before": sum(one.cost_before for one in stories),
            "cost_after": sum(one.cost_after for one in stories),
        }


def _disposition(plan: Plan) -> Disposition:
    if plan.candidate is None:
        return Disposition.UNSERVABLE
    if plan.decision.blocked:
        return Disposition.BLOCKED
    return Disposition.APPROVAL if plan.decision.approval_required else Disposition.SERVED
