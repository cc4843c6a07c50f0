"""Lines that skip Textual's effects look as if they had not."""

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from palyra.core.safe_text import safe
from palyra.tui.themes import THEMES
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import Lines, line, muted, strong
from palyra.tui.widgets.live_table import LiveTable
from palyra.tui.widgets.rows import Row

COLUMNS = (Column("name", safe("name"), 10, flex=1), Column("cost", safe("cost"), 8, align="right"))


class Both(App[None]):
    CSS = "Lines { height: 5; } LiveTable { height: 8; }"

    def compose(self) -> ComposeResult:
        yield Lines()
        yield LiveTable(COLUMNS)

    def on_mount(self) -> None:
        self.query_one(Lines).show([line(strong("total "), muted("wide 日本 text")), (), line("x" * 200)])
        rows = [Row(str(number), (safe(f"row {number}"), safe(f"${number}"))) for number in range(30)]
        self.query_one(LiveTable).update_rows(rows)


@pytest.mark.parametrize("kind", [Lines, LiveTable])
@pytest.mark.parametrize("filtered", [False, True])
async def test_plain_lines_are_what_textual_would_have_made(kind: type[Lines | LiveTable], filtered: bool) -> None:
    app = Both(ansi_color=filtered)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        widget = app.query_one(kind)
        # A scrollbar lies over the last column.
        whole = Region(0, 0, widget.scrollable_content_region.width, widget.region.height)
        for crop in (whole, Region(3, 1, 20, 3), Region(0, 2, whole.width, 1)):
            ours = widget.render_lines(crop)
            theirs = Widget.render_lines(widget, crop)
            assert [strip.text for strip in ours] == [strip.text for strip in theirs]
            assert [list(strip.simplify()) for strip in ours] == [list(strip.simplify()) for strip in theirs]


async def test_what_changed_is_made_anew() -> None:
    app = Both()
    async with app.run_test(size=(60, 20)) as pilot:
        lines = app.query_one(Lines)
        crop = Region(0, 0, 60, 5)
        before = lines.render_lines(crop)
        lines.show([line("other"), *lines.lines[1:]])
        await pilot.pause()
        after = lines.render_lines(crop)
        assert after[0].text.rstrip() == "other"
        assert [a is b for a, b in zip(before, after, strict=True)][1:] == [True] * 4


@pytest.mark.parametrize("kind", [Lines, LiveTable])
@pytest.mark.parametrize("theme", ["palyra-dark", "palyra-light", "ansi-dark"])
async def test_a_plain_scrollbar_is_what_textual_would_have_made(kind: type[Lines | LiveTable], theme: str) -> None:
    app = Both(ansi_color=theme.startswith("ansi"))
    async with app.run_test(size=(60, 20)) as pilot:
        for own in THEMES:
            app.register_theme(own)
        app.theme = theme
        app.query_one(Lines).show(line(f"line {number}") for number in range(40))
        await pilot.pause()
        widget = app.query_one(kind)
        bar = widget.vertical_scrollbar
        assert bar.display
        height = bar.size.height
        looks = set()
        for y in (0, 1, 7, widget.max_scroll_y):
            widget.scroll_to(y=y, animate=False)
            await pilot.pause()
            for crop in (Region(0, 0, 1, height), Region(0, 2, 1, 2)):
                ours, theirs = bar.render_lines(crop), Widget.render_lines(bar, crop)
                assert [list(strip.simplify()) for strip in ours] == [list(strip.simplify()) for strip in theirs]
                assert {len(strip.text) for strip in ours} == {1}
            looks.add("".join(strip.text for strip in bar.render_lines(Region(0, 0, 1, height))))
        assert len(looks) > 1
        # Made before styles were known, it does not know how wide it is.
        bar.thickness = 0
        widget.scroll_to(y=3, animate=False)
        await pilot.pause()
        assert {strip.text.strip("▁▂▃▄▅▆▇") for strip in bar.render_lines(Region(0, 0, 1, height))} <= {"", " "}


async def test_a_scrollbar_is_made_again_once_it_stands_elsewhere() -> None:
    app = Both()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        table = app.query_one(LiveTable)
        bar = table.vertical_scrollbar
        crop = Region(0, 0, 1, bar.size.height)
        before = bar.render_lines(crop)
        assert [a is b for a, b in zip(before, bar.render_lines(crop), strict=True)] == [True] * bar.size.height
        table.action_last()
        await pilot.pause()
        assert [strip.text for strip in bar.render_lines(crop)] != [strip.text for strip in before]
