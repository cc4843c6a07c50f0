"""Webhooks, deliveries and secrets as the tests of delivering need them."""

from dataclasses import replace
from typing import Any

from palyra.config.operations import NoticeEvent, WebhookConfig
from palyra.core.conditions import Severity
from palyra.core.redact import Secret
from palyra.healing.notices.notice import Notice, of_incident
from palyra.healing.webhooks.target import Webhook, webhooks
from palyra.journal.delivery_rows import DeliveryRow, DeliveryState
from palyra.vault.secrets import Resolution, SecretState
from tests.healing.notices.incidents import T0, incident

SECRET = "a-shared-secret-of-the-webhook"


class Vault:
    """Holds `SECRET` under `global/hook`."""

    def resolve(self, ref: str) -> Resolution:
        if ref == "global/hook":
            return Resolution(SecretState.RESOLVED, Secret(SECRET))
        return Resolution(SecretState.LOCKED)


def hook(url: str, name: str = "ops", **fields: Any) -> Webhook:
    return webhooks([WebhookConfig(name=name, url=url, **fields)])[name]


def a_notice(event: NoticeEvent = NoticeEvent.OPENED, incident_id: str = "i1", **fields: Any) -> Notice:
    severity = fields.pop("severity", Severity.HIGH)
    return replace(of_incident(event, incident(incident_id, severity), T0), **fields)


def a_delivery(notice: Notice | None = None, **fields: Any) -> DeliveryRow:
    told = notice or a_notice()
    row = DeliveryRow(
        delivery_id="d1",
        version=1,
        webhook="ops",
        event=told.event,
        severity=told.severity.value,
        subject=told.subject,
        summary=told.summary,
        at=told.at,
        facts=dict(told.facts),
        state=DeliveryState.PENDING,
        tries=0,
        next_at=T0,
    )
    return replace(row, **fields)
