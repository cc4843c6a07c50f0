"""The table keeps its selection on the object, paints only what changed, and knows since when it is quiet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from palyra.core.safe_text import safe
from palyra.tui.themes import THEMES, Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import part
from palyra.tui.widgets.live_table import MAX_ROWS, LiveTable
from palyra.tui.widgets.rows import Cell, CellValue, Row, cell

COLUMNS = (
    Column("what", safe("what"), 8, flex=1, most=20),
    Column("who", safe("who"), 8, priority=2),
    Column("cost", safe("cost"), 8, align="right", priority=1),
    Column("age", safe("age"), 6, align="right"),
)


class WatchedTable(LiveTable):
    """Notes which of its lines it asks to have painted; None stands for all of it."""

    def __init__(self, empty: str) -> None:
        super().__init__(COLUMNS, empty=empty)
        self.painted: list[Region | None] = []

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "WatchedTable":
        if repaint and hasattr(self, "painted"):
            self.painted += regions or [None]
        super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self


class TableApp(App[None]):
    CSS = "Screen { layout: vertical; }"

    def __init__(self, empty: str = "") -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.table = WatchedTable(empty)
        self.told: list[str | None] = []
        self.opened: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()

    def on_live_table_selected(self, message: LiveTable.Selected) -> None:
        assert message.control is self.table
        self.told.append(message.key)

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        assert message.control is self.table
        self.opened.append(message.key)

    def shown(self) -> list[str]:
        return [self.table.render_line(y).text.rstrip() for y in range(self.table.size.height)]

    def line_of(self, key: str) -> int:
        return [key in line for line in self.shown()].index(True)


def row(key: str, what: str | None = None, *, cost: str = "$1.00", age: str = "0:01", version: int = 1) -> Row:
    return Row(key, (safe(what or key), part("maria", Tone.MUTED), safe(cost), cell(age)), version)


def rows(*keys: str) -> list[Row]:
    return [row(key) for key in keys]


def many(count: int, start: int = 0) -> list[Row]:
    return rows(*(f"r{number:03}" for number in range(start, start + count)))


@asynccontextmanager
async def running(
    size: tuple[int, int] = (40, 10), initial: list[Row] | None = None, empty: str = ""
) -> AsyncIterator[tuple[TableApp, Pilot[None]]]:
    app = TableApp(empty)
    async with app.run_test(size=size) as pilot:
        if initial is not None:
            app.table.update_rows(initial)
        await pilot.pause()
        yield app, pilot


async def test_rows_stand_under_a_heading_with_the_first_one_selected() -> None:
    async with running(initial=[row("a", "alpha", cost="$12.50"), row("b", "beta", age="11:50")]) as (app, _):
        assert app.shown()[:4] == [
            " what           who          cost    age",
            "▌alpha          maria      $12.50   0:01",
            " beta           maria       $1.00  11:50",
            "",
        ]
        assert (app.table.selected_key, app.told) == ("a", ["a"])


async def test_keys_move_the_selection_and_open_it() -> None:
    async with running(initial=many(30)) as (app, pilot):
        seen = []
        for key in ["j", "down", "k", "up", "k", "G", "j", "g", "end", "home", "pagedown", "pagedown", "pageup"]:
            await pilot.press(key)
            seen.append(app.table.selected_key)
        assert seen == [f"r{n:03}" for n in (1, 2, 1, 0, 0, 29, 29, 0, 29, 0, 8, 16, 8)]
        await pilot.press("enter")
        assert app.opened == ["r008"]


async def test_the_selected_row_is_always_in_view() -> None:
    async with running(initial=many(30)) as (app, pilot):
        for key in ["pagedown", "pagedown", "G", "k", "pageup", "g"]:
            await pilot.press(key)
            assert any(line.startswith(f"▌{app.table.selected_key}") for line in app.shown())


async def test_the_mouse_selects_and_a_double_click_opens() -> None:
    async with running(initial=rows("a", "b", "c")) as (app, pilot):
        await pilot.click(LiveTable, offset=(3, 2))
        assert app.table.selected_key == "b"
        await pilot.click(LiveTable, offset=(3, 0))
        await pilot.click(LiveTable, offset=(3, 7))
        assert (app.table.selected_key, app.opened) == ("b", [])
        await pilot.double_click(LiveTable, offset=(3, 3))
        assert (app.table.selected_key, app.opened) == ("c", ["c"])


@pytest.mark.parametrize(
    ("selected", "after", "expected"),
    [
        ("b", "abc", "b"),
        ("b", "xaybzc", "b"),
        ("b", "cba", "b"),
        ("b", "ac", "c"),
        ("b", "dxa", "d"),
        ("c", "ab", "b"),
        ("c", "ba", "b"),
        ("b", "xyz", "y"),
        ("d", "x", "x"),
        ("b", "", None),
    ],
)
async def test_the_selection_stays_on_its_object(selected: str, after: str, expected: str | None) -> None:
    async with running(initial=rows(*"abcd")) as (app, _):
        app.table.select(selected)
        app.table.update_rows(rows(*after))
        assert app.table.selected_key == expected
        row_now = app.table.selected_row
        assert (row_now.key if row_now else None) == expected


async def test_a_list_that_was_empty_selects_its_first_row_again() -> None:
    async with running(initial=rows("a")) as (app, pilot):
        app.table.update_rows([])
        app.table.update_rows(rows("b", "c"))
        await pilot.pause()
        assert app.told == ["a", None, "b"]


async def test_selecting_an_unknown_key_changes_nothing() -> None:
    async with running(initial=rows("a")) as (app, _):
        assert not app.table.select("gone")
        assert app.table.selected_key == "a"


async def test_nothing_moves_under_the_cursor_when_rows_come_above_it() -> None:
    async with running(initial=many(30, 10)) as (app, pilot):
        await pilot.press("G", "k", "k", "k")
        line = app.line_of("r036")
        app.table.update_rows(many(37, 3))
        await pilot.pause()
        assert app.line_of("r036") == line
        app.table.update_rows(many(28, 12))
        await pilot.pause()
        assert app.line_of("r036") == line


async def test_new_rows_at_the_top_are_seen_while_the_top_is_in_view() -> None:
    async with running(initial=many(30, 10)) as (app, pilot):
        await pilot.press("j")
        app.table.update_rows(many(32, 8))
        await pilot.pause()
        assert app.shown()[1].startswith(" r008")
        assert app.table.selected_key == "r011"


async def test_the_view_does_not_run_past_the_end_of_a_shrunken_list() -> None:
    async with running(initial=many(60)) as (app, pilot):
        await pilot.press("G")
        app.table.update_rows(many(12))
        await pilot.pause()
        assert app.shown()[-1].startswith("▌r011")


async def test_a_changed_cell_repaints_its_cells_alone() -> None:
    async with running(initial=rows(*"abc")) as (app, pilot):
        app.table.painted.clear()
        app.table.update_rows([row("a"), row("b", age="0:02"), row("c")])
        await pilot.pause()
        assert app.table.painted == [Region(34, 2, 6, 1)]
        assert app.shown()[2].endswith("0:02")


async def test_the_same_rows_again_repaint_nothing() -> None:
    async with running(initial=rows(*"abc")) as (app, pilot):
        app.table.painted.clear()
        app.table.update_rows([row(key, version=2) for key in "abc"])
        await pilot.pause()
        assert app.table.painted == []


async def test_a_row_more_or_less_repaints_the_lines_that_differ() -> None:
    async with running(initial=rows(*"abc")) as (app, pilot):
        for after, lines in (("abcd", [4]), ("abc", [4]), ("acb", [2, 3])):
            app.table.painted.clear()
            app.table.update_rows(rows(*after))
            await pilot.pause()
            assert app.table.painted == [Region(0, line, 40, 1) for line in lines]


async def test_moving_repaints_two_lines() -> None:
    async with running(initial=rows(*"abc")) as (app, pilot):
        app.table.painted.clear()
        await pilot.press("j")
        assert app.table.painted == [Region(0, 1, 40, 1), Region(0, 2, 40, 1)]


async def test_rows_out_of_view_repaint_nothing() -> None:
    async with running(initial=many(30)) as (app, pilot):
        app.table.painted.clear()
        app.table.update_rows([*many(20), *(row(f"r{n:03}", "other") for n in range(20, 30))])
        await pilot.pause()
        assert app.table.painted == []


async def test_rows_that_nobody_sees_are_not_made() -> None:
    made: list[str] = []

    def later(key: str) -> Row:
        def cells() -> tuple[CellValue, ...]:
            made.append(key)
            return row(key).cells

        return Row(key, cells)

    async with running(size=(40, 5)) as (app, pilot):
        app.table.update_rows([later(f"r{number}") for number in range(20)])
        await pilot.pause()
        assert set(made) == {"r0", "r1", "r2", "r3"}
        await pilot.press("G")
        await pilot.pause()
        assert set(made) == {"r0", "r1", "r2", "r3", "r16", "r17", "r18", "r19"}
        assert len(made) == 8, "each is made once"
        assert [line.split()[0] for line in app.shown()[1:4]] == ["r16", "r17", "r18"]


async def test_markup_and_control_bytes_are_only_text() -> None:
    async with running(initial=[Row("a", (safe("[/b][red]"), part("\x1b[31m"), Cell(()), "\x9b1"))]) as (app, _):  # type: ignore[arg-type]
        assert app.shown()[1] == "▌[/b][red]      ␛[31m             ⟨U+00…"


async def test_cells_are_cut_at_their_column() -> None:
    long = Row(
        "a",
        (
            safe("日本語日本語日本語日"),
            part("averylongname"),
            safe("$123,456,789"),
            cell("1:", part("02:03", Tone.BAD)),
        ),
    )
    async with running(initial=[long]) as (app, _):
        assert app.shown()[1] == "▌日本語日本語…  averylo… $123,45… 1:02:…"
        assert app.table.render_line(1).cell_length == 40


async def test_a_cell_may_span_the_columns_after_it() -> None:
    def spanning(text: str) -> Row:
        return Row("a", (cell(text, span=3), safe("hidden"), safe("hidden"), cell("0:01")))

    async with running(initial=[spanning("a sentence over three columns of it")]) as (app, pilot):
        assert app.shown()[1] == "▌a sentence over three columns o…   0:01"
        app.table.painted.clear()
        app.table.update_rows([spanning("another")])
        await pilot.pause()
        assert app.table.painted == [Region(1, 1, 39, 1)]
        assert app.shown()[1] == "▌another                            0:01"


async def test_narrow_tables_drop_the_columns_that_matter_least() -> None:
    for width, heading in (
        (34, " what     who          cost    age"),
        (28, " what            cost    age"),
        (20, " what            age"),
    ):
        async with running((width, 5), rows("a")) as (app, _):
            assert app.shown()[0] == heading


async def test_a_resized_table_is_arranged_anew() -> None:
    async with running(initial=rows("a")) as (app, pilot):
        await pilot.resize_terminal(28, 6)
        await pilot.pause()
        assert app.shown()[:2] == [" what            cost    age", "▌a              $1.00   0:01"]


async def test_a_scrollbar_takes_its_cell_from_the_columns() -> None:
    async with running((40, 6), many(5)) as (app, pilot):
        app.table.update_rows(many(6))
        await pilot.pause()
        assert app.table.show_vertical_scrollbar
        assert app.shown()[1] == "▌r000          maria       $1.00   0:01"
        app.table.update_rows(many(5))
        await pilot.pause()
        assert not app.table.show_vertical_scrollbar
        assert app.shown()[1] == "▌r000           maria       $1.00   0:01"


async def test_an_empty_table_says_what_to_do() -> None:
    async with running((24, 6), [], empty="Nothing waits. Point a client here.") as (app, pilot):
        assert app.shown() == [" what                age", " Nothing waits. Point a", " client here.", "", "", ""]
        app.table.set_empty([(part("Still nothing", Tone.ACCENT),)])
        await pilot.pause()
        assert app.shown()[1:3] == [" Still nothing", ""]
        app.table.update_rows(rows("a"))
        await pilot.pause()
        assert app.shown()[1].startswith("▌a")


async def test_the_heading_says_by_what_the_rows_are_sorted() -> None:
    async with running() as (app, _):
        app.table.mark_sorted("cost", descending=True)
        assert app.shown()[0] == " what           who         cost↓    age"
        app.table.mark_sorted("what")
        assert app.shown()[0] == " what↑          who          cost    age"
        app.table.mark_sorted(None)
        assert app.shown()[0] == " what           who          cost    age"


async def test_other_columns_come_with_their_rows() -> None:
    async with running(initial=rows("a", "b")) as (app, pilot):
        await pilot.press("j")
        app.table.set_columns([Column("name", safe("name"), 5)], [Row("b", (safe("bee"),)), Row("c", (safe("sea"),))])
        await pilot.pause()
        assert app.shown()[:3] == [" name", "▌bee", " sea"]


async def test_no_more_rows_are_taken_than_a_screen_can_bear() -> None:
    async with running(initial=many(MAX_ROWS + 20)) as (app, _):
        assert len(app.table.rows) == MAX_ROWS


@pytest.mark.parametrize("wrong", [rows("a", "a"), [Row("a", (safe("too few"),))]])
async def test_rows_that_cannot_be_told_apart_or_do_not_fit_are_refused(wrong: list[Row]) -> None:
    async with running() as (app, _):
        with pytest.raises(ValueError, match="of a table"):
            app.table.update_rows(wrong)


async def test_a_theme_change_repaints_in_its_colours() -> None:
    async with running(initial=rows("a", "b")) as (app, pilot):
        seen = []
        for theme in ("palyra-dark", "palyra-light"):
            app.theme = theme
            await pilot.pause()
            seen.append([segment.style for line in (1, 2) for segment in app.table.render_line(line)])
        assert not [style for style in seen[0] if style in seen[1]]


async def test_every_tone_can_be_read_on_the_selected_row() -> None:
    tones = [Row("a", (safe("what"), cell(*(part("x", tone) for tone in Tone)), safe(""), safe("")))]
    async with running(initial=tones) as (app, pilot):
        for theme in ("ansi-dark", "palyra-dark", "palyra-contrast"):
            app.theme = theme
            await pilot.pause()
            styles = [segment.style for segment in app.table.render_line(1) if segment.text == "x"]
            assert styles
            assert not [style for style in styles if style is None or style.color == style.bgcolor]


async def test_the_selection_is_marked_differently_without_focus() -> None:
    async with running(initial=rows("a", "b")) as (app, pilot):
        focused = list(app.table.render_line(1))
        app.set_focus(None)
        await pilot.pause()
        blurred = list(app.table.render_line(1))
        assert focused[0].text == blurred[0].text == "▌"
        assert focused[0].style != blurred[0].style
