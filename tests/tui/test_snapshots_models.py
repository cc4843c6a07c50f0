"""Providers in trouble, their tests, and a prompt explained, as pictures."""

from dataclasses import replace

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from tests.tui.desk import console
from tests.tui.fake_serving import down
from tests.tui.fake_worlds import World, hostile, normal
from tests.tui.test_snapshots import SIZES, picture


def trouble() -> World:
    """One that is degraded, one with a credential that rests, and one whose breaker is open."""
    world = normal()
    return replace(world, providers=(down(), *world.providers))


WORLDS = {"trouble": trouble, "hostile": hostile}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("world", WORLDS)
async def test_in_trouble(world: str, size: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(WORLDS[world](), size=SIZES[size]) as desk:
        await desk.press("8", "t")
        assert picture(desk) == pictures(name="tested")
        await desk.press("enter")
        assert picture(desk) == pictures(name="opened")
        await desk.press("escape", "j", "x", "enter")
        assert picture(desk) == pictures(name="explained")
