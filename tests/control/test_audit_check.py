"""A check of the audit chain is told of while it goes on, and ends soon after nobody waits for it."""

import asyncio
from pathlib import Path
from threading import Event

import pytest

from palyra.control import audit_check
from palyra.control.audit_check import AuditCheck
from palyra.journal.audit import AuditReport, HeadStatus, Watch
from palyra.journal.audit_chain import GENESIS

WHOLE = AuditReport(True, 2_000, None, GENESIS, HeadStatus.OK, 0, "the chain is whole up to its head")


class Chain:
    """A chain that is followed as far as it is let."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.come = Event()
        self.ended = Event()
        self.followed = 0

    def verify(self, journal: Path, head: Path, *, live: bool, watch: Watch) -> AuditReport:
        try:
            for done in range(500, 2_001, 500):
                watch(done, 2_000)
                self.followed = done
                self.come.set()
                self.go_on.wait()
        finally:
            self.ended.set()
        return WHOLE


async def test_it_tells_how_far_it_is_and_nothing_once_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, check = Chain(), AuditCheck()
    monkeypatch.setattr(audit_check, "verify", chain.verify)
    following = asyncio.create_task(check.follow(Path("j"), Path("h"), live=True))
    await asyncio.to_thread(chain.come.wait)
    assert (check.done, check.total) == (500, 2_000)
    chain.go_on.set()
    assert await following is WHOLE
    assert (check.done, check.total) == (0, 0)


async def test_its_thread_ends_when_nobody_waits_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, check = Chain(), AuditCheck()
    monkeypatch.setattr(audit_check, "verify", chain.verify)
    following = asyncio.create_task(check.follow(Path("j"), Path("h"), live=True))
    await asyncio.to_thread(chain.come.wait)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    chain.go_on.set()
    await asyncio.to_thread(chain.ended.wait)
    assert chain.followed == 500
    assert (check.done, check.total) == (0, 0)
