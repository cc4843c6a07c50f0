"""What keeps the journal small: checkpoints, and fires that go in time."""

from palyra.core.clock import ManualClock
from palyra.core.windows import DAY_MS
from palyra.journal.job_rows import AttemptRow, FireState, JobSource
from palyra.journal.journal import Journal
from tests.journal.samples import T0
from tests.journal.test_jobs import a_fire, a_job, saved


async def test_a_checkpoint_moves_what_was_written(journal: Journal) -> None:
    await journal.submit(saved(a_job()))
    done = await journal.checkpoint()
    assert done.pages > 0
    assert (done.moved, done.busy) == (done.pages, False)
    async with journal.fence():
        await journal.submit(saved(a_job("j2", revision=2)))
        behind = await journal.checkpoint()
        # Somebody still reads what was there before: what they may need stays in the WAL.
        assert behind.moved < behind.pages or behind.busy
    assert (await journal.checkpoint()).busy is False


async def test_fires_go_after_ninety_days_but_the_newest_twenty_stay(journal: Journal, clock: ManualClock) -> None:
    now = clock.now_ms()
    await journal.submit(saved(a_job(), a_job("s", source=JobSource.SYSTEM), a_job("few")))
    old, young = now - 91 * DAY_MS, now - 89 * DAY_MS
    for number in range(300):
        at = old if number < 150 else young
        ended = {"state": FireState.COMPLETED, "finished_at": at, "job_revision": 0}
        await journal.submit(
            saved(
                a_fire(f"j{number}", T0 + number, **ended),
                AttemptRow(f"a{number}", 1, f"j{number}", 1, "boot", at),
                a_fire(f"s{number}", T0 + number, job_id="s", changed=number % 10 == 0, **ended),
            )
        )
    for number in range(10):
        await journal.submit(
            saved(
                a_fire(f"f{number}", T0 + number, job_id="few", state=FireState.FAILED, finished_at=old, job_revision=0)
            )
        )
    await journal.submit(saved(a_fire("open", T0 - 1, created_at=old, job_revision=0)))
    assert await journal.forget_old_fires() > 0
    readers = journal.readers
    kept = [fire.fire_id for fire in (await readers.fires("j1", limit=500)).fires]
    assert kept == ["open", *(f"j{number}" for number in range(299, 149, -1))]
    assert [await readers.attempts("j149"), len(await readers.attempts("j150"))] == [(), 1]
    system = [int(fire.fire_id[1:]) for fire in (await readers.fires("s", limit=500)).fires]
    assert system == [*range(299, 279, -1), *range(270, 149, -10)]
    assert len((await readers.fires("few", limit=500)).fires) == 10
    assert await journal.forget_old_fires() == 0
