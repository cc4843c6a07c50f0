"""What was written down with an entry of the chain, as people read it."""

from typing import Any

import pytest

from palyra.control.audit_queries import AuditEntry, told_data, told_pairs


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"verb": "applied", "force": False, "address": "", "rolls_back": None}, "force false"),
        ({"steps": {"a.b": "failed", "c.d": "applied"}}, "steps a.b failed, c.d applied"),
        ({"targets": ["state:journal.db", "config:palyra.toml"]}, "targets state:journal.db, config:palyra.toml"),
        ({"amount_nano_usd": 1_120_000_000}, "amount $1.12"),
        ({"gaps": [["a", 1]], "notes": {}}, 'gaps [["a", 1]]'),
    ],
)
def test_it_is_told_in_words_and_what_is_empty_is_left_out(written: dict[str, Any], told: str) -> None:
    entry = AuditEntry(1, 1, "repair", "", "ana", "applied", "d", written)
    assert told_data(entry) == told
    assert [name for name, _ in told_pairs(entry)] == [
        name.removesuffix("_nano_usd").replace("_", " ") for name in written
    ]
