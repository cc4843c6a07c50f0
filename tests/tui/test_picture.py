"""What is sent is little, and the terminal shows the same as if everything had been sent."""

from typing import Any, Literal

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from palyra.tui.picture import PLAIN, Look, Pen, Picture, cells_of, look_of

WIDTH, HEIGHT = 24, 3
CONSOLE = Console(force_terminal=True, color_system="truecolor", width=WIDTH)
STYLES = [
    None,
    Style(color="#010203"),
    Style(color="#010203", bgcolor="#a0b0c0"),
    Style(bold=True, bgcolor="#a0b0c0"),
    Style(italic=True, underline=True),
    Style(reverse=True),
    Style(strike=True, color="red"),
]


def seen(screen: pyte.Screen) -> list[list[Any]]:
    """What can be seen of each cell; the colour and weight of a space cannot."""

    def look(char: Any) -> Any:
        drawn = char.reverse or char.underscore or char.strikethrough
        return char if drawn or char.data != " " else (" ", char.bg)

    return [[look(screen.buffer[y][x]) for x in range(WIDTH)] for y in range(HEIGHT)]


def whole_line(pieces: list[tuple[str, Style | None]]) -> list[Segment]:
    """Pieces cut and filled to a line of exactly WIDTH cells."""
    segments: list[Segment] = []
    left = WIDTH
    for text, style in pieces:
        while cell_len(text) > left:
            text = text[:-1]
        segments.append(Segment(text, style))
        left -= cell_len(text)
    return [*segments, Segment(" " * left)]


PIECES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "c", " ", "    ", "é", "▌", "日", "e\u0301"]), max_size=8).map("".join),
        st.sampled_from(STYLES),
    ),
    max_size=5,
)
DRAWINGS = st.lists(st.tuples(st.integers(0, HEIGHT - 1), PIECES), max_size=12)


def everything(y: int, segments: list[Segment]) -> str:
    return f"\x1b[{y + 1};1H" + "".join(
        style.render(text, color_system=ColorSystem.TRUECOLOR) if style else text for text, style, _ in segments
    )


@given(DRAWINGS, st.sets(st.integers(0, 11)))
def test_the_terminal_shows_what_it_would_if_all_were_sent(
    drawings: list[tuple[int, list[tuple[str, Style | None]]]], forgotten: set[int]
) -> None:
    screens = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
    for screen in screens:
        screen.reset_mode(pyte.modes.DECAWM)
    plain, tight = map(pyte.Stream, screens)
    picture = Picture()
    for number, (y, pieces) in enumerate(drawings):
        segments = whole_line(pieces)
        if number in forgotten:
            picture.forget()
        plain.feed(everything(y, segments))
        pen = Pen(CONSOLE)
        picture.draw(pen, 0, y, segments)
        tight.feed(pen.finish())
        assert seen(screens[1]) == seen(screens[0])


def drawn(picture: Picture, text: str, x: int = 0, style: Style | None = None) -> str:
    pen = Pen(CONSOLE)
    picture.draw(pen, x, 0, [Segment(text, style)])
    return pen.finish()


def test_only_cells_that_differ_are_sent() -> None:
    picture = Picture()
    assert drawn(picture, "age 0:41 ok") == "\x1b[1;1Hage 0:41 ok"
    assert drawn(picture, "age 0:41 ok") == ""
    assert drawn(picture, "age 0:42 ok") == "\x1b[1;8H2"
    assert drawn(picture, "AGE 0:42 OK") == "\x1b[1;1HAGE\x1b[6COK"
    assert drawn(picture, "AgE 0:42 OK") == "\x1b[1;2Hg"
    assert drawn(picture, "0:43", x=4) == "\x1b[1;8H3"
    assert drawn(picture, "new", x=20) == "\x1b[1;21Hnew"


def test_a_jump_past_what_some_terminals_make_wide_names_its_place() -> None:
    picture = Picture()
    drawn(picture, "● 0:41 ok")
    assert drawn(picture, "▲ 0:41 OK") == "\x1b[1;1H▲\x1b[1;8HOK"


