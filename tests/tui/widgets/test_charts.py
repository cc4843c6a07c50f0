"""Plots say what the numbers say: nothing more than nothing vanishes, and every cell belongs to the right series."""

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.safe_text import cells, safe
from palyra.tui.format import money
from palyra.tui.glyphs import to_ascii
from palyra.tui.themes import SERIES, Tone
from palyra.tui.widgets.charts import bar, gauge, legend, nice_ceiling, sparkline, stacked_columns, top_series
from palyra.tui.widgets.lines import lines_text, text_of, width_of

USD = 1_000_000_000
HOURS = [f"{(9 + hour) % 24:02}:00" for hour in range(24)]
DAY = {
    "gpt-5.4": [0, 0, 0, 2, 4, 9, 0, 3, 12, 20, 14, 6, 30, 22, 25, 8, 14, 3, 26, 30, 34, 28, 19, 6],
    "haiku": [0, 0, 1, 0, 2, 4, 3, 0, 6, 4, 2, 1, 5, 8, 3, 0, 2, 4, 6, 9, 3, 5, 2, 1],
}
DAY = {name: [tenths * USD // 10 for tenths in values] for name, values in DAY.items()}


def drawing(text: str) -> str:
    return dedent(text).strip("\n")


@pytest.mark.parametrize(
    ("ratio", "drawn"),
    [
        (0.0, "░░░░░░░░░░"),
        (0.0001, "▏░░░░░░░░░"),
        (0.125, "█▎░░░░░░░░"),
        (0.5, "█████░░░░░"),
        (0.89, "████████▉░"),
        (0.9999, "█████████▉"),
        (1.0, "██████████"),
        (7.5, "██████████"),
        (-1.0, "░░░░░░░░░░"),
        (float("inf"), "██████████"),
        (float("nan"), "░░░░░░░░░░"),
    ],
)
def test_a_gauge_is_drawn_in_eighths(ratio: float, drawn: str) -> None:
    assert gauge(ratio, 10) == drawn
    assert bar(ratio, 10) == drawn.replace("░", " ")


@given(st.floats(allow_nan=True), st.integers(-2, 40))
def test_a_gauge_fills_its_cells_and_is_full_only_when_all_is_used(ratio: float, width: int) -> None:
    drawn = gauge(ratio, width)
    assert cells(drawn) == max(0, width)
    if width > 0:
        assert (drawn == "█" * width) == (ratio >= 1)
        assert (drawn == "░" * width) == (not ratio > 0)


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], None, ""),
        ([0, 0], None, "  "),
        ([1, 2, 3, 4, 5, 6, 7, 8], None, "▁▂▃▄▅▆▇█"),
        ([0, 1, 1000, 999], None, " ▁█▇"),
        ([1, 2, 4], 2, "▄█"),
        ([1], 0, ""),
    ],
)
def test_a_sparkline_shows_the_newest_values(values: list[int], width: int | None, drawn: str) -> None:
    assert sparkline(values, width) == drawn


def test_a_day_by_the_hour() -> None:
    plot = stacked_columns(top_series(DAY), HOURS, width=78, height=8, value=money, cursor=20)
    assert lines_text(plot.lines) == drawing(
        """
        $4.00 ┤                        ▂             ▇ ▄
              ┤                        █ ▄ ▂       ▆ █ █ █
              ┤                  ▅     █ █ █       █ █ █ █ ▁
        $2.00 ┤                ▆ █ ▃   █ █ █   ▃   █ █ █ █ █
              ┤          █     █ █ █   █ █ █ ▂ █   █ █ █ █ █
              ┤    ▁ ▂ ▇ █ ▄ ▄ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █ █
        $0.00 ┼┬───────┬───────┬───────┬───────┬───────┬───────
               09:00   13:00   17:00   21:00   01:00   ▲05:00
        """
    )


def test_without_colours_each_series_has_its_own_sign() -> None:
    plot = stacked_columns(top_series(DAY), HOURS, width=62, height=7, value=money, marks=True)
    assert lines_text(plot.lines) == drawing(
        """
        $4.00 ┤                                      = #
              ┤                        = = #       = # # =
              ┤                  #     # # #       # # # # #
              ┤          =     = # #   # # #   #   # # # # #
              ┤    = # # # = # # # # # # # # # # = # # # # # #
        $0.00 ┼┬───────┬───────┬───────┬───────┬───────┬───────
               09:00   13:00   17:00   21:00   01:00   05:00
        """
    )
    assert text_of(legend(top_series(DAY), marks=True)) == "# gpt-5.4 82 %  = haiku 18 %"


def test_a_plot_can_be_said_in_ascii_cell_for_cell() -> None:
    plot = stacked_columns(top_series(DAY), HOURS, width=62, height=7, value=money, cursor=3)
    for line in plot.lines:
        plain = to_ascii(text_of(line))
        assert plain.isascii()
        assert cells(plain) == width_of(line)
        assert "?" not in plain


def test_a_narrow_plot_shows_the_newest_columns_or_those_before_the_cursor() -> None:
    def shown(cursor: int | None) -> tuple[int, int]:
        plot = stacked_columns(top_series(DAY), HOURS, width=17, height=6, value=money, cursor=cursor)
        return plot.first, plot.count

    assert [shown(cursor) for cursor in (None, 23, 14, 13, 5, 0)] == [
        (14, 10),
        (14, 10),
        (14, 10),
        (4, 10),
        (0, 10),
        (0, 10),
    ]


