"""A card is a value: it survives the journal, has an id of its content, and knows its variants and label."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.choices import CostTier
from palyra.pricing.card import Precision, PriceSource, PriceState, RateCard, ServiceContext
from palyra.pricing.charge import charge
from palyra.pricing.label import tier_label
from palyra.pricing.rates import CACHE_READ, INPUT, MILLION, OUTPUT, UNITS, Rate, RatePart, Tier, Variant
from palyra.pricing.usage import NormalisedUsage
from tests.pricing.house import ANTHROPIC, NOON, OPENAI, book, row

USD = st.decimals("0", "1000", places=18)
TIERS = st.lists(st.builds(Tier, st.integers(0, 10**6), USD), max_size=3).map(
    lambda tiers: tuple(sorted(tiers, key=lambda tier: tier.start))
)
RATES = st.builds(Rate, st.sampled_from(sorted(UNITS)), USD, st.sampled_from([1, 1000, MILLION]), TIERS)
WHENS = st.dictionaries(st.sampled_from(["service_tier", "speed", "processing"]), st.text(max_size=4), min_size=1)
CARDS = st.builds(
    RateCard,
    provider=st.text(max_size=8),
    model=st.text(max_size=8),
    source=st.sampled_from(PriceSource),
    rates=st.lists(RATES, max_size=4, unique_by=lambda rate: rate.unit).map(tuple),
    variants=st.lists(
        st.builds(Variant, WHENS.map(lambda when: tuple(sorted(when.items()))), st.lists(RATES, max_size=2).map(tuple)),
        max_size=2,
    ).map(tuple),
    version=st.sampled_from(["", "0.2.3"]),
    package_provider=st.text(max_size=4),
    package_model=st.text(max_size=4),
    valid_from=st.none() | st.integers(0, 10**13),
    valid_to=st.none() | st.integers(0, 10**13),
    precision=st.sampled_from(Precision),
    notes=st.lists(st.text(max_size=4), max_size=2).map(tuple),
)


@given(card=CARDS, sort=st.booleans())
def test_a_card_comes_back_from_json_exactly(card: RateCard, sort: bool) -> None:
    back = RateCard.from_json(json.loads(json.dumps(card.to_json(), sort_keys=sort)))
    assert back == card
    assert back.card_id == card.card_id
    assert [(rate.usd.as_tuple(), rate.per) for rate in back.rates] == [
        (rate.usd.as_tuple(), rate.per) for rate in card.rates
    ]


def test_a_card_of_the_package_prices_the_same_after_the_journal() -> None:
    card = book().card(ANTHROPIC, "claude-sonnet-4-5", NOON)
    assert card is not None
    back = RateCard.from_json(json.loads(json.dumps(card.to_json())))
    usage = NormalisedUsage(200_001, 1_000, 3, 4, 5)
    assert charge(back, usage, ServiceContext("batch")) == charge(card, usage, ServiceContext("batch"))


def test_the_id_is_of_the_content() -> None:
    cheap, dear = (
        book(row(OPENAI, "acme", input=usd, output="1")).card(OPENAI, "acme", NOON) for usd in ("0.1", "0.2")
    )
    again = book(row(OPENAI, "acme", input="0.1", output="1")).card(OPENAI, "acme", NOON)
    assert cheap is not None
    assert dear is not None
    assert again is not None
    assert cheap.card_id == again.card_id != dear.card_id


@pytest.mark.parametrize(
    "data",
    [{}, {"provider": "p"}, {**book().card(OPENAI, "gpt-4o", NOON).to_json(), "rates": [5]}],  # type: ignore[union-attr]
)
def test_what_is_no_card_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no rate card"):
        RateCard.from_json(data)


def test_a_part_comes_back_from_json() -> None:
    part = RatePart(INPUT, 5, Decimal("0.150"), MILLION)
    assert RatePart.from_json(json.loads(json.dumps(part.to_json()))) == part


@pytest.mark.parametrize(
    ("context", "input_usd", "unpriced"),
    [
        (ServiceContext(), "0.25", False),
        (ServiceContext("auto"), "0.25", False),
        (ServiceContext("on_demand"), "0.25", False),
        (ServiceContext("default"), "0.25", False),
        (ServiceContext("flex"), "0.125", False),
        (ServiceContext("priority"), "0.45", False),
        (ServiceContext("batch"), "0.125", False),
        (ServiceContext("scale"), "0.25", True),
        (ServiceContext("Flex"), "0.25", True),
        (ServiceContext(None, "fast"), "0.25", True),
        (ServiceContext("flex", "warp"), "0.125", True),
    ],
)
def test_a_service_tier_selects_its_variant(context: ServiceContext, input_usd: str, unpriced: bool) -> None:
    card = book().card(OPENAI, "gpt-5-mini", NOON)
    charged = charge(card, NormalisedUsage(MILLION, 0), context)
    assert [part.usd for part in charged.parts] == [Decimal(input_usd)]
    assert charged.flags == (("tier_unpriced",) if unpriced else ())
    assert charged.precision is (Precision.PARTIAL if unpriced else Precision.EXACT)


def test_the_first_variant_that_fits_wins_for_each_rate() -> None:
    def variant(usd: str, *units: str, **when: str) -> Variant:
        return Variant(tuple(sorted(when.items())), tuple(Rate(unit, Decimal(usd), MILLION) for unit in units))

    card = RateCard(
        "p",
        "m",
        PriceSource.PACKAGE,
        (Rate(INPUT, Decimal(1), MILLION), Rate(OUTPUT, Decimal(1), MILLION)),
        (
            variant("2", INPUT, speed="fast"),
            variant("3", INPUT, OUTPUT, service_tier="priority"),
            variant("9", INPUT, OUTPUT, service_tier="priority", speed="slow"),
        ),
    )
    charged = charge(card, NormalisedUsage(1, 1), ServiceContext("priority", "fast"))
    assert {part.unit: part.usd for part in charged.parts} == {INPUT: 2, OUTPUT: 3}


def test_many_contexts_do_not_pile_up_in_a_card() -> None:
    card = book().card(OPENAI, "gpt-5-mini", NOON)
    assert card is not None
    for number in range(1_000):
        card.for_context(ServiceContext(f"made-up-{number}"))
    assert len(card._compiled) <= 32


def priced(input_usd: str, output_usd: str) -> RateCard:
    card = book(row(OPENAI, "acme", input=input_usd, output=output_usd)).card(OPENAI, "acme", NOON)
    assert card is not None
    return card


@pytest.mark.parametrize(
    ("card", "label"),
    [
        (priced("1", "1"), "low"),
        (priced("1", "1.000000001"), "standard"),
        (priced("5", "4.999999999"), "standard"),
        (priced("5", "5"), "premium"),
        (priced("0", "0"), "low"),
        (None, "standard?"),
        (book().card("echo", "echo", NOON), "low"),
        (book().card(ANTHROPIC, "claude-sonnet-4-5", NOON), "premium"),
        (book().card(OPENAI, "gpt-4o-mini", NOON), "low"),
        (book(row(OPENAI, "embed", input="1.2")).card(OPENAI, "embed", NOON), "standard"),
        (book(row(OPENAI, "odd", output="2")).card(OPENAI, "odd", NOON), "standard?"),
    ],
)
def test_labels(card: RateCard | None, label: str) -> None:
    assert str(tier_label(card)) == label


def test_the_operators_label_overrides_the_price() -> None:
    assert str(tier_label(priced("9", "9"), CostTier.LOW)) == "low"
    assert str(tier_label(None, CostTier.PREMIUM)) == "premium"


def test_the_label_is_of_the_lowest_tier() -> None:
    dear = (Tier(10, Decimal(90)),)
    rates = (Rate(INPUT, Decimal(1), MILLION, dear), Rate(OUTPUT, Decimal(1), MILLION, dear))
    assert str(tier_label(RateCard("p", "m", PriceSource.PACKAGE, rates))) == "low"


def test_a_card_is_free_only_when_every_rate_is_zero() -> None:
    assert priced("0", "0").state is PriceState.FREE
    assert priced("0", "0.1").state is PriceState.KNOWN
    later = Rate(CACHE_READ, Decimal(0), MILLION, (Tier(5, Decimal(1)),))
    assert RateCard("p", "m", PriceSource.OVERRIDE, (later,)).state is PriceState.KNOWN
