"""Repairs in place, recovery mode, a check of the audit chain and the question who is there, as pictures."""

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from palyra.control.audit_queries import AuditProgress
from palyra.control.queries import AuditQuery
from palyra.tui.who import WhoApp
from tests.tui.desk import LARGE, SMALL, Desk, console
from tests.tui.fake_doctor import very_ill
from tests.tui.fake_worlds import hostile, normal, storm
from tests.tui.test_recovery import broken
from tests.tui.test_snapshots import SIZES, picture


async def repairing(desk: Desk) -> None:
    """The repair of the first finding in view."""
    await desk.press("9")
    await desk.jump(1)
    await desk.press("p")


@pytest.mark.parametrize("size", SIZES)
async def test_a_repair_and_what_came_of_it(size: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(replace(normal(), clinic=very_ill()), size=SIZES[size]) as desk:
        await repairing(desk)
        assert picture(desk) == pictures(name="repair")
        await desk.press("pagedown", "f")
        if size == "80x24":
            assert picture(desk) == pictures(name="asked")
        gate = desk.control.command_gate = asyncio.Event()
        await desk.press("pagedown", "right", "enter")
        desk.control.change(clinic=replace(very_ill(), under_way=(1, 3, "config.restore_backup")))
        await desk.wait(1)
        if size == "80x24":
            assert picture(desk) == pictures(name="under way")
        gate.set()
        await desk.settle()
        assert picture(desk) == pictures(name="result")
        await desk.press("escape", "U")
        if size == "80x24":
            assert picture(desk) == pictures(name="runs")
        await desk.jump(1)
        await desk.press("u")
        assert picture(desk) == pictures(name="undo")


@pytest.mark.parametrize("size", SIZES)
async def test_recovery(size: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(broken(), size=SIZES[size]) as desk:
        await desk.jump(1)
        assert picture(desk) == pictures(name="diagnostics")
        await desk.press("1")
        assert picture(desk) == pictures(name="triage")


async def test_repairs_of_a_storm_and_of_hostile_text(snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(storm(), size=SMALL) as desk:
        await repairing(desk)
        await desk.press("p", "p")
        assert picture(desk) == pictures(name="storm")
    async with console(hostile(), size=LARGE) as desk:
        await repairing(desk)
        assert picture(desk) == pictures(name="hostile")
        await desk.press("escape", "U")
        assert picture(desk) == pictures(name="hostile runs")


async def test_a_check_of_the_chain(snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(replace(normal(), followed=AuditProgress(20_000, 50_000)), size=SMALL) as desk:
        answer = desk.control.answer

        async def endless(query: Any) -> Any:
            return await (asyncio.Event().wait() if isinstance(query, AuditQuery) else answer(query))

        monkeypatch.setattr(desk.control, "answer", endless)
        await desk.press("0", "V")
        await desk.wait(2)
        assert picture(desk) == pictures(name="verifying")


@pytest.mark.parametrize("size", SIZES)
async def test_who_is_there(size: str, snapshot: SnapshotAssertion) -> None:
    app = WhoApp("ops", ["ana", "bob", "carol"])
    async with app.run_test(size=SIZES[size]):
        shown = re.sub(r"\bterminal-\d+-([\w-]+)", r"terminal-\1", app.export_screenshot(title="Palyra"))
        assert shown == snapshot.use_extension(SVGImageExtension)
