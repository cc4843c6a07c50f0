"""Notifications that have not arrived, what people were told of, and who reports from elsewhere outlive the engine."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.journal.delivery_rows import (
    DELIVERIES,
    REPORTERS,
    TOLD,
    WEBHOOKS,
    DeliveryRow,
    DeliveryState,
    ReporterRow,
    ToldRow,
    WebhookRow,
)
from palyra.journal.journal import Journal
from tests.journal.samples import T0
from tests.journal.test_migrating import older

WAITING = DeliveryRow(
    "d1", 1, "ops", "opened", "high", "incident:i1", "It hangs", T0, {"incident": {"id": "i1"}},
    DeliveryState.PENDING, 0, T0,
)  # fmt: skip
DEAD = replace(WAITING, delivery_id="d2", state=DeliveryState.DEAD, tries=6, status=503, error="busy", ended_at=T0 + 9)
TOLD_OF = ToldRow("incident:i1", 1, "opened", "high", False, True, T0)
REPORTER = ReporterRow("team-a", "etl", 1, "nightly load", False, 300_000, 60_000, None, 7, T0)


async def test_what_has_not_arrived_comes_back_in_order(journal: Journal) -> None:
    await journal.submit([DELIVERIES.saved(DEAD), DELIVERIES.saved(WAITING)])
    assert await journal.readers.deliveries() == (WAITING, DEAD)
    await journal.submit([DELIVERIES.forgotten("d1")])
    assert await journal.readers.deliveries() == (DEAD,)


async def test_an_older_journal_learns_to_keep_them(tmp_path: Path, clock: ManualClock) -> None:
    with closing(older(tmp_path, 9)):
        pass
    journal = await Journal.open(tmp_path, clock)
    try:
        assert await journal.readers.deliveries() == ()
        hook = WebhookRow("ops", 1, delivered=3, delivered_at=T0)
        await journal.submit(
            [DELIVERIES.saved(WAITING), WEBHOOKS.saved(hook), TOLD.saved(TOLD_OF), REPORTERS.saved(REPORTER)]
        )
        readers = journal.readers
        assert await readers.deliveries() == (WAITING,)
        assert await readers.webhooks() == (hook,)
        assert await readers.told() == (TOLD_OF,)
        assert await readers.reporters() == (REPORTER,)
    finally:
        await journal.close()
