"""Keys of an operator's own are taken where they are sound; what is wrong with the others is told."""

import pytest

from palyra.tui.app import SCREENS
from palyra.tui.commands.keymap import is_key, sound_keys
from tests.tui.desk import LARGE, console
from tests.tui.fake_worlds import normal

ACTIONS = [(screen.LABEL, screen.ACTIONS) for screen in SCREENS]


@pytest.mark.parametrize("key", ["o", "?", "/", "é", "f2", "ctrl+o", "shift+f5", "question_mark", "pageup", "space"])
def test_what_terminals_send_is_a_key(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize("key", ["", " ", "foo", "ctrl+", "f99", "o p", "\t"])
def test_what_no_terminal_sends_is_none(key: str) -> None:
    assert not is_key(key)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ({"approval.deny": "f3"}, {"approval.deny": "f3"}),
        ({"approval.deny": "f3, ctrl+d"}, {"approval.deny": "f3,ctrl+d"}),
        ({"console.help": "!"}, {"console.help": "exclamation_mark"}),
        # Two change places.
        ({"approval.deny": "x", "decision.explain": "d"}, {"approval.deny": "x", "decision.explain": "d"}),
        # What is selected decides which of two is meant.
        ({"approval.allow_once": "o"}, {"approval.allow_once": "o"}),
        ({"incident.acknowledge": "K"}, {"incident.acknowledge": "K"}),
    ],
)
def test_sound_ones_are_taken(wanted: dict[str, str], taken: dict[str, str]) -> None:
    assert sound_keys(wanted, ACTIONS) == (taken, ())


@pytest.mark.parametrize(
    ("identifier", "key", "told"),
    [
        ("approval.alow_once", "f2", "approval.alow_once: there is no such action, the nearest is approval.allow_once"),
        ("approval.deny", "foo", "approval.deny: foo is no key; write one like o, f2 or ctrl+o"),
        ("approval.deny", "f2,", "approval.deny: nothing is no key; write one like o, f2 or ctrl+o"),
        ("approval.deny", "q", "approval.deny: q is already 'Quit' (console.quit) on Triage"),
        ("console.theme", "w", "console.theme: w is already 'What if' (usage.what_if) on Usage"),
        ("table.down", "j,k", "table.down: k is already 'Previous' (table.up) on Triage"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(identifier: str, key: str, told: str) -> None:
    assert sound_keys({identifier: key}, ACTIONS) == ({}, (f"[console.keys] {told}",))


def test_the_sound_ones_among_others_are_taken() -> None:
    keys, faults = sound_keys({"approval.deny": "f3", "approval.allow": "f3", "console.quit": "Q"}, ACTIONS)
    assert keys == {"approval.deny": "f3", "console.quit": "Q"}
    assert faults == ("[console.keys] approval.allow: f3 is already 'Deny' (approval.deny) on Triage",)


async def test_a_fault_is_said_on_the_screen_and_the_key_stays_what_it_was() -> None:
    async with console(normal(), keys={"approval.deny": "a", "console.themes": "f2"}, size=LARGE) as desk:
        assert desk.notice.startswith("▲ [console.keys]")
        assert "(and 1 problem more)" in desk.notice
        assert "d deny…" in desk.footer
        await desk.ready()
        await desk.press("d")
        assert desk.dialog == "DenyDialog"
