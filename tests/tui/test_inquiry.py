"""One view never has two questions in flight, and an answer that was overtaken is not shown."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from palyra.core.clock import settle_loop
from palyra.core.errors import NotFoundError, PalyraError
from palyra.tui.inquiry import Inquiry


class Asker:
    """Questions answered by hand."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.applied: list[str] = []
        self.failed: list[PalyraError] = []
        self.open: dict[str, asyncio.Future[str]] = {}
        self.inquiry: Inquiry[str] = Inquiry(self.spawn, self.applied.append, self.failed.append)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def ask(self, name: str) -> None:
        self.inquiry.ask(lambda: self.fetch(name))

    async def fetch(self, name: str) -> str:
        self.open[name] = asyncio.get_running_loop().create_future()
        try:
            return await self.open[name]
        finally:
            del self.open[name]


async def test_questions_asked_meanwhile_wait_and_only_the_newest_is_asked() -> None:
    asker = Asker()
    asker.ask("first")
    await settle_loop()
    for name in ("second", "third", "fourth"):
        asker.ask(name)
        await settle_loop()
        assert list(asker.open) == ["first"]
    asker.open["first"].set_result("old answer")
    await settle_loop()
    assert list(asker.open) == ["fourth"]
    assert asker.applied == []
    asker.open["fourth"].set_result("new answer")
    await settle_loop()
    assert asker.applied == ["new answer"]
    assert not asker.inquiry.busy


async def test_an_error_for_people_is_told_and_the_next_question_works() -> None:
    asker = Asker()
    asker.ask("gone")
    await settle_loop()
    asker.open["gone"].set_exception(NotFoundError("There is no such run."))
    await settle_loop()
    assert [error.message for error in asker.failed] == ["There is no such run."]
    asker.ask("there")
    await settle_loop()
    asker.open["there"].set_result("found")
    await settle_loop()
    assert asker.applied == ["found"]


async def test_an_error_of_ours_reaches_the_supervisor_and_frees_the_inquiry() -> None:
    asker = Asker()
    asker.ask("bug")
    await settle_loop()
    asker.open["bug"].set_exception(ZeroDivisionError())
    await settle_loop()
    with pytest.raises(ZeroDivisionError):
        await asker.tasks[0]
    assert not asker.inquiry.busy
