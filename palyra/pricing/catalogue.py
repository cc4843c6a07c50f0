"""The bundled price data of `genai-prices`: which entry a provider and model are, and its rates at an instant.

Nothing here goes over the network: the package's updater is never started.
"""

import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import genai_prices
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from palyra.core.values import value
from palyra.pricing.card import Precision, PriceSource, RateCard
from palyra.pricing.rates import INPUT, MILLION, OUTPUT, UNIT_OF_PRICE, UNITS, Rate, Tier, Variant

ZERO_RATES = (Rate(INPUT, Decimal(0), MILLION), Rate(OUTPUT, Decimal(0), MILLION))
ALWAYS = (-(2**62), 2**62)
"""A period without beginning or end, unix ms."""
MINUTE_MS = 60_000
_MATCHES_AT_MOST = 4096


@value
class Match:
    """One model of the package. `own` is false when a fallback provider lists it: its variants do not apply then."""

    provider: Provider
    model: ModelInfo
    own: bool


class Catalogue:
    """The package's data behind lookups by our providers' entries."""

    def __init__(self) -> None:
        self._providers: list[Provider] = get_snapshot().providers
        self._matches: dict[tuple[str, str], Match | None] = {}
        self.version: str = genai_prices.__version__

    def provider(self, pricing_provider: str | None, base_url: str | None) -> Provider | None:
        """The package's provider of that name; without a name, the one whose API lives at the address; else None."""
        if pricing_provider:
            return find_provider_by_id(self._providers, pricing_provider)
        if base_url:
            return next((found for found in self._providers if _lives_at(found.api_pattern, base_url)), None)
        return None

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """The ids of providers it knows prices of."""
        return tuple(provider.id for provider in self._providers)

    def vendors(self, model: str) -> tuple[str, ...]:
        """The package's ids of the providers that claim names like this one as their own."""
        claiming = [found for found in self._providers if found.model_match and found.model_match.is_match(model)]
        return tuple(found.id for found in claiming)

    def newest_start(self, at_ms: int) -> int:
        """The last day (unix ms) up to an instant from which a price of the package holds."""
        constraints = [
            price.constraint
            for provider in self._providers
            for model in provider.models
            if not isinstance(model.prices, ModelPrice)
            for price in model.prices
        ]
        starts = [_start_ms(found) for found in constraints if isinstance(found, StartDateConstraint)]
        return max(start for start in starts if start <= at_ms)

    def match(self, provider: Provider, model: str) -> Match | None:
        """The model in that provider or the fallback providers it declares; remembered, since a miss reads them all."""
        key = (provider.id, model)
        if key not in self._matches:
            if len(self._matches) >= _MATCHES_AT_MOST:
                self._matches.clear()
            found = provider.find_model(model, all_providers=self._providers)
            own = any(found is listed for listed in provider.models)
            self._matches[key] = Match(provider, found, own) if found else None
        return self._matches[key]

    def steady(self, match: Match, at_ms: int) -> tuple[int, int]:
        """A period [start, end) around an instant in which the prices of a match do not change, unix ms.

        Start dates bound it; where any price depends on the time of day it is the UTC minute.
        """
        prices = [] if isinstance(match.model.prices, ModelPrice) else match.model.prices
        constraints = [price.constraint for price in prices]
        constraints += [variant.constraint for variant in match.model.price_variants or ()]
        if any(isinstance(constraint, TimeOfDateConstraint) for constraint in constraints):
            minute = at_ms - at_ms % MINUTE_MS
            return minute, minute + MINUTE_MS
        starts = [_start_ms(found) for found in constraints if isinstance(found, StartDateConstraint)]
        return (
            max((start for start in starts if start <= at_ms), default=ALWAYS[0]),
            min((start for start in starts if start > at_ms), default=ALWAYS[1]),
        )

    def edges(self, match: Match, at_ms: int) -> list[int]:
        """Instants after `at_ms` (unix ms) at which a price of a match may change: start dates, and within a day the
        times at which another price holds."""
        prices = [] if isinstance(match.model.prices, ModelPrice) else match.model.prices
        constraints = [price.constraint for price in prices]
        constraints += [variant.constraint for variant in match.model.price_variants or ()]
        today = datetime.fromtimestamp(at_ms / 1000, UTC).date()
        found: set[int] = set()
        for constraint in constraints:
            if isinstance(constraint, StartDateConstraint):
                found.add(_start_ms(constraint))
            elif isinstance(constraint, TimeOfDateConstraint):
                for clock in (constraint.start_time, constraint.end_time):
                    once = datetime.combine(today, clock, clock.tzinfo or UTC)
                    found |= {int((once + timedelta(days=days)).timestamp() * 1000) for days in (-1, 0, 1, 2)}
        return sorted(edge for edge in found if edge > at_ms)

    def card(self, match: Match, provider: str, model: str, at_ms: int) -> RateCard | None:
        """The rates of a match at an instant, for our provider and model; None when the package lists none."""
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        prices, valid_from, valid_to, active = _active(match.model, moment)
        rates = _rates(prices)
        notes: list[str] = []
        if not active:
            notes.append("before_first_price")
        if not rates:
            if not match.model.id.endswith(":free"):
                return None
            rates = ZERO_RATES
            notes.append("listed_free")
        variants = tuple(
            Variant(tuple(sorted(variant.when.items())), _rates(variant.prices))
            for variant in (match.model.price_variants or () if match.own else ())
            if variant.constraint is None or variant.constraint.active(moment)
        )
        return RateCard(
            provider=provider,
            model=model,
            source=PriceSource.PACKAGE,
            rates=rates,
            variants=variants,
            version=self.version,
            package_provider=match.provider.id,
            package_model=match.model.id,
            valid_from=valid_from,
            valid_to=valid_to,
            precision=Precision.EXACT if active else Precision.PARTIAL,
            notes=tuple(notes),
        )


