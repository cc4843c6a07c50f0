"""People are told, in a whole house: by webhooks that work and webhooks that do not, of approvals and incidents."""

import pytest

from palyra.control.commands import DiscardDeadLetters, RetryDeadLetters, TryWebhook
from palyra.control.incidents_commands import IncidentRef, RunRemedy
from palyra.control.incidents_queries import IncidentQuery
from palyra.control.notice_queries import DeadLettersQuery, HeartbeatsQuery, WebhookView
from palyra.control.remote import RemoteControl
from palyra.core.errors import BadInputError
from palyra.healing.record import IncidentRecord
from palyra.healing.reporters import Report
from palyra.vault.records import Role
from tests.end_to_end.asking import ask, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.healing.webhooks.receiver import Answer, Got, Receiver, receiving

HOOKS = """
[[notifications.webhook]]
name = "busy"
url = "{url}/busy"
events = ["approval_requested"]

[[notifications.webhook]]
name = "picky"
url = "{url}/picky"
events = ["approval_requested"]

[[notifications.webhook]]
name = "good"
url = "{url}/good"
events = ["approval_requested", "opened", "resolved"]
"""


def by_path(got: Got) -> Answer:
    return {"/busy": Answer(503, "busy"), "/picky": Answer(400, "no")}.get(got.path, Answer())


def told(receiver: Receiver, path: str = "/good") -> list[tuple[str, str]]:
    """What a webhook was told: the event, and the key of the incident or what else it is about."""
    found: list[tuple[str, str]] = []
    for got in receiver.got:
        if got.path == path:
            data = got.json
            found.append((data["event"], data["incident"]["key"] if data["incident"] else ""))
    return found


async def webhook(here: Premises, name: str) -> WebhookView:
    page = await here.control.ask(DeadLettersQuery())
    (view,) = [view for view in page.webhooks if view.name == name]
    return view


async def settled(here: Premises, name: str, **counts: int) -> WebhookView:
    """Waits until a webhook has got so far."""
    while True:
        view = await webhook(here, name)
        if all(getattr(view, field) == count for field, count in counts.items()):
            return view
        await here.written()


async def incident(here: Premises, key: str) -> IncidentRecord:
    """Waits until there is one."""
    while True:
        book = here.engine.healing.book
        found = [record for record in (*book.live(), *book.resolved()) if record.key == key]
        if found:
            return found[0]
        await here.written()


async def tried(here: Premises, tries: int) -> int:
    """Waits until what is for the busy webhook failed so often; in how many ms it is surely tried again: what is kept
    is rounded to a ms, and so was the clock it was read on."""
    while True:
        (row,) = [row for row in here.engine.notices.courier.pending() if row.webhook == "busy"]
        if row.tries == tries:
            return max(0, row.next_at - here.clock.now_ms()) + 2
        await here.written()


async def ended(here: Premises, key: str) -> None:
    """Turns the clock until the next cycle saw that it has gone, and no further: what is sent then has its time."""
    for _ in range(16):
        if (await incident(here, key)).resolved_at is not None:
            return
        await here.advance(1)
    raise AssertionError(f"{key} is still there")


async def test_a_busy_webhook_is_given_up_after_six_tries_and_one_that_refuses_at_once(opened: Opener) -> None:
    async with receiving() as receiver:
        receiver.choose = by_path
        here = await opened(HOOKS.format(url=receiver.url))
        await closed(here)
        await ask(here, park="0")
        await settled(here, "picky", dead=1)
        record = await incident(here, "webhook:picky")
        assert (record.severity, record.domain) == ("medium", "notification")
        await settled(here, "good", delivered=1)
        for tries in (1, 2, 3, 4, 5):
            await here.advance((await tried(here, tries)) / 1000)
            await settled(here, "good", pending=0)
        busy = await settled(here, "busy", dead=1)
        sent = [got for got in receiver.got if got.path == "/busy"]
        assert (len(sent), len({got.headers["x-palyra-delivery"] for got in sent})) == (6, 1)
        assert (busy.failing, busy.error) == (True, "answered 503: busy")
        assert len([got for got in receiver.got if got.path == "/picky"]) == 1
        await here.advance(5)
        await settled(here, "good", delivered=3, pending=0)
        assert sorted(told(receiver)) == [
            ("approval_requested", ""),
            ("opened", "webhook:busy"),
            ("opened", "webhook:picky"),
        ]
        shot = await here.control.snapshot(())
        assert [(one.event, one.urgent) for one in shot.notices if one.event != "alert"] == [
            ("approval_requested", True),
            ("opened", False),
            ("opened", False),
        ]


