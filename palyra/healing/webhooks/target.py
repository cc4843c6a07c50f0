"""An address that is told, as it is configured, and which notices it is told."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from palyra.config.operations import NoticeEvent, WebhookConfig, WebhookFormat
from palyra.config.urls import is_secret_part
from palyra.core.conditions import Severity
from palyra.core.redact import remember
from palyra.core.values import value
from palyra.healing.notices.notice import TEST, Notice


@value
class Webhook:
    """`url` may hold a secret in its path, so only `place` is ever shown."""

    name: str
    url: str
    format: WebhookFormat
    events: frozenset[str]
    min_severity: Severity
    secret_ref: str | None
    allow_private: bool

    @property
    def place(self) -> str:
        """Where it is, without what may be secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def wants(self, notice: Notice) -> bool:
        """Whether it is told: never of itself, and of requests for a person's word whatever their severity."""
        if notice.event == TEST:
            return notice.object_id == self.name
        if notice.takes_back:
            return self.format is WebhookFormat.PAGERDUTY and notice.takes_back in self.events
        if notice.event not in self.events or notice.webhook == self.name:
            return False
        asked = notice.event == NoticeEvent.APPROVAL_REQUESTED
        return asked or max(notice.severity.rank, notice.reach.rank) >= self.min_severity.rank


def webhooks(rows: Iterable[WebhookConfig]) -> dict[str, Webhook]:
    """Those that are configured, by name. From now on what looks secret in their paths is hidden everywhere."""
    found: dict[str, Webhook] = {}
    for row in rows:
        for part in urlsplit(row.url).path.split("/"):
            if is_secret_part(part):
                remember(part)
        found[row.name] = Webhook(
            name=row.name,
            url=row.url,
            format=row.format,
            events=frozenset(row.events),
            min_severity=row.min_severity,
            secret_ref=row.secret_ref,
            allow_private=row.allow_private,
        )
    return found
