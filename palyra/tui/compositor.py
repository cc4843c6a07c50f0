"""Sends what changed on the screen, and little more.

Textual repaints a changed piece of a line from the left edge of its widget, gives every piece of text its colours in
full, and paints a new screen several times while it settles. Here updates are compared with the picture the terminal
shows: cells that are the same are not sent, and of colours only those that differ from the ones before. A change at
the top and one at the bottom make Textual render everything between them, behind one another, too; here a widget
renders the lines that changed and that nothing in front of it fills.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import cast

from rich.console import Console
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate
from textual._context import active_app
from textual.geometry import Region
from textual.strip import Strip

from palyra.tui.picture import Pen, Picture

Span = tuple[int, int, int]
"""Line, first column, and the column behind the last."""


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
        regions = self._dirty_regions.copy()
        self._dirty_regions.clear()
        if not regions:
            return None
        spans = list(self._regions_to_spans(regions))
        return TightUpdate(self._filled(spans), spans, [line[1:] for line in self.cuts])

    def _filled(self, spans: Iterable[Span]) -> Sequence[Mapping[int, Strip]]:
        """What of each line lies in the spans, in the pieces that the edges of widgets cut it into."""
        cuts = self.cuts
        wanted: dict[int, set[int]] = {}
        for y, start, end in spans:
            line = cuts[y]
            pieces = wanted.setdefault(y, set())
            pieces.update(left for left, right in pairwise(line) if left < end and start < right)
        chops: list[dict[int, Strip | None]] = [
            dict.fromkeys(line[:-1]) if y in wanted else {} for y, line in enumerate(cuts)
        ]
        # Those in front come first.
        for widget, (region, clip) in self.visible_widgets.items():
            shown = region.intersection(clip)
            first, last = shown.column_span
            lines = [y for y in shown.line_range if y in wanted and any(first <= cut < last for cut in wanted[y])]
            if not lines:
                continue
            top = lines[0]
            crop = Region(shown.x - region.x, top - region.y, shown.width, lines[-1] - top + 1)
            strips = widget.render_lines(crop)
            for y in lines:
                within = [cut for cut in cuts[y] if first <= cut <= last]
                strip, missing = strips[y - top], wanted[y]
                pieces_of = [strip] if len(within) == 2 else strip.divide([cut - shown.x for cut in within[1:]])
                for cut, piece in zip(within, pieces_of, strict=False):
                    if cut in missing:
                        missing.discard(cut)
                        chops[y][cut] = piece
                if not missing:
                    del wanted[y]
            if not wanted:
                break
        return cast("Sequence[Mapping[int, Strip]]", chops)

    def render_full_update(self, simplify: bool = False) -> TightLayout:
        update = super().render_full_update(simplify)
        return TightLayout(update.strips, update.region)


def _shown_picture() -> Picture:
    """The picture of the terminal that the running app's driver serves; a driver without one shows nothing yet."""
    picture = getattr(active_app.get()._driver, "picture", None)
    return picture if isinstance(picture, Picture) else Picture()
