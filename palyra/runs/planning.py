"""From a request to a plan: the models that might serve it, what each would cost, and what follows."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Protocol

from palyra.config.choices import BoundEstimator, CostTier, ProviderModelRole, RoutingMode
from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.core.ids import IdSource
from palyra.core.values import value
from palyra.governance.approvals import ApprovalDesk
from palyra.governance.candidates import Candidate, Course, OutputLimits, OutputTerms, Plan, PlanInput, TaskClass
from palyra.governance.complexity import complexity
from palyra.governance.holds import HoldRequest
from palyra.governance.ledger import Ledger
from palyra.governance.plan_record import INDEX_MASK, ModelRecord, PlanRecorder
from palyra.governance.routing import plan_usage_routing
from palyra.journal.changes import Change, RunNoted
from palyra.pricing.book import PriceBook
from palyra.pricing.card import RateCard
from palyra.pricing.estimate import PricingEstimate, estimate_cost_for_model
from palyra.pricing.label import tier_label
from palyra.pricing.learn import Learned, Learner
from palyra.pricing.prompt_size import IMAGE_BOUND, ModelFacts, PromptSize, bound_input, expected_input
from palyra.providers.prompt import MediaKind
from palyra.providers.registry import AUTO, ModelEntry, Registry
from palyra.providers.request import ParsedRequest
from palyra.providers.translate.crossing import Crossing, UncarriedError
from palyra.providers.translate.table import Crossings, spoken
from palyra.providers.ways import UNHEALTHY, Obstacle
from palyra.providers.wires import Wire, role_of
from palyra.runs.earlier import EarlierAnswers
from palyra.runs.live import LiveRun
from palyra.runs.planned import Option, Planned
from palyra.runs.request import RunRequest
from palyra.runs.settings import RunSettings
from palyra.runs.trail import FREE, Steer, out_of_reach

NO_OUTPUT = OutputTerms(0, 0, None, False)
"""An answer that is no text, such as a vector."""

LOOKED_AT_MOST = INDEX_MASK
"""Models that are looked at for one request, those that are declared first: what is kept of a plan names no more."""

KNOWN_AT_MOST = 1024
"""Callers may name models that nobody declared."""


@value
class _Known:
    """What planning knows of a model while its card holds."""

    card: RateCard | None
    facts: ModelFacts
    tier: CostTier


@value
class Preview:
    """A plan that is only looked at, with what keeps providers from being asked now."""

    plan: Plan
    kept_away: Mapping[str, Obstacle]


class Reach(Protocol):
    """Who can be asked now; nothing of it waits."""

    def obstacle(self, provider: str) -> Obstacle | None:
        """Why a provider cannot be asked now; None where it can."""
        ...

    def healthy(self, provider: str) -> bool:
        """Whether a provider does well."""
        ...


class Planner:
    """Plans requests on the ledger as it stands. Synchronous: nothing comes between a plan and its hold."""

    def __init__(
        self,
        *,
        registry: Registry,
        book: PriceBook,
        ledger: Ledger,
        desk: ApprovalDesk,
        learner: Learner,
        earlier: EarlierAnswers,
        ids: IdSource,
        boot_id: str,
        settings: RunSettings,
        routing: SmartRoutingRuntimeConfig,
        reach: Reach,
    ) -> None:
        self._registry = registry
        self._reach = reach
        self._book = book
        self._ledger = ledger
        self._desk = desk
        self._learner = learner
        self._earlier = earlier
        self._ids = ids
        self._boot_id = boot_id
        self.configure(settings, routing)
        self._known: dict[str, _Known] = {}
        self.recorder = PlanRecorder()

    def configure(self, settings: RunSettings, routing: SmartRoutingRuntimeConfig) -> None:
        """Other settings, for every plan from now on."""
        self._settings = settings
        self._limits = OutputLimits(settings.default_output_tokens, settings.min_output_tokens, settings.clamp_output)
        self._routing = routing

    @property
    def models(self) -> Sequence[ModelEntry]:
        """All that callers are told of."""
        return self._registry.listed

    def expected_input(self, parsed: ParsedRequest, principal: str) -> int:
        """Tokens that the model a request names is expected to read. Raises ModelNotFoundError."""
        entry = self._registry.resolve(parsed.model, parsed.wire, role_of(parsed.wire))
        learned = self._learner.learned(entry.provider, entry.upstream, principal)
        return expected_input(prompt_size(parsed), model_facts(entry, self._book), learned)

    def wanted(self, request: RunRequest) -> tuple[ModelEntry, ...]:
        """The models that may be looked at: the one named, or all of them. Raises ModelNotFoundError."""
        parsed = request.parsed
        named = self._registry.resolve(parsed.model, parsed.wire, role_of(parsed.wire))
        if not _exchangeable(named) or (parsed.model != AUTO and not self._routing.explicit_models):
            return (named,)
        return self._and_others(named)

    def _and_others(self, named: ModelEntry) -> tuple[ModelEntry, ...]:
        others = [entry for entry in self._registry.routed if entry.role is named.role and entry.id != named.id]
        return (named, *others[: LOOKED_AT_MOST - 1])

    def _with_reroutes(self, request: RunRequest, wanted: Sequence[ModelEntry]) -> Sequence[ModelEntry]:
        """A model that the caller named stays alone, unless a budget that counts it may ask for another."""
        policies, named = self._ledger.policies, wanted[0]
        if len(wanted) > 1 or not policies.rerouting or not _exchangeable(named):
            return wanted
        matches = policies.match(request.scope, named.provider, named.id)
        return self._and_others(named) if any(policy.reroutes for policy, _ in matches) else wanted

    def may_fail_over(self, named: ModelEntry) -> bool:
        """Whether another model could answer in its place; of one whose answers cannot be compared, those alone that
        the operator lists."""
        return bool(named.failover) or (_exchangeable(named) and len(self._and_others(named)) > 1)

    def _steered(self, request: RunRequest, wanted: Sequence[ModelEntry], steer: Steer) -> Sequence[ModelEntry]:
        """The models to look at for an attempt, the one asked for first."""
        if steer.only is not None:
            return (steer.only,)
        if steer.course is Course.FIRST:
            return self._with_reroutes(request, wanted)
        if not steer.order:
            return self._and_others(wanted[0])
        listed = [entry for name in steer.order if (entry := self._registry.known(name)) is not None]
        return tuple({entry.id: entry for entry in (wanted[0], *listed)}.values())

    def _reached(self, options: Sequence[Option], steer: Steer) -> list[Option]:
        """Passes over what cannot be asked now, or was asked in vain; and where others would do, what does badly."""
        if steer.only is not None:
            return list(options)
        reached: list[Option] = []
        for option in options:
            obstacle = self._reach.obstacle(option.entry.provider)
            barred = steer.barred.get(option.entry.id)
            reasons = [*([barred] if barred else []), *([obstacle.code] if obstacle and not barred else [])]
            reached.append(option.without(reasons, obstacle) if reasons else option)
        able = [one for one in reached if not one.candidate.excluded]
        weak = [
            one for one in able if one.entry.provider in steer.shunned or not self._reach.healthy(one.entry.provider)
        ]
        if steer.order or not weak or len(weak) == len(able):
            return reached
        return [one.without([UNHEALTHY], None) if one in weak else one for one in reached]

    def plan(
        self,
        run: LiveRun,
        request: RunRequest,
        wanted: Sequence[ModelEntry],
        demanding: float,
        crossings: Crossings,
        at: int,
        steer: Steer = FREE,
    ) -> Planned:
        """The decision at this instant, and the hold to take at once where it may be sent. `demanding` is the
        request's complexity; `crossings` has it in other wires' words; `steer` is what the run's attempts so far leave
        to be tried."""
        parsed, scope = request.parsed, request.scope
        denied = self._desk.denied(scope.principal, scope.session, at)
        asked, options, size = self._asked(run.run_id, request, wanted, demanding, crossings, at, steer, denied)
        plan = plan_usage_routing(asked, self._ledger, at, self._routing)
        option = next((one for one in options if one.candidate is plan.candidate), None)
        kept = self.recorder.changes(
            asked,
            plan,
            {one.entry.id: ModelRecord(one.entry.upstream, one.entry.kind.value, one.card) for one in options},
            size,
            at=at,
            awaited=self._ledger.grants.reserved(),
            again=bool(run.row.decision_id) or steer.course is not Course.FIRST,
            later=bool(run.traces),
        )
        return Planned(
            plan=plan,
            option=option,
            hold=None if option is None or not plan.proceeds else self._hold(run, request, plan, option, at),
            size=size,
            max_tokens=parsed.max_tokens,
            choices=parsed.choices,
            max_tokens_field="" if option is None else self._registry.provider_of(option.entry).max_tokens_field,
            kept=[*kept, *_left_behind(run, plan, option, at)],
            tools=tools_offered(parsed),
            uncarried=_uncarried(options),
            course=steer.course,
            obstacles=tuple(one.obstacle for one in options if one.obstacle is not None),
        )

    def _asked(
        self,
        run_id: str,
        request: RunRequest,
        wanted: Sequence[ModelEntry],
        demanding: float,
        crossings: Crossings,
        at: int,
        steer: Steer,
        denied: frozenset[str],
    ) -> tuple[PlanInput, list[Option], PromptSize]:
        """What is to be planned, with the models that are looked at for it."""
        parsed = request.parsed
        size = prompt_size(parsed, self._earlier)
        named = wanted[0]
        wanted = self._steered(request, wanted, steer)
        options = self._reached([self._option(entry, request, size, at, crossings) for entry in wanted], steer)
        asked = PlanInput(
            decision_id=self._ids.new(),
            run_id=run_id,
            scope=request.scope,
            requested_model=parsed.model,
            explicit="" if parsed.model == AUTO else named.id,
            default_model=named.id,
            candidates=tuple(option.candidate for option in options),
            streaming=parsed.stream,
            complexity=demanding,
            max_tokens=parsed.max_tokens,
            choices=parsed.choices,
            task_class=TaskClass(request.task_class),
            requested_mode=RoutingMode(request.mode_override) if request.mode_override else None,
            denied=denied,
            limits=self._limits,
            course=steer.course,
            order=steer.order,
            others=partial(self._others, request, wanted, size, at, crossings),
        )
        return asked, options, size

    def preview(
        self, request: RunRequest, demanding: float, crossings: Crossings, at: int, *, failover: bool
    ) -> Preview:
        """The plan for a request as it would be made at an instant that has not passed. Nothing of it is kept, and
        nothing moves. Raises ModelNotFoundError."""
        scope = request.scope
        denied = frozenset(
            policy.policy_id
            for policy in self._ledger.policies
            if self._desk.denied_until(scope.principal, scope.session, [policy.policy_id], at) is not None
        )
        wanted = self.wanted(request)

        def planned(steer: Steer) -> Preview:
            asked, options, _ = self._asked("", request, wanted, demanding, crossings, at, steer, denied)
            kept_away = {one.entry.provider: one.obstacle for one in options if one.obstacle is not None}
            return Preview(plan_usage_routing(asked, self._ledger, at, self._routing), kept_away)

        found, named = planned(FREE), wanted[0]
        if found.plan.candidate is not None or not failover or not self.may_fail_over(named):
            return found
        reason = out_of_reach(found.plan.decision, named)
        if reason is None:
            return found
        return planned(Steer(Course.FAILOVER, None, {named.id: reason}, named.failover))

    def _others(
        self, request: RunRequest, wanted: Sequence[ModelEntry], size: PromptSize, at: int, crossings: Crossings
    ) -> tuple[Candidate, ...]:
        """The models of the same kind that were not looked at."""
        if not _exchangeable(wanted[0]):
            return ()
        looked_at = {entry.id for entry in wanted}
        others = [one for one in self._registry.routed if one.role is wanted[0].role and one.id not in looked_at]
        return tuple(self._option(entry, request, size, at, crossings).candidate for entry in others)

    def _hold(self, run: LiveRun, request: RunRequest, plan: Plan, option: Option, at: int) -> HoldRequest:
        estimate = plan.estimate
        assert estimate is not None
        return HoldRequest(
            hold_id=self._ids.new(),
            run_id=run.run_id,
            attempt=run.row.attempts + 1,
            boot_id=self._boot_id,
            scope=request.scope,
            provider=option.entry.provider,
            model=option.entry.id,
            at=at,
            bound_usd=estimate.bound_usd,
            bound_tokens=estimate.bound_input + estimate.bound_output,
            expected_input=estimate.expected_input,
            expected_usd=estimate.expected_usd,
            price_state=estimate.state.value,
            card=None if option.card is None else option.card.to_json(),
            mode=plan.decision.mode,
            requested_mode=RoutingMode(request.mode_override) if request.mode_override else None,
        )

    def _option(
        self, entry: ModelEntry, request: RunRequest, size: PromptSize, at: int, crossings: Crossings
    ) -> Option:
        parsed = request.parsed
        estimator = self._settings.estimator
        card = self._book.card(entry.provider, entry.upstream, at)
        learned = self._learner.learned(entry.provider, entry.upstream, request.scope.principal)
        if estimator is BoundEstimator.PROVEN:
            learned = learned.proven()
        known = self._known.get(entry.id)
        if known is None or known.card is not card:
            if len(self._known) >= KNOWN_AT_MOST:
                self._known.clear()
            known = self._known[entry.id] = self._know(entry, card)
        facts = known.facts
        wire = spoken(parsed.wire, entry.wires)
        crossing = crossings.to(wire) if wire is not None and wire is not parsed.wire else None
        candidate = Candidate(
            model=entry.id,
            provider=entry.provider,
            estimate=partial(_estimate, card, size, facts, at, parsed.max_tokens, learned, estimator),
            tier=known.tier,
            max_output=entry.max_output,
            hidden_reasoning=entry.reasoning or parsed.prompt.needs.reasoning,
            p95_output=learned.output_p95,
            p50_ms=learned.latency_p50,
            excluded=incapable(
                entry,
                request,
                bound_input(size, facts, learned, estimator).total,
                said=wire is not None and not isinstance(crossing, UncarriedError),
            ),
            terms=NO_OUTPUT if entry.role is ProviderModelRole.EMBEDDINGS else None,
            wants_ceiling=isinstance(crossing, Crossing) and bool(crossing.ceiling),
        )
        return Option(entry, card, learned, candidate, wire or parsed.wire, crossing)

    def _know(self, entry: ModelEntry, card: RateCard | None) -> _Known:
        return _Known(card, model_facts(entry, self._book), tier_label(card, entry.tier).tier)


def model_facts(entry: ModelEntry, book: PriceBook) -> ModelFacts:
    """What estimates need of a model."""
    return ModelFacts(
        entry.provider,
        entry.upstream,
        entry.kind,
        entry.image_tokens_bound or IMAGE_BOUND,
        book.context_window(entry.provider, entry.upstream) or entry.max_context,
    )


def _estimate(
    card: RateCard | None,
    size: PromptSize,
    facts: ModelFacts,
    at: int,
    max_tokens: int | None,
    learned: Learned,
    estimator: BoundEstimator,
    output_bound: int,
) -> PricingEstimate:
    return estimate_cost_for_model(
        card,
        size,
        facts,
        at,
        output_bound=output_bound,
        max_tokens=max_tokens,
        learned=learned,
        estimator=estimator,
    )


def _left_behind(run: LiveRun, plan: Plan, option: Option | None, at: int) -> list[Change]:
    """A note of the hints that do not cross to the wire of the model."""
    crossing = None if option is None or not plan.proceeds else option.crossing
    if not isinstance(crossing, Crossing) or not crossing.dropped:
        return []
    return [RunNoted(run.run_id, at, "dropped", {"fields": list(crossing.dropped)})]


def _uncarried(options: Sequence[Option]) -> tuple[str, ...]:
    fields = [option.crossing.field for option in options if isinstance(option.crossing, UncarriedError)]
    return tuple(dict.fromkeys(fields))


def _exchangeable(entry: ModelEntry) -> bool:
    """Whether another model of its role may serve in its place: vectors of different models cannot be compared."""
    return entry.role is not ProviderModelRole.EMBEDDINGS


def complexity_of(parsed: ParsedRequest) -> float:
    """How demanding a request is, 0..1."""
    images = sum(piece.kind is MediaKind.IMAGE for piece in parsed.prompt.media)
    return complexity(parsed.prompt.latest_text, wants_json=parsed.prompt.needs.json, images=images).score


def tools_offered(parsed: ParsedRequest) -> int:
    """How many tools the request offers."""
    tools = parsed.data.get("tools")
    return len(tools) if isinstance(tools, list) else 0


def prompt_size(parsed: ParsedRequest, earlier: EarlierAnswers | None = None) -> PromptSize:
    """What pricing needs to know of a request; `earlier` knows the answers it may go on from."""
    facts = parsed.prompt
    speed = parsed.data.get("speed")
    return PromptSize(
        prompt_bytes=facts.size,
        media=facts.media,
        server_tools=facts.server_tools,
        has_tools=facts.needs.tools,
        cache_marks=facts.cache_marks,
        cache_one_hour=facts.cache_one_hour,
        audio_output=facts.needs.audio,
        continues=facts.continues,
        previous_tokens=None if earlier is None else earlier.tokens(facts.previous),
        service_tier=parsed.service_tier,
        speed=speed if isinstance(speed, str) else None,
    )


def incapable(entry: ModelEntry, request: RunRequest, input_tokens: int, *, said: bool = True) -> tuple[str, ...]:
    """Why a model cannot serve a request, as reason codes; empty when it can. `said`: its wire has words for it."""
    parsed = request.parsed
    needs = parsed.prompt.needs
    reasons: list[str] = []
    lacking = (
        not said,
        parsed.stream and not entry.streaming,
        needs.tools and not entry.tools,
        needs.json and not entry.json,
        needs.vision and not entry.vision,
    )
    if any(lacking):
        reasons.append("capability_missing")
    if not allowed(entry.id, request.allowed_models):
        reasons.append("not_allowed_for_key")
    # The bound errs high, so only what cannot fit by far is kept from being tried.
    # What is to be embedded is read text by text.
    if input_tokens > 2 * entry.max_context and parsed.wire is not Wire.EMBEDDINGS:
        reasons.append("context_too_long")
    return tuple(reasons)


def allowed(model_id: str, patterns: Sequence[str]) -> bool:
    """Whether one of a key's patterns (`openai/*`) fits; no patterns allow every model."""
    return not patterns or any(fnmatchcase(model_id, pattern) for pattern in patterns)
