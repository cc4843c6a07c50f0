"""Instants as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.instants import parse_instant_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01", 0),
        ("1970-01-02", 86_400_000),
        (" 2026-11-22T12:00:00Z ", 1_795_348_800_000),
        ("2026-11-22t12:00z", 1_795_348_800_000),
        ("2026-11-22 13:00:00+01:00", 1_795_348_800_000),
        ("2026-11-22T12:00:00.5Z", 1_795_348_800_500),
        ("2026-11-22T12:00:00.999999999Z", 1_795_348_800_999),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_what_is_understood(text: str, ms: int) -> None:
    assert parse_instant_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-22T12:00:00",
        "2026-13-01",
        "2026-02-30",
        "20261122",
        "2026-W47-1",
        "1969-12-31",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-01:00",
        "1795348800000",
        "٢٠٢٦-11-22",
        "2026-11-22T25:00:00Z",
    ],
)
def test_what_is_refused_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|outside the years"):
        parse_instant_ms(text)


@given(moment=st.integers(0, 253_402_300_799_999), offset=st.integers(-720, 720))
def test_an_offset_is_only_another_way_to_write_an_instant(moment: int, offset: int) -> None:
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
    sign, minutes = ("-", -offset) if offset < 0 else ("+", offset)
    try:
        local = utc.replace(tzinfo=None) + timedelta(minutes=offset)
    except OverflowError:
        return
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03d}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    assert parse_instant_ms(text.rjust(29, "0")) == moment
