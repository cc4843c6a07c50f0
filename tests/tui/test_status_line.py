"""The status line: what matters least leaves first, and every state has its word."""

from dataclasses import replace

import pytest

from palyra.control.serving import ProviderView
from palyra.control.snapshots import Snapshot
from palyra.core.clock import ManualClock
from palyra.tui.bridge import Link
from palyra.tui.frame.status import Marks, status_line
from palyra.tui.widgets.lines import text_of, width_of
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import CENT, NOW, budget, engine
from tests.tui.fake_worlds import World, normal, storm

LIVE = Marks(Link.LIVE, read_only=False, attached=False)


async def snapshot_of(world: World) -> Snapshot:
    return await FakeControl(world, ManualClock(NOW)).snapshot(())


async def drawn(world: World, width: int, marks: Marks = LIVE) -> str:
    snapshot = await snapshot_of(world)
    parts = status_line(snapshot, marks, NOW, width)
    assert width_of(parts) <= width
    return text_of(parts)


async def test_at_80_columns_it_is_as_drawn() -> None:
    shown = await drawn(normal(), 80)
    assert shown == "● ready · enforced   today $41.27   team-day █████████▎ 92 %    A 3  I 2  10:42Z"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Prague"])
async def test_the_name_of_a_budget_outlasts_its_gauge(zone: str) -> None:
    """A share without its whole name would send people to the wrong budget."""
    world = replace(normal(), engine=engine(demo=True, timezone=zone))
    tight = budget("research-day", 1_990 * CENT, 0, 2_000 * CENT)
    shown = await drawn(replace(world, tightest=tight), 80)
    assert "research-day" in shown
    assert "DEMO  A 3  I 2" in shown


async def test_wide_terminals_name_the_providers() -> None:
    shown = await drawn(normal(), 140)
    assert "● openai  ● anthropic  ▲ local degraded" in shown


async def test_of_many_providers_those_that_are_unwell_are_named_first() -> None:
    well = [ProviderView(f"p{number}", "openai_compatible", "ok", 1) for number in range(7)]
    down = ProviderView("last", "anthropic", "down", 1)
    shown = await drawn(replace(normal(), providers=(*well, down)), 160)
    assert "✖ last down  ● p0  ● p1  ● p2  ● p3  ● p4 +2" in shown
    assert "✖●●●●● +2" in await drawn(replace(normal(), providers=(*well, down)), 110)
    assert "+" not in await drawn(replace(normal(), providers=(*well[:5], down)), 160)


@pytest.mark.parametrize("width", range(20, 200, 7))
async def test_it_never_overflows_and_keeps_what_waits_for_people(width: int) -> None:
    for world in (normal(), storm()):
        shown = await drawn(world, width)
        if width >= 40:
            assert f"A {sum(item.status == 'pending' for item in world.approvals)}" in shown
            assert "ready" in shown


@pytest.mark.parametrize(
    ("link", "word"),
    [(Link.GONE, "✖ engine gone"), (Link.TROUBLED, "▲ no answer"), (Link.PAUSED, "○ paused"), (Link.LIVE, "● ready")],
)
async def test_every_link_has_its_word(link: Link, word: str) -> None:
    assert (await drawn(normal(), 80, Marks(link, read_only=False, attached=True))).startswith(word)


@pytest.mark.parametrize(
    ("phase", "journal_ok", "word"),
    [
        ("starting", True, "○ starting"),
        ("draining", True, "▲ draining"),
        ("recovery", True, "▲ recovery"),
        ("ready", False, "✖ journal stuck"),
        ("unheard-of", True, "▲ unheard-of"),
    ],
)
async def test_every_phase_has_its_word(phase: str, journal_ok: bool, word: str) -> None:
    world = replace(normal(), engine=engine(phase=phase, journal_ok=journal_ok))
    assert (await drawn(world, 80)).startswith(word)


async def test_lateness_is_shown_only_when_it_is_felt() -> None:
    assert "lag" not in await drawn(replace(normal(), engine=engine(lag_ms=50.0)), 120)
    assert "▲ lag 51 ms" in await drawn(replace(normal(), engine=engine(lag_ms=50.6)), 120)


async def test_marks_stay_when_the_gauge_has_to_go() -> None:
    world = replace(normal(), engine=engine(demo=True))
    shown = await drawn(world, 80, Marks(Link.LIVE, read_only=True, attached=True))
    assert "DEMO  read-only  attached" in shown


async def test_the_clock_has_the_zone_of_the_engine() -> None:
    assert (await drawn(replace(normal(), engine=engine(timezone="Europe/Prague")), 80)).endswith("11:42 CET")


async def test_many_providers_do_not_fill_the_line() -> None:
    many = tuple(ProviderView(f"provider-{number}", "x", "down", 1) for number in range(40))
    assert (await drawn(replace(normal(), providers=many), 300)).count("✖") == 6


async def test_a_budget_over_its_limit_says_how_far() -> None:
    over = budget("team-day", 5_400 * CENT, 0, 45 * 100 * CENT)
    assert "██████████ 120 %" in await drawn(replace(normal(), tightest=over), 80)


def test_without_a_snapshot_it_says_so() -> None:
    shown = text_of(status_line(None, Marks(Link.WAITING, read_only=False, attached=False), NOW, 80))
    assert shown.startswith("○ starting")
    assert shown.endswith("A –  I –")
