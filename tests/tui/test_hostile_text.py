"""Whatever outsiders can name is shown harmlessly on every screen and in every dialog."""

import re
import unicodedata

import pytest
from rich.cells import cell_len

from palyra.core.redact import remember
from palyra.tui.glyphs import ASCII
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_views import HOSTILE
from tests.tui.fake_worlds import empty, hostile, normal

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
VISITS = {
    "triage": ["1"],
    "triage opened": ["1", "enter"],
    "approvals": ["2"],
    "approvals opened": ["2", "enter"],
    "a grant opened": ["2", "j", "j", "j", "enter"],
    "a decided one opened": ["2", "G", "enter"],
    "usage": ["4"],
    "runs of a bucket": ["4", "j", "enter"],
    "runs": ["5"],
    "a run opened": ["5", "enter"],
    "budgets": ["7"],
    "a budget opened": ["7", "enter"],
    "models": ["8"],
    "a provider opened": ["8", "g", "enter"],
    "a model opened": ["8", "j", "enter"],
}


def assert_harmless(desk: Desk, where: str) -> None:
    for number, line in enumerate(desk.lines):
        found = OBEYED.search(line)
        assert found is None, f"{where}, line {number}: {found and found[0]!r} in {line!r}"
        piled = re.search("[\u0300-\u036f]{5}", line)
        assert piled is None, f"{where}, line {number}"
    for number, strip in enumerate(desk.app.screen._compositor.render_strips()):
        assert cell_len(strip.text) == desk.app.size.width, f"{where}, line {number} is not one row high"


async def test_markup_is_shown_and_not_obeyed() -> None:
    async with console(hostile(), size=LARGE) as desk:
        await desk.press("2", "enter")
        assert "[b]x[/b]" in desk.text


async def test_what_is_copied_is_safe_too() -> None:
    async with console(hostile()) as desk:
        await desk.press("y")
        assert not OBEYED.search(desk.app.clipboard)
        await desk.press("5", "enter", "y")
        assert not OBEYED.search(desk.app.clipboard.replace("\n", ""))
        assert desk.app.clipboard


async def test_too_much_is_not_copied() -> None:
    async with console(normal()) as desk:
        await desk.press("y")
        before = desk.app.clipboard
        desk.app.copy("x" * 65_537)
        assert desk.app.clipboard == before
        await desk.settle()
        assert "65.5 kB is more than terminals take" in desk.notice


async def test_pasted_text_is_made_safe() -> None:
    from textual import events

    async with console(normal()) as desk:
        await desk.press("slash")
        assert desk.app.focused is not None
        desk.app.focused.post_message(events.Paste(f"who:{HOSTILE}"))
        await desk.settle()
        assert_harmless(desk, "filter")
        assert "who:" in desk.text


async def test_the_error_panel_redacts() -> None:
    remember("s3cr3t-value-of-a-key")
    async with console(empty()) as desk:
        desk.front.fail(RuntimeError("api_key: s3cr3t-value-of-a-key\x1b]52;c;x\x07"))
        await desk.settle()
        assert "s3cr3t" not in desk.text
        assert_harmless(desk, "panel")


@pytest.mark.parametrize("keys", list(VISITS.values()), ids=list(VISITS))
async def test_ascii_means_ascii(keys: list[str]) -> None:
    async with console(hostile() if "4" not in keys else normal(), ascii_only=True) as desk:
        await desk.press(*keys)
        await desk.wait(0)
        painted = painted_text(desk)
        assert painted.isascii(), [char for char in painted if not char.isascii()]


def painted_text(desk: Desk) -> str:
    """What goes to the terminal, after the line filters."""
    screen = desk.app.screen
    width, height = desk.app.size
    update = screen._compositor.render_full_update()
    lines = [strip.text for row in update.strips for strip in row]
    assert len(update.strips) == height
    assert sum(len(text) for text in lines) >= width
    return "".join(lines)


def test_every_sign_has_a_likeness_of_its_width() -> None:
    for sign, likeness in ASCII.items():
        assert likeness.isascii()
        assert likeness.isprintable()
        assert cell_len(sign) == len(likeness) == 1, unicodedata.name(sign)
