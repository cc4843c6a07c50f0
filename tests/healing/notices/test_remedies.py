"""Remedies that tell: what they would do, whether they can, and when they have helped."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.conditions import Domain
from palyra.core.errors import NotFoundError
from palyra.governance.approval_record import ApprovalDecision, ApprovalStatus
from palyra.healing.notices.remedies import remind_approvers, retry_deliveries
from palyra.healing.record import Attempt
from palyra.healing.remedies import Status
from tests.gateway.stand_in import until
from tests.healing.notices.incidents import incident
from tests.healing.notices.test_telling import an_approval, house
from tests.healing.webhooks.receiver import Answer, receiving
from tests.healing.webhooks.samples import a_notice, hook

WEBHOOK = incident("w1", key="webhook:ops", domain=Domain.NOTIFICATION, family="webhook", subject="ops")
FORGOTTEN = incident("f1", key="approval:a1", domain=Domain.APPROVAL, family="approval", subject="a1")


def attempt(at: int) -> Attempt:
    return Attempt("t1", "w1", 1, "any", "ops", "notifications", "auto", "anna", "boot", at, started_at=at)


async def test_sending_again_helped_once_something_arrived(tmp_path: Path) -> None:
    async with receiving() as receiver, house(tmp_path, hook(receiver.url)) as home:
        remedy = retry_deliveries(home.courier)
        assert not remedy.applies(WEBHOOK)
        receiver.answers = [Answer(400, "no")]
        running = asyncio.create_task(home.courier.run())
        home.courier.post(a_notice())
        await until(lambda: len(home.courier.dead()) == 1)
        assert remedy.applies(WEBHOOK)
        assert not remedy.applies(replace(WEBHOOK, key="webhook:former"))
        assert remedy.preview(WEBHOOK) == (f"1 dead letter would be sent to {receiver.url} again, each under its id.",)
        home.clock.tick(1)
        begun = attempt(home.clock.now_ms())
        assert remedy.check(WEBHOOK, begun).status is Status.WAITING
        assert await remedy.act(WEBHOOK, begun) == "1 dead letter sent again"
        await until(lambda: not home.courier.pending())
        assert remedy.check(WEBHOOK, begun).status is Status.VERIFIED
        running.cancel()


async def test_reminding_helped_once_somebody_decided(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        remedy = remind_approvers(home.desk, home.approvals.get)
        home.approvals["a1"] = an_approval()
        begun = attempt(home.clock.now_ms())
        await remedy.act(FORGOTTEN, begun)
        assert home.heard() == [("approval:a1", "reminder")]
        assert remedy.check(FORGOTTEN, begun).status is Status.WAITING
        home.approvals["a1"] = an_approval(status=ApprovalStatus.RESOLVED, decision=ApprovalDecision.ALLOW)
        assert remedy.check(FORGOTTEN, begun).status is Status.VERIFIED
        with pytest.raises(NotFoundError):
            await remedy.act(FORGOTTEN, begun)
