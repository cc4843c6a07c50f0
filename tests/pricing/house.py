"""What the tests of pricing share: a book with one provider per vendor, instants, and small values."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from palyra.config.choices import ModelProviderKind
from palyra.config.pricing_rows import UsagePricingRecord
from palyra.core.money import NANO, Usd
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.pricing.estimate import ModelFacts
from palyra.pricing.pricer import half_even
from palyra.pricing.rates import RatePart

OPENAI = "openai"
ANTHROPIC = "anthropic"
DEEPSEEK = "deepseek"
PRIVATE = "private"

PROVIDERS = {
    OPENAI: PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "https://api.openai.com/v1"),
    ANTHROPIC: PricedProvider(ModelProviderKind.ANTHROPIC, "https://api.anthropic.com"),
    DEEPSEEK: PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "https://api.deepseek.com"),
    "xai": PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "https://api.x.ai/v1"),
    "perplexity": PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "https://api.perplexity.ai"),
    "azure": PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "https://mine.openai.azure.com/openai/v1"),
    PRIVATE: PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, "http://127.0.0.1:8000/v1"),
    "echo": PricedProvider(ModelProviderKind.DETERMINISTIC),
}


def at(text: str) -> int:
    """An instant written in RFC 3339 as unix ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


NOON = at("2026-11-22T12:00:00Z")


def nano(dollars: str) -> int:
    return int(Decimal(dollars) * NANO)


def row(provider: str = "*", model: str = "*", **fields: object) -> UsagePricingRecord:
    """A pricing row; rates are given as dollars in text, instants as RFC 3339."""
    values: dict[str, object] = {"provider": provider, "model": model}
    for name, value in fields.items():
        if name in ("valid_from", "valid_to"):
            values[name] = at(str(value))
        elif name == "discount":
            values[name] = Decimal(str(value))
        else:
            values[name] = Usd(nano(str(value)))
    return UsagePricingRecord.model_validate(values)


def book(*rows: UsagePricingRecord, free: frozenset[tuple[str, str]] = frozenset()) -> PriceBook:
    return PriceBook(rows, PROVIDERS, free)


def facts(
    model: str = "gpt-4o-mini", provider: str = OPENAI, *, image: int = 5_000, context: int | None = None
) -> ModelFacts:
    return ModelFacts(provider, model, PROVIDERS[provider].kind, image, context)


def sum_of_parts(parts: tuple[RatePart, ...]) -> int:
    """Σ count × usd ÷ per in nano-dollars, rounded half to even: what a stored row says of itself."""
    exact = sum((Fraction(part.usd) * part.count * NANO / part.per for part in parts), Fraction(0))
    return half_even(exact.numerator, exact.denominator)


@dataclass(frozen=True)
class Piece:
    kind: str
    size: int | None = None


@dataclass(frozen=True)
class Tool:
    name: str
    max_uses: int | None = None
