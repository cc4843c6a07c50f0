"""Sends what changed on the screen, and little more.

Textual repaints a changed piece of a line from the left edge of its widget, gives every piece of text its colours in
full, and paints a new screen several times while it settles. Here updates are compared with the picture the terminal
shows: cells that are the same are not sent, and of colours only those that differ from the ones before.
"""

from rich.console import Console
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate
from textual._context import active_app

from palyra.tui.picture import Pen, Picture


class TightUpdate(ChopsUpdate):
    """Some spans of some lines."""

    def render_segments(self, console: Console) -> str:
        pen, picture = Pen(console), _shown_picture()
        for y, start, end in self.spans:
            for chop_end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= end or chop_end <= start:
                    continue
                left, right = max(x, start), min(chop_end, end)
                picture.draw(pen, left, y, list(strip.crop(left - x, right - x)))
        return pen.finish()


class TightLayout(LayoutUpdate):
    """The whole screen."""

    def render_segments(self, console: Console) -> str:
        pen, picture = Pen(console), _shown_picture()
        for y, strips in enumerate(self.strips, self.region.y):
            segments = [segment for strip in strips if strip is not None for segment in strip]
            picture.draw(pen, self.region.x, y, segments)
        return pen.finish()


class TightCompositor(Compositor):
    """A screen takes it by `self._compositor = TightCompositor()` when it is made."""

    def render_partial_update(self) -> TightUpdate | None:
        update = super().render_partial_update()
        return None if update is None else TightUpdate(update.chops, update.spans, update.chop_ends)

    def render_full_update(self, simplify: bool = False) -> TightLayout:
        update = super().render_full_update(simplify)
        return TightLayout(update.strips, update.region)


def _shown_picture() -> Picture:
    """The picture of the terminal that the running app's driver serves; a driver without one shows nothing yet."""
    picture = getattr(active_app.get()._driver, "picture", None)
    return picture if isinstance(picture, Picture) else Picture()
