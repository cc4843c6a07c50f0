"""What a console may ask about prices, and the answers. Rates and parts are exact decimals in text, never floats."""

from dataclasses import field
from typing import Literal

from palyra.core.values import value


@value
class PriceQuery:
    """What a model costs at an instant (unix ms; None: now). `provider` empty: wherever it is known.

    `model` is a public id, an alias, an upstream name or `provider/upstream`; a provider of the price package serves
    where none of that name is configured.
    """

    model: str
    provider: str = ""
    at: int | None = None
    kind: Literal["price"] = "price"


@value
class RateTier:
    """`usd` holds for every token of a request whose input is larger than `above` tokens."""

    above: int
    usd: str


@value
class RateView:
    """`usd` dollars for `per` of `unit`."""

    unit: str
    usd: str
    per: int
    tiers: tuple[RateTier, ...] = ()


@value
class VariantView:
    """Rates that replace the standard ones where every condition of `when` is met."""

    when: dict[str, str]
    rates: tuple[RateView, ...]


@value
class PriceView:
    """The price of one model at one provider. `model` is the provider's own name, `model_id` our public one.

    `configured`: the provider is one of ours, not only of the price package. `label` ends in `?` where it is a guess.
    `valid_from` and `valid_to` are unix ms, half-open; None is open. `next_change` is the first instant from which it
    costs something else, which may be later the same day. Unpriced models have `state` unknown and no rates.
    """

    provider: str
    model: str
    model_id: str
    configured: bool
    state: str
    source: str
    precision: str
    label: str
    card_id: str = ""
    version: str = ""
    package_provider: str = ""
    package_model: str = ""
    valid_from: int | None = None
    valid_to: int | None = None
    rates: tuple[RateView, ...] = ()
    variants: tuple[VariantView, ...] = ()
    notes: tuple[str, ...] = ()
    next_change: int | None = None

    @property
    def priced(self) -> bool:
        """Whether a price is known."""
        return self.state != "unknown"


@value
class PriceAnswer:
    """The prices found, the configured ones first. Empty where nobody knows the model."""

    model: str
    at: int
    prices: tuple[PriceView, ...]


@value
class CostQuery:
    """What an answer of a provider costs whose attempt was held at `at` (unix ms; None: now).

    `shape` is how the answer was recorded (chat, responses, embeddings, messages, input_output), `answer` its usage,
    model, service tier and output items as JSON text. `visible_bytes` were delivered; `complete` is false for a stream
    that broke off. `prompt_bytes` is the size of what was asked, to meter an input nobody reported: None when unknown.
    `service_tier` is the one asked for.
    """

    provider: str
    model: str
    shape: str
    answer: str
    visible_bytes: int = 0
    complete: bool = True
    at: int | None = None
    service_tier: str = ""
    prompt_bytes: int | None = None
    kind: Literal["cost"] = "cost"


@value
class UsageView:
    """Tokens of one answer: cached and audio lie inside `input_total`, reasoning and audio inside `output_total`."""

    input_total: int
    cache_read: int
    cache_write: int
    write_5m: int
    write_1h: int
    output_total: int
    reasoning: int
    citation: int
    audio_in: int
    audio_out: int
    image_in: int
    tool_uses: int
    tools: dict[str, int] = field(default_factory=dict)


@value
class PartView:
    """One priced part: `count` of `unit` at `usd` dollars per `per`; `nano` is its exact amount in nano-dollars."""

    unit: str
    count: int
    usd: str
    per: int
    nano: str


@value
class ReadingView:
    """One way to understand the body and its price, None where unknown."""

    name: str
    usage: UsageView
    amount_nano_usd: int | None


@value
class CostAnswer:
    """What one answer is charged.

    `total_nano_usd` is None where nobody knows it: then `flat_nano_usd` is what budgets charge by default, None where
    `on_unknown_price` is no flat amount. `parts` make up the total, rounded half to even once. `readings` are all ways
    to understand the body; the dearest is charged. `priced_model` is the model whose price was taken. `raw` is the
    usage object as it came, in JSON.
    """

    provider: str
    model: str
    priced_model: str
    configured: bool
    at: int
    flavour: str
    usage: UsageView
    usage_source: str
    parts: tuple[PartView, ...]
    total_nano_usd: int | None
    price_state: str
    source: str
    precision: str
    flags: tuple[str, ...]
    notes: tuple[str, ...]
    readings: tuple[ReadingView, ...]
    reported_cost_nano_usd: int | None
    on_unknown_price: str
    flat_nano_usd: int | None
    card_id: str = ""
    version: str = ""
    raw: str = "null"


@value
class PriceCheckQuery:
    """Looks for what is wrong with prices and estimates."""

    kind: Literal["price_check"] = "price_check"


@value
class PriceFinding:
    """`kind`: unpriced_model, unknown_pricing_provider, override_ended, package_old, estimate_drift, or configuration
    where it cannot be used at all. `subject` names what it is about."""

    kind: str
    subject: str
    message: str
    fix: str = ""


@value
class PriceCheckAnswer:
    """`package_prices_from` is the newest day (unix ms) from which a price of the package holds."""

    at: int
    version: str
    package_prices_from: int
    models: int
    findings: tuple[PriceFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with prices."""
        return not self.findings


PriceAsk = PriceQuery | CostQuery | PriceCheckQuery
PriceTold = PriceAnswer | CostAnswer | PriceCheckAnswer
