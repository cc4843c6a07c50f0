"""Whatever pages people is taken back when it is over, also where nobody would be told of it."""

from dataclasses import replace
from pathlib import Path

from palyra.config.operations import NoticeEvent, WebhookFormat
from palyra.core.conditions import Severity
from palyra.core.events import Event
from palyra.governance.approval_record import ApprovalDecision, ApprovalStatus
from palyra.healing.webhooks.body import letter
from palyra.healing.webhooks.target import Webhook
from tests.healing.notices.incidents import T0, ended, incident
from tests.healing.notices.test_telling import House, an_approval, house
from tests.healing.webhooks.samples import hook

OPS = hook("https://ops.example.com")
PAGER = hook("https://pager.example.com", "pager", format=WebhookFormat.PAGERDUTY)


def to(home: House, webhook: Webhook) -> list[tuple[str, str]]:
    """What waits for a webhook, oldest first."""
    return [(row.subject, row.event) for row in home.courier.pending() if row.webhook == webhook.name]


async def test_a_child_that_people_heard_of_before_is_over_for_them_when_it_ends(tmp_path: Path) -> None:
    async with house(tmp_path, OPS, PAGER) as home:
        early, late = incident("early"), incident("late", opened_at=T0 + 5_000)
        home.see(early)
        await home.clock.advance(5)
        home.see(late)
        storm = incident("storm", children=2, opened_at=home.clock.now_ms())
        home.see(storm)
        for child in (early, late):
            home.keep(replace(child, parent_id="storm"))
        await home.clock.advance(60)
        for child in (early, late):
            home.see(ended(replace(child, parent_id="storm"), home.clock.now_ms()))
        home.see(ended(storm, home.clock.now_ms()))
        turns = [("early", "opened"), ("storm", "opened"), ("early", "resolved"), ("storm", "resolved")]
        assert to(home, PAGER) == to(home, OPS) == [(f"incident:{name}", event) for name, event in turns]


async def test_a_child_that_people_heard_of_is_over_for_them_after_a_restart_too(tmp_path: Path) -> None:
    child = incident("child", parent_id="storm")
    async with house(tmp_path, PAGER) as home:
        home.see(incident("child"))
        await home.clock.advance(5)
        home.keep(child)
        home.see(child)
        await home.clock.advance(60)
    async with house(tmp_path, PAGER) as home:
        home.desk.restore(await home.journal.readers.told(), [child], [])
        home.see(ended(child, home.clock.now_ms()))
        assert to(home, PAGER) == [("incident:child", "resolved")]


async def test_an_end_goes_to_whoever_heard_of_the_beginning_although_it_weighs_less_by_then(tmp_path: Path) -> None:
    grave = hook("https://grave.example.com", "grave", min_severity=Severity.HIGH)
    async with house(tmp_path, grave) as home:
        home.see(incident("i1", Severity.HIGH))
        home.see(incident("i2", Severity.MEDIUM))
        await home.clock.advance(5)
        for name in ("i1", "i2"):
            home.see(ended(incident(name, Severity.MEDIUM), home.clock.now_ms()))
        assert to(home, grave) == [("incident:i1", "opened"), ("incident:i1", "resolved")]


async def test_a_pager_is_told_that_nobody_waits_for_a_word_any_more_and_nobody_else_is(tmp_path: Path) -> None:
    async with house(tmp_path, OPS, PAGER) as home:
        home.approvals["a1"] = an_approval()
        home.events.publish(Event("approval.opened", T0, "a1"))
        home.approvals["a1"] = an_approval(status=ApprovalStatus.RESOLVED, decision=ApprovalDecision.ALLOW)
        for _ in range(2):
            home.events.publish(Event("approval.ended", T0, "a1"))
        assert to(home, PAGER) == [("approval:a1", "approval_requested"), ("approval:a1", "resolved")]
        assert to(home, OPS) == home.heard() == [("approval:a1", "approval_requested")]
        *_, row = [row for row in home.courier.pending() if row.webhook == PAGER.name]
        body = letter(PAGER, row, None, T0).body
        assert b'"dedup_key": "approval:a1", "event_action": "resolve"' in body


async def test_what_lapsed_while_no_engine_ran_is_taken_back_by_the_next(tmp_path: Path) -> None:
    silent = hook("https://quiet.example.com", "quiet", format=WebhookFormat.PAGERDUTY, events=(NoticeEvent.OPENED,))
    async with house(tmp_path, PAGER, silent) as home:
        home.approvals["a1"] = an_approval()
        home.events.publish(Event("approval.opened", T0, "a1"))
    async with house(tmp_path, PAGER, silent) as home:
        home.desk.restore(await home.journal.readers.told(), [], [])
        assert (to(home, PAGER), to(home, silent)) == ([("approval:a1", "resolved")], [])
        await home.journal.submit(())
        assert await home.journal.readers.told() == ()
