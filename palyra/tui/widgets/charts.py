"""Plots of block characters: gauges, bars, sparklines and stacked columns over time, as lines of toned text.

Pure functions of values; heights and lengths are rounded to eighths of a cell. What is more than nothing never looks
like nothing, and what is less than all never looks like all. Exact values stand beside a plot in words.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from palyra.core.safe_text import SafeText, cells, fit, safe
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui.themes import SERIES, Tone
from palyra.tui.widgets.lines import Line, Part, part

MOST_SERIES = 6
"""More series than these are summed up as "other"."""

OTHER = "other"
FULL = "█"
TRACK = "░"
CURSOR = "▲"
WIDEST_SLOT = 6
LABEL_GAP = 2

_UPWARD = " ▁▂▃▄▅▆▇█"
_RIGHTWARD = " ▏▎▍▌▋▊▉█"
_MARKS = "#=+xo:."
_NICE_TENTHS = (10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)


def gauge(ratio: float, width: int) -> SafeText:
    """A ratio of one as a bar on a track, `width` cells: `████████▉░`."""
    return _bar(ratio, width, TRACK)


def bar(ratio: float, width: int) -> SafeText:
    """A ratio of one as a bar on nothing, `width` cells."""
    return _bar(ratio, width, " ")


def sparkline(values: Sequence[int], width: int | None = None) -> SafeText:
    """The newest `width` values (all if None), one cell each, as heights relative to the highest; none is blank."""
    shown = values if width is None else values[-width:] if width > 0 else ()
    highest = max(shown, default=0)
    return safe("".join(_UPWARD[_eighths(value, highest, 8)] for value in shown))


@value
class Series:
    """One series of a plot. `mark` stands for its colour where there is none."""

    name: SafeText
    values: tuple[int, ...]
    tone: Tone
    mark: str

    @property
    def total(self) -> int:
        """The sum of its values."""
        return sum(self.values)


def top_series(
    named: Mapping[str, Sequence[int]], most: int = MOST_SERIES, others: Sequence[int] = ()
) -> tuple[Series, ...]:
    """The series with the highest totals, highest first, the rest summed up as "other"; empty ones are left out.

    `others` are amounts of what has no name here and belongs to the rest.
    """
    ranked = sorted(
        ((name, values) for name, values in named.items() if any(values)), key=lambda item: (-sum(item[1]), item[0])
    )
    kept, rest = ranked[:most], ranked[most:]
    series = [Series(safe(name), tuple(values), SERIES[rank], _MARKS[rank]) for rank, (name, values) in enumerate(kept)]
    unnamed = [others] if any(others) else []
    if rest or unnamed:
        sums = tuple(map(sum, zip(*(values for _, values in rest), *unnamed, strict=True)))
        series.append(Series(safe(OTHER), sums, SERIES[-1], _MARKS[-1]))
    return tuple(series)


def legend(series: Sequence[Series], bucket: int | None = None, *, marks: bool = False) -> Line:
    """Sign, name and share of each series present in one bucket or in all: `█ gpt-5.4 71 %  █ haiku 22 %`."""
    amounts = [each.total if bucket is None else each.values[bucket] for each in series]
    total = sum(amounts)
    parts: list[Part] = []
    for each, amount in zip(series, amounts, strict=True):
        if amount > 0:
            parts.append(part(f"{'  ' if parts else ''}{each.mark if marks else FULL} ", each.tone))
            parts.append(part(f"{each.name} {show.percent(amount / total)}"))
    return tuple(parts)


@value
class Plot:
    """A drawn plot: its lines, and where its buckets stand."""

    lines: tuple[Line, ...]
    first: int
    count: int
    left: int
    slot: int

    def bucket_at(self, x: int) -> int | None:
        """The bucket drawn at a cell of a line, None outside the columns."""
        place = (x - self.left) // self.slot
        return self.first + place if 0 <= place < self.count else None


def stacked_columns(
    series: Sequence[Series],
    labels: Sequence[str],
    *,
    width: int,
    height: int,
    value: Callable[[int], str],
    cursor: int | None = None,
    marks: bool = False,
) -> Plot:
    """A column for each bucket, its series stacked with the first at the bottom, in `height` lines of `width` cells.

    The last two lines are the axis and the `labels` of the buckets; `value` writes amounts for the y axis. `cursor` is
    the bucket pointed at. Where not all buckets fit, the newest are shown, or those that end at the cursor. With
    `marks` each series is drawn with its own sign in whole cells, for terminals without colours.
    """
    rows = max(1, height - 2)
    sums = [sum(each.values[bucket] for each in series) for bucket in range(len(labels))]
    top = nice_ceiling(max(sums, default=0))
    titles = _y_labels(top, rows, value)
    left = max(map(cells, titles.values())) + 2
    room = max(1, width - left)
    first, count = _window(len(labels), room, cursor)
    slot = max(1, min(WIDEST_SLOT, room // max(1, count)))
    columns = [
        _column([each.values[bucket] for each in series], top, rows, whole=marks)
        for bucket in range(first, first + count)
    ]
    lines: list[Line] = []
    for row in range(rows):
        pieces = _Pieces()
        pieces.add(fit(titles.get(row, ""), left - 2, align="right") + " ┤", Tone.MUTED)
        for place, column in enumerate(columns):
            owner, block = column[rows - 1 - row]
            sign = series[owner].mark if marks and block != " " else block
            pieces.add(
                sign * max(1, slot - 1), series[owner].tone if series else Tone.PLAIN, bold=first + place == cursor
            )
            pieces.add(" " * (slot - max(1, slot - 1)), Tone.PLAIN)
        lines.append(pieces.line())
    ticks, under = _x_axis(labels[first : first + count], slot, room, None if cursor is None else cursor - first)
    axis = "".join("┬" if x in ticks else "─" for x in range(count * slot or room))
    lines.append((part(fit(titles[rows], left - 2, align="right") + " ┼" + axis, Tone.MUTED),))
    lines.append((part(" " * left), *under))
    return Plot(tuple(lines), first, count, left, slot)


def nice_ceiling(amount: int) -> int:
    """The next amount at or above this one that reads well on an axis; 0 stays 0."""
    if amount <= 0:
        return 0
    magnitude: int = 10 ** (len(str(amount)) - 1)
    return next(-(-tenths * magnitude // 10) for tenths in _NICE_TENTHS if tenths * magnitude >= amount * 10)


def _eighths(amount: float, whole: float, most: int) -> int:
    """`amount` of `whole` in `most` steps: at least one if it is more than nothing, all of them only if it is all."""
    if not amount > 0 or not whole > 0 or most <= 0:
        return 0
    if amount >= whole:
        return most
    return max(1, min(most - 1, round(amount / whole * most)))


def _bar(ratio: float, width: int, track: str) -> SafeText:
    full, rest = divmod(_eighths(ratio, 1.0, max(0, width) * 8), 8)
    tip = _RIGHTWARD[rest] if rest else ""
    return safe(FULL * full + tip + track * (width - full - len(tip)))


def _y_labels(top: int, rows: int, value: Callable[[int], str]) -> dict[int, str]:
    """Texts by row; the text of row r stands for the upper edge of that row, `rows` is the axis itself."""
    labels = {rows: value(0)}
    if top > 0:
        labels[0] = value(top)
        if rows >= 4 and rows % 2 == 0 and top % 2 == 0:
            labels[rows // 2] = value(top // 2)
    return labels


def _window(buckets: int, room: int, cursor: int | None) -> tuple[int, int]:
    """First bucket and number of buckets shown."""
    count = min(buckets, room)
    last = buckets if cursor is None or cursor >= buckets - count else max(count, cursor + 1)
    return last - count, count


def _column(amounts: Sequence[int], top: int, rows: int, *, whole: bool) -> list[tuple[int, str]]:
    """A column from its foot up: for each cell the series that owns it and the block that fills it."""
    total = sum(amounts)
    full, rest = divmod(_eighths(total, top, rows * 8), 8)
    if whole:
        full, rest = max(1 if total > 0 else 0, full + (rest >= 4)), 0
    owners = _apportion(amounts, full + (rest > 0))
    blocks = [FULL] * full + ([_UPWARD[rest]] if rest else [])
    return [*zip(owners, blocks, strict=True), *[(0, " ")] * (rows - len(blocks))]


def _apportion(amounts: Sequence[int], filled: int) -> list[int]:
    """Gives each of `filled` cells to a series, in order, by the largest remainder."""
    total = sum(amounts)
    if total <= 0 or filled <= 0:
        return []
    given = [amount * filled // total for amount in amounts]
    by_remainder = sorted(range(len(amounts)), key=lambda index: (-(amounts[index] * filled % total), index))
    for index in by_remainder[: filled - sum(given)]:
        given[index] += 1
    return [index for index, number in enumerate(given) for _ in range(number)]


def _x_axis(labels: Sequence[str], slot: int, room: int, cursor: int | None) -> tuple[set[int], Line]:
    """Where the ticks stand and the line of labels under them; the cursor's label always stays."""
    longest = max(map(cells, labels), default=0)
    step = max(1, math.ceil((longest + LABEL_GAP) / slot))
    placed = [(place * slot, safe(labels[place])) for place in range(0, len(labels), step)]
    placed = [(x, label) for x, label in placed if x + cells(label) <= room]
    ticks = {x for x, _ in placed}
    texts: list[tuple[int, str, Tone]] = [(x, label, Tone.MUTED) for x, label in placed]
    if cursor is not None and 0 <= cursor < len(labels):
        x, label = cursor * slot, safe(labels[cursor])
        ticks.add(x)
        size = cells(label) + 1
        start, text = (x, CURSOR + label) if x + size <= room else (max(0, x - size + 1), label + CURSOR)
        texts = [(at, each, tone) for at, each, tone in texts if at + cells(each) < start or at > start + size]
        texts.append((start, text, Tone.STRONG))
    pieces = _Pieces()
    used = 0
    for at, each, tone in sorted(texts, key=lambda item: item[0]):
        pieces.add(" " * (at - used), Tone.PLAIN)
        pieces.add(each, tone)
        used = at + cells(each)
    return ticks, pieces.line()


class _Pieces:
    """A line in the making; neighbours of one tone become one part, spaces take any tone."""

    def __init__(self) -> None:
        self._runs: list[tuple[str, Tone, bool]] = []

    def add(self, text: str, tone: Tone, *, bold: bool = False) -> None:
        if not text:
            return
        if self._runs:
            last, last_tone, last_bold = self._runs[-1]
            if not text.strip() or (last_tone, last_bold) == (tone, bold):
                self._runs[-1] = (last + text, last_tone, last_bold)
                return
        self._runs.append((text, tone, bold))

    def line(self) -> Line:
        return tuple(part(text, tone, bold=bold) for text, tone, bold in self._runs)
