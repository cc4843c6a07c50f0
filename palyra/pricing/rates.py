"""Rates: what one unit costs, in which tier, in which variant of the service. Units are those of `genai-prices`."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from genai_prices.data_units import unit_data

from palyra.core.money import NANO
from palyra.core.values import value

INPUT = "input_tokens"
OUTPUT = "output_tokens"
CACHE_READ = "cache_read_tokens"
CACHE_WRITE = "cache_write_tokens"
CACHE_WRITE_5M = "cache_write_5m_tokens"
CACHE_WRITE_1H = "cache_write_1h_tokens"
REASONING = "output_reasoning_tokens"
CITATION = "output_citation_tokens"
AUDIO_INPUT = "input_audio_tokens"
AUDIO_OUTPUT = "output_audio_tokens"
IMAGE_INPUT = "input_image_tokens"
REQUESTS = "requests"
WEB_SEARCHES = "web_searches"
FILE_SEARCHES = "storage_searches"
CODE_EXECUTIONS = "code_executions"
WEB_FETCHES = "web_fetches"
"""Counted, but no price list has it: fetching costs only the tokens it brings in."""
REPORTED_COST = "reported_cost"
"""No unit of use: a charge that repeats what the provider said it cost."""
BOUND = "bound"
"""No unit of use: a charge of what was held, for a body that cannot be priced."""
FLAT = "flat"
"""No unit of use: what a budget charges for an attempt nobody can price."""
METER = "meter"
"""No unit of use: a charge of what the meter of a dead engine had reached."""

MILLION = 1_000_000


@value
class Unit:
    """What is counted. A unit whose dimensions contain another's lies inside it (cached input inside input)."""

    key: str
    price_key: str
    per: int
    dimensions: frozenset[tuple[str, str]]


def _units() -> Mapping[str, Unit]:
    return MappingProxyType(
        {
            key: Unit(key, str(raw["price_key"]), int(raw["per"]), frozenset(raw["dimensions"].items()))
            for key, raw in unit_data.items()
        }
    )


UNITS = _units()
UNIT_OF_PRICE: Mapping[str, str] = MappingProxyType({unit.price_key: unit.key for unit in UNITS.values()})
TOOL_UNITS = (WEB_SEARCHES, FILE_SEARCHES, CODE_EXECUTIONS, WEB_FETCHES)


_BY_DIMENSIONS = {unit.dimensions: unit.key for unit in UNITS.values()}


def joint_unit(first: str, second: str) -> str | None:
    """The unit of what is counted in both (cached audio of audio and cached), or None where they exclude each other."""
    return _BY_DIMENSIONS.get(UNITS[first].dimensions | UNITS[second].dimensions)


@value
class Tier:
    """`usd` applies to all tokens of a request whose input is larger than `start` tokens."""

    start: int
    usd: Decimal


@value
class Rate:
    """`usd` dollars for `per` of `unit`; `tiers` ascend by start."""

    unit: str
    usd: Decimal
    per: int
    tiers: tuple[Tier, ...] = ()

    def at(self, input_total: int) -> Decimal:
        """The rate for a request with that many input tokens."""
        for tier in reversed(self.tiers):
            if input_total > tier.start:
                return tier.usd
        return self.usd

    def to_json(self) -> dict[str, Any]:
        """As usage rows keep it."""
        data: dict[str, Any] = {"unit": self.unit, "usd": str(self.usd), "per": self.per}
        if self.tiers:
            data["tiers"] = [[tier.start, str(tier.usd)] for tier in self.tiers]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rate":
        """Reads what `to_json` made."""
        tiers = tuple(Tier(int(start), Decimal(usd)) for start, usd in data.get("tiers", ()))
        return cls(str(data["unit"]), Decimal(data["usd"]), int(data["per"]), tiers)


@value
class Variant:
    """Rates that replace the standard ones where the request's context has every pair of `when` (sorted)."""

    when: tuple[tuple[str, str], ...]
    rates: tuple[Rate, ...]

    def to_json(self) -> dict[str, Any]:
        """As usage rows keep it."""
        return {"when": dict(self.when), "rates": [rate.to_json() for rate in self.rates]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Variant":
        """Reads what `to_json` made."""
        return cls(tuple(sorted(data["when"].items())), tuple(Rate.from_json(rate) for rate in data["rates"]))


@value
class RatePart:
    """One line of a charge: `count` of `unit` at `usd` dollars per `per`."""

    unit: str
    count: int
    usd: Decimal
    per: int

    def to_json(self) -> dict[str, Any]:
        """As usage rows keep it."""
        return {"unit": self.unit, "count": self.count, "usd": str(self.usd), "per": self.per}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RatePart":
        """Reads what `to_json` made."""
        return cls(str(data["unit"]), int(data["count"]), Decimal(data["usd"]), int(data["per"]))


def lump(unit: str, amount: int) -> RatePart:
    """A charge that has no parts of its own."""
    return RatePart(unit, 1, Decimal(amount) / NANO, 1)


def effective_rates(rates: Iterable[Rate], variants: Iterable[Variant], context: Mapping[str, str]) -> tuple[Rate, ...]:
    """The standard rates with those variants laid over them whose every condition the context meets; the first wins."""
    chosen: dict[str, Rate] = {}
    for variant in variants:
        if all(context.get(key) == value for key, value in variant.when):
            for rate in variant.rates:
                chosen.setdefault(rate.unit, rate)
    return tuple(({rate.unit: rate for rate in rates} | chosen).values())
