"""Models: providers with their models; tested, explained, discovered and cleared in place."""

import asyncio
from dataclasses import replace

from palyra.control.commands import ClearCredential, DiscoverModels
from palyra.control.serving_queries import ConnectionQuery, SelectionQuery
from palyra.core.errors import EngineGoneError
from palyra.tui.widgets.lines import lines_text, width_of
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_serving import down
from tests.tui.fake_views import operator
from tests.tui.fake_worlds import World, empty, normal, storm


def with_one_down() -> World:
    world = normal()
    return replace(world, providers=(*world.providers, down()))


def row(desk: Desk, name: str) -> str:
    return next(line for line in desk.lines if name in line)


def served(desk: Desk) -> list[object]:
    """What was asked about providers and models."""
    return [one for one in desk.control.asked if isinstance(one, ConnectionQuery | SelectionQuery)]


async def test_each_provider_is_followed_by_its_models() -> None:
    async with console(normal()) as desk:
        await desk.press("8")
        names = [line[3:23].split()[0] for line in desk.lines[3:13]]
        assert names == [
            "openai",
            "gpt-5.4",
            "gpt-5.4-mini",
            "text-embedding…",
            "gpt-6-preview",
            "anthropic",
            "claude-opus-5",
            "claude-haiku-5",
            "local",
            "echo",
        ]
        assert "3 providers, 7 models · 1 unwell" in desk.title
        assert "2/8" in row(desk, " openai ")
        assert "3/4 +2" in row(desk, " anthropic ")
        assert "premium" in row(desk, " gpt-5.4 ")
        assert "2.5/15" in row(desk, " gpt-5.4 ")
        assert "unpriced" in row(desk, "gpt-6-preview")
        assert "free" in row(desk, "  echo ")
        assert served(desk) == [], "a list asks for nothing"


async def test_what_is_wrong_is_in_the_row_and_its_clocks_run() -> None:
    async with console(with_one_down(), size=LARGE) as desk:
        await desk.press("8")
        assert "✖ meridian" in row(desk, "meridian")
        assert "open 0:24" in row(desk, "meridian")
        assert "key rests 0:07" in row(desk, "anthropic")
        await desk.wait(2)
        assert "open 0:22" in row(desk, "meridian")


async def test_t_tests_the_connection_in_place_and_its_result_stays() -> None:
    async with console(normal()) as desk:
        await desk.press("8", "j")
        desk.control.gate = asyncio.Event()
        await desk.press("t", "t")
        assert "testing …" in row(desk, " openai ")
        assert "asking it for its models" in desk.text
        assert served(desk) == [ConnectionQuery("openai", refresh=True)], "the model's provider, once"
        desk.control.gate.set()
        await desk.settle()
        assert "● ok 118 ms" in row(desk, " openai ")
        await desk.press("1", "8", "g")
        assert "ok, 118 ms, 3 models" in desk.text
        await desk.press("enter")
        assert "connection" in desk.text


async def test_a_test_that_finds_something_says_what_to_do() -> None:
    async with console(with_one_down()) as desk:
        await desk.press("8", "j", "j", "j", "j", "j", "t")
        assert "partial" in row(desk, " anthropic ")
        assert "not listed: anthropic/claude-opus-5" in desk.text
        assert "Correct `upstream`" in desk.text
        await desk.press("G", "t")
        assert "endpoint failed" in row(desk, " meridian ")


async def test_a_test_that_cannot_be_made_is_told_and_can_be_made_again() -> None:
    async with console(normal()) as desk:
        await desk.press("8")
        desk.control.trouble = EngineGoneError("No engine is running.")
        await desk.press("t")
        assert "openai could not be tested" in desk.notice
        assert "testing" not in row(desk, " openai ")
        desk.control.trouble = None
        await desk.press("t")
        assert "ok 118 ms" in row(desk, " openai ")


async def test_x_explains_a_prompt_in_place() -> None:
    async with console(normal()) as desk:
        await desk.press("8", "x")
        assert desk.dialog == "SelectionDialog"
        await desk.type("summarise this")
        await desk.press("enter")
        (query,) = served(desk)
        assert query == SelectionQuery("summarise this", "auto")
        assert "proceed openai/gpt-5.4" in desk.box
        assert "score 0.41: bytes 0.11, tokens 0.1, json 0.2" in desk.box
        assert "$0.0120" in desk.box
        assert "$0.0610" in desk.box
        assert "local/echo: capability_missing" in desk.box
        desk.focus("needs")
        await desk.press("j")
        desk.focus("max_tokens")
        await desk.type("90x")
        await desk.press("enter")
        assert "write a whole number" in desk.box
        await desk.press("backspace", "enter")
        assert desk.control.asked[-1] == SelectionQuery("summarise this", "auto", json_mode=True, max_tokens=90)
        assert "≤ 90" in desk.box
        await desk.press("escape")
        assert desk.dialog == ""
        assert desk.control.sent == []


async def test_x_begins_with_the_model_that_is_selected() -> None:
    async with console(normal()) as desk:
        await desk.press("8", "j", "j", "x", "enter")
        assert served(desk) == [SelectionQuery("", "openai/gpt-5.4-mini")]
        desk.focus("model")
        await desk.type("x")
        await desk.press("enter")
        assert "There is no model" in desk.box


