"""From a request to a plan: the models that might serve it, what each would cost, and what follows."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from palyra.config.choices import BoundEstimator, CostTier, RoutingMode
from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.core.ids import IdSource
from palyra.core.values import value
from palyra.governance.approvals import ApprovalDesk, Petition
from palyra.governance.candidates import Candidate, OutputLimits, Plan, PlanInput, TaskClass
from palyra.governance.complexity import complexity
from palyra.governance.decision import RoutingDecision
from palyra.governance.evaluate import Cause, UsageBudgetEvaluation
from palyra.governance.holds import HoldRequest
from palyra.governance.ledger import Ledger
from palyra.governance.plan_record import ModelRecord, PlanRecorder
from palyra.governance.routing import plan_usage_routing
from palyra.journal.changes import Change
from palyra.journal.rows import HoldRow
from palyra.pricing.book import PriceBook
from palyra.pricing.card import RateCard
from palyra.pricing.estimate import PricingEstimate, estimate_cost_for_model
from palyra.pricing.label import tier_label
from palyra.pricing.learn import Learned, Learner
from palyra.pricing.prompt_size import IMAGE_BOUND, ModelFacts, PromptSize, bound_input
from palyra.providers.prompt import MediaKind
from palyra.providers.registry import AUTO, ModelEntry, Registry
from palyra.providers.request import ParsedRequest
from palyra.providers.rewrite import upstream_body
from palyra.runs.attempt import Attempt
from palyra.runs.live import LiveRun
from palyra.runs.request import RunRequest
from palyra.runs.settings import RunSettings

KNOWN_AT_MOST = 1024
"""Callers may name models that nobody declared."""


@value
class Option:
    """A model that was looked at, with all that an attempt on it needs."""

    entry: ModelEntry
    card: RateCard | None
    learned: Learned
    candidate: Candidate


@value
class _Known:
    """What planning knows of a model while its card holds."""

    card: RateCard | None
    facts: ModelFacts
    tier: CostTier


@value
class Planned:
    """A plan with the things it was made from. `hold` is set when the request may be sent."""

    plan: Plan
    option: Option | None
    hold: HoldRequest | None
    size: PromptSize
    max_tokens: int | None
    choices: int
    max_tokens_field: str
    kept: Sequence[Change] = ()
    """What is kept of it, so that it can be made again under other policies."""
    tools: int = 0
    """How many tools the prompt offers."""

    @property
    def decision(self) -> RoutingDecision:
        return self.plan.decision

    @property
    def parks(self) -> bool:
        """Whether a person's word would let it through."""
        return self.decision.approval_required

    @property
    def refusing(self) -> tuple[UsageBudgetEvaluation, ...]:
        """The budgets that stop it."""
        return tuple(item for item in self.decision.evaluations if item.refused)

    @property
    def ceiling(self) -> int | None:
        """The most output tokens the provider will send over all choices; None when nobody told it a limit."""
        per_choice = self.plan.send_max_tokens or self.max_tokens
        return None if per_choice is None else per_choice * self.choices

    @property
    def estimate(self) -> PricingEstimate:
        estimate = self.plan.estimate
        assert isinstance(estimate, PricingEstimate)
        return estimate

    @property
    def run_reason(self) -> str:
        """Why a run that this plan refuses is refused."""
        if self.option is None:
            return "no_candidate"
        if self.parks:
            return "budget_approval_required"
        denied = any(item.cause is Cause.DENIED for item in self.refusing)
        return "budget_denied" if denied else "budget_exceeded"

    def facts(self) -> dict[str, Any]:
        """What the run's row tells of the decision."""
        known: dict[str, Any] = {
            "decision_id": self.decision.decision_id,
            "mode": self.decision.mode.value,
            "complexity": self.decision.complexity,
        }
        if self.option is not None:
            known |= {
                "provider": self.option.entry.provider,
                "model": self.option.entry.id,
                "expected_input": self.estimate.expected_input,
            }
        return known

    def attempt(self, held: HoldRow, started_at: int, parsed: ParsedRequest) -> Attempt:
        assert self.option is not None
        return Attempt(
            hold=held,
            entry=self.option.entry,
            card=self.option.card,
            estimate=self.estimate,
            size=self.size,
            learned=self.option.learned,
            wire=parsed.wire,
            streaming=parsed.stream,
            started_at=started_at,
            ceiling=self.ceiling,
        )

    def body(self, parsed: ParsedRequest) -> bytes:
        """What is sent: the caller's bytes with only what must change for this model."""
        assert self.option is not None
        return upstream_body(
            parsed, model=self.option.entry.upstream, max_tokens=self.plan.send_max_tokens, field=self.max_tokens_field
        )

    def petition(self, run: LiveRun) -> Petition:
        """What a person who is to decide gets to see."""
        estimate = self.estimate
        row = run.row
        return Petition(
            principal=row.scope.principal,
            session=row.scope.session,
            run_id=run.run_id,
            evaluations=self.refusing,
            facts={
                "key_id": row.scope.key_id,
                "model": self.decision.actual_model,
                "prompt_bytes": row.input_bytes,
                "expected_input": estimate.expected_input,
                "max_tokens": row.max_tokens,
                "tools": self.tools,
                "complexity": round(self.decision.complexity, 4),
                "expected_usd": estimate.expected_usd,
                "bound_usd": estimate.bound_usd,
                "decision_id": self.decision.decision_id,
                "counterfactual": [item.to_json() for item in self.decision.counterfactual],
            },
        )


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
        ids: IdSource,
        boot_id: str,
        settings: RunSettings,
        routing: SmartRoutingRuntimeConfig,
    ) -> None:
        self._registry = registry
        self._book = book
        self._ledger = ledger
        self._desk = desk
        self._learner = learner
        self._ids = ids
        self._boot_id = boot_id
        self._settings = settings
        self._limits = OutputLimits(settings.default_output_tokens, settings.min_output_tokens, settings.clamp_output)
        self._routing = routing
        self._known: dict[str, _Known] = {}
        self.recorder = PlanRecorder()

    @property
    def models(self) -> Sequence[ModelEntry]:
        """The declared models."""
        return self._registry.models

    def wanted(self, request: RunRequest) -> tuple[ModelEntry, ...]:
        """The models that may be looked at: the one named, or all of them. Raises ModelNotFoundError."""
        parsed = request.parsed
        named = self._registry.resolve(parsed.model, parsed.wire)
        if parsed.model != AUTO and not self._routing.explicit_models:
            return (named,)
        return self._and_others(named)

    def _and_others(self, named: ModelEntry) -> tuple[ModelEntry, ...]:
        others = [entry for entry in self._registry.models if entry.role is named.role and entry.id != named.id]
        return (named, *others)

    def _with_reroutes(self, request: RunRequest, wanted: Sequence[ModelEntry]) -> Sequence[ModelEntry]:
        """A model that the caller named stays alone, unless a budget that counts it may ask for another."""
        policies, named = self._ledger.policies, wanted[0]
        if len(wanted) > 1 or not policies.rerouting:
            return wanted
        matches = policies.match(request.scope, named.provider, named.id)
        return self._and_others(named) if any(policy.reroutes for policy, _ in matches) else wanted

    def plan(
        self, run: LiveRun, request: RunRequest, wanted: Sequence[ModelEntry], demanding: float, at: int
    ) -> Planned:
        """The decision at this instant, and the hold to take at once where it may be sent. `demanding` is the
        request's complexity."""
        parsed, scope = request.parsed, request.scope
        size = prompt_size(parsed)
        wanted = self._with_reroutes(request, wanted)
        options = [self._option(entry, request, size, at) for entry in wanted]
        asked = PlanInput(
            decision_id=self._ids.new(),
            run_id=run.run_id,
            scope=scope,
            requested_model=parsed.model,
            explicit="" if parsed.model == AUTO else wanted[0].id,
            default_model=wanted[0].id,
            candidates=tuple(option.candidate for option in options),
            streaming=parsed.stream,
            complexity=demanding,
            max_tokens=parsed.max_tokens,
            choices=parsed.choices,
            task_class=TaskClass(request.task_class),
            requested_mode=RoutingMode(request.mode_override) if request.mode_override else None,
            denied=self._desk.denied(scope.principal, scope.session, at),
            limits=self._limits,
            others=partial(self._others, request, wanted, size, at),
        )
        plan = plan_usage_routing(asked, self._ledger, at, self._routing)
        option = next((one for one in options if one.candidate is plan.candidate), None)
        kept = self.recorder.changes(
            asked,
            plan,
            {one.entry.id: ModelRecord(one.entry.upstream, one.entry.kind.value, one.card) for one in options},
            size,
            at=at,
            awaited=self._ledger.grants.reserved(),
            again=bool(run.row.decision_id),
        )
        return Planned(
            plan=plan,
            option=option,
            hold=None if option is None or not plan.proceeds else self._hold(run, request, plan, option, at),
            size=size,
            max_tokens=parsed.max_tokens,
            choices=parsed.choices,
            max_tokens_field="" if option is None else self._registry.provider_of(option.entry).max_tokens_field,
            kept=kept,
            tools=tools_offered(parsed),
        )

    def _others(
        self, request: RunRequest, wanted: Sequence[ModelEntry], size: PromptSize, at: int
    ) -> tuple[Candidate, ...]:
        """The models of the same kind that were not looked at."""
        looked_at = {entry.id for entry in wanted}
        others = [one for one in self._registry.models if one.role is wanted[0].role and one.id not in looked_at]
        return tuple(self._option(entry, request, size, at).candidate for entry in others)

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

    def _option(self, entry: ModelEntry, request: RunRequest, size: PromptSize, at: int) -> Option:
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
        candidate = Candidate(
            model=entry.id,
            provider=entry.provider,
            estimate=partial(_estimate, card, size, facts, at, parsed.max_tokens, learned, estimator),
            tier=known.tier,
            max_output=entry.max_output,
            hidden_reasoning=entry.reasoning,
            p95_output=learned.output_p95,
            p50_ms=learned.latency_p50,
            excluded=incapable(entry, request, bound_input(size, facts, learned, estimator).total),
        )
        return Option(entry, card, learned, candidate)

    def _know(self, entry: ModelEntry, card: RateCard | None) -> _Known:
        facts = ModelFacts(
            entry.provider,
            entry.upstream,
            entry.kind,
            entry.image_tokens_bound or IMAGE_BOUND,
            self._book.context_window(entry.provider, entry.upstream) or entry.max_context,
        )
        return _Known(card, facts, tier_label(card, entry.tier).tier)


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


