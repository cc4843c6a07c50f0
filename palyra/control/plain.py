"""Values of `control` as JSON data, the same on the command line and over HTTP. Money is whole nano-dollars beside a
text."""

import dataclasses
from typing import Any

from palyra.control.queries import ApprovalDetail, DecisionDetail
from palyra.control.usage_queries import UsageNumbers
from palyra.core.money import decimal_usd

USD_METRIC = "estimated_cost_usd"


def plain(value: object) -> Any:
    """A value of `control` as JSON data.

    A `_` that keeps a name from being a keyword is left out.
    Every `…_nano_usd` gains a `…_usd` text; amounts of a budget are named `…_nano_usd` where its metric is money.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields: dict[str, Any] = {f.name.removesuffix("_"): getattr(value, f.name) for f in dataclasses.fields(value)}
        if isinstance(value, UsageNumbers):
            fields["total_tokens"] = value.total_tokens
        if isinstance(value, ApprovalDetail):
            fields["daily_cost_nano_usd"] = fields.pop("daily_cost")
        return _members(fields)
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


_AMOUNTS = frozenset(
    {"settled", "held", "bound", "projected", "soft", "soft_limit", "hard", "hard_limit", "grants", "granted"}
    | {"cap", "drawn", "limit", "excess", "once_cap", "session_cap", "amount", "live", "rebuilt", "wanted"}
    | {"used", "burned"}
)
"""What is counted in the unit of the metric that is named beside it."""


def _members(fields: dict[str, Any]) -> dict[str, Any]:
    money = USD_METRIC in (fields.get("metric_kind"), fields.get("excess_metric"))
    members: dict[str, Any] = {}
    for name, content in fields.items():
        if money and name in _AMOUNTS and not isinstance(content, str):
            name = f"{name}_nano_usd"
        members[name] = plain(content)
        if name.endswith("_nano_usd"):
            members[name.removesuffix("_nano_usd") + "_usd"] = _usd_text(content)
    return members


def _usd_text(content: Any) -> Any:
    if isinstance(content, tuple | list):
        return [_usd_text(item) for item in content]
    return None if content is None else decimal_usd(content)


def decision_json(detail: DecisionDetail) -> dict[str, object]:
    """A decision for `plain`; a counterfactual's amount is in the unit of the budget it speaks of."""
    metrics = {item["policy_id"]: item["metric_kind"] for item in detail.body["evaluations"]}
    counterfactual = [
        {**item, "metric_kind": metrics.get(item["policy_id"], "")} for item in detail.body["counterfactual"]
    ]
    return {**detail.body, "counterfactual": counterfactual, "sentences": list(detail.sentences)}
