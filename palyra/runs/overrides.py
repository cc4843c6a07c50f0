"""Requests for room made in words: opened, written down and told; and looking one up again."""

from collections.abc import Sequence

from palyra.core.clock import Clock
from palyra.core.events import Event, EventHub
from palyra.core.values import value
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.approvals import ApprovalDesk, Opened
from palyra.governance.grants import Grant
from palyra.governance.ledger import Ledger
from palyra.governance.overrides import OverrideRequest, Requester, request_usage_budget_override
from palyra.journal.journal import Journal
from palyra.runs.durable import Durable


@value
class Found:
    """A record as it stands, the grants it became, and how many connections are open for it."""

    record: ApprovalRecord
    grants: Sequence[Grant]
    waiting: int


class Overrides:
    """What operators and refused callers ask of the desk."""

    def __init__(
        self, desk: ApprovalDesk, ledger: Ledger, journal: Journal, durable: Durable, clock: Clock, events: EventHub
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._journal = journal
        self._durable = durable
        self._clock = clock
        self._events = events

    async def request(self, asked: OverrideRequest, requester: Requester) -> Opened:
        """Opens or joins a record, and returns once that is durable.

        Raises OverrideInputError, TooOftenError, JournalUnavailableError (it is written as soon as that is possible).
        """
        now = self._clock.now_ms()
        opened = request_usage_budget_override(self._desk, self._ledger, asked, requester, now)
        if opened.fresh:
            self._events.publish(Event("approval.opened", now, opened.record.approval_id))
        await self._durable.wait(opened.changes)
        return opened

    async def look_up(self, approval_id: str) -> Found | None:
        """A record of any age; None when there is none of that id."""
        record = self._desk.find(approval_id)
        if record is None:
            row = await self._journal.readers.approval(approval_id)
            if row is None:
                return None
            record = ApprovalRecord.from_row(row)
        grants: list[Grant] = []
        rows = await self._journal.readers.grants(approval_id=approval_id) if record.grant_ids else ()
        for row_of_grant in rows:
            grants.append(self._ledger.grants.get(row_of_grant.grant_id) or Grant(row_of_grant))
        return Found(record, grants, self._desk.waiting(approval_id))
