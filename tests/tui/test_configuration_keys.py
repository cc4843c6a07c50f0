"""The configuration from any screen: what waits, what is wrong, and reading it again."""

from dataclasses import replace
from typing import Any

import pytest

from palyra.control.commands import Reload
from palyra.control.config_queries import ConfigAnswer, ConfigProblemView, ConfigQuery
from palyra.control.snapshots import CommandResult
from palyra.core.errors import EngineGoneError
from palyra.tui.details.configuration import gathered
from tests.tui.desk import LARGE, SMALL, console
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW, operator
from tests.tui.fake_worlds import normal

WAITS = ConfigAnswer(
    True, "/etc/palyra.toml", 1, waiting={"budgets[0].hard_limit": "reload", "gateway.max_body": "restart"}
)
WELL = ConfigAnswer(True, "/etc/palyra.toml", 1, reloaded_at=NOW, reload_ok=True)
TYPO = ConfigProblemView(
    "unknown_key",
    "gateway.bnid",
    "palyra.toml:4",
    "unknown key",
    "",
    ("bind",),
    'palyra.toml:4 gateway.bnid: unknown key. Did you mean "bind"?',
)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> list[ConfigAnswer]:
    """What the file says, by the engine; a test exchanges it."""
    says = [WAITS]
    others = FakeControl._answer

    def answer(control: FakeControl, query: Any) -> Any:
        return says[0] if isinstance(query, ConfigQuery) else others(control, query)

    monkeypatch.setattr(FakeControl, "_answer", answer)
    return says


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_what_waits_is_told_and_read_again_by_the_other_button(
    file: list[ConfigAnswer], size: tuple[int, int]
) -> None:
    async with console(normal(), size=size) as desk:
        await desk.press("C")
        assert desk.dialog == "ConfigurationDialog"
        assert "1 change, applied by reading it again budgets[0].hard_limit" in desk.box
        assert "1 change, applied by a restart gateway.max_body" in desk.box
        assert "not since the engine started" in desk.box
        # The safe button has the focus.
        await desk.press("enter")
        assert (desk.dialog, desk.control.sent) == ("", [])
        await desk.press("C", "right")
        file[0] = WELL
        desk.control.results.append(CommandResult("accepted", "The configuration was read again. Applied: budgets."))
        await desk.press("enter")
        assert desk.control.sent == [Reload()]
        assert "Applied: budgets." in desk.box
        assert "applied" in desk.box
        assert "The engine works with what the file says." in desk.box
        await desk.press("escape")
        assert desk.dialog == ""


def test_a_table_that_is_new_is_one_change_and_not_dozens() -> None:
    own = [f"providers.own.{name}" for name in ("kind", "enabled", "base_url", "api_key_env", "tier")]
    row = [f"models[0].{name}" for name in ("provider", "upstream", "tier", "kind")]
    odd = [f'providers."a.b[0]".{name}' for name in "vwxyz"]
    assert gathered([*own, *row]) == ["providers.own (5 values)", *row], "few of a row are told by name"
    assert gathered(["gateway.bind", *odd, "gateway.max_body"]) == [
        "gateway.bind",
        'providers."a.b[0]" (5 values)',
        "gateway.max_body",
    ]
    whole = [f"gateway.key_{n}" for n in range(9)]
    assert gathered(whole) == whole, "a section is always told by its keys"


async def test_all_that_is_wrong_is_told_with_its_place(file: list[ConfigAnswer]) -> None:
    second = ConfigProblemView(
        "missing", "jobs[0].prompt", "palyra.toml:9", "x", "", (), "palyra.toml:9 jobs[0].prompt"
    )
    file[0] = ConfigAnswer(True, "/etc/palyra.toml", 1, problems=(TYPO, second), reloaded_at=NOW, reload_ok=False)
    async with console(normal(), size=LARGE) as desk:
        await desk.press("9", "C")
        assert "2 problems" in desk.box
        assert 'gateway.bnid: unknown key. Did you mean "bind"?' in desk.box
        assert "palyra.toml:9 jobs[0].prompt" in desk.box
        assert "refused" in desk.box
        assert "Nothing of the file is applied" in desk.box


async def test_who_may_not_read_it_again_sees_it_all_the_same(file: list[ConfigAnswer]) -> None:
    async with console(replace(normal(), operator=operator("viewer", "eve"))) as desk:
        await desk.press("C")
        assert "gateway.max_body" in desk.box
        assert "needs the role admin" in desk.box
        await desk.press("right", "enter")
        assert desk.control.sent == []


async def test_an_engine_that_does_not_say_is_told(file: list[ConfigAnswer]) -> None:
    async with console(normal()) as desk:
        desk.control.trouble = EngineGoneError("The engine is gone.")
        await desk.press("C")
        assert "The engine is gone." in desk.box


async def test_it_is_found_in_the_palette_by_reload(file: list[ConfigAnswer]) -> None:
    async with console(normal()) as desk:
        await desk.press("colon")
        await desk.type("reload")
        await desk.press("enter")
        assert desk.dialog == "ConfigurationDialog"
