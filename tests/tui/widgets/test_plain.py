"""Lines that skip Textual's effects look as if they had not."""

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from palyra.core.safe_text import safe
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
