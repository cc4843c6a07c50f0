"""Diagnostics: every part of the house, worst first, and every key of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.control.diagnostics_answers import diagnosis_json
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.core.errors import EngineGoneError
from palyra.tui.details.diagnosis import figures, parts_of
from tests.diagnostics.samples import GOOD, snapshot
from tests.tui.desk import LARGE, console
from tests.tui.fake_diagnosis import all_well, disk_is_full, some_trouble
from tests.tui.fake_doctor import BROKEN, Clinic
from tests.tui.fake_worlds import World, normal
from tests.tui.test_usage_dialogs import until


def well() -> World:
    """The parts alone: the doctor finds nothing."""
    return replace(normal(), clinic=Clinic())


async def test_faults_come_where_they_begin_with_what_suffers_below() -> None:
    async with console(well()) as desk:
        await desk.press("9")
        rows = [line.split()[1:] for line in desk.lines[3:9]]
        assert [row[0] if row[0] != "›" else row[1] for row in rows] == [
            "provider:anthropic",
            "model_provider",
            "gateway",
            "memory",
            "probe:browser",
            "observability",
        ]
        assert desk.lines[5].index("›") > desk.lines[4].index("›")
        assert "doctor: all well · degraded, 6 of 20 unwell" in desk.title


def test_everything_is_listed_once_however_many_causes_it_has() -> None:
    told = some_trouble()
    assert told.health_graph is not None
    for one in (told, all_well(), disk_is_full()):
        assert one.health_graph is not None
        names = [part.name for part in parts_of(one)]
        assert sorted(names) == sorted(node.id for node in one.health_graph.nodes)


def test_every_section_has_figures_of_its_own() -> None:
    told = snapshot()
    assert {name: figures(told, name) for name in GOOD if not figures(told, name)} == {}
    assert figures(told, "journal") == "432.0 MB · commit p99 2 ms"
    assert figures(told, "provider:openai") == "ok · 10 requests · answers in 300 ms"


async def test_the_selected_part_tells_why_what_suffers_and_what_to_do() -> None:
    async with console(well(), size=LARGE) as desk:
        await desk.press("9")
        shown = desk.text
        assert "hits  model_provider, gateway, memory" in shown
        assert "next  `palyra models test-connection` asks it" in shown
        await desk.press("j", "j")
        shown = desk.text
        assert "It suffers from model_provider." in shown
        assert "needs governance, model_provider, auth_profiles" in shown
        await desk.press("j")
        shown = desk.text
        assert "stale, collector" in shown
        assert "it took longer than 1000 ms" in shown


async def test_it_is_asked_every_two_seconds_while_it_is_in_front_and_at_once_by_r() -> None:
    async with console(well()) as desk:

        def asked() -> list[bool]:
            return [query.fresh for query in desk.control.asked if isinstance(query, DiagnosticsQuery)]

        assert asked() == []
        await desk.press("9")
        assert asked() == [False]
        await desk.jump(2)
        await desk.jump(2)
        assert asked() == [False] * 3
        await desk.press("r")
        assert asked() == [*[False] * 3, True]
        await desk.press("1")
        await desk.jump(10)
        assert len(asked()) == 4


async def test_what_is_wrong_goes_from_the_screen_as_it_goes() -> None:
    async with console(well()) as desk:
        await desk.press("9")
        desk.control.change(diagnosis=all_well())
        await desk.jump(2)
        assert "ok" in desk.title
        assert "unwell" not in desk.title


async def test_the_snapshot_is_written_as_it_is_told_and_its_path_copied(tmp_path: Path) -> None:
    world = well()
    world.engine = replace(world.engine, state_dir=str(tmp_path))
    world.clinic = Clinic((BROKEN,))
    async with console(world) as desk:
        await desk.press("9", "e")
        await until(lambda: desk.app.flashed is not None)
        await desk.settle()
        assert "Written to" in desk.notice
    (path,) = (tmp_path / "exports").glob("diagnostics-*.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(diagnosis_json(some_trouble())))
    assert path.stat().st_mode & 0o777 == 0o600
    (found,) = (tmp_path / "exports").glob("doctor-*.json")
    assert [one["check"] for one in json.loads(found.read_text())["findings"]] == [BROKEN.check]
    assert found.stat().st_mode & 0o777 == 0o600


async def test_a_disk_that_takes_nothing_is_told_of(tmp_path: Path) -> None:
    world = well()
    (tmp_path / "exports").write_text("in the way")
    world.engine = replace(world.engine, state_dir=str(tmp_path))
    async with console(world) as desk:
        await desk.press("9", "e")
        await until(lambda: desk.app.flashed is not None)
        await desk.settle()
        assert "Nothing was written" in desk.notice


@pytest.mark.parametrize(
    ("part", "screen"),
    [("provider:openai", "models"), ("self_healing", "incidents"), ("scheduler", "jobs"), ("governance", "budgets")],
)
async def test_a_part_leads_to_the_screen_of_what_it_consists_of(part: str, screen: str) -> None:
    async with console(well()) as desk:
        await desk.press("9")
        key = part if ":" in part else f"part:{part}"
        desk.list.find(key)
        await desk.jump(1)
        await desk.press("J")
        assert screen == desk.front.NAME


async def test_parts_can_be_filtered_by_state_and_name() -> None:
    async with console(well()) as desk:
        await desk.press("9", "slash", *"state:failed", "enter")
        assert "1 of 20" in desk.title
        assert "provider:anthropic" in desk.lines[3]


async def test_without_an_engine_it_says_why_there_is_nothing() -> None:
    async with console(_gone()) as desk:
        await desk.press("9")
        assert "observe a running engine" in desk.text


def _gone() -> World:
    world = well()
    world.diagnosis = EngineGoneError("Diagnostics observe a running engine, and none runs here.", fix="Start one.")
    return world
