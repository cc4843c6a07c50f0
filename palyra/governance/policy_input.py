"""Reading policies from what people write: an operator's fields, a configuration's rows, the journal's rows.

Each field is read by the kind that reads it in the configuration file, so both obey one set of rules. Bad input is
refused whole, with every field at fault and its fix.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from palyra.config.budgets import BudgetConfig
from palyra.config.choices import MetricKind, Percent, ScopeKind, UnknownPrice
from palyra.config.kinds import Kind
from palyra.config.problem import Fault, either
from palyra.config.suggest import nearest
from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.governance.policy import ANY, PolicySource, UsageBudgetPolicyRecord

_KINDS: dict[str, Kind] = {
    name: next(kind for kind in info.metadata if isinstance(kind, Kind))
    for name, info in BudgetConfig.model_fields.items()
}
_DEFAULTS = {name: info.default for name, info in BudgetConfig.model_fields.items() if not info.is_required()}
_LIMITS = frozenset({"hard_limit", "soft_limit"})
_SPOKEN_FLAGS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@value
class PolicyDefaults:
    """What a policy inherits where it is silent (`[governance]`)."""

    timezone: str = "UTC"
    on_unknown_price: UnknownPrice = field(default_factory=UnknownPrice)


@value
class FieldFault:
    """What is wrong with one field, and what to write instead."""

    field: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}.{f' {self.fix}' if self.fix else ''}"


class PolicyInputError(BadInputError):
    """A policy that cannot be accepted; `faults` has every field at fault."""

    code = "bad_policy"

    def __init__(self, faults: Iterable[FieldFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(" ".join(str(fault) for fault in self.faults))


def parse_policy(
    data: Mapping[str, str],
    *,
    defaults: PolicyDefaults | None = None,
    source: PolicySource = PolicySource.OPERATOR,
    revision: int = 1,
) -> UsageBudgetPolicyRecord:
    """A policy from its fields as text. An absent or blank field is its default; limits may be `none`.

    Raises PolicyInputError with every fault.
    """
    values, faults = _read(data)
    policy_id = values.get("policy_id", "")
    inherited = defaults or PolicyDefaults()
    made = BudgetConfig.model_construct(
        **{
            "policy_id": policy_id,
            "name": policy_id,
            "timezone": inherited.timezone,
            "on_unknown_price": inherited.on_unknown_price,
            **values,
        }
    )
    bad = {fault.field for fault in faults}
    if not policy_id and "policy_id" not in bad:
        faults.append(FieldFault("policy_id", "a budget needs an id", "Write one like team-day."))
    if made.scope_kind is ScopeKind.TAG and made.scope_id == ANY and "scope_id" not in bad:
        faults.append(
            FieldFault("scope_id", "a tag budget names its tag", "Write name=value, or name=* for each value of it.")
        )
    if not bad & _LIMITS:
        faults += _limit_faults(made)
    if faults:
        raise PolicyInputError(faults)
    return from_config(made, source=source, revision=revision)


def from_config(
    row: BudgetConfig, *, source: PolicySource = PolicySource.CONFIG, revision: int = 1
) -> UsageBudgetPolicyRecord:
    """The policy of a loaded `[[budgets]]` row."""
    return UsageBudgetPolicyRecord(
        policy_id=row.policy_id,
        hard_limit=row.hard_limit,
        soft_limit=row.soft_limit,
        name=row.name or row.policy_id,
        enabled=row.enabled,
        scope_kind=row.scope_kind,
        scope_id=row.scope_id,
        metric_kind=row.metric_kind,
        interval_kind=row.interval_kind,
        timezone=row.timezone,
        action=row.action,
        routing_override=row.routing_override,
        on_unknown_price=row.on_unknown_price,
        source=source,
        revision=revision,
    )


def edit_policy(
    policy: UsageBudgetPolicyRecord, changes: Mapping[str, str], *, defaults: PolicyDefaults | None = None
) -> UsageBudgetPolicyRecord:
    """The next revision with these fields changed; a blank value sets a field back to its default.

    Raises PolicyInputError, also for a changed id: approvals and consumption hang on it.
    """
    if changes.get("policy_id", policy.policy_id) != policy.policy_id:
        raise PolicyInputError([FieldFault("policy_id", "an id cannot be changed", "Add a new budget instead.")])
    return parse_policy(
        {**policy.fields(), **changes}, defaults=defaults, source=policy.source, revision=policy.revision + 1
    )


def unique(policies: Iterable[UsageBudgetPolicyRecord]) -> dict[str, UsageBudgetPolicyRecord]:
    """Policies of all sources by id. Raises PolicyInputError naming every id that is used twice."""
    found: dict[str, UsageBudgetPolicyRecord] = {}
    faults: list[FieldFault] = []
    for policy in policies:
        earlier = found.setdefault(policy.policy_id, policy)
        if earlier is not policy:
            message = f'"{policy.policy_id}" is used by a budget of the {earlier.source} and one of the {policy.source}'
            faults.append(FieldFault("policy_id", message, "Rename one of them."))
    if faults:
        raise PolicyInputError(faults)
    return found


def _read(data: Mapping[str, str]) -> tuple[dict[str, Any], list[FieldFault]]:
    """Every field that can be read, in the order in which kinds look at their siblings, and every fault."""
    values: dict[str, Any] = {}
    faults: list[FieldFault] = []
    for name in data:
        if name not in _KINDS:
            near = nearest(name, _KINDS)
            faults.append(
                FieldFault(name, "a budget has no such field", f"Did you mean {either(near)}?" if near else "")
            )
    for name, kind in _KINDS.items():
        text = data.get(name, "").strip()
        if not text or (name in _LIMITS and text == "none"):
            continue
        try:
            values[name] = kind.read_in(_spelled(name, text, values, kind), {**_DEFAULTS, **values})
        except Fault as fault:
            near = tuple(word for word in fault.suggestions if word != text)
            fix = f"Did you mean {either(near)}?" if near else f"{fault.fix}."
            faults.append(FieldFault(name, fault.message, fix))
    return values, faults


def _spelled(name: str, text: str, values: Mapping[str, Any], kind: Kind) -> object:
    """What the configuration file would hold where an operator types `text`."""
    if name in _LIMITS:
        plain = text.removeprefix("$").replace("_", "")
        counted = values.get("metric_kind", MetricKind.ESTIMATED_COST_USD) is not MetricKind.ESTIMATED_COST_USD
        return int(plain) if counted and plain.isascii() and plain.isdigit() and len(plain) < 20 else plain
    return kind.from_text(_SPOKEN_FLAGS.get(text, text) if name == "enabled" else text)


def _limit_faults(row: BudgetConfig) -> list[FieldFault]:
    if row.hard_limit is None and isinstance(row.soft_limit, Percent):
        return [FieldFault("hard_limit", "a limit is missing", "Write a hard limit, or an absolute soft limit.")]
    if row.hard_limit is not None and not isinstance(row.soft_limit, Percent) and row.soft_limit > row.hard_limit:
        return [FieldFault("soft_limit", "it is above the hard limit", "Write at most the hard limit.")]
    return []
