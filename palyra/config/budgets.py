"""The `[[budgets]]` row and the kinds of text only budgets use."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from palyra.config.amounts import read_usd
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
from palyra.config.kinds import Choice, Flag, Kind, Text, Whole, show
from palyra.config.names import ID, LABEL, MODEL_FORM, MODEL_ID, PERSON, PROVIDER_ID, Zone
from palyra.config.problem import Code, Fault
from palyra.config.section import Section
from palyra.config.suggest import nearest
from palyra.core.money import decimal_usd
from palyra.core.values import value
from palyra.core.windows import Interval

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%")
_TAG_SCOPE = re.compile(r"[a-z0-9_.-]{1,32}=(?:\*|.{1,64})")
_COUNT = Whole(0)


@value
class UnknownPriceKind(Kind):
    """`block`, `allow` or `flat:<usd>`."""

    noun = "what to do without a price"
    hint = "Write block, allow or flat: and an amount, like flat:1.00"

    @property
    def accepts(self) -> str:
        return "block, flat:<dollars> or allow"

    def spell(self, value: UnknownPrice) -> str:
        return str(value)

    def read(self, value: object) -> UnknownPrice:
        if not isinstance(value, str):
            raise self.wrong(value)
        word, colon, amount = value.partition(":")
        if word == UnknownPriceChoice.FLAT and colon:
            return UnknownPrice(UnknownPriceChoice.FLAT, read_usd(amount))
        if not colon and word in (UnknownPriceChoice.BLOCK, UnknownPriceChoice.ALLOW):
            return UnknownPrice(UnknownPriceChoice(word))
        near = nearest(word, UnknownPriceChoice)
        raise Fault(Code.UNKNOWN_CHOICE, f"{show(value)} is not known", self.hint, near)


@value
class OverrideForm(Kind):
    """`none`, `degrade`, `mode:<mode>` or `model:<id>`."""

    noun = "a routing override"
    hint = "Write none, mode:suggest, mode:dry_run, mode:enforced, degrade, or model: and a model id"

    @property
    def accepts(self) -> str:
        return "none, mode:suggest, mode:dry_run, mode:enforced, degrade or model:<id>"

    def spell(self, value: RoutingOverride) -> str:
        return str(value)

    def read(self, value: object) -> RoutingOverride:
        if not isinstance(value, str):
            raise self.wrong(value)
        word, colon, rest = value.partition(":")
        if not colon and word in (OverrideKind.NONE, OverrideKind.DEGRADE):
            return RoutingOverride(OverrideKind(word))
        if colon and word == OverrideKind.MODE and rest in set(RoutingMode):
            return RoutingOverride(OverrideKind.MODE, mode=RoutingMode(rest))
        if colon and word == OverrideKind.MODEL and MODEL_FORM.fullmatch(rest) and rest != "auto":
            return RoutingOverride(OverrideKind.MODEL, model=rest)
        known = [OverrideKind.NONE, OverrideKind.DEGRADE, *(f"mode:{mode}" for mode in RoutingMode)]
        raise Fault(Code.UNKNOWN_CHOICE, f"{show(value)} is not known", self.hint, nearest(value, known))


@value
class Limit(Kind):
    """An absolute limit in the unit of the row's metric: nano-dollars, tokens or requests."""

    noun = "a limit"
    hint = "Write an amount like 12.50 for dollars, a whole number for tokens and requests"

    @property
    def accepts(self) -> str:
        return "an amount, 0 or more"

    def read(self, value: object) -> int:
        return read_usd(value)

    def spell_in(self, value: Any, siblings: Mapping[str, Any]) -> object:
        if isinstance(value, Percent):
            return str(value)
        return decimal_usd(value) if siblings.get("metric_kind") is MetricKind.ESTIMATED_COST_USD else value

    def read_in(self, value: object, siblings: dict[str, Any]) -> int:
        if siblings.get("metric_kind") in (MetricKind.TOTAL_TOKENS, MetricKind.REQUESTS):
            return _COUNT.read(value)
        return read_usd(value)


