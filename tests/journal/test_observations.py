"""Failures, services outside and the journal's growth outlive the engine."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.journal.changes import AuditAdded
from palyra.journal.journal import Journal
from palyra.journal.observation_rows import FAILURES, PROBES, SIZES, FailureRow, ProbeRow, SizeRow
from palyra.journal.schema import LATEST
from tests.journal.samples import T0
from tests.journal.test_migrating import older

FAILURE = FailureRow(
    "f1", 1, T0, T0, "webhook", "ops", "http_503", "upstream", "busy", {"incident": "i1"}, 1
)  # fmt: skip
PROBE = ProbeRow("browser", 1, "0a1b", "down", 3, 0, T0, 12, "refused", "unreachable", T0, ((497_000, 3, 0),))


async def test_the_newest_count_of_a_failure_is_kept(journal: Journal) -> None:
    more = replace(FAILURE, version=2, count=200, last_at=T0 + 59_000)
    await journal.submit([FAILURES.saved(FAILURE)])
    await journal.submit([FAILURES.saved(more), FAILURES.saved(FAILURE)])
    assert await journal.readers.failures() == (more,)
    await journal.submit([FAILURES.forgotten("f1")])
    assert await journal.readers.failures() == ()


async def test_what_is_told_of_the_file_itself(journal: Journal) -> None:
    before = await journal.readers.journal_facts()
    assert (before.schema_version, before.audit_rows, before.audit_head) == (LATEST, 0, "")
    await journal.submit([AuditAdded(T0, "engine", "b", "palyra", {"verb": "started"})])
    after = await journal.readers.journal_facts()
    assert after.audit_rows == 1
    assert len(after.audit_head) == 64
    assert after.pages > after.free_pages >= 0
    stats = journal.stats
    assert (stats.batch_rows_p50, stats.oldest_wait_ms) == (1, 0)


async def test_slow_commits_are_those_of_late(journal: Journal, clock: ManualClock) -> None:
    assert journal.slowest_commit_ms(60) is None
    await journal.submit([FAILURES.saved(FAILURE)])
    assert journal.slowest_commit_ms(60) == 0
    clock.tick(61)
    assert journal.slowest_commit_ms(60) is None


async def test_a_journal_of_the_version_before_learns_to_keep_them(tmp_path: Path, clock: ManualClock) -> None:
    with closing(older(tmp_path, 16)):
        pass
    journal = await Journal.open(tmp_path, clock)
    try:
        assert await journal.readers.probes() == ()
        await journal.submit([PROBES.saved(PROBE), SIZES.saved(SizeRow(497_000, 4_096)), FAILURES.saved(FAILURE)])
        assert await journal.readers.probes() == (PROBE,)
        assert await journal.readers.journal_sizes() == (SizeRow(497_000, 4_096),)
        assert await journal.readers.failures() == (FAILURE,)
    finally:
        await journal.close()