@given(st.lists(st.lists(st.tuples(st.sampled_from(["ab", "  ", "c", "▌"]), st.sampled_from(STYLES)), min_size=6)))
def test_much_is_written_colour_by_colour_and_looks_the_same(lines: list[list[tuple[str, Style | None]]]) -> None:
    screens = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
    for screen in screens:
        screen.reset_mode(pyte.modes.DECAWM)
    plain, tight = map(pyte.Stream, screens)
    picture, pen = Picture(), Pen(CONSOLE)
    for y, pieces in enumerate(lines[:HEIGHT]):
        plain.feed(everything(y, whole_line(pieces)))
        picture.draw(pen, 0, y, whole_line(pieces))
    tight.feed(pen.finish())
    assert seen(screens[1]) == seen(screens[0])


def test_colours_that_take_turns_are_changed_once_each() -> None:
    picture, pen = Picture(), Pen(CONSOLE)
    red, blue = Style(color="#ff0000"), Style(color="#0000ff")
    for y in range(20):
        picture.draw(pen, 0, y, [Segment("warm", red), Segment("cold", blue)])
    written = pen.finish()
    assert (written.count("255;0;0"), written.count("0;0;255")) == (1, 1)


def test_a_picture_that_was_forgotten_is_sent_again() -> None:
    picture = Picture()
    drawn(picture, "same")
    picture.forget()
    assert drawn(picture, "same") == "\x1b[1;1Hsame"


def test_behind_a_character_of_doubtful_width_the_line_is_sent_to_its_end() -> None:
    picture = Picture()
    drawn(picture, "a日b tail")
    assert drawn(picture, "x日b tail") == "\x1b[1;1Hx日b tail"
    assert drawn(picture, "xyyb tail") == "\x1b[1;2Hyyb tail"
    assert drawn(picture, "xyzb tail") == "\x1b[1;3Hz"


def test_half_of_a_wide_character_is_no_longer_known() -> None:
    picture = Picture()
    drawn(picture, "日日")
    assert drawn(picture, "ab", x=1) == "\x1b[1;2Hab"
    assert drawn(picture, " ab ") == "\x1b[1;1H ab "


def test_a_change_of_look_is_a_change() -> None:
    picture = Picture()
    drawn(picture, "ab")
    assert drawn(picture, "ab", style=Style(bold=True)) == "\x1b[1;1H\x1b[1mab\x1b[0m"
    assert drawn(picture, "ab", style=Style(bold=True, color="red")) == "\x1b[1;1H\x1b[1;31mab\x1b[0m"


def test_the_colour_of_a_space_is_not_sent() -> None:
    picture = Picture()
    drawn(picture, "   ")
    assert drawn(picture, "   ", style=Style(color="red")) == ""
    assert drawn(picture, "   ", style=Style(bgcolor="red")) == "\x1b[1;1H\x1b[41m   \x1b[0m"
    assert drawn(picture, "   ", style=Style(underline=True)) == "\x1b[1;1H\x1b[4m   \x1b[0m"


def test_a_link_is_opened_and_closed() -> None:
    assert drawn(Picture(), "x", style=Style(link="https://x.example")) == (
        "\x1b[1;1H\x1b]8;;https://x.example\x1b\\x\x1b]8;;\x1b\\\x1b[0m"
    )


@pytest.mark.parametrize(
    ("style", "system", "look"),
    [
        (None, ColorSystem.TRUECOLOR, PLAIN),
        (Style(), ColorSystem.TRUECOLOR, PLAIN),
        (Style(color="#0a141e", bold=True), ColorSystem.TRUECOLOR, Look("38;2;10;20;30", "49", frozenset("1"))),
        (Style(bgcolor="#ff0000"), ColorSystem.EIGHT_BIT, Look("39", "48;5;196", frozenset())),
        (Style(color="#ff0000", underline=True), ColorSystem.STANDARD, Look("31", "49", frozenset("4"))),
        (Style(color="default", bold=False), ColorSystem.TRUECOLOR, PLAIN),
    ],
)
def test_styles_in_codes(style: Style | None, system: ColorSystem, look: Look) -> None:
    assert look_of(style, system) == look


@pytest.mark.parametrize("colours", ["standard", "256", "truecolor"])
def test_a_pen_writes_for_terminals_of_every_colour_depth(colours: Literal["standard", "256", "truecolor"]) -> None:
    console = Console(color_system=colours, force_terminal=True)
    pen = Pen(console)
    pen.write(0, 0, cells_of("red", Style(color="#ff0000"), pen.system))
    assert pen.system.name == {"standard": "STANDARD", "256": "EIGHT_BIT", "truecolor": "TRUECOLOR"}[colours]