@value
class SoftLimit(Limit):
    """As Limit, or a share of the hard limit like `"80%"`."""

    hint = 'Write "80%" (1 to 100), or an amount in the unit of hard_limit'

    @property
    def accepts(self) -> str:
        return "1% to 100%, or an amount"

    def read_in(self, value: object, siblings: dict[str, Any]) -> "int | Percent":  # type: ignore[override]
        if not (isinstance(value, str) and value.endswith("%")):
            return Limit.read_in(self, value, siblings)
        match = _PERCENT.fullmatch(value)
        if match is None:
            raise Fault(Code.WRONG_TYPE, f"{show(value)} is no percentage", self.hint)
        if not 1 <= (share := Decimal(match[1])) <= 100:
            raise Fault(Code.OUT_OF_RANGE, f"{show(value)} is outside 1%-100%", self.hint)
        return Percent(share)


@value
class ScopeId(Kind):
    """The value counted, or `*` for one counter per value, in the form of the row's scope kind."""

    noun = "text"
    hint = 'Write the value counted, or "*" for one counter for each'
    accepts = "a value, or *"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        return value

    def read_in(self, value: object, siblings: dict[str, Any]) -> str:
        text = self.read(value)
        kind = siblings.get("scope_kind")
        if kind is ScopeKind.TAG:
            if _TAG_SCOPE.fullmatch(text) is None:
                raise Fault(
                    Code.WRONG_TYPE,
                    f"{show(text)} names no tag",
                    "Write name=value, or name=* for one counter for each value",
                )
            return text
        if text == "*":
            return text
        if kind is ScopeKind.GLOBAL:
            raise Fault(Code.CONFLICT, f"scope global has one counter, not {show(text)}", "Remove scope_id")
        if isinstance(kind, ScopeKind):
            _SCOPE_FORMS[kind].read(text)
        return text


_SCOPE_FORMS: dict[ScopeKind, Kind] = {
    ScopeKind.USER: PERSON,
    ScopeKind.SESSION: LABEL,
    ScopeKind.CHANNEL: LABEL,
    ScopeKind.AGENT: LABEL,
    ScopeKind.JOB: Text(high=128, in_bytes=True),
    ScopeKind.MODEL: MODEL_ID,
    ScopeKind.PROVIDER: PROVIDER_ID,
    ScopeKind.KEY: ID,
}


class BudgetConfig(Section):
    """One budget of the file. Limits are in the unit of `metric_kind`: nano-dollars, tokens or requests.

    Once loaded, `name`, `timezone` and `on_unknown_price` are filled from the policy's id and from `[governance]`
    where the row leaves them out.
    """

    policy_id: Annotated[str, ID]
    """Its name for ever: what was spent hangs on it."""
    name: Annotated[str, Text(high=120)] = ""
    """What people see. Left out: policy_id."""
    enabled: Annotated[bool, Flag()] = True
    """A budget that is off counts nothing."""
    scope_kind: Annotated[ScopeKind, Choice(ScopeKind)] = ScopeKind.GLOBAL
    """What it counts by."""
    scope_id: Annotated[str, ScopeId()] = "*"
    """One value, or * for one counter for each. A tag is written name=value or name=*."""
    metric_kind: Annotated[MetricKind, Choice(MetricKind)] = MetricKind.ESTIMATED_COST_USD
    """What it counts."""
    interval_kind: Annotated[Interval, Choice(Interval)] = Interval.MONTHLY
    """After what it begins anew."""
    timezone: Annotated[str, Zone()] = "UTC"
    """Whose days they are. Left out: that of [governance]."""
    hard_limit: Annotated[int | None, Limit()] = None
    """In dollars, tokens or requests, by metric_kind. May be left out where soft_limit is an amount."""
    soft_limit: Annotated[int | Percent, SoftLimit()] = Percent(Decimal(80))
    """A share of hard_limit or an amount up to it; crossing it alerts."""
    action: Annotated[PolicyAction, Choice(PolicyAction)] = PolicyAction.BLOCK
    """What happens beyond the hard limit."""
    routing_override: Annotated[RoutingOverride, OverrideForm()] = RoutingOverride()
    """What changes while it is over its soft limit."""
    on_unknown_price: Annotated[UnknownPrice, UnknownPriceKind()] = UnknownPrice()
    """A request nobody can price. Left out: that of [governance]."""
