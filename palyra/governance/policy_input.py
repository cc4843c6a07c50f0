"""Reading policies from what people write: an operator's fields, a configuration's rows, the journal's rows.

Bad input is refused whole, with every field at fault and its fix.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from palyra.config.choices import (
    MetricKind,
    OverrideKind,
    Percent,
    PolicyAction,
    RoutingMode,
    RoutingOverride,
    ScopeKind,
    UnknownPrice,
    UnknownPriceChoice,
)
from palyra.config.suggest import nearest
from palyra.core.errors import BadInputError
from palyra.core.money import Usd, parse_usd
from palyra.core.windows import Interval, load_zone
from palyra.governance.policy import ANY, PolicySource, UsageBudgetPolicyRecord

FIELDS = (
    "policy_id",
    "name",
    "enabled",
    "scope_kind",
    "scope_id",
    "metric_kind",
    "interval_kind",
    "timezone",
    "hard_limit",
    "soft_limit",
    "action",
    "routing_override",
    "on_unknown_price",
)
NAME_AT_MOST = 120
COUNT_AT_MOST = 2**53
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_VALUE = re.compile(r"[!-~]{1,128}")
_TAG = re.compile(r"[a-z0-9_.-]{1,32}=(\*|[!-~]{1,64})")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}")
_YES = frozenset({"true", "yes", "on", "1"})
_DEFAULT_SOFT: int | Percent = Percent(Decimal(80))
_NO = frozenset({"false", "no", "off", "0"})

Choice = TypeVar("Choice", bound=StrEnum)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PolicyDefaults:
    """What a policy inherits where it is silent (`[governance]`)."""

    timezone: str = "UTC"
    on_unknown_price: UnknownPrice = field(default_factory=UnknownPrice)


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field, and what to write instead."""

    field: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}{f'; {self.fix}' if self.fix else ''}"


