"""The form of cron expressions, and what a refusal says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.cron import check_cron
from tests.config.loading import load


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *",
        "0 0 * * 0",
        "*/5 */2 1-15/3 1,6,12 mon-fri",
        "0-59 23 31 12 7",
        "0 0 29 2 *",
        "0 0 31 4,5 *",
        "0 0 31 4 mon",
        "0 0 31 */2 *",
        "0 0 * JAN-dec SUN",
        "0 0 * * fri-sun",
        "0 0 * * 5-7",
        "0 0 * * 0-7",
        "  0   0 * *\t0 ",
        "*/59 */23 */31 */12 */7",
    ],
)
def test_well_formed(text: str) -> None:
    assert check_cron(text) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "5 fields needed (minute hour day month weekday), got 0"),
        ("0 0 * *", "5 fields needed (minute hour day month weekday), got 4"),
        ("0 0 0 * * *", "5 fields needed (minute hour day month weekday), got 6; no seconds"),
        ("60 * * * *", "minute: 60 is outside 0-59"),
        ("* 24 * * *", "hour: 24 is outside 0-23"),
        ("* * 0 * *", "day: 0 is outside 1-31"),
        ("* * * 13 *", "month: 13 is outside 1-12"),
        ("* * * * 8", "weekday: 8 is outside 0-7"),
        ("99999 * * * *", "minute: 99999 is outside 0-59"),
        ("*/0 * * * *", "minute: step must be 1-59"),
        ("*/75 * * * *", "minute: step must be 1-59"),
        ("*/x * * * *", "minute: step must be 1-59"),
        ("*/99999999999999999999 * * * *", "minute: step must be 1-59"),
        ("1,,2 * * * *", 'minute: empty list item in "1,,2"'),
        ("30-10 * * * *", "minute: 30-10 runs backwards; write 30-59,0-10"),
        ("5/15 * * * *", "minute: a step needs * or a range; write 5-59/15"),
        ("@daily", '"@daily" is not accepted; write 0 0 * * *'),
        ("@reboot", '"@reboot" is not accepted; write five fields'),
        ("0 0 L * *", 'day: character "L" is not accepted'),
        ("0 0 ? * *", 'day: character "?" is not accepted'),
        ("0 0 15W * *", 'day: character "W" is not accepted'),
        ("0 0 * * 1#2", 'weekday: character "#" is not accepted'),
        ("0 0 * foo *", 'month: "foo" is no value'),
        ("0 0 * * 1-", 'weekday: "" is no value'),
        ("0 0 mon * *", 'day: "mon" is no value'),
        ("0 0 31 4,6 *", "day: no chosen month has day 31; the job would never fire"),
        ("0 0 30 2 *", "day: no chosen month has day 30; the job would never fire"),
        ("* * * * ٣", "at most 256 ASCII characters"),
        ("0 0 * * 0" + " " * 256, "at most 256 ASCII characters"),
    ],
)
def test_malformed(text: str, says: str) -> None:
    assert check_cron(text) == [says]


def test_all_fields_at_fault_are_told() -> None:
    assert check_cron("60 24 * * 9") == [
        "minute: 60 is outside 0-59",
        "hour: 24 is outside 0-23",
        "weekday: 9 is outside 0-7",
    ]
    (problem,) = load('[memory]\nvacuum_cron = "60 24 * * 0"\n').problems
    assert problem.code == "bad_schedule"
    assert "60 is outside 0-59; hour: 24" in problem.message


@settings(deadline=None)
@given(st.text(st.sampled_from("0159*/-,?LW# smonfriJAN"), max_size=30))
def test_any_text_is_judged(text: str) -> None:
    assert all(isinstance(fault, str) and fault for fault in check_cron(text))
