"""Whatever keyboards and input methods send, and whatever is pasted into a field: what is seen is what is there, on one
row, and only that is sent."""

import pytest
from textual import events

from palyra.control.commands import DecideApproval
from palyra.core.safe_text import safe
from tests.support.hostile import ATTACKS, obeyed
from tests.tui.desk import Desk, console
from tests.tui.fake_worlds import normal
from tests.tui.test_hostile_text import assert_harmless

TYPED = {
    "piled marks": "e" + "\u0301" * 30,
    "marks with nothing below": "\u0301\u0489\u20dd",
    "composed by an input method": "ㅎㅏ하한han漢字",
    "letters that draw nothing": "a\u3164\u115f\u1160\uffa0b",
    "widths of nothing": "a\u200b\u200c\u200d\u2060\ufeff\u00ad\u034fb",
    "directions": "a\u202eb\u2066c\u200f\u061cd",
    "letters from right to left": "שלום مرحبا",
    "emoji": "👩\u200d👩\u200d👧\u200d👦👍🏽❤\ufe0f1\ufe0f\u20e3🇨🇿",
    "tags": "🏴\U000e0067\U000e007f",
    "controls": "a\x9b31m\x9d0;x\x9c\x85b",
    "half a character": "a\ud800b\udc00",
    "lines": "a\u2028b\u2029c",
    "spaces": "a\u00a0b\u3000c\u2003d",
}
PLACES = (("slash",), ("d",))
"""Ways into a field: the filter, and a reason; all others are of the same kind."""


def check(desk: Desk, where: str) -> None:
    assert_harmless(desk, where)
    for number, strip in enumerate(desk.app.screen._compositor.render_strips()):
        assert obeyed(strip.text) is None, f"{where}, line {number}: {strip.text!r}"


@pytest.mark.parametrize("keys", PLACES, ids="-".join)
async def test_what_is_typed_or_pasted_moves_nothing_beside_it(keys: tuple[str, ...]) -> None:
    pasted = "".join(ATTACKS.values())
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press(*keys)
        await desk.ready()
        for what, text in TYPED.items():
            await desk.type(text)
            check(desk, what)
            await desk.press("home", "delete", "end", "backspace", "ctrl+u")
            check(desk, f"{what}, corrected")
        for line in pasted.splitlines():
            assert desk.app.focused is not None
            desk.app.focused.post_message(events.Paste(line))
        await desk.settle()
        check(desk, "pasted")


async def test_a_reason_is_sent_as_it_was_seen() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("d")
        desk.focus("reason")
        await desk.settle()
        await desk.type("no\u202e" + "e" + "\u0301" * 9 + "\u3164!")
        value = desk.app.focused.value  # type: ignore[union-attr]
        desk.focus("act")
        await desk.settle()
        await desk.wait(2)
        await desk.press("enter")
        (sent,) = [one for one in desk.control.sent if isinstance(one, DecideApproval)]
        assert sent.reason == value == safe(value)
        assert "\u202e" not in value
        assert value.count("\u0301") <= 8