def _lives_at(pattern: str, base_url: str) -> bool:
    """Whether the package's API pattern means this address.

    Patterns end anywhere, so that one for `api.openai.com` also matches `api.openai.com.example.net`: what it
    matches must reach the end of the host (up to a top-level domain), unless the pattern itself goes on into the path.
    """
    parts = urlsplit(base_url)
    try:
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return False
    origin = f"{parts.scheme.lower()}://{host}" + (f":{port}" if port not in (None, 443) else "")
    if found := re.match(pattern, origin):
        rest = origin[found.end() :]
        return not rest or (found.group().endswith(".") and rest.isalpha())
    return "/" in pattern.removeprefix("https://") and re.match(pattern, origin + parts.path) is not None


def _active(model: ModelInfo, moment: datetime) -> tuple[ModelPrice, int | None, int | None, bool]:
    """The price at a moment, the dates (unix ms) it is valid between, and whether it is really valid then.

    The last active one wins; when none is, the package falls back to its first, which then began too late.
    """
    if isinstance(model.prices, ModelPrice):
        return model.prices, None, None, True
    starts = sorted(
        _start_ms(price.constraint) for price in model.prices if isinstance(price.constraint, StartDateConstraint)
    )
    now = int(moment.timestamp() * 1000)
    next_start = next((start for start in starts if start > now), None)
    for price in reversed(model.prices):
        if price.constraint is None or price.constraint.active(moment):
            began = _start_ms(price.constraint) if isinstance(price.constraint, StartDateConstraint) else None
            return price.prices, began, next_start, True
    return model.prices[0].prices, None, next_start, False


def _start_ms(constraint: StartDateConstraint) -> int:
    return int(datetime.combine(constraint.start_date, time(), UTC).timestamp() * 1000)


def _rates(prices: ModelPrice) -> tuple[Rate, ...]:
    rates: list[Rate] = []
    for price_key, price in vars(prices).items():
        unit = UNIT_OF_PRICE.get(price_key)
        if unit is None or price is None:
            continue
        per = UNITS[unit].per
        if isinstance(price, TieredPrices):
            tiers = tuple(Tier(tier.start, tier.price) for tier in price.tiers)
            rates.append(Rate(unit, price.base, per, tiers))
        else:
            rates.append(Rate(unit, price, per))
    return tuple(sorted(rates, key=lambda rate: rate.unit))
