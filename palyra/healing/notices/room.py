"""Everything that tells people and listens to work elsewhere, as one part of the house."""

import asyncio
from collections.abc import Iterable, Mapping

from palyra.core.clock import Clock
from palyra.core.events import EventHub
from palyra.core.ids import IdSource
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.approvals import ApprovalDesk
from palyra.healing.healing import Healing
from palyra.healing.notices.desk import NoticeDesk
from palyra.healing.notices.remedies import remind_approvers, retry_deliveries
from palyra.healing.record import TimelineKind
from palyra.healing.reporters import Reporters
from palyra.healing.transitions import PALYRA
from palyra.healing.webhooks.courier import Courier
from palyra.healing.webhooks.sender import Sender
from palyra.healing.webhooks.target import Webhook
from palyra.journal.readers import Readers
from palyra.runs.durable import Durable

RESOLVED_LATELY = 500
"""How many incidents that ended are looked at after a restart, for what was not told of them."""


class Notices:
    """Notices, webhooks and external work of one engine: `restore`, then `run` until cancelled, then `close`."""

    def __init__(
        self,
        healing: Healing,
        approvals: ApprovalDesk,
        webhooks: Mapping[str, Webhook],
        sender: Sender,
        durable: Durable,
        events: EventHub,
        ids: IdSource,
        clock: Clock,
    ) -> None:
        self._healing = healing
        self._clock = clock
        self.courier = Courier(
            webhooks,
            sender,
            durable,
            clock,
            ids.new,
            tell=healing.tell,
            clear=healing.clear,
            died=lambda row: self.desk.died(row),
        )
        self.desk = NoticeDesk(self.courier, durable, clock, events, healing.book.find, approvals.find, self._note)
        self.reporters = Reporters(healing.heartbeats, clock, durable.write)
        healing.on_event(lambda event: self.desk.see(event.record))
        healing.chest.add("retry_deliveries", retry_deliveries(self.courier))
        healing.chest.add("remind_approvers", remind_approvers(self.desk, approvals.find))

    @property
    def version(self) -> int:
        """Grows with everything a console could show."""
        return self.courier.version + self.desk.version

    async def restore(self, readers: Readers, pending: Iterable[ApprovalRecord]) -> None:
        """Takes up what an earlier engine left; incidents are restored before. Raises JournalUnavailableError."""
        self.reporters.restore(await readers.reporters())
        self.courier.restore(await readers.deliveries(), await readers.webhooks())
        book = self._healing.book
        self.desk.restore(await readers.told(), [*book.live(), *book.resolved()[:RESOLVED_LATELY]], pending)

    async def run(self) -> None:
        """Tells and delivers until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.courier.run(), name="palyra:courier")
            group.create_task(self.desk.run(), name="palyra:notices")

    async def close(self) -> None:
        """What has not arrived, or had to wait, is for the next engine."""
        self.desk.close()
        await self.courier.close()

    def _note(self, incident_id: str, kind: TimelineKind, data: Mapping[str, object]) -> None:
        record = self._healing.book.find(incident_id)
        if record is not None:
            self._healing.book.log(record, self._clock.now_ms(), kind, PALYRA, dict(data))
            self._healing.wake()
