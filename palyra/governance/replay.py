"""Deciding recorded requests again, in the order in which they were decided, under policies and prices of choice.

Counters are fed with what was recorded: each request holds its bound when it was decided, takes its slices and settles
when it did then. Most requests pass every budget of theirs; for those a few additions tell so. Every other goes through
the planner itself. What would be different changes what is counted:

- a request that is refused now, or that would wait for a person whom no recorded grant answers, spends nothing;
- one that another model would serve costs what that model charges for the use that was recorded;
- one that was refused then and passes now is charged its expected cost at once: nobody knows what it would have used;
- a stream whose budget ends earlier is charged at most what it held until then.

The period is led up to by the policies as they were, so that windows that began before it are full. Where plans were
not kept yet when a window began, what was charged until then is counted as the journal's holds tell it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from palyra.config.choices import RoutingMode
from palyra.core.scope import Scope
from palyra.core.windows import Window
from palyra.governance.counters import NEVER, Budget, Cell
from palyra.governance.evaluate import CounterView, UsageBudgetEvaluation
from palyra.governance.grants import Asker, GrantBook, GrantState
from palyra.governance.plan_record import (
    AGAIN,
    CHOSEN_SHIFT,
    FIRST_SHIFT,
    INDEX_MASK,
    LATER,
    LESS,
    ROUTED,
    TOLD,
    WEIGHED,
    Disposition,
)
from palyra.governance.recount import Drawing
from palyra.governance.replay_earlier import count_earlier
from palyra.governance.replay_flow import Group, Log, Model, UnderWay, over_soft
from palyra.governance.replay_holds import Held, Holds, Origin
from palyra.governance.replay_input import Decoder, Shape
from palyra.governance.replay_lanes import ASKS, Lanes
from palyra.governance.replay_others import Others
from palyra.governance.replay_quick import weigh
from palyra.governance.replay_tally import WORDS, Example, Tally, word
from palyra.governance.replay_trial import Schedule
from palyra.governance.routing import plan_usage_routing
from palyra.governance.trials import Policies
from palyra.journal.replay_log import CORRECTION, END, GRANT, PLAN, REFUSED_SLICE, SLICE
from palyra.pricing.overrides import Overrides

GROUPS_KEPT = 100_000
_SECOND_LOOK = AGAIN | WEIGHED | TOLD | LESS | 0b11
"""Bits of a decision that was not simply to send the request to the model chosen first, with all it asked for."""


class Replay:
    """One replay over a log; `run` it once."""

    def __init__(
        self,
        log: Log,
        schedule: Schedule,
        *,
        prices: Overrides | None = None,
        told: Callable[[int], None] | None = None,
    ) -> None:
        """`told` hears after each chunk how many events are done."""
        self.tally = Tally()
        self.lanes = Lanes(schedule.phases)
        self._log = log
        self._schedule = schedule
        self._told = told
        self._decoder = Decoder(log, prices)
        self._grants = GrantBook()
        self._holds = Holds(self._grants)
        self._models: dict[tuple[int, int], Model] = {}
        self._firsts: dict[int, int] = {}
        """By what was decided, which model requests begin with that need no second look for it."""
        self._by_model: dict[tuple[str, str, bool], Model] = {}
        self.others = Others(log, self._decoder)
        self._flow = UnderWay(log, self._decoder, self._holds, self.tally, schedule.since)
        self._estimated: dict[int, tuple[Held, int | None]] = {}
        """Requests that waited then and pass now, charged as expected until it is known what they used."""
        self._drawn: dict[str, list[Drawing]] = {}
        """What was drawn before plans were kept, by grant, until the log gives the grant."""
        self._gone: set[int] = set()
        """Requests that waited then and are refused for good now."""
        self._routing = schedule.settings[0].routing
        self._limits = schedule.settings[0].limits
        self._counting = False
        self._plainly = False
        """Whether every policy in force is enforced, whatever a request asks for."""

    # What the planner asks

    @property
    def policies(self) -> Policies:
        """The policies it tries."""
        return self.lanes

    @property
    def default_mode(self) -> RoutingMode:
        """The mode where nothing else says one."""
        return self._routing.default_mode

    def budget(self, policy_id: str) -> Budget | None:
        """The counters of a policy it tries."""
        lane = self.lanes.lane(policy_id)
        return None if lane is None else lane.budget

    def views(
        self, scope: Scope, provider: str, model: str, *, at: int, run_id: str, denied: frozenset[str]
    ) -> tuple[CounterView, ...]:
        """The counters a request touches at `at` (UTC unix ms), without those of denied grants."""
        asker = Asker(scope.principal, scope.session, run_id)
        views: list[CounterView] = []
        for place in self.lanes.match(scope, provider, model)[0]:
            judged = place.turn(at)
            policy, cell = place.lane.policy, place.cell
            serving = self._grants.serving(policy.policy_id, place.value, asker, cell.start, at)
            views.append(
                CounterView(
                    policy=policy,
                    scope_value=place.value,
                    window=Window(cell.start, cell.end),
                    settled=judged.settled,
                    held=judged.held,
                    drawn=judged.drawn,
                    available=sum(grant.remaining for grant in serving),
                    denied=policy.policy_id in denied,
                )
            )
        return tuple(views)

    # The loop

    def run(self) -> Tally:
        """Plays the whole of the log, and counts what would have gone another way."""
        schedule = self._schedule
        since, until = schedule.since, schedule.until
        flow, models, firsts, tally = self._flow, self._models, self._firsts, self.tally
        opened = flow.open
        phases = [phase.seq for phase in schedule.phases]
        due, bar = 0, phases[0]
        counting = False
        # Plainly written out and held in locals: it runs once for each of a million requests.
        for rows in self._log.chunks(schedule.first):
            requests = strengths = spent = 0
            for seq, at, kind, ref, scope, shape, usd, tokens, outcome in rows:
                if seq >= bar:
                    while due < len(phases) and seq >= phases[due]:
                        self._next_phase(due)
                        due += 1
                    counting = self._counting = seq >= since
                    bar = min(phases[due] if due < len(phases) else NEVER, NEVER if counting else since)
                if kind == PLAN:
                    if seq >= until:
                        continue
                    first = firsts.get(outcome)
                    if first is None:
                        first = firsts[outcome] = self._simply_first(outcome)
                    model = models.get((shape, first)) or self._model(shape, first)
                    if not model.plain or usd is None:
                        self._plan(seq, at, ref, scope, shape, outcome)
                        continue
                    group = model.groups.get(scope) or self._group(scope, model)
                    stand = group.stand
                    if stand is None or not stand.since <= at < stand.until:
                        stand = group.turn(at)
                    soft = 0
                    over = False
                    for cell, limit, hard in stand.usd:
                        cell.settled = projected = cell.settled + usd
                        if projected > limit:
                            soft = 1
                            if projected > hard:
                                over = True
                    for cell, limit, hard in stand.tokens:
                        cell.settled = projected = cell.settled + tokens
                        if projected > limit:
                            soft = 1
                            if projected > hard:
                                over = True
                    for cell, limit, hard in stand.requests:
                        cell.settled = projected = cell.settled + 1
                        if projected > limit:
                            soft = 1
                            if projected > hard:
                                over = True
                    more: Sequence[Cell] = ()
                    if group.not_fixed:
                        more = []
                        for place in group.not_fixed:
                            cell, judged = place.cell, place.judged
                            if at >= cell.end or at < cell.start or judged.start != cell.start:
                                judged = place.turn(at)
                                cell = place.cell
                            amount = (usd, tokens, 1)[place.unit]
                            cell.settled += amount
                            if judged is not cell:
                                judged.settled += amount
                            more.append(cell)
                            if judged.settled > place.soft and place.lane.in_force:
                                soft = 1
                                if judged.settled > place.hard:
                                    over = True
                    if over or (soft and group.routes):
                        stand.move(-usd, -tokens, -1)
                        for cell in more:
                            cell.move(-(usd, tokens, 1)[cell.budget.unit], 0, 0)
                        self._plan(seq, at, ref, scope, shape, outcome)
                        continue
                    opened[ref] = (stand, more, usd, tokens, seq)
                    if counting:
                        requests += 1
                        if outcome >> 2 & 7 != soft:
                            strengths += 1
                        if soft:
                            over_soft(group, stand)
                elif kind == END:
                    known = opened.pop(ref, None)
                    if type(known) is not tuple or usd is None:
                        flow.end(ref, known, usd, tokens, outcome, scope)
                        continue
                    stand, more, held_usd, held_tokens, decided = known
                    held_usd, held_tokens = usd - held_usd, tokens - held_tokens
                    for cell, _, _ in stand.usd:
                        cell.settled += held_usd
                    for cell, _, _ in stand.tokens:
                        cell.settled += held_tokens
                    if outcome != 1:
                        for cell, _, _ in stand.requests:
                            cell.settled += outcome - 1
                    for cell in more:
                        amount = (held_usd, held_tokens, outcome - 1)[cell.budget.unit]
                        cell.settled += amount
                        total = cell.total
                        if total is not None and cell.start >= total.low:
                            total.settled += amount
                    if decided >= since:
                        spent += usd
                elif kind == SLICE:
                    if ref in opened:
                        flow.slice(ref, at, usd, tokens or 0)
                elif kind == REFUSED_SLICE:
                    flow.refused_slice(ref, at, tokens or 1)
                elif kind == GRANT:
                    self._grant(seq, ref)
                elif kind == CORRECTION and seq < until:
                    hold = self._log.body(seq)
                    flow.correct(hold, ref, at, usd, tokens or 0, self.lanes, counted=at >= schedule.since_at)
            tally.requests += requests
            tally.strengths += strengths
            tally.cost_before += spent
            tally.cost_after += spent
            if self._told is not None:
                self._told(rows[-1][0])
            if rows[-1][0] >= until and not opened and not flow.refused:
                break
        return tally

    def _next_phase(self, index: int) -> None:
        self._flow.settle()
        self.lanes.next_phase()
        if index == 0:
            self._drawn = count_earlier(
                self._log.holds_before(self._schedule.needed), self._flow.corrections, self.lanes
            )
        self._models.clear()
        self._by_model.clear()
        self._firsts.clear()
        settings = self._schedule.settings[index]
        self._routing, self._limits = settings.routing, settings.limits
        self._holds.judge.default_mode = self._routing.default_mode
        self._plainly = self._routing.default_mode is RoutingMode.ENFORCED and not self.lanes.modes

    def _simply_first(self, outcome: int) -> int:
        """The model (index + 1) that a request so decided begins with; 0 where that takes a second look."""
        first = outcome >> FIRST_SHIFT
        changed = outcome & _SECOND_LOOK or first != outcome >> CHOSEN_SHIFT & INDEX_MASK
        return 0 if changed or (outcome & ROUTED and not self._plainly) else first

    def _model(self, shape: int, first: int) -> Model:
        """The model that requests of a shape begin with; shapes that begin with the same one share it. `first` 0: they
        are none of those that are let through with a few additions."""
        looked_at = self._decoder.shape(shape)
        one = looked_at.models[first - 1] if first else None
        key = ("", "") if one is None else (one.provider, one.model)
        plain = one is not None and not looked_at.repriced
        found = self._models[shape, first] = self._named(*key, plain=plain)
        return found

    def _named(self, provider: str, model: str, *, plain: bool) -> Model:
        found = self._by_model.get((provider, model, plain))
        if found is None:
            found = self._by_model[provider, model, plain] = Model(provider, model, plain)
        return found

    def _group(self, scope: int, model: Model) -> Group:
        if len(model.groups) >= GROUPS_KEPT:
            model.groups.clear()
        in_force, others = self.lanes.match(self._decoder.scope(scope), model.provider, model.model)
        group = model.groups[scope] = Group(scope, in_force, others)
        return group

    # Requests that need a second look

    def _plan(self, seq: int, at: int, ref: int, scope: int, shape: int, outcome: int) -> None:
        before = Disposition(outcome & 3)
        self.tally.clamped_before += self._counting and bool(outcome & TOLD)
        later = bool(outcome & LATER)
        if ref in self._gone or (later and self.tally.stopped(ref)):
            if self._counting:
                self.tally.decided(ref, before, Disposition.BLOCKED, again=True, later=later, differs=True)
            if before is Disposition.SERVED:
                self._flow.refuse(ref, at, counted=self._counting)
            return
        body = self._log.body(seq)
        if self._quickly(seq, at, ref, scope, shape, outcome, before, body):
            return
        rerouting = self._schedule.rerouting
        if rerouting:
            places = self._group_of(scope, self._decoder.shape(shape), 0).in_force
            if any(place.lane.routes and place.lane.policy_id in rerouting for place in places):
                shape = self.others.wider(shape, seq, body)
        recorded = self._decoder.plan(scope, shape, at, str(ref), self._limits, body)
        self._grants.awaited = set(recorded.awaited)
        chosen_then = outcome >> CHOSEN_SHIFT & INDEX_MASK
        estimated = self._estimated.pop(ref, None)
        if estimated is not None:
            self._served_already(ref, before, estimated)
            return
        plan = plan_usage_routing(recorded.given, self, at, self._routing, explained=False)
        after = Disposition.UNSERVABLE
        chosen = 0
        if plan.candidate is not None:
            chosen = recorded.options[plan.candidate.model].index + 1
            after = Disposition.SERVED
            if plan.decision.blocked:
                after = Disposition.BLOCKED
            elif plan.decision.approval_required:
                after = Disposition.APPROVAL
        served = after is before is Disposition.SERVED
        rerouted = served and chosen != chosen_then
        held_then = (recorded.output_bound, recorded.send_max_tokens)
        less = served and not rerouted and (plan.output_bound, plan.send_max_tokens) != held_then
        # A stream that begins with less is topped up as it goes, so nobody notices.
        differs = before is not after or rerouted or (less and not plan.sliced)
        evaluations = plan.decision.evaluations
        if self._counting:
            tally = self.tally
            first = tally.decided(ref, before, after, again=bool(outcome & AGAIN), later=later, differs=differs)
            tally.rerouted += rerouted
            tally.clamped_after += after is Disposition.SERVED and plan.clamped is not None
            tally.strengths += not differs and (less or plan.decision.outcome.strength != outcome >> 2 & 7)
            self._bite(evaluations, at)
            if first:
                models = self._decoder.shape(shape).models
                whom = recorded.given.scope
                example = Example(
                    ref=ref,
                    at=at,
                    principal=whom.principal,
                    session=whom.session,
                    model_before=models[chosen_then - 1].model if chosen_then else "",
                    model_after=models[chosen - 1].model if chosen else "",
                    before=word(before, bool(outcome & TOLD)),
                    after=word(after, plan.clamped is not None),
                )
                tally.show(example, evaluations)
        if after is not Disposition.SERVED or plan.candidate is None or plan.estimate is None:
            if before is Disposition.SERVED:
                self._flow.refuse(ref, at, counted=self._counting)
            elif before is Disposition.APPROVAL and after is Disposition.BLOCKED:
                self._gone.add(ref)
            return
        estimate = plan.estimate
        held = Held(
            Origin(seq, at, scope, shape, chosen - 1),
            Asker(recorded.given.scope.principal, recorded.given.scope.session, str(ref)),
            recorded.given.requested_mode,
            estimate.bound_usd,
            estimate.bound_input + plan.output_bound,
            self._counting,
        )
        held.priced_anew = rerouted or self._decoder.shape(shape).repriced
        held.differs = differs
        whom, one = recorded.given.scope, plan.candidate
        self._holds.take(held, *self.lanes.match(whom, one.provider, one.model), at)
        if before is Disposition.SERVED:
            self._flow.open[ref] = held
            return
        option = recorded.options[one.model]
        flat = self._holds.end(held, option.expected_usd, option.expected_tokens, 1)
        cost = flat if option.expected_usd is None else option.expected_usd
        if self._counting:
            self.tally.estimated += 1
            self.tally.spent_after(cost, self.tally.examples.get(ref))
        if before is Disposition.APPROVAL:
            self._estimated[ref] = (held, cost)

    def _quickly(
        self, seq: int, at: int, ref: int, scope: int, shape: int, outcome: int, before: Disposition, body: str
    ) -> bool:
        """Decides a request where nothing but limits has a say and it goes as it went, or is refused. Returns whether
        it did."""
        looked_at = self._decoder.shape(shape)
        if not self._plainly or outcome & AGAIN or looked_at.repriced or self._grants.live or ref in self._estimated:
            return False
        verdict = weigh(body, looked_at, outcome, at, self._limits, partial(self._group_of, scope, looked_at))
        if verdict is None:
            return False
        after = verdict.disposition
        served = after is before is Disposition.SERVED
        if served and verdict.index != (outcome >> CHOSEN_SHIFT & INDEX_MASK) - 1:
            return False
        if after is Disposition.SERVED and not served:
            return False
        changed = served and (verdict.clamped or outcome & (TOLD | LESS))
        if changed or (self._counting and (after is not before and self.tally.wants(WORDS[before], WORDS[after]))):
            return False
        group = self._group_of(scope, looked_at, verdict.index)
        if self._counting:
            tally = self.tally
            tally.decided(ref, before, after, again=False, differs=after is not before)
            tally.strengths += after is before and verdict.strength != outcome >> 2 & 7
            for place in verdict.refusing:
                bite = place.lane.bite
                bite.refused += 1
                bite.approvals += place.rule == ASKS
                if bite.first_at is None:
                    bite.first_at = at
        amounts = (verdict.usd, verdict.tokens, 1)
        if not served:
            if self._counting:
                over_soft(group, group.turn(at), amounts)
            if before is Disposition.SERVED:
                self._flow.refuse(ref, at, counted=self._counting)
            elif before is Disposition.APPROVAL and after is Disposition.BLOCKED:
                self._gone.add(ref)
            return True
        stand, more = group.turn(at), group.not_fixed_at(at)
        stand.move(*amounts)
        for cell in more:
            cell.move(amounts[cell.budget.unit], 0, 0)
        self._flow.open[ref] = (stand, more, verdict.usd, verdict.tokens, seq)
        if self._counting:
            over_soft(group, stand)
        return True

    def _group_of(self, scope: int, shape: Shape, index: int) -> Group:
        one = shape.models[index]
        model = self._named(one.provider, one.model, plain=not shape.repriced)
        return model.groups.get(scope) or self._group(scope, model)

    def _served_already(self, ref: int, before: Disposition, estimated: tuple[Held, int | None]) -> None:
        """A later decision of a request that history held back and this did not: what it used may be known now."""
        held, cost = estimated
        if held.counted:
            served = before is Disposition.SERVED
            self.tally.decided(ref, before, Disposition.SERVED, again=True, differs=not served)
        if before is not Disposition.SERVED:
            self._estimated[ref] = estimated
            return
        if held.counted:
            self.tally.estimated -= 1
            self.tally.spent_after_all(cost)
        self._holds.reopen(held)
        self._flow.open[ref] = held

    def _bite(self, evaluations: tuple[UsageBudgetEvaluation, ...], at: int) -> None:
        for item in evaluations:
            lane = self.lanes.lane(item.policy_id)
            if lane is None:
                continue
            bite = lane.bite
            bite.over_soft += item.over_soft
            bite.would_refuse += item.would_refuse
            if item.refused:
                bite.refused += 1
                bite.approvals += item.status.value == "approval_required"
                if bite.first_at is None:
                    bite.first_at = at

    def _grant(self, seq: int, ref: int) -> None:
        """A grant was given, or has ended."""
        state = self._log.body(seq)
        if state != GrantState.ACTIVE:
            row = self._log.grant(ref)
            self._grants.end(row.grant_id, GrantState(state))
            return
        row = self._log.grant(ref)
        refs = self._log.refs(row.run_ids)
        run_ids = tuple(str(refs[run_id]) for run_id in row.run_ids if run_id in refs)
        self._grants.add(replace(row, state=GrantState.ACTIVE.value, run_ids=run_ids))
        for drawing in self._drawn.pop(row.grant_id, ()):
            self._grants.redraw(drawing.grant_id, drawing.run_id, drawing.amount, sent=drawing.sent)
