"""What webhooks get: our own JSON with a signature, messages for Slack, events for PagerDuty."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from palyra.config.operations import NoticeEvent, WebhookFormat
from palyra.core.conditions import Severity
from palyra.core.redact import Secret, redact, remember
from palyra.healing.notices.notice import of_incident, of_test
from palyra.healing.webhooks.body import letter
from tests.healing.notices.incidents import T0, incident
from tests.healing.webhooks.samples import SECRET, a_delivery, a_notice, hook

NOW = T0 + 12_345


def sent(kind: WebhookFormat, event: NoticeEvent = NoticeEvent.OPENED, **fields: Any) -> dict[str, Any]:
    made = letter(hook("https://x.example/in", format=kind), a_delivery(a_notice(event, **fields)), Secret(SECRET), NOW)
    data: dict[str, Any] = json.loads(made.body)
    return data


def test_our_own_form_tells_everything_and_says_its_version() -> None:
    record = incident(cause="nothing beat for 120 s", subject="i1", related={"run": "r1", "provider": "openai"})
    row = a_delivery(of_incident(NoticeEvent.OPENED, record, T0))
    data = json.loads(letter(hook("https://x.example"), row, None, NOW).body)
    assert {name: data[name] for name in ("version", "delivery_id", "event", "severity", "at", "summary")} == {
        "version": 1,
        "delivery_id": "d1",
        "event": "opened",
        "severity": "high",
        "at": "2026-11-22T12:00:00Z",
        "summary": "run i1 is silent",
    }
    assert data["related"] == {"run": "r1", "provider": "openai"}
    assert (data["alert"], data["approval"]) == (None, None)
    told = data["incident"]
    assert (told["incident_id"], told["key"], told["cause"]) == ("i1", "heartbeat:run:i1", "nothing beat for 120 s")
    assert told["opened_at"].endswith("Z")
    assert told["resolved_at"] is None


def test_the_signature_is_of_the_time_and_the_bytes() -> None:
    made = letter(hook("https://x.example"), a_delivery(), Secret(SECRET), NOW)
    at, mac = (part.partition("=")[2] for part in made.headers["X-Palyra-Signature"].split(","))
    assert at == str(NOW // 1000)
    assert mac == hmac.new(SECRET.encode(), at.encode() + b"." + made.body, hashlib.sha256).hexdigest()
    assert made.headers["X-Palyra-Delivery"] == "d1"
    assert SECRET not in made.body.decode()
    assert "X-Palyra-Signature" not in letter(hook("https://x.example"), a_delivery(), None, NOW).headers


def test_a_secret_that_got_into_words_does_not_get_out() -> None:
    remember("hunter2-hunter2")
    record = incident(cause="login with hunter2-hunter2 failed", detail="Authorization: Bearer abcdefgh")
    row = a_delivery(of_incident(NoticeEvent.OPENED, record, T0))
    for kind in WebhookFormat:
        body = letter(hook("https://x.example/", format=kind), row, Secret(SECRET), NOW).body.decode()
        assert "hunter2" not in body
        assert "abcdefgh" not in body


def test_a_secret_that_became_known_after_the_notice_was_made_does_not_get_out_either() -> None:
    row = a_delivery(of_incident(NoticeEvent.OPENED, incident(cause="login with later-known-one failed"), T0))
    assert "later-known-one" in str(row.facts)
    remember("later-known-one")
    for kind in WebhookFormat:
        body = letter(hook("https://x.example/", format=kind), row, Secret(SECRET), NOW).body.decode()
        assert "later-known-one" not in body


def test_nobody_is_called_by_words_from_outside() -> None:
    data = sent(WebhookFormat.SLACK, summary="<!channel> & <https://evil.example|click> \x1b[31m")
    assert "<" not in data["text"]
    assert "&lt;!channel&gt; &amp; " in data["text"]
    kinds = [block["text"]["type"] for block in data["blocks"] if "text" in block]
    kinds += [one["type"] for block in data["blocks"] for one in block.get("elements", ())]
    assert set(kinds) == {"plain_text"}
    assert "\x1b" not in json.dumps(data["blocks"][1])


def test_slacks_limits_are_kept() -> None:
    record = incident(cause="c" * 9000, detail="d" * 9000)
    row = a_delivery(of_incident(NoticeEvent.OPENED, record, T0))
    data = json.loads(letter(hook("https://x.example/", format=WebhookFormat.SLACK), row, None, NOW).body)
    assert len(data["blocks"][0]["text"]["text"]) <= 150
    assert len(data["blocks"][1]["text"]["text"]) <= 3000


def test_the_end_of_slacks_address_comes_from_the_vault() -> None:
    slack = hook("https://hooks.slack.com/services", format=WebhookFormat.SLACK)
    assert letter(slack, a_delivery(), Secret("T0/B0/secret-part\n"), NOW).path == "/T0/B0/secret-part"
    assert letter(slack, a_delivery(), None, NOW).path == ""
    assert SECRET not in json.dumps(sent(WebhookFormat.SLACK))


@pytest.mark.parametrize(
    ("event", "action"),
    [
        (NoticeEvent.OPENED, "trigger"),
        (NoticeEvent.REOPENED, "trigger"),
        (NoticeEvent.ESCALATED, "trigger"),
        (NoticeEvent.REMINDER, "trigger"),
        (NoticeEvent.FLAPPING, "trigger"),
        (NoticeEvent.STABLE, "resolve"),
        (NoticeEvent.RESOLVED, "resolve"),
    ],
)
def test_pagerdutys_events_open_and_close_one_thing(event: NoticeEvent, action: str) -> None:
    data = sent(WebhookFormat.PAGERDUTY, event)
    assert (data["event_action"], data["dedup_key"], data["routing_key"]) == (action, "incident:i1", SECRET)
    assert ("payload" in data) is (action == "trigger")


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [
        (Severity.LOW, "info"),
        (Severity.MEDIUM, "warning"),
        (Severity.HIGH, "error"),
        (Severity.CRITICAL, "critical"),
    ],
)
def test_pagerduty_has_its_own_words_for_severities(severity: Severity, theirs: str) -> None:
    payload = sent(WebhookFormat.PAGERDUTY, severity=severity)["payload"]
    assert payload["severity"] == theirs
    assert (payload["source"], payload["component"], payload["group"]) == ("palyra", "incident:i1", "watchdog")


def test_a_webhook_is_told_what_it_wants_and_never_of_itself() -> None:
    grave = hook(
        "https://x.example", events=(NoticeEvent.OPENED, NoticeEvent.APPROVAL_REQUESTED), min_severity=Severity.HIGH
    )
    assert grave.wants(a_notice())
    assert not grave.wants(a_notice(NoticeEvent.RESOLVED))
    assert not grave.wants(a_notice(severity=Severity.MEDIUM))
    assert grave.wants(a_notice(NoticeEvent.APPROVAL_REQUESTED, severity=Severity.LOW))
    assert not grave.wants(a_notice(webhook="ops"))
    assert grave.wants(a_notice(webhook="other"))
    assert grave.wants(of_test("ops", T0))
    assert not grave.wants(of_test("other", T0))


def test_only_the_host_of_a_webhook_is_shown() -> None:
    slack = hook("https://hooks.slack.com/services/T00000000/B00000000/XXXXabcd1234XXXXabcd1234")
    assert slack.place == "https://hooks.slack.com"
    assert redact("POST /services/T00000000/B00000000/XXXXabcd1234XXXXabcd1234") == (
        "POST /services/T00000000/B00000000/[redacted]"
    )
