"""Notifications that have not arrived, what people were told of, and work elsewhere that reports."""

from palyra.journal.delivery_rows import (
    DELIVERIES,
    REPORTERS,
    TOLD,
    WEBHOOKS,
    DeliveryRow,
    ReporterRow,
    ToldRow,
    WebhookRow,
)
from palyra.journal.readers.query import Query


class DeliveryReaders(Query):
    """Reads notices that wait or were given up."""

    async def deliveries(self) -> tuple[DeliveryRow, ...]:
        """All that have not arrived, in the order in which they were made."""
        return await self._saved(DELIVERIES, "ORDER BY delivery_id LIMIT -1")

    async def webhooks(self) -> tuple[WebhookRow, ...]:
        """How each did, by name."""
        return await self._saved(WEBHOOKS, "ORDER BY name LIMIT -1")

    async def told(self) -> tuple[ToldRow, ...]:
        """What people were last told of each subject that is not over."""
        return await self._saved(TOLD, "ORDER BY subject LIMIT -1")

    async def reporters(self) -> tuple[ReporterRow, ...]:
        """Work elsewhere that has not said that it is done."""
        return await self._saved(REPORTERS, "ORDER BY principal, name LIMIT -1")