def test_the_cursor_is_always_labelled() -> None:
    for cursor, label in enumerate(HOURS):
        for width in (20, 40, 62, 110):
            plot = stacked_columns(top_series(DAY), HOURS, width=width, height=6, value=money, cursor=cursor)
            under = text_of(plot.lines[-1])
            assert f"▲{label}" in under or f"{label}▲" in under
            assert plot.bucket_at(cells(under[: under.index("▲")])) == cursor


def test_columns_grow_with_the_room_up_to_a_limit() -> None:
    labels = ["Mon", "Tue", "Wed"]
    plot = stacked_columns(top_series({"a": [1, 2, 3]}), labels, width=60, height=5, value=str)
    assert lines_text(plot.lines) == drawing(
        """
        3 ┤            █████
          ┤      █████ █████
          ┤█████ █████ █████
        0 ┼┬─────┬─────┬─────
           Mon   Tue   Wed
        """
    )
    assert [plot.bucket_at(x) for x in (2, 3, 8, 9, 20, 21)] == [None, 0, 0, 1, 2, None]


def test_no_data_is_an_empty_plot_with_its_axis() -> None:
    plot = stacked_columns((), ["10:00", "11:00"], width=20, height=4, value=money)
    assert lines_text(plot.lines) == drawing(
        """
              ┤
              ┤
        $0.00 ┼┬─────
               10:00
        """
    ).replace("┬─────", "┬───────────")
    assert stacked_columns((), [], width=20, height=4, value=money, cursor=0).bucket_at(8) is None


def test_series_are_stacked_by_their_share_with_the_largest_at_the_foot() -> None:
    plot = stacked_columns(top_series({"b": [2], "a": [5], "c": [1]}), ["x"], width=20, height=10, value=str)
    tones = [next(piece.tone for piece in line if "█" in piece.text) for line in plot.lines[:-2]]
    assert tones == [SERIES[2], SERIES[1], SERIES[1], *[SERIES[0]] * 5]


def test_the_column_under_the_cursor_stands_out() -> None:
    plot = stacked_columns(top_series({"a": [1, 1]}), ["x", "y"], width=20, height=4, value=str, cursor=1)
    assert [piece.bold for piece in plot.lines[0] if "█" in piece.text] == [False, True]


def test_more_than_six_series_become_six_and_other() -> None:
    series = top_series({f"m{n}": [n, 10] for n in range(1, 10)} | {"none": [0, 0]})
    assert [(each.name, each.values, each.tone) for each in series] == [
        ("m9", (9, 10), Tone.SERIES_1),
        ("m8", (8, 10), Tone.SERIES_2),
        ("m7", (7, 10), Tone.SERIES_3),
        ("m6", (6, 10), Tone.SERIES_4),
        ("m5", (5, 10), Tone.SERIES_5),
        ("m4", (4, 10), Tone.SERIES_6),
        ("other", (6, 30), Tone.OTHER),
    ]
    assert len({each.mark for each in series}) == 7


def test_a_legend_tells_the_shares_of_a_bucket() -> None:
    series = top_series({"a\x1b": [1, 0, 50], "b": [2, 4, 9_950]})
    assert text_of(legend(series)) == "█ b 99 %  █ a␛ <1 %"
    assert text_of(legend(series, 0)) == "█ b 67 %  █ a␛ 33 %"
    assert text_of(legend(series, 1)) == "█ b 100 %"
    assert legend(()) == ()


@pytest.mark.parametrize(
    ("amount", "ceiling"),
    [
        (0, 0),
        (1, 1),
        (3, 3),
        (7, 7),
        (9, 9),
        (61, 70),
        (10, 10),
        (11, 12),
        (13, 15),
        (101, 120),
        (3_920_000_000, 4_000_000_000),
    ],
)
def test_axis_ends_read_well(amount: int, ceiling: int) -> None:
    assert nice_ceiling(amount) == ceiling


AMOUNTS = st.integers(0, 10**13)


@given(
    st.lists(st.lists(AMOUNTS, min_size=7, max_size=7), max_size=8),
    st.integers(12, 90),
    st.integers(3, 14),
    st.none() | st.integers(0, 6),
    st.booleans(),
)
def test_a_plot_keeps_its_size_and_shows_every_bucket_with_anything_in_it(
    values: list[list[int]], width: int, height: int, cursor: int | None, marks: bool
) -> None:
    series = top_series({f"s{n}": row for n, row in enumerate(values)})
    labels = [safe(f"d{n}") for n in range(7)]
    plot = stacked_columns(
        series, labels, width=width, height=height, value=lambda amount: "9", cursor=cursor, marks=marks
    )
    assert len(plot.lines) == height
    assert max(map(width_of, plot.lines)) <= width
    foot = text_of(plot.lines[-3])
    for bucket in range(plot.first, plot.first + plot.count):
        x = plot.left + (bucket - plot.first) * plot.slot
        assert (foot[x : x + 1].strip() != "") == any(each.values[bucket] for each in series)


@given(st.lists(AMOUNTS, min_size=1, max_size=30))
def test_the_axis_covers_its_amounts(amounts: list[int]) -> None:
    highest = max(amounts)
    assert highest <= nice_ceiling(highest) <= highest * 1.5 + 1
