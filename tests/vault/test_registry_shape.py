"""What is missing in an access registry is filled in narrowly; what is there stays; the rest is for a person."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.vault.registry_shape import (
    FLAGS,
    RegistryFaultError,
    backfilled,
    new_document,
    parse_document,
    record_faults,
    render_document,
)

NOW = 1_795_348_800_000
HASH = "0" * 64


def test_exactly_the_missing_flags_are_added_as_false() -> None:
    document = new_document()
    document["feature_flags"] = {"console_read": True, "console_write": True, "mode_override": False, "own": "kept"}
    document["note"] = {"kept": [1]}
    made, filled = backfilled(document, NOW)
    assert made["feature_flags"] == {
        "console_read": True,
        "console_write": True,
        "mode_override": False,
        "own": "kept",
        "external_heartbeats": False,
        "console_repair": False,
    }
    assert {one.place for one in filled} == {"feature_flags.external_heartbeats", "feature_flags.console_repair"}
    assert (made["note"], made["backfilled_at"]) == ({"kept": [1]}, NOW)


def test_nothing_missing_changes_nothing() -> None:
    document = new_document()
    before = copy.deepcopy(document)
    assert backfilled(document, NOW) == (before, ())
    assert document == before


def test_missing_fields_take_their_narrowest_value() -> None:
    document = {
        "gateway_keys": [{"key_id": "ci", "hash": HASH, "colour": "blue", "may_set_mode": True}],
        "operators": [{"id": "ana", "enabled": True, "role": "admin"}, {"id": "bob"}, "nonsense"],
    }
    made, filled = backfilled(document, NOW)
    assert made["gateway_keys"] == [
        {
            "key_id": "ci",
            "hash": HASH,
            "colour": "blue",
            "may_set_mode": True,
            "name": "ci",
            "enabled": False,
            "tags": [],
            "allowed_models": [],
            "may_act_for": [],
            "created_at": 0,
        }
    ]
    assert made["operators"] == [
        {"id": "ana", "enabled": True, "role": "admin", "name": "ana", "identities": [], "created_at": 0},
        {"id": "bob", "name": "bob", "role": "viewer", "identities": [], "enabled": False, "created_at": 0},
        "nonsense",
    ]
    assert made["feature_flags"] == dict.fromkeys(FLAGS, False)
    assert "version" in {one.place for one in filled}
    # A key without a principal stays one: who it pays for is no guess.
    assert [str(fault) for fault in record_faults(made)] == [
        "operator 1: ana has neither identity nor token",
        "operator 2: bob has neither identity nor token",
        "operator 3: it is no object",
        "gateway key 1: principal is missing",
    ]


def test_records_for_a_person_are_named() -> None:
    key = {"key_id": "k", "hash": HASH, "principal": "p"}
    operator = {"id": "ana", "identities": ["unix:ana"]}
    table: list[tuple[dict[str, Any], list[str]]] = [
        ({"gateway_keys": [key], "operators": [operator]}, []),
        ({"gateway_keys": [key, key]}, ["gateway key 2: key_id k is taken by an earlier one"]),
        ({"operators": [operator, operator]}, ["operator 2: id ana is taken by an earlier one"]),
        ({"operators": [{"id": "bob", "token_hash": HASH}]}, []),
        ({"operators": [{"id": "bob", "role": "king"}]}, ["operator 1: role is not what it should be"]),
        ({"gateway_keys": [{**key, "enabled": "yes"}]}, ["gateway key 1: enabled is not what it should be"]),
    ]
    for document, faults in table:
        assert [str(fault) for fault in record_faults(document)] == faults


@pytest.mark.parametrize(
    ("data", "newer"),
    [
        (b"", False),
        (b"[]", False),
        (b"null", False),
        (b'{"version": 2}', True),
        (b'{"version": 0}', False),
        (b'{"version": true}', False),
        (b'{"version": "1"}', False),
        (b'{"operators": {}}', False),
        (b'{"gateway_keys": "x"}', False),
        (b'{"feature_flags": []}', False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_what_is_no_registry_is_refused_as_a_whole(data: bytes, newer: bool) -> None:
    with pytest.raises(RegistryFaultError) as raised:
        parse_document(data)
    assert raised.value.newer is newer


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner), max_leaves=4
)
RECORD = st.dictionaries(st.sampled_from(["id", "key_id", "role", "enabled", "tags", "name", "principal", "x"]), JSON)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.just(1),
            "operators": st.lists(RECORD | JSON, max_size=3),
            "gateway_keys": st.lists(RECORD | JSON, max_size=3),
            "feature_flags": st.dictionaries(st.sampled_from([*FLAGS, "own"]), JSON),
            "other": JSON,
        },
    )
)
def test_filling_keeps_whatever_is_there_and_once_is_enough(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    made, _ = backfilled(document, NOW)
    assert document == before
    keep_all(before, made)
    again, filled = backfilled(parse_document(render_document(made)), NOW + 1)
    assert (again, filled) == (made, ())
    assert not [
        name
        for name, on in made["feature_flags"].items()
        if on is True and before.get("feature_flags", {}).get(name) is not True
    ]


def keep_all(before: Any, after: Any) -> None:
    if isinstance(before, dict):
        for name, kept in before.items():
            keep_all(kept, after[name])
    elif isinstance(before, list):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            keep_all(one, other)
    else:
        assert before == after
        assert type(before) is type(after)
