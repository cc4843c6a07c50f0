"""A plan with the things it was made from: the models that were looked at, and what is to be held and sent."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from palyra.core.values import value
from palyra.governance.approvals import Petition
from palyra.governance.candidates import Candidate, Course, Plan
from palyra.governance.decision import RoutingDecision
from palyra.governance.evaluate import Cause, UsageBudgetEvaluation
from palyra.governance.holds import HoldRequest
from palyra.journal.changes import Change
from palyra.journal.rows import HoldRow
from palyra.pricing.card import RateCard
from palyra.pricing.estimate import PricingEstimate
from palyra.pricing.learn import Learned
from palyra.pricing.prompt_size import PromptSize
from palyra.providers.registry import ModelEntry
from palyra.providers.request import ParsedRequest
from palyra.providers.rewrite import upstream_body
from palyra.providers.translate.crossing import Crossing, UncarriedError
from palyra.providers.ways import Obstacle
from palyra.providers.wires import Wire
from palyra.runs.attempt import Attempt
from palyra.runs.live import LiveRun


@value
class Option:
    """A model that was looked at, with all that an attempt on it needs."""

    entry: ModelEntry
    card: RateCard | None
    learned: Learned
    candidate: Candidate
    wire: Wire
    """The wire it would be asked on."""
    crossing: Crossing | UncarriedError | None = None
    """The request in that wire's words, or what it has none for; None where the caller speaks it too."""
    obstacle: Obstacle | None = None
    """Why its provider cannot be asked now."""

    def without(self, reasons: Sequence[str], obstacle: Obstacle | None) -> "Option":
        """The same, passed over for these reasons besides its own."""
        candidate = replace(self.candidate, excluded=(*self.candidate.excluded, *reasons))
        return replace(self, candidate=candidate, obstacle=obstacle)


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
    uncarried: tuple[str, ...] = ()
    """Members of the body for which models were passed over whose wire has no words for them."""
    course: Course = Course.FIRST
    obstacles: tuple[Obstacle, ...] = ()
    """Why models that were looked at cannot be asked now; that of the model asked for comes first."""

    @property
    def decision(self) -> RoutingDecision:
        """What was decided about the request."""
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
        """What the chosen model would cost."""
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
        """An attempt at the chosen model on that hold, since `started_at` (UTC unix ms)."""
        assert self.option is not None
        return Attempt(
            hold=held,
            entry=self.option.entry,
            card=self.option.card,
            estimate=self.estimate,
            size=self.size,
            learned=self.option.learned,
            caller_wire=parsed.wire,
            upstream_wire=self.option.wire,
            streaming=parsed.stream,
            started_at=started_at,
            ceiling=self.ceiling,
            course=self.course,
        )

    def body(self, parsed: ParsedRequest) -> bytes:
        """What is sent: the caller's bytes with only what must change for this model, or the same in the words of the
        wire it speaks."""
        assert self.option is not None
        model, ceiling, field = self.option.entry.upstream, self.plan.send_max_tokens, self.max_tokens_field
        if isinstance(self.option.crossing, Crossing):
            return self.option.crossing.bytes_for(model=model, max_tokens=ceiling or self.max_tokens, field=field)
        return upstream_body(parsed, model=model, max_tokens=ceiling, field=field)

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
