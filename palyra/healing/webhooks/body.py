"""What a webhook gets: Palyra's own JSON, a message for Slack, or an event for PagerDuty (Events API v2).

Sources of the formats: https://api.slack.com/reference/messaging/payload and
https://developer.pagerduty.com/docs/events-api-v2-overview.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from palyra.config.operations import NoticeEvent, WebhookFormat
from palyra.core.conditions import Severity
from palyra.core.redact import Secret, redact, redact_data
from palyra.core.safe_text import safe
from palyra.core.values import value
from palyra.governance.explain import instant_text
from palyra.healing.notices.notice import ALERT, APPROVAL, INCIDENT
from palyra.healing.webhooks.target import Webhook
from palyra.journal.delivery_rows import DeliveryRow

VERSION = 1
SOURCE = "palyra"
SLACK_TITLE, SLACK_TEXT, PAGERDUTY_SUMMARY = 150, 3000, 1024
"""The most characters that these take."""

_PAGERDUTY_SEVERITIES: Mapping[str, str] = {
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}
_OVER = (NoticeEvent.RESOLVED, NoticeEvent.STABLE)
_SLACK_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""What would be a link or a call for everybody (`<!channel>`)."""
_TIMES = ("_at", "_since", "_seen")


@value
class Letter:
    """A request as it is sent. `path` is appended to the webhook's address."""

    body: bytes
    headers: Mapping[str, str]
    path: str = ""


def letter(webhook: Webhook, row: DeliveryRow, secret: Secret | None, now_ms: int) -> Letter:
    """What is sent of a delivery now; `secret` is what the webhook's reference holds."""
    # Secrets that were not known as such when the notice was made are by now.
    row = replace(row, summary=redact(row.summary), facts=cast(dict[str, Any], redact_data(row.facts)))
    headers = {"Content-Type": "application/json", "User-Agent": SOURCE, "X-Palyra-Delivery": row.delivery_id}
    path = ""
    match webhook.format:
        case WebhookFormat.SLACK:
            data = _slack(row)
            path = "" if secret is None else f"/{secret.reveal().strip().strip('/')}"
        case WebhookFormat.PAGERDUTY:
            data = _pagerduty(row, "" if secret is None else secret.reveal().strip())
        case WebhookFormat.JSON:
            data = _own(row)
    body = json.dumps(data, ensure_ascii=True).encode("ascii")
    if webhook.format is WebhookFormat.JSON and secret is not None:
        headers["X-Palyra-Signature"] = signature(secret.reveal(), now_ms // 1000, body)
    return Letter(body, headers, path)


def signature(secret: str, at_s: int, body: bytes) -> str:
    """`t=<unix seconds>,v1=<hex>`: HMAC-SHA256 of the time, a dot and the body, so that no old request can be sent
    again unnoticed."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (at_s, body), hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def _own(row: DeliveryRow) -> dict[str, Any]:
    return {
        "version": VERSION,
        "delivery_id": row.delivery_id,
        "event": row.event,
        "severity": row.severity,
        "at": instant_text(row.at),
        "summary": row.summary,
        **{about: _timed(row.facts[about]) if about in row.facts else None for about in (INCIDENT, ALERT, APPROVAL)},
        "related": row.facts.get("related", {}),
    }


def _slack(row: DeliveryRow) -> dict[str, Any]:
    """Plain text alone: no word from outside may call people or become a link."""
    title = f"{row.severity.upper()} {row.event.replace('_', ' ')}"
    lines = [row.summary]
    facts = _facts(row)
    lines += [f"{name}: {facts[name]}" for name in ("cause", "detail") if facts.get(name)]
    related = {**row.facts.get("related", {}), **_ids(row)}
    foot = " · ".join(f"{name} {one}" for name, one in related.items())
    return {
        "text": f"{title}: {row.summary}".translate(_SLACK_ESCAPES)[:SLACK_TEXT],
        "blocks": [
            {"type": "header", "text": _words(title, SLACK_TITLE)},
            {"type": "section", "text": _words("\n".join(lines), SLACK_TEXT)},
            {"type": "context", "elements": [_words(foot or SOURCE, SLACK_TEXT)]},
        ],
    }


def _words(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": str(safe(text, multiline=True))[:most], "emoji": False}


def _pagerduty(row: DeliveryRow, routing_key: str) -> dict[str, Any]:
    """What opens and what ends one thing carry its id, so that the end closes what the beginning opened."""
    head = {"routing_key": routing_key, "dedup_key": row.subject}
    if row.event in _OVER:
        return {**head, "event_action": "resolve"}
    facts = _facts(row)
    return {
        **head,
        "event_action": "trigger",
        "payload": {
            "summary": row.summary[:PAGERDUTY_SUMMARY],
            "source": SOURCE,
            "severity": _PAGERDUTY_SEVERITIES[row.severity],
            "timestamp": instant_text(row.at),
            "component": str(facts.get("subject", "") or row.subject),
            "group": str(facts.get("domain", "") or row.subject.partition(":")[0]),
            "class": row.event,
            "custom_details": {**_timed(facts), "related": row.facts.get("related", {})},
        },
    }


def _facts(row: DeliveryRow) -> dict[str, Any]:
    found = row.facts.get(row.subject.partition(":")[0])
    return found if isinstance(found, dict) else {}


def _ids(row: DeliveryRow) -> dict[str, str]:
    about, _, object_id = row.subject.partition(":")
    return {about: object_id}


def _timed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with their instants as text."""
    return {
        name: instant_text(one) if name.endswith(_TIMES) and isinstance(one, int) else one
        for name, one in facts.items()
    }
