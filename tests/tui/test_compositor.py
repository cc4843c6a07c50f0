"""The tight updates draw exactly what Textual's own draw, with a fraction of the bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pyte
import pytest
from rich.color import ColorSystem
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, CompositorUpdate, LayoutUpdate
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Region
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from palyra.core.safe_text import safe
from palyra.tui.compositor import TightCompositor, TightLayout, TightUpdate
from palyra.tui.picture import Picture
from palyra.tui.themes import THEMES, Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import part
from palyra.tui.widgets.live_table import LiveTable
from palyra.tui.widgets.rows import Row, cell

WIDTH, HEIGHT = 80, 24
MIXED = Content.from_markup(
    "[bold]bold[/] [italic red]italic[/] [underline on blue]under[/][dim]dim[/] [reverse]turned[/] [strike]struck[/] "
    "日本語 [on green]   [/] e\u0301 [link='https://x.example']link[/] [bold italic underline]all[/][bold]some[/]"
)


@pytest.fixture(autouse=True)
def no_codes_of_other_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A style remembers its codes for the first colour system it was written in, which other tests may have chosen."""
    render = Strip.render_style

    def afresh(style: Style, text: str, color_system: ColorSystem) -> str:
        style._ansi = None
        return render(style, text, color_system)

    monkeypatch.setattr(Strip, "render_style", staticmethod(afresh))


class TightScreen(Screen[None]):
    def __init__(self) -> None:
        super().__init__()
        self._compositor = TightCompositor()

    def compose(self) -> ComposeResult:
        yield Static(MIXED, id="mixed")
        with Horizontal():
            yield LiveTable([Column("name", safe("name"), 8, flex=1), Column("age", safe("age"), 6, align="right")])
            yield Static("beside\nthe\ntable", id="beside")


class Box(ModalScreen[None]):
    CSS = "Box { align: center middle; background: $background 60%; } #box { width: 30; height: 5; border: round red; }"

    def __init__(self) -> None:
        super().__init__()
        self._compositor = TightCompositor()

    def compose(self) -> ComposeResult:
        yield Static("Sure?", id="box")


class TwiceDrawn(App[None]):
    """Draws every update on two terminals: as Textual sends it and as we do."""

    CSS = "#mixed { height: 3; } #beside { width: 12; background: $panel; border: solid green; }"

    def __init__(self) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = "palyra-dark"
        self.textual, self.ours = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
        self._streams = pyte.Stream(self.textual), pyte.Stream(self.ours)
        self.sent = [0, 0]
        self.picture = Picture()
        self.kinds: set[type] = set()

    def on_mount(self) -> None:
        self.push_screen(TightScreen())

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if not isinstance(renderable, TightUpdate | TightLayout):
            return
        plain: type[CompositorUpdate] = ChopsUpdate if isinstance(renderable, TightUpdate) else LayoutUpdate
        self.kinds.add(type(renderable))
        vars(self._driver)["picture"] = self.picture
        for place, sequences in enumerate(
            (plain.render_segments(renderable, self.console), renderable.render_segments(self.console))
        ):
            self.sent[place] += len(sequences.encode())
            self._streams[place].feed(sequences)

    def cells(self, screen: pyte.Screen) -> list[tuple[Any, ...]]:
        """What can be seen of each cell; the colour of a space cannot."""
        seen: list[tuple[Any, ...]] = []
        for y in range(HEIGHT):
            for x in range(WIDTH):
                char = screen.buffer[y][x]
                blank = char.data == " " and not (char.reverse or char.underscore or char.strikethrough)
                seen.append((y, x, " ", char.bg) if blank else (y, x, *char))
        return seen


def rows(age: str, count: int = 30) -> list[Row]:
    return [
        Row(f"r{n}", (cell(part(f"row {n}"), part(" warn", Tone.WARN)), cell(f"{age}{n % 6}"))) for n in range(count)
    ]


