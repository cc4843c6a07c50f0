"""`[[pricing]]`: dated rows that never overlap, with rates or a discount."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from palyra.config.model import LoadedConfig
from palyra.config.pricing_rows import RATES, UsagePricingRecord
from tests.config.loading import found, load, sound

PROVIDERS = "[providers.own]\nkind = 'openai_compatible'\n[providers.other]\nkind = 'openai_compatible'\n"


def price(*lines: str, provider: str = "own", model: str = "m", rate: str = "input = 1") -> str:
    return "\n".join(["[[pricing]]", f'provider = "{provider}"', f'model = "{model}"', rate, *lines, ""])


def read(text: str) -> UsagePricingRecord:
    return sound(PROVIDERS + text).pricing[0]


def problems(*rows: str) -> list[tuple[str, str]]:
    return found(PROVIDERS + "".join(rows))


def test_rates_are_nano_dollars_and_absent_ones_stay_unsaid() -> None:
    row = read(price(rate='input = 0.0365\noutput = "2"\nper_request = 0'))
    assert (row.input, row.output, row.per_request) == (36_500_000, 2_000_000_000, 0)
    assert row.cache_read is None


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o*", "*", "a/b:c@d_e.f"])
def test_a_model_is_a_name_or_a_beginning(model: str) -> None:
    assert read(price(model=model)).model == model
    assert read(price(model=model)).is_prefix == model.endswith("*")


@pytest.mark.parametrize("model", ["", "a*b", "**", "a b"])
def test_other_patterns_are_no_models(model: str) -> None:
    assert problems(price(model=model)) == [("wrong_type", "pricing[0].model")]


def test_a_provider_must_be_there_or_be_any() -> None:
    assert read(price(provider="*")).provider == "*"
    assert read(price(provider="deterministic")).provider == "deterministic"
    assert problems(price(provider="owm")) == [("bad_reference", "pricing[0].provider")]


def test_a_row_is_in_force_from_its_first_instant_up_to_its_end() -> None:
    row = read(price("from = 2026-07-01", "to = 2026-07-02T00:00:00+02:00"))
    start, end = 1_782_864_000_000, 1_782_943_200_000
    assert (row.valid_from, row.valid_to) == (start, end)
    assert [row.covers(at) for at in (start - 1, start, end - 1, end)] == [False, True, True, False]
    always = read(price())
    assert (always.valid_from, always.valid_to, always.covers(0)) == (None, None, True)


@pytest.mark.parametrize("to", ["2026-07-01", "2026-06-30", "2026-07-01T01:00:00+02:00"])
def test_a_period_must_end_after_it_begins(to: str) -> None:
    assert problems(price("from = 2026-07-01", f"to = {to}")) == [("out_of_range", "pricing[0].to")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((), ()),
        (("to = 2026-07-02",), ("from = 2026-07-01",)),
        (("from = 2026-07-01",), ("from = 2026-08-01",)),
        (("to = 2026-07-01",), ("to = 2026-06-01",)),
        (("from = 2026-01-01", "to = 2026-12-31"), ("from = 2026-03-01", "to = 2026-04-01")),
        (("from = 2026-03-01", "to = 2026-04-01"), ("from = 2026-01-01", "to = 2026-12-31")),
    ],
)
def test_periods_of_one_model_do_not_overlap(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    result = load(PROVIDERS + price(*first) + price(*second))
    (problem,) = result.problems
    assert (problem.code, problem.key) == ("conflict", "pricing[1]")
    assert "pricing[0] (palyra.toml:6)" in problem.message


def test_an_overlap_is_seen_past_a_row_in_between() -> None:
    long = price("from = 2026-01-01", "to = 2026-12-31")
    short = price("from = 2026-02-01", "to = 2026-03-01")
    late = price("from = 2026-06-01", "to = 2026-07-01")
    assert problems(long, short, late) == [("conflict", "pricing[1]"), ("conflict", "pricing[2]")]


def test_periods_may_touch_and_other_models_and_providers_do_not_count() -> None:
    assert problems(price("to = 2026-07-01"), price("from = 2026-07-01")) == []
    assert problems(price(), price(model="m*"), price(provider="other"), price(provider="*")) == []


def test_a_discount_takes_the_place_of_all_rates() -> None:
    assert read(price(rate='discount = "0.15"')).discount == Decimal("0.15")
    for rate in RATES:
        row = price(rate=f'discount = "0.15"\n{rate} = 1')
        assert problems(row) == [("conflict", "pricing[0].discount")], rate


@pytest.mark.parametrize("spelled", ['"0"', '"1"', '"0.123456789"', '"1.000"'])
def test_a_discount_reaches_from_nothing_to_all(spelled: str) -> None:
    assert read(price(rate=f"discount = {spelled}")).discount == Decimal(spelled.strip('"'))


@pytest.mark.parametrize(
    ("spelled", "code"),
    [
        ('"1.01"', "out_of_range"),
        ('"-0.1"', "wrong_type"),
        ("0.15", "wrong_type"),
        ("0", "wrong_type"),
        ('"15%"', "wrong_type"),
        ('"nan"', "wrong_type"),
        ('"0.1234567891"', "precision"),
    ],
)
def test_what_is_no_discount_is_refused(spelled: str, code: str) -> None:
    assert problems(price(rate=f"discount = {spelled}")) == [(code, "pricing[0].discount")]


def test_a_row_that_says_nothing_is_refused() -> None:
    assert problems(price(rate="")) == [("missing", "pricing[0]")]


# Short periods are the ones that often do not overlap, so that both answers come up.
short = st.tuples(st.integers(0, 7), st.integers(1, 2)).map(lambda one: (one[0], min(8, one[0] + one[1])))
open_ended = st.tuples(st.none(), st.integers(0, 8)) | st.tuples(st.integers(0, 8), st.none())
periods = st.one_of(short, short, short, open_ended, st.just((None, None)))


@settings(deadline=None)
@given(st.lists(periods, max_size=4))
@example([(5, 8), (1, 3)])
def test_overlaps_are_found_exactly_when_two_rows_share_a_day(rows: list[tuple[int | None, int | None]]) -> None:
    def lines(start: int | None, end: int | None) -> list[str]:
        return [f"{key} = 2026-01-{day + 1:02}" for key, day in (("from", start), ("to", end)) if day is not None]

    shared = any(
        max(-1 if a[0] is None else a[0], -1 if b[0] is None else b[0])
        < min(9 if a[1] is None else a[1], 9 if b[1] is None else b[1])
        for i, a in enumerate(rows)
        for b in rows[:i]
    )
    assert bool(problems(*(price(*lines(*row)) for row in rows))) == shared


def test_a_configuration_in_code_takes_typed_values() -> None:
    row = UsagePricingRecord(provider="own", model="m", valid_from=5)
    assert LoadedConfig(pricing=(row,)).pricing[0].valid_from == 5
