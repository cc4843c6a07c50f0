from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.money import MAX, decimal_usd, format_usd, format_usd_short, parse_usd


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("1", 1_000_000_000),
        ("$1.50", 1_500_000_000),
        (2, 2_000_000_000),
        (Decimal("0.000000001"), 1),
        ("0", 0),
        ("9000000000", MAX),
    ],
)
def test_amounts_are_read_exactly(text: str | int | Decimal, nano: int) -> None:
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0.0000000001", "9 decimals"),
        ("-1", "negative"),
        ("NaN", "finite"),
        ("Infinity", "finite"),
        ("9000000000.000000001", "at most"),
        ("five", "no amount"),
        ("", "no amount"),
    ],
)
def test_what_is_no_amount_is_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_usd(text)


@given(st.integers(min_value=0, max_value=MAX))
def test_the_exact_texts_can_be_read_back(nano: int) -> None:
    assert parse_usd(decimal_usd(nano)) == nano
    assert parse_usd(format_usd(nano).replace(",", "")) == nano


@pytest.mark.parametrize(
    ("nano", "short"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (450_000, "$0.00045"),
        (36_512_345, "$0.03651"),
        (840_000_000, "$0.84"),
        (1_234_567_890, "$1.235"),
        (41_270_000_000, "$41.27"),
        (1_234_500_000_000, "$1,234.50"),
        (-840_000_000, "-$0.84"),
    ],
)
def test_list_amounts_keep_four_digits_and_never_show_zero_for_something(nano: int, short: str) -> None:
    assert format_usd_short(nano) == short


@given(st.integers(min_value=1, max_value=MAX))
def test_an_amount_above_zero_never_looks_like_zero(nano: int) -> None:
    assert any(digit in "123456789" for digit in format_usd_short(nano))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1e999999", "at most"),
        ("1e999999999", "at most"),
        ("9000000000.000000001", "at most"),
        ("1e-999999999", "9 decimals"),
        ("0.000000001" + "0" * 70 + "1", "9 decimals"),
    ],
)
def test_no_amount_is_rounded_or_overflows_on_its_way(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_usd(text)


@pytest.mark.parametrize(
    ("text", "nano"), [("0e999999999", 0), ("1.50" + "0" * 100, 1_500_000_000), ("15e-1", 1_500_000_000)]
)
def test_zeros_at_the_end_are_no_decimals(text: str, nano: int) -> None:
    assert parse_usd(text) == nano
