"""Amounts and times read the same everywhere and are never rounded to nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.money import NANO
from palyra.tui import format as show

NOW = 1_795_344_120_000
"""2026-11-22 10:42:00 UTC."""


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "–"),
        (0, "$0.00"),
        (1, "$0.000000001"),
        (450_001, "$0.00045"),
        (10_000_000, "$0.01"),
        (1_512_000_000, "$1.51"),
        (123_456 * NANO, "$123,456.00"),
        (-840_000_000, "-$0.84"),
    ],
)
def test_money_in_lists(amount: int | None, text: str) -> None:
    assert show.money(amount) == text


@pytest.mark.parametrize(
    ("metric", "amount", "text"),
    [
        ("estimated_cost_usd", None, "–"),
        ("estimated_cost_usd", 0, "$0.00"),
        ("estimated_cost_usd", 1, "<$0.0001"),
        ("estimated_cost_usd", 13_520_400, "$0.0135"),
        ("estimated_cost_usd", 30_000_000, "$0.03"),
        ("estimated_cost_usd", 999_999_999, "$1.00"),
        ("estimated_cost_usd", 999_999 * NANO // 1_000, "$1000.00"),
        ("estimated_cost_usd", 1_234_567 * NANO // 1_000, "$1,235"),
        ("estimated_cost_usd", 12_345_678 * NANO, "$12.35 M"),
        ("total_tokens", 4_096, "4,096"),
        ("requests", 999_999, "999,999"),
    ],
)
def test_amounts_in_a_column(metric: str, amount: int | None, text: str) -> None:
    assert show.brief(metric, amount) == text


@given(st.sampled_from(["estimated_cost_usd", "total_tokens", "requests"]), st.integers(0, 2**63 - 1))
def test_an_amount_in_a_column_is_never_too_long_for_it(metric: str, amount: int) -> None:
    assert len(show.brief(metric, amount)) <= (8 if metric == "estimated_cost_usd" else 16)


@pytest.mark.parametrize(
    ("ahead", "text"),
    [(15 * 60_000, "11:57 (15 min)"), (13 * 3_600_000, "00:42 (13 h)"), (9 * 86_400_000, "12-01 11:42 (9 d)")],
)
def test_a_moment_to_come(ahead: int, text: str) -> None:
    assert show.instant(NOW + ahead, "Europe/Prague", NOW) == text


@given(st.integers(1, 9 * 10**18))
def test_something_never_looks_like_nothing(amount: int) -> None:
    assert show.money(amount).strip("$0.,") != ""
    assert show.run_money(amount).strip("$0.,") != ""
    assert show.brief("estimated_cost_usd", amount).strip("$0.,") != ""


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "–"), (0, "$0.0000"), (1, "<$0.0001"), (31_200_000, "$0.0312"), (1_234 * NANO, "$1,234.0000")],
)
def test_money_of_single_runs(amount: int | None, text: str) -> None:
    assert show.run_money(amount) == text


def test_exact_money_has_every_nano_dollar() -> None:
    assert show.exact_money(41_270_450_321) == "$41.270450321"
    assert show.exact_money(None) == "–"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (912, "912"), (9_999, "9,999"), (18_400, "18.40 k"), (322_000, "322 k"), (8_410_000, "8.41 M")],
)
def test_tokens(number: int, text: str) -> None:
    assert show.tokens(number) == text


@pytest.mark.parametrize(
    ("metric", "amount", "text"),
    [
        ("estimated_cost_usd", 20 * NANO, "$20.00"),
        ("total_tokens", 2_000_000, "2.00 M tok"),
        ("requests", 1_500, "1,500 req"),
        ("requests", None, "–"),
    ],
)
def test_amounts_of_budgets_have_their_unit(metric: str, amount: int | None, text: str) -> None:
    assert show.quantity(metric, amount) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.0, "0 %"), (0.001, "<1 %"), (0.92, "92 %"), (1.0, "100 %"), (4.2, "420 %"), (1e9, "9999 %")]
)
def test_shares(ratio: float, text: str) -> None:
    assert show.percent(ratio) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(-5, "0:00"), (41_999, "0:41"), (710_000, "11:50"), (3_729_000, "1:02:09"), (400 * 3_600_000, "16 d")],
)
def test_running_clocks(milliseconds: int, text: str) -> None:
    assert show.stopwatch(milliseconds) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(41_000, "0:41"), (3_599_999, "59:59"), (3_600_000, "60 min"), (3 * 3_600_000, "3 h")]
)
def test_ages_fit_six_cells(milliseconds: int, text: str) -> None:
    assert show.age(milliseconds) == text
    assert len(text) <= 6


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 s"), (59_000, "59 s"), (720_000, "12 min"), (13 * 3_600_000, "13 h"), (9 * 86_400_000, "9 d")],
)
def test_lengths_of_time(milliseconds: int, text: str) -> None:
    assert show.span(milliseconds) == text


@pytest.mark.parametrize(("zone", "text"), [("UTC", "10:42Z"), ("Europe/Prague", "11:42 CET"), ("No/Such", "10:42Z")])
def test_the_clock_names_its_zone(zone: str, text: str) -> None:
    assert show.clock(NOW, zone) == text


def test_around_a_change_of_the_clocks_times_are_the_zones_and_lengths_are_real() -> None:
    """In Prague an hour comes twice on 2026-10-25 and one is left out on 2027-03-28, both at 01:00Z."""
    back, forth = 1_792_890_000_000, 1_806_195_600_000
    assert [show.clock(back + shift, "Europe/Prague") for shift in (-1, 0)] == ["02:59 CEST", "02:00 CET"]
    assert [show.clock(forth + shift, "Europe/Prague") for shift in (-1, 0)] == ["01:59 CET", "03:00 CEST"]
    midnight = back + 22 * show.HOUR
    assert show.renewal(midnight, "Europe/Prague", midnight - 25 * show.HOUR) == "10-26 (25 h)"
    assert show.renewal(midnight, "Europe/Prague", midnight - 24 * show.HOUR) == "00:00 (24 h)"
    assert show.instant(back + show.HOUR, "Europe/Prague", back - show.HOUR) == "03:00 (2 h)"
    assert show.instant(forth + 60_000, "Europe/Prague", forth - 60_000) == "03:01 (2 min)"
    assert show.moment(back - 30 * 60_000, "Europe/Prague", back + 30 * 60_000) == "02:30:00"


def test_moments_are_told_as_near_as_needed() -> None:
    assert show.moment(NOW - 60_000, "UTC", NOW) == "10:41:00"
    assert show.moment(NOW - 2 * show.DAY, "UTC", NOW) == "Fri 10:42"
    assert show.moment(NOW - 20 * show.DAY, "UTC", NOW) == "2026-11-02"
    assert show.moment(None, "UTC", NOW) == "–"


def test_renewals_say_when_and_how_long() -> None:
    assert show.renewal(NOW + 13 * show.HOUR, "UTC", NOW) == "23:42 (13 h)"
    assert show.renewal(NOW + 9 * show.DAY, "UTC", NOW) == "12-01 (9 d)"
    assert show.renewal(None, "UTC", NOW) == "never"


def test_ids_and_models_are_shortened_at_their_telling_end() -> None:
    assert show.short_id("01K3ABCDEFGHJKMNPQRSTVWX7F") == "01K3…WX7F"
    assert show.short_id("default") == "default"
    assert show.short_model("openai/gpt-5.4") == "gpt-5.4"
    assert show.short_model("gpt-5.4") == "gpt-5.4"


def test_words_follow_their_number() -> None:
    assert show.size(18_400) == "18.4 kB"
    assert show.latency(840) == "840 ms"
    assert show.latency(1_940) == "1.9 s"
