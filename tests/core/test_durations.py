import pytest

from palyra.core.durations import format_duration, parse_duration_ms


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("90s", 90_000), ("1h30m", 5_400_000), ("250ms", 250), ("7d", 604_800_000), ("45", 45_000), (" 2m ", 120_000)],
)
def test_durations_are_read_as_people_write_them(text: str, milliseconds: int) -> None:
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "soon", "5w", "-3s", "1h 30m", "1.5h", "٣"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration_ms(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (800, "0.8s"),
        (-5, "0.0s"),
        (41_000, "41s"),
        (252_000, "4m12s"),
        (47_100_000, "13h05m"),
        (273_600_000, "3d4h"),
    ],
)
def test_durations_are_written_in_their_two_largest_units(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text