class PolicyInputError(BadInputError):
    """A policy that cannot be accepted; `faults` has every field at fault."""

    code = "bad_policy"

    def __init__(self, faults: Iterable[FieldFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(". ".join(str(fault) for fault in self.faults) + ".")


class BadFieldError(Exception):
    """What is wrong with one value; `parse_policy` collects these."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def parse_policy(
    data: Mapping[str, object],
    *,
    defaults: PolicyDefaults | None = None,
    source: PolicySource = PolicySource.OPERATOR,
    revision: int = 1,
    where: str = "",
) -> UsageBudgetPolicyRecord:
    """A policy from its fields as text (numbers and booleans are taken too); an absent or blank field is its default.

    `where` (such as `budgets[2]`) is put before each field's name. Raises PolicyInputError with every fault.
    """
    reader = _Reader(data, where)
    inherited = defaults or PolicyDefaults()
    policy_id = reader.read("policy_id", _policy_id, "")
    scope_kind = reader.read("scope_kind", _choice(ScopeKind), ScopeKind.GLOBAL)
    metric = reader.read("metric_kind", _choice(MetricKind), MetricKind.ESTIMATED_COST_USD)
    hard: int | None = reader.read("hard_limit", lambda value: _limit(value, metric), None)
    soft: int | Percent = reader.read("soft_limit", lambda value: _soft(value, metric), _DEFAULT_SOFT)
    policy = UsageBudgetPolicyRecord(
        policy_id=policy_id,
        hard_limit=hard,
        soft_limit=soft,
        name=reader.read("name", _name, policy_id),
        enabled=reader.read("enabled", _bool, True),
        scope_kind=scope_kind,
        scope_id=reader.read("scope_id", lambda value: _scope_id(value, scope_kind), ANY),
        metric_kind=metric,
        interval_kind=reader.read("interval_kind", _choice(Interval), Interval.MONTHLY),
        timezone=reader.read("timezone", _timezone, inherited.timezone),
        action=reader.read("action", _choice(PolicyAction), PolicyAction.BLOCK),
        routing_override=reader.read("routing_override", parse_override, RoutingOverride()),
        on_unknown_price=reader.read("on_unknown_price", parse_unknown_price, inherited.on_unknown_price),
        source=source,
        revision=revision,
    )
    if not policy_id and not reader.failed("policy_id"):
        reader.fault("policy_id", "a budget needs an id", "write one like team-day")
    if scope_kind is ScopeKind.TAG and policy.scope_id == ANY and not reader.failed("scope_id"):
        reader.fault("scope_id", "a tag budget names its tag", "write name=value, or name=* for each value of it")
    if not reader.failed("hard_limit") and not reader.failed("soft_limit"):
        if hard is None and isinstance(soft, Percent):
            reader.fault("hard_limit", "a limit is missing", "write a hard limit, or an absolute soft limit")
        elif hard is not None and not isinstance(soft, Percent) and soft > hard:
            reader.fault("soft_limit", "it is above the hard limit", f"write at most {policy.amount_text(hard)}")
    if reader.faults:
        raise PolicyInputError(reader.faults)
    return policy


def edit_policy(
    policy: UsageBudgetPolicyRecord, changes: Mapping[str, object], *, defaults: PolicyDefaults | None = None
) -> UsageBudgetPolicyRecord:
    """The next revision with these fields changed; a blank value sets a field back to its default.

    Raises PolicyInputError, also for a changed id: approvals and consumption hang on it.
    """
    if str(changes.get("policy_id", policy.policy_id)) != policy.policy_id:
        raise PolicyInputError([FieldFault("policy_id", "an id cannot be changed", "add a new budget instead")])
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
            faults.append(
                FieldFault(
                    "policy_id",
                    f'"{policy.policy_id}" is used by a budget of the {earlier.source} and one of the {policy.source}',
                    "rename one of them",
                )
            )
    if faults:
        raise PolicyInputError(faults)
    return found


def parse_override(value: object) -> RoutingOverride:
    """`none`, `degrade`, `mode:enforced` or `model:<id>`. Raises BadFieldError."""
    text = _text(value)
    kind, colon, rest = text.partition(":")
    if text in (OverrideKind.NONE, OverrideKind.DEGRADE):
        return RoutingOverride(OverrideKind(text))
    if kind == OverrideKind.MODE and colon:
        return RoutingOverride(OverrideKind.MODE, mode=_choice(RoutingMode)(rest))
    if kind == OverrideKind.MODEL and _MODEL.fullmatch(rest):
        return RoutingOverride(OverrideKind.MODEL, model=rest)
    raise BadFieldError(
        f'"{text}" is no routing override', "write none, degrade, mode:suggest, mode:dry_run, mode:enforced or model:ID"
    )


def parse_unknown_price(value: object) -> UnknownPrice:
    """`block`, `allow` or `flat:<usd>`. Raises BadFieldError."""
    text = _text(value)
    kind, colon, rest = text.partition(":")
    if text in (UnknownPriceChoice.BLOCK, UnknownPriceChoice.ALLOW):
        return UnknownPrice(UnknownPriceChoice(text))
    if kind == UnknownPriceChoice.FLAT and colon:
        return UnknownPrice(UnknownPriceChoice.FLAT, Usd(parse_amount(rest, MetricKind.ESTIMATED_COST_USD)))
    raise BadFieldError(f'"{text}" is no rule for unknown prices', "write block, allow or flat:1.00")


def parse_amount(value: object, metric: MetricKind) -> int:
    """An amount in the metric's unit from text or a number: `12.50` dollars, `200000` tokens. Raises BadFieldError."""
    if metric is MetricKind.ESTIMATED_COST_USD:
        if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
            raise BadFieldError(f'"{value}" is no amount', "write dollars like 12.50")
        try:
            return parse_usd(value)
        except ValueError as error:
            raise BadFieldError(str(error)) from None
    text = str(value).replace("_", "").strip()
    if isinstance(value, bool | float) or not (text.isascii() and text.isdigit()) or int(text) > COUNT_AT_MOST:
        raise BadFieldError(f'"{value}" is no whole number', f"{metric} is counted in whole numbers, like 200000")
    return int(text)


class _Reader:
    """Reads fields one by one and collects what is wrong."""

    def __init__(self, data: Mapping[str, object], where: str) -> None:
        self._data = data
        self._prefix = f"{where}." if where else ""
        self.faults: list[FieldFault] = []
        for name in data:
            if name not in FIELDS:
                near = nearest(name, FIELDS)
                self.fault(name, "a budget has no such field", f'did you mean "{near[0]}"?' if near else "")

    def fault(self, name: str, message: str, fix: str = "") -> None:
        self.faults.append(FieldFault(self._prefix + name, message, fix))

    def failed(self, name: str) -> bool:
        return any(fault.field == self._prefix + name for fault in self.faults)

    def read(self, name: str, parse: Callable[[object], Value], default: Value) -> Value:
        value = self._data.get(name)
        if value is None or value == "":
            return default
        try:
            return parse(value)
        except BadFieldError as bad:
            self.fault(name, bad.message, bad.fix)
            return default


def _text(value: object) -> str:
    return str(value).strip()


def _choice(kind: type[Choice]) -> Callable[[object], Choice]:
    def parse(value: object) -> Choice:
        text = _text(value)
        try:
            return kind(text)
        except ValueError:
            choices = [choice.value for choice in kind]
            near = nearest(text, choices)
            fix = f'did you mean "{near[0]}"?' if near else f"write one of {', '.join(choices)}"
            raise BadFieldError(f'"{text}" is not known here', fix) from None

    return parse


def _policy_id(value: object) -> str:
    text = _text(value)
    if not _ID.fullmatch(text):
        raise BadFieldError(f'"{text}" is no id', "write 1 to 64 of a-z 0-9 _ . - beginning with a letter or digit")
    return text


def _name(value: object) -> str:
    text = _text(value)
    if len(text) > NAME_AT_MOST:
        raise BadFieldError(f"a name of {len(text)} characters is too long", f"write at most {NAME_AT_MOST}")
    return text


def _bool(value: object) -> bool:
    text = _text(value).lower()
    if text in _YES or text in _NO:
        return text in _YES
    raise BadFieldError(f'"{text}" is neither true nor false', "write true or false")


def _scope_id(value: object, kind: ScopeKind) -> str:
    text = _text(value)
    if kind is ScopeKind.GLOBAL:
        if text != ANY:
            raise BadFieldError("a global budget has one counter and no scope id", "leave it out, or set scope_kind")
    elif kind is ScopeKind.TAG:
        if not _TAG.fullmatch(text):
            raise BadFieldError(f'"{text}" is no tag', "write name=value, or name=* for each value of it")
    elif not _VALUE.fullmatch(text):
        raise BadFieldError(f'"{text}" is no {kind}', "write 1 to 128 printable characters without spaces, or *")
    return text


def _timezone(value: object) -> str:
    text = _text(value)
    try:
        load_zone(text)
    except ValueError as error:
        raise BadFieldError(str(error)) from None
    return text


def _limit(value: object, metric: MetricKind) -> int | None:
    return None if _text(value) == "none" else parse_amount(value, metric)


def _soft(value: object, metric: MetricKind) -> int | Percent:
    text = _text(value)
    if not text.endswith("%"):
        return parse_amount(value, metric)
    try:
        share = Decimal(text[:-1].strip())
    except InvalidOperation:
        share = Decimal(0)
    if not share.is_finite() or not 1 <= share <= 100 or share != round(share, 2):
        raise BadFieldError(f'"{text}" is no share of the hard limit', 'write "1%" to "100%", or an amount')
    return Percent(share)
