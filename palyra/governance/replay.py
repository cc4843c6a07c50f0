"""Deciding recorded requests again, in the order in which they were decided, under policies and prices of choice.

Counters are fed with what was recorded: each request holds its bound when it was decided, takes its slices and settles
when it did then. Most requests pass every budget of theirs; for those a few additions tell so. Every other goes through
the planner itself. What would be different changes what is counted:

- a request that is refused now, or that would wait for a person whom no recorded grant answers, spends nothing;
- one that another model would serve costs what that model charges for the use that was recorded;
- one that was refused then and passes now is charged its expected cost at once: nobody knows what it would have used;
- a stream whose budget ends earlier is charged at most what it held until then.

The period is led up to by the policies as they were, so that windows that began before it are full.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

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
    LESS,
    ROUTED,
    TOLD,
    WEIGHED,
    Disposition,
)
from palyra.governance.replay_holds import Held, Holds, Origin, Part
from palyra.governance.replay_input import Decoder, Names
from palyra.governance.replay_lanes import Lanes, Place, judged_growth
from palyra.governance.replay_tally import WORDS, Example, Tally
from palyra.governance.replay_trial import Schedule
from palyra.governance.routing import plan_usage_routing
from palyra.governance.trials import Policies
from palyra.journal.replay_log import END, GRANT, PLAN, REFUSED_SLICE, SLICE, Event, RecordedUse
from palyra.journal.rows import GrantRow
from palyra.pricing.charge import charge
from palyra.pricing.overrides import Overrides
from palyra.pricing.usage import NormalisedUsage

GROUPS_KEPT = 100_000
_FROM_PLAN = AGAIN | WEIGHED | TOLD | LESS | 0b11
"""Bits of a decision that was not simply to send the request to the model chosen first, with all it asked for."""


class Log(Names, Protocol):
    """What was recorded."""

    def chunks(self, first: int) -> Iterator[list[Event]]: ...
    def body(self, seq: int) -> str: ...
    def grant(self, seq: int) -> GrantRow: ...
    def refs(self, run_ids: Sequence[str]) -> dict[str, int]: ...
    def usage(self, ref: int) -> RecordedUse | None: ...


class Group:
    """Requests of one scope that begin with the same model: the counters they move. `units` runs beside `places`."""

    __slots__ = ("first", "in_force", "others", "places", "plain", "routes", "scope", "shape", "units")

    def __init__(
        self, scope: int, shape: int, first: int, in_force: list[Place], others: list[Place], plain: bool
    ) -> None:
        self.scope = scope
        self.shape = shape
        self.first = first
        self.in_force = in_force
        self.others = others
        self.places = [*in_force, *others]
        self.units = tuple(place.lane.budget.unit for place in self.places)
        self.routes = any(place.lane.routes for place in in_force)
        self.plain = plain


Simple = tuple[Group, list[Cell], int, int, bool, int]
"""A request let through without a second look, until it ends: group, cells beside its places, usd, tokens, whether it
was decided in the period, seq."""


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
        self._groups: dict[tuple[int, int, int], Group] = {}
        self._open: dict[int, Simple | Held] = {}
        self._refused: dict[int, bool] = {}
        """Requests that history let through and this does not, until they end there; whether they count."""
        self._estimated: dict[int, tuple[Held, int | None]] = {}
        """Requests that waited then and pass now, charged as expected until it is known what they used."""
        self._gone: set[int] = set()
        """Requests that waited then and are refused for good now."""
        self._routing = schedule.settings[0].routing
        self._limits = schedule.settings[0].limits
        self._counting = False

    # What the planner asks

    @property
    def policies(self) -> Policies:
        return self.lanes

    @property
    def default_mode(self) -> RoutingMode:
        return self._routing.default_mode

    def budget(self, policy_id: str) -> Budget | None:
        lane = self.lanes.lane(policy_id)
        return None if lane is None else lane.budget

    def views(
        self, scope: Scope, provider: str, model: str, *, at: int, run_id: str, denied: frozenset[str]
    ) -> tuple[CounterView, ...]:
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
        schedule = self._schedule
        since, until = schedule.since, schedule.until
        opened, groups, tally = self._open, self._groups, self.tally
        phases = [phase.seq for phase in schedule.phases]
        due = 0
        bar = phases[0]
        modes = False
        enforced = True
        # Held in locals: what follows runs once for each of a million requests.
        for rows in self._log.chunks(schedule.first):
            for seq, at, kind, ref, scope, shape, usd, tokens, outcome in rows:
                if seq >= bar:
                    while due < len(phases) and seq >= phases[due]:
                        self._next_phase(due)
                        due += 1
                    self._counting = seq >= since
                    bar = min(phases[due] if due < len(phases) else NEVER, NEVER if self._counting else since)
                    modes = self.lanes.modes
                    enforced = self._routing.default_mode is RoutingMode.ENFORCED and not modes
                if kind == PLAN:
                    if seq >= until:
                        continue
                    first = outcome >> FIRST_SHIFT & INDEX_MASK
                    group = groups.get((scope, shape, first))
                    if group is None:
                        group = self._group(scope, shape, first)
                    if outcome & _FROM_PLAN or usd is None or not group.plain or (outcome & ROUTED and not enforced):
                        self._plan(seq, at, ref, scope, shape, outcome)
                        continue
                    amounts = (usd, tokens, 1)
                    soft = 0
                    for place in group.in_force:
                        cell = place.cell
                        if not cell.start <= at < cell.end or (
                            cell.total is not None and cell.total.start != cell.start
                        ):
                            place.turn(at)
                        judged = place.judged
                        budget = place.lane.budget
                        projected = judged.settled + judged.held + amounts[budget.unit]
                        if projected > budget.soft:
                            if projected > budget.hard or group.routes:
                                soft = 2
                                break
                            soft = 1
                    if soft == 2 or first != outcome >> CHOSEN_SHIFT & INDEX_MASK:
                        self._plan(seq, at, ref, scope, shape, outcome)
                        continue
                    cells: list[Cell] = []
                    for place in group.in_force:
                        cell = place.cell
                        cells.append(cell)
                        amount = amounts[place.lane.budget.unit]
                        if cell.total is None:
                            cell.held += amount
                        else:
                            cell.move(0, amount, 0)
                    for place in group.others:
                        place.turn(at)
                        cells.append(place.cell)
                        place.cell.move(0, amounts[place.lane.budget.unit], 0)
                    opened[ref] = (group, cells, usd, tokens, self._counting, seq)
                    if self._counting:
                        tally.requests += 1
                        tally.strengths += (outcome >> 2 & 7) != soft
                        if soft:
                            self._over_soft(group, amounts)
                elif kind == END:
                    held = opened.pop(ref, None)
                    if type(held) is not tuple or usd is None:
                        self._end(ref, held, usd, tokens, outcome, scope)
                        continue
                    group, cells, held_usd, held_tokens, counted, _ = held
                    amounts, actuals = (held_usd, held_tokens, 1), (usd, tokens, outcome)
                    for cell, unit in zip(cells, group.units, strict=True):
                        if cell.total is None:
                            cell.held -= amounts[unit]
                            cell.settled += actuals[unit]
                        else:
                            cell.move(actuals[unit], -amounts[unit], 0)
                    if counted:
                        tally.cost_before += usd
                        tally.cost_after += usd
                elif kind == SLICE:
                    if ref in opened:
                        self._slice(ref, at, usd, tokens or 0)
                elif kind == REFUSED_SLICE:
                    self._refused_slice(ref, at, tokens or 1)
                elif kind == GRANT:
                    self._grant(seq, ref)
            if self._told is not None:
                self._told(rows[-1][0])
            if rows[-1][0] >= until and not opened and not self._refused:
                break
        return tally

    def _next_phase(self, index: int) -> None:
        self.lanes.next_phase()
        self._groups.clear()
        settings = self._schedule.settings[index]
        self._routing, self._limits = settings.routing, settings.limits
        self._holds.judge.default_mode = self._routing.default_mode

    def _group(self, scope: int, shape: int, first: int) -> Group:
        if len(self._groups) >= GROUPS_KEPT:
            self._groups.clear()
        models = self._decoder.shape(shape)
        if not first:
            group = Group(scope, shape, first, [], [], plain=False)
        else:
            model = models.models[first - 1]
            whom = self._decoder.scope(scope)
            in_force, others = self.lanes.match(whom, model.provider, model.model)
            group = Group(scope, shape, first, in_force, others, plain=not models.repriced)
        self._groups[scope, shape, first] = group
        return group

    def _over_soft(self, group: Group, amounts: tuple[int, int, int]) -> None:
        """After a hold was taken: which budgets it left past their soft limit."""
        for place in group.in_force:
            judged, budget = place.judged, place.lane.budget
            if judged.settled + judged.held > budget.soft:
                place.lane.bite.over_soft += 1

    # Requests that need a second look

    def _plan(self, seq: int, at: int, ref: int, scope: int, shape: int, outcome: int) -> None:
        before = Disposition(outcome & 3)
        if ref in self._gone:
            if self._counting:
                self.tally.decided(ref, before, Disposition.BLOCKED, again=True, differs=True)
            if before is Disposition.SERVED:
                self._refused[ref] = self._counting
            return
        recorded = self._decoder.plan(scope, shape, at, str(ref), self._limits, self._log.body(seq))
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
        told = served and (plan.clamped is not None) != bool(outcome & TOLD)
        less = (
            served
            and not rerouted
            and (plan.output_bound, plan.send_max_tokens)
            != (
                recorded.output_bound,
                recorded.send_max_tokens,
            )
        )
        differs = before is not after or rerouted or told or (less and not self._decoder.shape(shape).repriced)
        evaluations = plan.decision.evaluations
        if self._counting:
            tally = self.tally
            first = tally.decided(ref, before, after, again=bool(outcome & AGAIN), differs=differs)
            tally.rerouted += rerouted
            tally.clamped_before += bool(outcome & TOLD)
            tally.clamped_after += after is Disposition.SERVED and plan.clamped is not None
            tally.strengths += not differs and plan.decision.outcome.strength != outcome >> 2 & 7
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
                    before=_word(before, bool(outcome & TOLD)),
                    after=_word(after, plan.clamped is not None),
                )
                tally.show(example, evaluations)
        if after is not Disposition.SERVED or plan.candidate is None or plan.estimate is None:
            if before is Disposition.SERVED:
                self._refused[ref] = self._counting
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
        whom, one = recorded.given.scope, plan.candidate
        self._holds.take(held, *self.lanes.match(whom, one.provider, one.model), at)
        if before is Disposition.SERVED:
            self._open[ref] = held
            return
        option = recorded.options[one.model]
        flat = self._holds.end(held, option.expected_usd, option.expected_tokens, 1)
        cost = flat if option.expected_usd is None else option.expected_usd
        if self._counting:
            self.tally.estimated += 1
            self.tally.spent_after(cost, self.tally.examples.get(ref))
        if before is Disposition.APPROVAL:
            self._estimated[ref] = (held, cost)

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
        self._open[ref] = held

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

    # Slices and ends

    def _second_look(self, ref: int, simple: Simple) -> Held:
        """A simple hold as one that can grow by more than a look."""
        group, cells, usd, tokens, counted, seq = simple
        whom = self._decoder.scope(group.scope)
        amounts = (usd, tokens, 1)
        origin = Origin(seq, 0, group.scope, group.shape, group.first - 1)
        held = Held(origin, Asker(whom.principal, whom.session, str(ref)), None, usd, tokens, counted)
        held.parts = [
            Part(place, cell, amounts[unit]) for place, cell, unit in zip(group.places, cells, group.units, strict=True)
        ]
        self._open[ref] = held
        return held

    def _slice(self, ref: int, at: int, usd: int | None, tokens: int) -> None:
        held = self._open[ref]
        if isinstance(held, tuple):
            group, cells, held_usd, held_tokens, counted, seq = held
            amounts = (usd or 0, tokens, 0)
            for place, cell, unit in zip(group.places, cells, group.units, strict=True):
                amount = amounts[unit]
                if place.lane.in_force and amount:
                    judged = judged_growth(cell, at)
                    if judged.settled + judged.held + amount > place.lane.budget.hard:
                        self._grow(ref, self._second_look(ref, held), at, usd, tokens)
                        return
            for cell, unit in zip(cells, group.units, strict=True):
                cell.move(0, amounts[unit], 0)
            self._open[ref] = (group, cells, held_usd + (usd or 0), held_tokens + tokens, counted, seq)
            return
        if not held.cut:
            self._grow(ref, held, at, usd, tokens)

    def _grow(self, ref: int, held: Held, at: int, usd: int | None, tokens: int) -> None:
        if held.priced_anew:
            usd = self._price_of_slice(held, tokens)
        if self._holds.grow(held, usd, tokens, at):
            return
        held.cut = True
        if held.counted:
            self.tally.cut_after += 1
            self.tally.differences += 1

    def _refused_slice(self, ref: int, at: int, tokens: int) -> None:
        """History's budget ended here."""
        held = self._open.get(ref)
        if held is None:
            return
        if isinstance(held, tuple):
            held = self._second_look(ref, held)
        if held.counted:
            self.tally.cut_before += 1
        if held.cut:
            return
        if self._holds.fits(held, self._price_of_slice(held, tokens), tokens, at):
            if held.counted:
                self.tally.differences += 1
            return
        held.cut = True
        if held.counted:
            self.tally.cut_after += 1

    def _price_of_slice(self, held: Held, tokens: int) -> int | None:
        """What so many more output tokens add to a request's bound."""
        origin = held.origin
        option = self._decoder.option(origin.shape, origin.model, origin.at, self._log.body(origin.seq))
        if option.rates is None:
            return None
        output = held.tokens - option.tokens.total
        return option.rates.usd(option.tokens, output + tokens) - option.rates.usd(option.tokens, output)

    def _end(
        self, ref: int, held: Simple | Held | None, usd: int | None, tokens: int, requests: int, flat: int | None
    ) -> None:
        """The end of a hold that is not simple, or that this replay never took."""
        tally = self.tally
        example = tally.examples.get(ref)
        if held is None:
            if self._refused.pop(ref, False):
                tally.spent_before(usd, flat, example)
            return
        if isinstance(held, tuple):
            held = self._second_look(ref, held)
            del self._open[ref]
        charged, used = usd, tokens
        if held.priced_anew and requests:
            charged = self._price_of_use(ref, held, usd)
        if held.cut:
            used = min(used, held.tokens)
            charged = charged if charged is None or held.usd is None else min(charged, held.usd)
        flat_now = self._holds.end(held, charged, used, requests)
        if held.counted:
            tally.spent_before(usd, flat, example)
            tally.spent_after(flat_now if charged is None else charged, example)

    def _price_of_use(self, ref: int, held: Held, usd: int | None) -> int | None:
        """What the recorded use costs with the model and prices of now; as it was where nobody knows better."""
        use = self._log.usage(ref)
        if use is None:
            return usd
        origin = held.origin
        model = self._decoder.shape(origin.shape).models[origin.model]
        card = self._decoder.card(model, origin.at)
        context = self._decoder.context(self._log.body(origin.seq))
        return charge(card, _usage(use), context).amount

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


def _word(disposition: Disposition, clamped: bool) -> str:
    return "clamped" if clamped and disposition is Disposition.SERVED else WORDS[disposition]


def _usage(use: RecordedUse) -> NormalisedUsage:
    return NormalisedUsage(
        input_total=use["input_total"],
        output_total=use["output_total"],
        cache_read=use["cache_read"],
        write_5m=use["write_5m"],
        write_1h=use["write_1h"],
        reasoning=use["reasoning"],
        audio_in=use["audio_in"],
        audio_out=use["audio_out"],
    )
