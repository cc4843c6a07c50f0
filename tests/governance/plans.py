"""Models and requests to plan, said in as few words as a test needs."""

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from palyra.config.choices import CostTier, ModelProviderKind
from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.governance.candidates import Candidate, Plan, PlanInput
from palyra.governance.ledger import Ledger
from palyra.governance.routing import plan_usage_routing
from palyra.pricing.card import PriceSource, RateCard
from palyra.pricing.estimate import PricingEstimate, estimate_cost_for_model
from palyra.pricing.prompt_size import ModelFacts, PromptSize
from palyra.pricing.rates import INPUT, MILLION, OUTPUT, Rate
from tests.governance.policies import scope

NANO_PER_TOKEN = 10_000
"""What one output token costs at $10 per million; input is free here."""


def candidate(model: str, usd: str | None = "10", tier: CostTier = CostTier.STANDARD, **fields: Any) -> Candidate:
    """A model that charges `usd` per million output tokens and nothing for input; None: nobody knows."""
    provider = model.partition("/")[0]
    card = None
    if usd is not None:
        rates = (Rate(INPUT, Decimal(0), MILLION), Rate(OUTPUT, Decimal(usd), MILLION))
        card = RateCard(provider, model, PriceSource.OVERRIDE, rates)
    return Candidate(model, provider, partial(_estimate, card, provider, model), tier, **fields)


def _estimate(card: RateCard | None, provider: str, model: str, output_bound: int) -> PricingEstimate:
    facts = ModelFacts(provider, model, ModelProviderKind.OPENAI_COMPATIBLE)
    return estimate_cost_for_model(card, PromptSize(prompt_bytes=400), facts, 0, output_bound=output_bound)


CHEAP, DEFAULT = candidate("a/cheap", "1", CostTier.LOW), candidate("b/default", "10")
PREMIUM, DEAREST = candidate("c/premium", "50", CostTier.PREMIUM), candidate("d/dearest", "90", CostTier.PREMIUM)
ALL = (DEAREST, DEFAULT, PREMIUM, CHEAP)


def plan(
    ledger: Ledger,
    at: int,
    *,
    explicit: str = "b/default",
    candidates: tuple[Candidate, ...] = ALL,
    config: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Plan:
    given: dict[str, Any] = {
        "decision_id": "d1",
        "run_id": "r1",
        "scope": scope(),
        "requested_model": explicit or "auto",
        "default_model": "b/default",
        "streaming": False,
        "complexity": 0.5,
        "max_tokens": 1000,
        **fields,
    }
    asked = PlanInput(explicit=explicit, candidates=candidates, **given)
    return plan_usage_routing(asked, ledger, at, SmartRoutingRuntimeConfig(**(config or {})))
