"""Rules of `[[budgets]]` and `[[pricing]]`."""

from collections import defaultdict

from palyra.config.budgets import BudgetConfig
from palyra.config.choices import OverrideKind, Percent, ProviderModelRole, ScopeKind
from palyra.config.findings import Findings
from palyra.config.pricing_rows import RATES, UsagePricingRecord
from palyra.config.problem import Code
from palyra.config.references import check_model, check_provider, models_by_name
from palyra.config.shape import Path


def check_budgets(found: Findings) -> None:
    """What is wrong with budgets beyond each key for itself."""
    budgets = found.config.budgets
    found.unique(((("budgets", i, "policy_id"), row.policy_id) for i, row in enumerate(budgets)), "the id")
    for i, row in enumerate(budgets):
        _check_limits(found, i, row)
        scope = ("budgets", i, "scope_id")
        if row.scope_kind is ScopeKind.TAG and row.scope_id == "*" and found.sound(scope):
            found.add(Code.MISSING, scope, "a tag budget needs the tag it counts", "Write name=value or name=*")
        if row.scope_kind is ScopeKind.PROVIDER and row.scope_id != "*" and found.sound(scope):
            check_provider(found, scope, row.scope_id)
        override = ("budgets", i, "routing_override")
        if row.routing_override.kind is OverrideKind.MODEL and found.sound(override):
            check_model(found, override, row.routing_override.model, ProviderModelRole.CHAT)
            _check_id(found, override, row.routing_override.model)


def _check_id(found: Findings, path: Path, name: str) -> None:
    """Budgets count models by their ids, so that a reroute names one too."""
    model = models_by_name(found).get(name)
    if model is not None and model.id != name:
        message = f'"{name}" is an alias, and a budget names models by id'
        found.add(Code.BAD_REFERENCE, path, message, "Write the id", (f"model:{model.id}",))


def _check_limits(found: Findings, i: int, row: BudgetConfig) -> None:
    hard, soft = ("budgets", i, "hard_limit"), ("budgets", i, "soft_limit")
    if not found.sound(hard, soft):
        return
    if row.hard_limit is None:
        if isinstance(row.soft_limit, Percent):
            found.add(
                Code.MISSING,
                hard,
                "a budget needs a limit",
                "Set hard_limit, or give soft_limit as an amount for a budget that only warns",
            )
    elif isinstance(row.soft_limit, int) and row.soft_limit > row.hard_limit:
        found.add(
            Code.CONFLICT,
            soft,
            f"soft_limit is above hard_limit ({found.where(hard)}), so that it could never be crossed first",
            'Lower it, or write a share like "80%"',
        )


def check_pricing(found: Findings) -> None:
    """What is wrong with prices beyond each key for itself."""
    periods: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, row in enumerate(found.config.pricing):
        provider = ("pricing", i, "provider")
        if row.provider != "*" and found.sound(provider):
            check_provider(found, provider, row.provider)
        _check_rates(found, i, row)
        if not found.sound(("pricing", i, "from"), ("pricing", i, "to")):
            continue
        if row.valid_from is not None and row.valid_to is not None and row.valid_to <= row.valid_from:
            found.add(Code.OUT_OF_RANGE, ("pricing", i, "to"), "the period ends before it begins", "Set to after from")
        elif found.sound(provider, ("pricing", i, "model")):
            periods[row.provider, row.model].append(i)
    for rows in periods.values():
        _check_overlaps(found, rows)


def _check_rates(found: Findings, i: int, row: UsagePricingRecord) -> None:
    rates = [rate for rate in RATES if getattr(row, rate) is not None]
    discount = ("pricing", i, "discount")
    if row.discount is not None and rates:
        found.add(
            Code.CONFLICT,
            discount,
            f"a discount replaces rates, and this row also sets {', '.join(rates)}",
            "Keep the discount or the rates",
        )
    elif row.discount is None and not rates and found.sound(("pricing", i)):
        found.add(Code.MISSING, ("pricing", i), "the row has neither a rate nor a discount", "Set input and output")


def _check_overlaps(found: Findings, rows: list[int]) -> None:
    """Rows of one provider and model may touch but not share an instant."""
    pricing = found.config.pricing
    ordered = sorted(rows, key=lambda i: (pricing[i].valid_from is not None, pricing[i].valid_from or 0, i))
    latest = ordered[0]
    for i in ordered[1:]:
        end, start = pricing[latest].valid_to, pricing[i].valid_from
        if end is None or start is None or start < end:
            first, second = sorted((latest, i))
            found.add(
                Code.CONFLICT,
                ("pricing", second),
                f"its period overlaps that of {found.where(('pricing', first))} for the same provider and model",
                "End one where the other begins; `to` itself is not part of a period",
            )
        if end is not None and ((later := pricing[i].valid_to) is None or later > end):
            latest = i
