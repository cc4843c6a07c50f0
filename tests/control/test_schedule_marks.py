"""Where the clock of a zone is changed, the first slot after it says so, and no other."""

import pytest

from palyra.control.jobs_queries import ScheduleQuery
from palyra.control.schedule_answers import answer_schedule
from palyra.core.instants import parse_instant_ms

CASES = [
    ("30 2 * * *", "Europe/Prague", "2027-03-27T00:00:00Z", ["", "forward", "", ""]),
    ("0 12 * * *", "Europe/Prague", "2027-10-30T12:00:00Z", ["back", "", "", ""]),
    ("*/30 * * * *", "America/New_York", "2026-11-01T05:15:00Z", ["", "back", "", ""]),
    ("0 12 * * *", "UTC", "2027-03-27T00:00:00Z", ["", "", "", ""]),
    ("0 12 1 * *", "Europe/Prague", "2027-03-02T00:00:00Z", ["", "", "", ""]),
]


@pytest.mark.parametrize(("expression", "zone", "after", "marks"), CASES)
def test_the_first_slot_after_a_change_is_marked(expression: str, zone: str, after: str, marks: list[str]) -> None:
    query = ScheduleQuery(expression, "cron", zone, parse_instant_ms(after), count=4)
    assert [one.mark for one in answer_schedule(query, "UTC", 0).instants] == marks
