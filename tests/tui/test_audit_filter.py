"""What is typed over the audit becomes what the journal is asked for."""

import pytest

from palyra.core.instants import parse_instant_ms
from palyra.core.terms import Term
from palyra.tui.audit_filter import ALSO_CALLED, FIELDS, narrowed
from palyra.tui.filters import parse_filter

NOW = 1_800_000_000_000
HOUR = 3_600_000
DAY = parse_instant_ms("2026-11-22")


@pytest.mark.parametrize(
    ("typed", "terms", "since", "until"),
    [
        ("", (), None, None),
        ("ana !kind:decision", (Term("", "ana"), Term("kind", "decision", True)), None, None),
        ("actor:ana subject:team", (Term("who", "ana"), Term("to", "team")), None, None),
        ("since:24h", (), NOW - 24 * HOUR, None),
        ("since:2026-11-22 until:1h", (), DAY, NOW - HOUR),
        ("!since:2026-11-22", (), None, DAY),
        ("until:2026-11-22t12:00z", (), None, DAY + 12 * HOUR),
        ("since:24h since:1h until:30m until:20m", (), NOW - HOUR, NOW - HOUR // 2),
    ],
)
def test_times_narrow_and_fields_have_the_names_of_the_command_line_too(
    typed: str, terms: tuple[Term, ...], since: int | None, until: int | None
) -> None:
    found = narrowed(parse_filter(typed, (*FIELDS, *ALSO_CALLED)).terms, NOW)
    assert (found.terms, found.since, found.until, found.fault) == (terms, since, until, "")


def test_what_is_no_time_narrows_nothing_and_is_told() -> None:
    found = narrowed([Term("since", "noon"), Term("who", "ana")], NOW)
    assert (found.terms, found.since) == ((Term("who", "ana"),), None)
    assert found.fault.startswith("since:noon is no time; write it like 24h")