async def test_dead_letters_that_arrive_in_the_end_resolve_the_incident(opened: Opener) -> None:
    async with receiving() as receiver:
        receiver.choose = by_path
        here = await opened(HOOKS.format(url=receiver.url))
        await closed(here)
        await ask(here, park="0")
        await settled(here, "picky", dead=1)
        await settled(here, "good", delivered=1)
        await tried(here, 1)
        await here.advance(5)
        await settled(here, "good", delivered=2)
        receiver.choose = None
        (letter,) = (await here.control.ask(DeadLettersQuery("picky"))).letters
        await here.send(RetryDeadLetters((letter.delivery_id,)))
        picky = await settled(here, "picky", dead=0, delivered=1)
        assert (picky.failing, picky.died) == (False, 1)
        await ended(here, "webhook:picky")
        await settled(here, "good", delivered=3)
        assert told(receiver) == [
            ("approval_requested", ""),
            ("opened", "webhook:picky"),
            ("resolved", "webhook:picky"),
        ]
        ids = {got.headers["x-palyra-delivery"] for got in receiver.got if got.path == "/picky"}
        assert ids == {letter.delivery_id}


async def test_dead_letters_that_are_discarded_resolve_it_too_and_acts_are_audited(opened: Opener) -> None:
    async with receiving() as receiver:
        receiver.choose = by_path
        here = await opened(HOOKS.format(url=receiver.url))
        await closed(here)
        await ask(here, park="0")
        await settled(here, "picky", dead=1)
        denied = await here.operator("eve", Role.VIEWER).send(DiscardDeadLetters(webhook="picky"))
        assert (denied.status, denied.code) == ("denied", "role_missing")
        done = await here.send(DiscardDeadLetters(webhook="picky"))
        assert done.data == {"count": "1"}
        again = await here.control.send(DiscardDeadLetters(webhook="picky"))
        assert again.status == "not_found"
        await ended(here, "webhook:picky")
        page = await here.engine.journal.readers.audit()
        assert [(row.actor, row.payload["verb"]) for row in page if row.kind == "notification"] == [
            ("ada", "discarded")
        ]


async def test_an_attached_console_sees_and_acts_on_the_same(opened: Opener) -> None:
    async with receiving() as receiver:
        receiver.choose = by_path
        here = await opened(HOOKS.format(url=receiver.url))
        await closed(here)
        await ask(here, park="0")
        await settled(here, "picky", dead=1)
        here.engine.reporters.take("local", Report("etl", summary="nightly load"))
        remote = RemoteControl(here.state_dir, operator="", environ={})
        try:
            shot = await remote.snapshot(())
            assert shot.notices == (await here.control.snapshot(())).notices != ()
            page = await remote.ask(DeadLettersQuery("picky"))
            assert page.letters == (await here.control.ask(DeadLettersQuery("picky"))).letters
            assert [view.name for view in page.webhooks] == ["busy", "picky", "good"]
            (beat,) = (await remote.ask(HeartbeatsQuery("external"))).heartbeats
            assert (beat.object_id, beat.principal, beat.summary, beat.state) == (
                "etl",
                "local",
                "nightly load",
                "healthy",
            )
            with pytest.raises(BadInputError, match="nonsense"):
                await remote.ask(HeartbeatsQuery("nonsense"))
            assert (await remote.send(TryWebhook("good"))).message == "The webhook good answered 200."
            refused = await remote.send(TryWebhook("picky"))
            assert (refused.status, refused.data) == ("conflict", {"status": "400"})
            assert (await remote.send(DiscardDeadLetters((page.letters[0].delivery_id,)))).ok
            assert (await remote.ask(DeadLettersQuery("picky"))).total == 0
        finally:
            await remote.close()


async def test_what_a_webhook_did_not_take_is_sent_again_as_a_remedy_and_helped_once_it_arrives(opened: Opener) -> None:
    async with receiving() as receiver:
        receiver.choose = by_path
        here = await opened(HOOKS.format(url=receiver.url))
        await closed(here)
        await ask(here, park="0")
        await settled(here, "picky", dead=1)
        await settled(here, "busy", pending=1)
        found = await incident(here, "webhook:picky")
        detail = await here.control.ask(IncidentQuery(found.incident_id))
        assert [(one.name, one.auto, one.left) for one in detail.remedies] == [("retry_deliveries", "no", 0)]
        assert "1 dead letter would be sent" in detail.remedies[0].preview[1]
        receiver.choose = lambda got: Answer()
        begun = await here.send(RunRemedy(IncidentRef(found.incident_id), "retry_deliveries"))
        await settled(here, "picky", delivered=1, dead=0)
        while (detail := await here.control.ask(IncidentQuery(found.incident_id))).incident.live:
            await here.advance(0.25)
            await here.written()
        (tried,) = detail.attempts
        assert (tried.attempt_id, tried.status) == (begun.data["attempts"], "succeeded")
        assert detail.incident.reason == "remedy:retry_deliveries"
        assert len({got.headers["x-palyra-delivery"] for got in receiver.got if got.path == "/picky"}) == 1
