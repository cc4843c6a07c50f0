"""The rate card: every rate that may apply to one model at one instant, frozen into a hold."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.core.values import value
from palyra.pricing.pricer import Pricer
from palyra.pricing.rates import Rate, Variant, effective_rates


class PriceState(StrEnum):
    """What is known of a price. `UNKNOWN_FLAT` is set by a policy that charges a flat amount for unknown prices."""

    KNOWN = "known"
    FREE = "free"
    UNKNOWN = "unknown"
    UNKNOWN_FLAT = "unknown_flat"


class PriceSource(StrEnum):
    """Where a rate comes from, in the order of precedence."""

    OVERRIDE = "override"
    DECLARED_FREE = "declared_free"
    PACKAGE = "package"
    NONE = "none"


class Precision(StrEnum):
    """How well the rates fit: `PARTIAL` where one is used that is known not to fit fully (the notes say why)."""

    EXACT = "exact"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


@value
class ServiceContext:
    """What a request asks for, or an answer names, that selects a variant of the price. None is the standard."""

    service_tier: str | None = None
    speed: str | None = None

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The conditions as price data names them; a batch is a way of processing there, not a service tier."""
        pairs: list[tuple[str, str]] = []
        if self.service_tier:
            batch = self.service_tier == "batch"
            pairs.append(("processing" if batch else "service_tier", self.service_tier))
        if self.speed:
            pairs.append(("speed", self.speed))
        return tuple(pairs)


STANDARD = ServiceContext()
_STANDARD_VALUES = frozenset({"auto", "default", "standard", "standard_only", "normal", "on_demand"})
_COMPILED_AT_MOST = 32


@value
class ContextPricer:
    """The rates for one context; `unpriced` where it asks for a variant the card does not list (standard is used)."""

    pricer: Pricer
    unpriced: bool


@value
class RateCard:
    """All rates for `model` of `provider` (our ids) at one instant.

    `version` is the price package's version, empty for other sources. `package_provider` and `package_model` say
    which entry of the package matched. `valid_from` (inclusive) and `valid_to` (exclusive) are unix ms or None.
    Equal cards have equal `card_id`s.
    """

    provider: str
    model: str
    source: PriceSource
    rates: tuple[Rate, ...]
    variants: tuple[Variant, ...] = ()
    version: str = ""
    package_provider: str = ""
    package_model: str = ""
    valid_from: int | None = None
    valid_to: int | None = None
    precision: Precision = Precision.EXACT
    notes: tuple[str, ...] = ()
    card_id: str = field(init=False)
    _json: dict[str, Any] = field(init=False, repr=False, compare=False)
    _compiled: dict[ServiceContext, ContextPricer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        data: dict[str, Any] = {
            "provider": self.provider,
            "model": self.model,
            "source": self.source.value,
            "version": self.version,
            "package_provider": self.package_provider,
            "package_model": self.package_model,
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
            "precision": self.precision.value,
            "notes": list(self.notes),
            "rates": [rate.to_json() for rate in self.rates],
            "variants": [variant.to_json() for variant in self.variants],
        }
        canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        card_id = hashlib.sha256(canonical.encode()).hexdigest()[:16]
        object.__setattr__(self, "card_id", card_id)
        object.__setattr__(self, "_json", {"card_id": card_id, **data})
        object.__setattr__(self, "_compiled", {})

    @property
    def state(self) -> PriceState:
        """FREE when every standard rate is zero, else KNOWN. An unknown price has no card at all."""
        return PriceState.KNOWN if any(rate.usd or rate.tiers for rate in self.rates) else PriceState.FREE

    def for_context(self, context: ServiceContext = STANDARD) -> ContextPricer:
        """The arithmetic for one context, compiled once per card."""
        found = self._compiled.get(context)
        if found is None:
            if len(self._compiled) >= _COMPILED_AT_MOST:
                self._compiled.clear()
            found = self._compiled[context] = self._compile(context)
        return found

    def _compile(self, context: ServiceContext) -> ContextPricer:
        pairs = context.pairs()
        listed = {pair for variant in self.variants for pair in variant.when}
        unpriced = any(pair not in listed and pair[1] not in _STANDARD_VALUES for pair in pairs)
        rates = effective_rates(self.rates, self.variants, dict(pairs)) if pairs else self.rates
        return ContextPricer(Pricer(rates), unpriced)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` turns into an equal card. Shared and made once: read it, do not change it."""
        return self._json

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RateCard":
        """Raises ValueError (also as KeyError or TypeError inside) when `data` is no card."""
        try:
            return cls(
                provider=str(data["provider"]),
                model=str(data["model"]),
                source=PriceSource(data["source"]),
                rates=tuple(Rate.from_json(rate) for rate in data["rates"]),
                variants=tuple(Variant.from_json(variant) for variant in data["variants"]),
                version=str(data["version"]),
                package_provider=str(data["package_provider"]),
                package_model=str(data["package_model"]),
                valid_from=data["valid_from"],
                valid_to=data["valid_to"],
                precision=Precision(data["precision"]),
                notes=tuple(data["notes"]),
            )
        except (KeyError, TypeError, ArithmeticError, AttributeError) as error:
            raise ValueError(f"this is no rate card: {error}") from None
