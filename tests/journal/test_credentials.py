"""What is noted of credentials outlives the engine, and each fingerprint has its own notes."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.journal.changes import CredentialNoted
from palyra.journal.journal import Journal
from palyra.journal.rows import CredentialRow
from tests.journal.samples import T0
from tests.journal.test_migrating import older

COOLING = CredentialRow("openai", "env:KEY", "0123456789ab", T0 + 5, "", T0, "rate_limited", T0 - 1)


async def test_notes_come_back_by_fingerprint(journal: Journal) -> None:
    fresh = CredentialRow("openai", "env:KEY", "ffffffffffff")
    other = replace(COOLING, provider="claude", refused="auth_invalid", cooling_until=None)
    await journal.submit([CredentialNoted(row) for row in (COOLING, fresh, other)])
    assert await journal.readers.credentials() == (other, COOLING, fresh)


async def test_the_newest_note_replaces_the_one_before(journal: Journal) -> None:
    later = replace(COOLING, cooling_until=None, last_used=T0 + 9, last_error="", last_error_at=None)
    await journal.submit([CredentialNoted(COOLING), CredentialNoted(replace(later, refused="auth_expired"))])
    await journal.submit([CredentialNoted(later)])
    assert await journal.readers.credentials() == (later,)


async def test_an_older_journal_learns_to_keep_them(tmp_path: Path, clock: ManualClock) -> None:
    with closing(older(tmp_path, 6)):
        pass
    journal = await Journal.open(tmp_path, clock)
    try:
        assert await journal.readers.credentials() == ()
        await journal.submit([CredentialNoted(COOLING)])
        assert await journal.readers.credentials() == (COOLING,)
    finally:
        await journal.close()