async def test_v_reads_the_list_of_models_now() -> None:
    async with console(normal()) as desk:
        await desk.press("8")
        await desk.ready()
        await desk.press("v")
        assert desk.control.sent == [DiscoverModels("openai")]
        assert "openai lists 42 models" in desk.notice
        await desk.press("G")
        await desk.ready()
        await desk.press("v")
        assert len(desk.control.sent) == 1, "who answers in this process lists nothing"


async def test_c_clears_the_credential_that_rests() -> None:
    async with console(normal()) as desk:
        await desk.press("8")
        await desk.ready()
        assert "clear" not in desk.footer
        await desk.press("c", "j", "j", "j", "j", "j")
        assert desk.control.sent == []
        await desk.ready()
        assert "clear key" in desk.footer
        await desk.press("c")
        assert desk.control.sent == [ClearCredential("anthropic", "profile:spare")]
        await desk.wait()
        assert "cooling" not in desk.text


async def test_a_viewer_tests_and_explains_but_changes_nothing() -> None:
    async with console(replace(normal(), operator=operator("viewer", "eve"))) as desk:
        await desk.press("8", "j", "j", "j", "j", "j")
        await desk.ready()
        await desk.press("v", "c")
        assert desk.control.sent == []
        assert "needs the role admin" in desk.notice
        await desk.press("t")
        assert "partial" in row(desk, " anthropic ")


async def test_enter_opens_a_provider_and_a_model() -> None:
    async with console(with_one_down(), attached=True) as desk:
        await desk.press("8", "G", "enter")
        assert "Models › meridian" in desk.title
        assert "env:MERIDIAN_KEY rejected" in desk.text
        assert "stale: meridian answered 503." in " ".join(desk.text.split())
        assert "provider_timeout" in desk.text
        await desk.press("escape", "g", "j", "enter")
        assert "openai/gpt-5.4" in desk.title
        for words in ("tools, json, vision, reasoning", "200,000 tokens", "$2.5 a million", "large", "first choice"):
            assert words in desk.text
        await desk.press("escape")


async def test_filter_and_order_know_both_kinds() -> None:
    async with console(with_one_down()) as desk:
        await desk.press("8", "slash")
        await desk.type("tier:premium")
        await desk.press("enter")
        assert "2 of 11" in desk.title
        await desk.press("escape", "S", "S")
        assert "by health" in desk.title
        assert "meridian" in desk.lines[3]


async def test_an_installation_without_providers_says_what_to_do() -> None:
    async with console(empty()) as desk:
        await desk.press("8")
        assert "Only the built-in provider answers" in desk.text
        assert "[providers.openai]" in desk.text
        await desk.press("enter")
        assert "api_key_env" in desk.text
    async with console(replace(empty(), providers=(), models=())) as desk:
        await desk.press("8")
        assert "No providers." in desk.text
        assert "[providers.openai]" in desk.text


async def test_a_thousand_models_are_one_list_that_stays_on_its_object() -> None:
    async with console(storm()) as desk:
        await desk.press("8", "pagedown", "j")
        selected = desk.list.table.selected_key
        desk.control.change(providers=tuple(reversed(desk.control.world.providers)))
        await desk.wait()
        assert desk.list.table.selected_key == selected
        assert "43 providers, 907 models, / finds each · 22 unwell" in desk.title
        assert len(desk.list.table.rows) <= 500
        await desk.press("slash")
        await desk.type("model-0899")
        await desk.press("enter")
        assert [row.key for row in desk.list.table.rows] == ["model:region-19/model-0899-preview-20261122"]


async def test_what_is_wrong_stays_in_the_row_where_the_list_is_longer_than_the_screen() -> None:
    async with console(storm()) as desk:
        await desk.press("8", "j", "j", "j", "j", "j")
        assert "key rests 0:07" in row(desk, " anthropic ")


async def test_the_palette_finds_a_model_by_name() -> None:
    async with console(normal()) as desk:
        await desk.press("colon")
        await desk.type("claude-opus")
        await desk.press("enter")
        assert desk.front.NAME == "models"
        assert desk.list.table.selected_key == "model:anthropic/claude-opus-5"


async def test_below_a_short_list_stands_what_belongs_to_what_is_selected() -> None:
    async with console(normal(), size=LARGE) as desk:
        await desk.press("8")
        assert "its first choice" in desk.text
        assert "input      $2.5 a million" in desk.text
        await desk.press("j")
        below = desk.text.partition("its provider")[2]
        for told in ("health     ● ok", "breaker    closed", "first byte 840 ms", "env:OPENAI_API_KEY eligible"):
            assert told in below


async def test_the_panel_beside_the_list_cuts_nothing() -> None:
    async with console(normal(), size=LARGE) as desk:
        await desk.press("8")
        told = set()
        for _ in range(len(desk.list.known)):
            pane = desk.list.pane
            assert max(map(width_of, pane.lines)) <= pane.room
            told.add(" ".join(lines_text(pane.lines).split()))
            await desk.press("j")
        assert any("unpriced: add a [[pricing]] row" in text for text in told)
        assert any("address https://api.openai.co m/v1" in text for text in told)
