"""Lookups at every edge of every dated and time-of-day price: the instant decides, whatever was asked before."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, time

from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TimeOfDateConstraint

from palyra.config.choices import ModelProviderKind
from palyra.core.money import NANO
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.pricing.card import RateCard
from palyra.pricing.charge import charge
from palyra.pricing.pricer import half_even
from palyra.pricing.usage import NormalisedUsage
from tests.pricing.house import NOON

DAY_MS = 86_400_000
USED = NormalisedUsage(1_000, 500, cache_read=300)


def edges(model: ModelInfo) -> set[int]:
    """Instants at which a price of the model changes, unix ms."""
    if isinstance(model.prices, ModelPrice):
        return set()
    found: set[int] = set()
    midnight = NOON - NOON % DAY_MS
    for price in model.prices:
        if isinstance(price.constraint, StartDateConstraint):
            found.add(int(datetime.combine(price.constraint.start_date, time(), UTC).timestamp() * 1000))
        elif isinstance(price.constraint, TimeOfDateConstraint):
            for clock in (price.constraint.start_time, price.constraint.end_time):
                found.add(midnight + (clock.hour * 3_600 + clock.minute * 60 + clock.second) * 1_000)
    return found


def changing() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in get_snapshot().providers:
        for model in provider.models:
            if edges(model):
                yield provider, model


def theirs(provider: Provider, model: ModelInfo, at_ms: int) -> int:
    usage = Usage(input_tokens=USED.input_total, output_tokens=USED.output_total, cache_read_tokens=USED.cache_read)
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    price = model.calc_price(usage, provider, genai_request_timestamp=moment)
    return half_even(*(price.total_price * NANO).as_integer_ratio())


def test_every_edge_of_every_price_is_met_to_the_millisecond() -> None:
    asked = [
        (provider, model, edge + off)
        for provider, model in changing()
        for edge in edges(model)
        for off in (-DAY_MS, -1, 0, 1, 59_999, DAY_MS)
    ]
    names = {provider.id for provider, _, _ in asked}
    kind = ModelProviderKind.OPENAI_COMPATIBLE
    book = PriceBook((), {name: PricedProvider(kind, pricing_provider=name) for name in names})
    random.Random(5).shuffle(asked)
    compared = 0
    for provider, model, at_ms in asked:
        card = book.card(provider.id, model.id, at_ms)
        # Some models are matched by other names than their ids, and are another's there.
        if card is None or card.package_model != model.id:
            continue
        charged = charge(card, USED)
        if charged.amount is not None:
            assert charged.amount == theirs(provider, model, at_ms), (provider.id, model.id, at_ms)
            compared += 1
    assert compared > 500


def test_between_now_and_the_next_change_nothing_changes() -> None:
    kind = ModelProviderKind.OPENAI_COMPATIBLE
    chance = random.Random(8)
    for provider, model in changing():
        book = PriceBook((), {"p": PricedProvider(kind, pricing_provider=provider.id)})
        now = NOON + chance.randrange(-40 * DAY_MS, 5 * DAY_MS)
        card, change = book.card("p", model.id, now), book.next_change("p", model.id, now)
        until = now + 60 * DAY_MS if change is None else change
        between = [chance.randrange(now, until) for _ in range(20)]
        assert {_rates(book.card("p", model.id, at_ms)) for at_ms in between} == {_rates(card)}, model.id
        assert change is None or _rates(book.card("p", model.id, change)) != _rates(card)


def _rates(card: RateCard | None) -> object:
    return None if card is None else (card.rates, card.variants)


def test_a_price_by_the_time_of_day_is_right_on_every_minute_of_a_day() -> None:
    name = "deepseek-chat"
    (provider,) = (one for one in get_snapshot().providers if one.id == "deepseek")
    (model,) = (one for one in provider.models if one.id == name)
    book = PriceBook((), {"d": PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, pricing_provider="deepseek")})
    seen = set()
    for minute in range(1_440):
        at_ms = NOON + minute * 60_000 + minute
        amount = charge(book.card("d", name, at_ms), USED).amount
        assert amount == theirs(provider, model, at_ms), minute
        seen.add(amount)
    assert len(seen) == 2
