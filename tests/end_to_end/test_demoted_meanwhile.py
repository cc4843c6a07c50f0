"""Somebody loses a role, or is struck off, while a dialog of theirs stands open: it decides nothing any more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from palyra.control.access_commands import AddOperator, SetOperator
from palyra.control.protocol import Control
from palyra.control.remote import RemoteControl
from palyra.tui.app import PalyraApp
from palyra.tui.widgets.form import Field, Push
from palyra.vault.identity import account_of
from tests.end_to_end.asking import ask, closed
from tests.end_to_end.premises import Premises


class Seat:
    """A console of the house, with its dialog for denying open."""

    def __init__(self, here: Premises, app: PalyraApp) -> None:
        self._here, self.app = here, app

    async def until(self, condition: str) -> None:
        """Lets time pass until the console says this."""
        for _ in range(60):
            await self._here.advance(0.5)
            if condition in self.text:
                return
        raise AssertionError(f"it never says {condition!r}:\n{self.text}")

    @property
    def text(self) -> str:
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())


@asynccontextmanager
async def seated(here: Premises, control: Control) -> AsyncIterator[Seat]:
    app = PalyraApp(control, clock=here.clock)
    async with app.run_test(size=(120, 40)) as pilot:
        seat = Seat(here, app)
        await seat.until("▌▲ pending")
        await here.advance(2)
        await pilot.press("d")
        await seat.until("Deny ")
        yield seat


@pytest.mark.parametrize("way", ["in place", "socket"])
async def test_a_dialog_that_was_opened_before_decides_nothing(here: Premises, way: str) -> None:
    owner = account_of(here.engine.state_owner)
    await here.send(AddOperator("ana", "admin", identities=("unix:ana",)))
    await here.send(SetOperator(owner, "approver"))
    await closed(here)
    await ask(here, park="0")
    approval = await here.pending()
    control = here.house.own_control("", {}) if way == "in place" else RemoteControl(here.state_dir, environ={})
    try:
        async with seated(here, control) as seat:
            await here.send(SetOperator(owner, "viewer"))
            seat.app.screen.query_one("#reason", Field).value = "no"
            seat.app.screen.query_one("#act", Push).action_press()
            await seat.until("needs the role approver")
            assert (await here.pending()).version == approval.version
            await seat.until(f"{owner} is viewer")
    finally:
        await control.close()
