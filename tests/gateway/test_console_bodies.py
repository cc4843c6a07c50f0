"""What tools write is read or refused in words, whatever it is; and pages never lose or repeat anything."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.control.plain import USD_METRIC
from palyra.core.money import NANO
from palyra.gateway.console_answers import for_a_key, page_of
from palyra.gateway.console_bodies import (
    DECISION_FIELDS,
    FILTERS,
    POLICY_FIELDS,
    Words,
    read_acknowledgement,
    read_decision,
    read_nothing,
    read_policy,
    read_revision,
    read_snooze,
    whole_policy,
)
from palyra.gateway.errors import RefusedError
from tests.tui.fake_views import approval

NAMES = st.sampled_from([*DECISION_FIELDS, *POLICY_FIELDS, "nothing", ""])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["allow", "deny", "amount"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
READERS: tuple[Callable[[bytes], object], ...] = (
    lambda body: read_decision(body, "01J"),
    lambda body: read_decision(body, "01J", approval(1, "ada", "m", "day", NANO)),
    lambda body: read_snooze(body, "01J"),
    lambda body: read_acknowledgement(body, "01J"),
    read_policy,
    read_nothing,
)


def refusal(read: Callable[[], object]) -> RefusedError | None:
    """What something is refused with; None where it is taken."""
    try:
        read()
    except RefusedError as error:
        return error
    return None


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_object_is_read_or_refused_by_field(data: dict[str, Any]) -> None:
    body = json.dumps(data).encode()
    for read in READERS:
        error = refusal(partial(read, body))
        if error is None:
            continue
        assert error.refusal.status == 400
        json.dumps(error.refusal.palyra).encode("ascii")
        if error.refusal.code == "invalid_field":
            assert error.param in data or error.param in (*DECISION_FIELDS, *POLICY_FIELDS)
        else:
            assert error.refusal.code == "invalid_json"


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in READERS:
        error = refusal(partial(read, body))
        assert error is None or error.refusal.status == 400


def read_query(query: str) -> None:
    words = Words(query, ("since", "limit", "status", *FILTERS))
    words.instant("since")
    words.limit()
    words.choice("status", ("open",))
    words.where()


@given(st.text(max_size=60))
def test_any_query_is_read_or_refused(query: str) -> None:
    error = refusal(lambda: read_query(query))
    assert error is None or (error.refusal.status, error.refusal.code) == (400, "invalid_field")


def test_a_decision_reads_amounts_in_the_budgets_unit() -> None:
    body = b'{"decision": "allow", "scope": "amount", "amount": "2.50", "reason": "ship it", "version": 3}'
    command = read_decision(body, "01J", approval(1, "ada", "m", "day", NANO, excess_metric=USD_METRIC))
    assert (command.approval_id, command.amount, command.scope, command.version, command.reason) == (
        "01J",
        2_500_000_000,
        "amount",
        3,
        "ship it",
    )
    whole = read_decision(
        body.replace(b"2.50", b"250"), "01J", approval(1, "ada", "m", "d", 9, excess_metric="requests")
    )
    assert whole.amount == 250
    boxed = read_decision(b'{"decision": "allow", "scope": "timeboxed", "duration_seconds": 60}', "01J")
    assert (boxed.duration_seconds, boxed.amount) == (60, None)


def test_a_budgets_members_become_what_an_operator_types() -> None:
    body = b'{"policy_id": "day", "enabled": false, "hard_limit": 5, "soft_limit": null, "name": null, "scope_id": "*"}'
    fields = read_policy(body)
    assert fields == {
        "policy_id": "day",
        "enabled": "false",
        "hard_limit": "5",
        "soft_limit": "none",
        "name": "",
        "scope_id": "*",
    }
    assert set(whole_policy("day", fields)) == set(POLICY_FIELDS)
    assert whole_policy("day", {"hard_limit": "1"})["policy_id"] == "day"


@pytest.mark.parametrize(("sent", "revision"), [(("3",), 3), (('"3"',), 3), ((" 12 ",), 12), ((), None)])
def test_a_revision_is_read_with_or_without_quotes(sent: tuple[str, ...], revision: int | None) -> None:
    assert read_revision(sent, required=False) == revision


@given(st.lists(st.integers(0, 99), unique=True, max_size=30), st.integers(1, 12))
def test_pages_have_everything_once_and_in_order(items: list[int], limit: int) -> None:
    found: list[int] = []
    cursor = ""
    while True:
        page, cursor = page_of(items, str, cursor, limit)
        found += page
        if not cursor:
            break
        assert len(page) == limit
    assert found == items


def test_a_requester_is_told_neither_people_nor_what_a_budget_has() -> None:
    record = {
        "run": {"cost_nano_usd": 7, "cost_usd": "0.000000007", "message": "would reach $1.05", "principal": "bea"},
        "decided_by": "ada",
        "attempts": [{"credential_id": "env:KEY", "bound_nano_usd": 9, "actual_nano_usd": 7, "model": "m"}],
        "decision": {"evaluations": [{"policy_id": "day", "settled_usd": "1", "hard_limit": 5}], "sentences": ["$1"]},
        "notes": [{"data": {"by": "ada"}}],
    }
    told = for_a_key(record, amounts=True)
    assert "ada" not in str(told)
    assert "env:KEY" not in str(told)
    assert told["decision"] == record["decision"]
    kept = for_a_key(record, amounts=False)
    assert kept == {
        "run": {"cost_nano_usd": 7, "cost_usd": "0.000000007", "principal": "bea"},
        "attempts": [{"actual_nano_usd": 7, "model": "m"}],
        "decision": {"evaluations": [{"policy_id": "day"}]},
    }