def complexity_of(parsed: ParsedRequest) -> float:
    """How demanding a request is, 0..1."""
    images = sum(piece.kind is MediaKind.IMAGE for piece in parsed.prompt.media)
    return complexity(parsed.prompt.latest_text, wants_json=parsed.prompt.needs.json, images=images).score


def tools_offered(parsed: ParsedRequest) -> int:
    tools = parsed.data.get("tools")
    return len(tools) if isinstance(tools, list) else 0


def prompt_size(parsed: ParsedRequest) -> PromptSize:
    """What pricing needs to know of a request."""
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
        service_tier=parsed.service_tier,
        speed=speed if isinstance(speed, str) else None,
    )


def incapable(entry: ModelEntry, request: RunRequest, input_tokens: int) -> tuple[str, ...]:
    """Why a model cannot serve a request, as reason codes; empty when it can."""
    parsed = request.parsed
    needs = parsed.prompt.needs
    reasons: list[str] = []
    lacking = (
        parsed.wire not in entry.wires,
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
    if input_tokens > 2 * entry.max_context:
        reasons.append("context_too_long")
    return tuple(reasons)


def allowed(model_id: str, patterns: Sequence[str]) -> bool:
    """Whether one of a key's patterns (`openai/*`) fits; no patterns allow every model."""
    return not patterns or any(fnmatchcase(model_id, pattern) for pattern in patterns)
