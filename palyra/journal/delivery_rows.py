"""Notifications on their way, how webhooks do, what people were last told of, and work elsewhere that reports.

Times are UTC unix ms.
"""

from enum import StrEnum
from typing import Any

from palyra.core.values import value
from palyra.journal.entity import Entity


class DeliveryState(StrEnum):
    """Whether a notification is still tried."""

    PENDING = "pending"
    DEAD = "dead"


@value
class DeliveryRow:
    """One notification for one webhook, from before it is first sent until it has arrived; then the row is forgotten.

    `subject` names what it is about (`incident:<id>`), `facts` is what is told of it. `tries` counts those that failed,
    `status` is the HTTP status of the last answer, None where there was none. A dead one waits for a person.
    """

    delivery_id: str
    version: int
    webhook: str
    event: str
    severity: str
    subject: str
    summary: str
    at: int
    facts: dict[str, Any]
    state: DeliveryState
    tries: int
    next_at: int
    status: int | None = None
    error: str = ""
    ended_at: int | None = None


@value
class WebhookRow:
    """How a webhook did so far: how many notifications arrived, died, and were dropped from among the dead ones."""

    name: str
    version: int
    delivered: int = 0
    died: int = 0
    dropped: int = 0
    delivered_at: int | None = None
    failed_at: int | None = None
    error: str = ""


@value
class ToldRow:
    """What people were last told of a subject, at which severity, and when of its coming back and of its end."""

    subject: str
    version: int
    event: str
    severity: str
    flapping: bool
    open: bool
    at: int
    reopened_at: int | None = None
    resolved_at: int | None = None


@value
class ReporterRow:
    """Work outside of Palyra that says by itself that it lives, as it declared itself; durations in ms.

    `interval_ms` and `stall_ms` are None where it named none. `at` is when it last said something that is kept, which
    may be earlier than its last beat.
    """

    principal: str
    name: str
    version: int
    summary: str
    failing: bool
    interval_ms: int | None
    grace_ms: int
    stall_ms: int | None
    progress: int | None
    at: int


DELIVERIES = Entity(DeliveryRow, "deliveries", ["delivery_id"])
WEBHOOKS = Entity(WebhookRow, "webhooks", ["name"])
TOLD = Entity(ToldRow, "told", ["subject"])
REPORTERS = Entity(ReporterRow, "reporters", ["principal", "name"])
