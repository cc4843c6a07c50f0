"""Prepared lines in a pane of fixed height: how often showing others lays the screen out, and its scrollbar."""

from textual.app import App, ComposeResult

from palyra.tui import themes
from palyra.tui.widgets.lines import Lines, line

FEW, MANY = 3, 60


class Pane(App[None]):
    CSS = "Lines { height: 1fr; overflow-y: auto; }"
    layouts = 0

    def compose(self) -> ComposeResult:
        yield Lines()

    def on_mount(self) -> None:
        for own in themes.THEMES:
            self.register_theme(own)
        self.theme = themes.DEFAULT
        self.screen.screen_layout_refresh_signal.subscribe(self, self._count, immediate=True)

    def _count(self, _: object) -> None:
        self.layouts += 1


async def test_a_longer_text_lays_out_once_for_its_scrollbar_and_other_words_not_at_all() -> None:
    app = Pane()
    async with app.run_test(size=(40, 12)) as pilot:
        lines = app.query_one(Lines)
        # The first time the scrollbar has to be made.
        lines.show(line(f"a {number}") for number in range(MANY))
        await pilot.pause()
        for count, shown in ((FEW, False), (MANY, True), (FEW, False), (MANY, True)):
            before = app.layouts
            lines.show(line(f"b {number}") for number in range(count))
            await pilot.pause()
            assert app.layouts == before + 1
            assert lines.show_vertical_scrollbar is shown
            assert (lines.virtual_size.height, lines.room) == (count, 39 if shown else 40)
        before = app.layouts
        lines.show(line(f"c {number}") for number in range(MANY + 1))
        await pilot.pause()
        assert app.layouts == before
        lines.scroll_to(y=MANY, animate=False)
        await pilot.pause()
        assert lines.scroll_offset.y == MANY + 1 - 12
        assert lines.end_seen
