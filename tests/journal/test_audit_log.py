"""The audit chain, read backwards."""

from contextlib import closing
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.core.terms import Term
from palyra.journal.changes import AuditAdded
from palyra.journal.journal import Journal
from tests.journal.samples import T0
from tests.journal.test_migrating import older


def added(kind: str, subject: str) -> AuditAdded:
    return AuditAdded(T0, kind, subject, "ana", {"verb": "edited"})


async def filled(journal: Journal) -> None:
    for number in range(10):
        await journal.submit([added("note" if number % 2 else "policy", f"s{number}")])


async def test_it_comes_newest_first_page_by_page(journal: Journal) -> None:
    await filled(journal)
    first = await journal.readers.audit_rows(limit=4)
    assert [row.seq for row in first] == [10, 9, 8, 7]
    second = await journal.readers.audit_rows(before=first[-1].seq)
    assert [row.seq for row in second] == [6, 5, 4, 3, 2, 1]
    row = first[1]
    assert (row.kind, row.subject, row.actor, row.payload) == ("policy", "s8", "ana", {"verb": "edited"})
    assert all(len(row.digest) == 64 for row in (*first, *second))


async def test_a_kind_is_picked(journal: Journal) -> None:
    await filled(journal)
    assert [row.subject for row in await journal.readers.audit_rows(kind="policy")] == ["s8", "s6", "s4", "s2", "s0"]
    assert await journal.readers.audit_rows(kind="decision") == ()


async def test_words_are_looked_for_in_every_field_or_in_one(journal: Journal) -> None:
    await filled(journal)
    await journal.submit([AuditAdded(T0, "grant", "s3", "Ölaf", {"decision": "allow_more", "reason": "50% of it"})])

    async def found(*terms: Term) -> list[int]:
        return [row.seq for row in await journal.readers.audit_rows(terms=terms)]

    assert await found(Term("", "s3")) == [11, 4]
    assert await found(Term("to", "s3"), Term("who", "ana")) == [4]
    assert await found(Term("what", "grant allow more")) == [11]
    assert await found(Term("told", "50%")) == [11]
    assert await found(Term("who", "ölaf")) == [11], "capitals beyond ASCII"
    assert await found(Term("kind", "note", inverted=True), Term("", "s3", inverted=True)) == [9, 7, 5, 3, 1]
    assert await found(Term("entry", "11")) == [11]


async def test_pages_go_up_too(journal: Journal) -> None:
    await filled(journal)
    up = await journal.readers.audit_rows(after=3, limit=4)
    assert [row.seq for row in up] == [7, 6, 5, 4]
    assert [row.seq for row in await journal.readers.audit_rows(after=0, kind="note", limit=2)] == [4, 2]


async def test_a_journal_of_the_version_before_learns_to_find_deeds_at_once(tmp_path: Path, clock: ManualClock) -> None:
    with closing(older(tmp_path, 17)):
        pass
    journal = await Journal.open(tmp_path, clock)
    try:
        await journal.submit([added("policy", "house")])
        (row,) = await journal.readers.audit_rows(deeds=True)
        assert row.subject == "house"
        made = "SELECT json_group_array(json_array(name)) FROM sqlite_master WHERE name = 'audit_deeds'"
        assert await journal.readers._listed(made, lambda values: values[0]) == ("audit_deeds",)
    finally:
        await journal.close()