async def test_tight_updates_draw_what_textual_draws() -> None:
    app = TwiceDrawn()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        await pilot.pause()

        async def same() -> None:
            await pilot.pause()
            assert app.cells(app.ours) == app.cells(app.textual)

        table = app.screen.query_one(LiveTable)
        table.focus()
        await same()
        for age in ("0:0", "0:1", "9:5"):
            table.update_rows(rows(age))
            await same()
        for key in ("j", "j", "pagedown", "G", "k"):
            await pilot.press(key)
            await same()
        app.screen.query_one("#mixed", Static).update(Content("now\nplain"))
        await same()
        await app.push_screen(Box())
        await same()
        app.screen_stack[1].query_one(LiveTable).update_rows(rows("1:1", 3))
        await same()
        app.pop_screen()
        await same()
        app.theme = "palyra-light"
        await same()
        app.theme = "ansi-dark"
        await same()
        assert app.kinds == {TightUpdate, TightLayout}
        assert any(char.data != " " for line in app.ours.buffer.values() for char in line.values())


class Compared(TightCompositor):
    """Renders what changed as Textual does, too, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.compared = 0
        self.lines = [0, 0]
        """Lines that widgets rendered for Textual, and for us."""

    def render_partial_update(self) -> TightUpdate | None:
        changed = self._dirty_regions.copy()
        with self._counting(0):
            theirs = Compositor.render_partial_update(self)
        self._dirty_regions = changed
        with self._counting(1):
            ours = super().render_partial_update()
        if ours is None or theirs is None:
            assert ours is theirs
            return None
        assert ours.spans == theirs.spans
        for y, start, end in ours.spans:
            for x, stop in zip(ours.chops[y], ours.chop_ends[y], strict=True):
                if x < end and start < stop:
                    assert ours.chops[y][x] == theirs.chops[y][x]
                    self.compared += 1
        return ours

    @contextmanager
    def _counting(self, place: int) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for kind in {type(widget) for widget in self.visible_widgets}:
                render = kind.render_lines

                def counted(widget: Widget, crop: Region, render: Any = render) -> list[Strip]:
                    self.lines[place] += crop.height
                    return cast("list[Strip]", render(widget, crop))

                patch.setattr(kind, "render_lines", counted)
            yield


async def test_only_lines_that_changed_are_rendered_and_they_are_those_of_textual() -> None:
    app = TwiceDrawn()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        await pilot.pause()
        app.screen._compositor = compared = Compared()
        app.screen.refresh(layout=True)
        table = app.screen.query_one(LiveTable)
        table.focus()
        for age in ("0:0", "0:1", "9:5"):
            table.update_rows(rows(age))
            await pilot.pause()
        for key in ("j", "pagedown", "G", "k", "g"):
            await pilot.press(key)
        app.screen.query_one("#mixed", Static).update(Content("now\nplain"))
        app.screen.query_one("#beside", Static).update("other")
        await pilot.pause()
        assert compared.compared > HEIGHT
        assert compared.lines[1] < compared.lines[0] / 2


async def test_running_clocks_cost_a_few_bytes_each() -> None:
    app = TwiceDrawn()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        await pilot.pause()
        table = app.screen.query_one(LiveTable)
        table.update_rows(rows("0:0"))
        await pilot.pause()
        await pilot.pause()
        app.sent = [0, 0]
        table.update_rows(rows("0:1"))
        await pilot.pause()
        textual, ours = app.sent
        assert 0 < ours < 20 * 12
        assert ours * 10 < textual


async def test_a_screen_that_comes_back_unchanged_costs_next_to_nothing() -> None:
    app = TwiceDrawn()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        await pilot.pause()
        app.sent = [0, 0]
        for _ in range(3):
            app.screen.refresh()
            await pilot.pause()
        textual, ours = app.sent
        assert textual > 3 * WIDTH * HEIGHT
        assert ours == 0
