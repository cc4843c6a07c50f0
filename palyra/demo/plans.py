"""Plans of the made-up past: made as the engine makes them, with no budget in force yet, and kept for replays."""

from functools import partial
from typing import NamedTuple

from palyra.config.model import LoadedConfig
from palyra.core.ids import encode
from palyra.core.scope import Scope
from palyra.governance.candidates import Candidate, OutputLimits, PlanInput
from palyra.governance.ledger import Ledger
from palyra.governance.plan_record import ModelRecord, PlanRecorder
from palyra.governance.routing import plan_usage_routing
from palyra.governance.terms import kept_terms
from palyra.journal.changes import Change, DecisionMade, TermsKept
from palyra.pricing.card import RateCard
from palyra.pricing.estimate import ModelFacts, PricingEstimate, PromptSize, estimate_cost_for_model
from palyra.providers.registry import Registry
from palyra.runs.price_book import price_book


class PastPlan(NamedTuple):
    """What a request of the past was let through with; `kept` are the changes that tell of it."""

    decision_id: str
    bound_usd: int | None
    bound_tokens: int
    kept: list[Change]


class PastPlans:
    """Makes them. The budgets of the demo are put in force by its engine, after all of them."""

    def __init__(self, config: LoadedConfig) -> None:
        self._registry = Registry.from_config(config)
        self._book = price_book(config, self._registry)
        self._routing = config.smart_routing
        self.limits = OutputLimits(
            config.runs.default_output_tokens, config.governance.min_output_tokens, config.governance.clamp_output
        )
        self._ledger = Ledger()
        self._recorder = PlanRecorder()

    def terms(self, at: int) -> TermsKept:
        """What holds from an instant on: no budget."""
        return TermsKept(at, kept_terms((), self._routing, self.limits))

    def plan(
        self,
        run_id: str,
        scope: Scope,
        model: str,
        at: int,
        *,
        size: int,
        streaming: bool,
        complexity: float,
        dice: int,
    ) -> PastPlan:
        """A request that names its model, with a prompt of `size` bytes; `dice` makes the decision's id its own."""
        entry = self._registry.known(model)
        assert entry is not None
        card = self._book.card(entry.provider, entry.upstream, at)
        prompt = PromptSize(prompt_bytes=size)
        facts = ModelFacts(entry.provider, entry.upstream, entry.kind)
        given = PlanInput(
            decision_id=encode(at, dice),
            run_id=run_id,
            scope=scope,
            requested_model=model,
            explicit=model,
            default_model=model,
            candidates=(Candidate(model, entry.provider, partial(_estimate, card, prompt, facts, at)),),
            streaming=streaming,
            complexity=complexity,
            limits=self.limits,
        )
        plan = plan_usage_routing(given, self._ledger, at, self._routing)
        assert plan.estimate is not None
        records = {model: ModelRecord(entry.upstream, entry.kind.value, card)}
        kept = self._recorder.changes(given, plan, records, prompt, at=at, awaited=(), again=False)
        self._recorder.durable(kept)
        return PastPlan(
            given.decision_id,
            plan.estimate.bound_usd,
            plan.estimate.bound_input + plan.output_bound,
            [DecisionMade(plan.decision.row()), *kept],
        )


def _estimate(
    card: RateCard | None, size: PromptSize, facts: ModelFacts, at: int, output_bound: int
) -> PricingEstimate:
    return estimate_cost_for_model(card, size, facts, at, output_bound=output_bound)
