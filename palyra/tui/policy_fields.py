"""A budget's fields as an operator types them, checked by the kinds that read the configuration file.

What holds between fields and policies is the engine's to say when it is saved.
"""

from collections.abc import Mapping

from palyra.config.budgets import BudgetConfig
from palyra.config.choices import MetricKind, PolicyAction, ScopeKind
from palyra.config.kinds import Kind
from palyra.config.problem import Fault
from palyra.core.windows import Interval

SCOPES = tuple(kind.value for kind in ScopeKind)
METRICS = tuple(kind.value for kind in MetricKind)
INTERVALS = tuple(kind.value for kind in Interval)
ACTIONS = tuple(kind.value for kind in PolicyAction)

_KINDS: dict[str, Kind] = {
    name: next(kind for kind in info.metadata if isinstance(kind, Kind))
    for name, info in BudgetConfig.model_fields.items()
}
_LIMITS = frozenset({"hard_limit", "soft_limit"})


def faults_of(values: Mapping[str, str]) -> dict[str, str]:
    """What cannot be right, by field, in words. Only given fields are looked at; a blank one is its default."""
    read: dict[str, object] = {}
    faults: dict[str, str] = {}
    if "policy_id" in values and not values["policy_id"]:
        faults["policy_id"] = "a budget needs an id, like team-day"
    if "hard_limit" in values and not values["hard_limit"] and values.get("soft_limit", "%").endswith("%"):
        faults["hard_limit"] = "how much may be used"
    for name, kind in _KINDS.items():
        text = values.get(name, "").strip()
        if not text:
            continue
        try:
            read[name] = kind.read_in(_spelled(name, text, read, kind), read)
        except Fault as fault:
            faults[name] = f"{fault.message}. {fault.fix}".rstrip(". ")
    return faults


def _spelled(name: str, text: str, read: Mapping[str, object], kind: Kind) -> object:
    """What the configuration file would hold where an operator types `text`."""
    if name not in _LIMITS:
        return kind.from_text(text)
    plain = text.removeprefix("$").replace("_", "")
    counted = read.get("metric_kind", MetricKind.ESTIMATED_COST_USD) is not MetricKind.ESTIMATED_COST_USD
    return int(plain) if counted and plain.isascii() and plain.isdigit() and len(plain) < 20 else plain
