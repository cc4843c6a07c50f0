"""Every action is declared once and rightly: footer, help, palette and keys cannot drift apart."""

import pytest
from textual.binding import Binding

from palyra.tui.app import SCREENS
from palyra.tui.commands.action import Confirm, Right
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.screens.base import PalyraScreen
from palyra.tui.widgets.live_table import LiveTable

CLASHING = {"ctrl+a", "ctrl+b", "ctrl+q", "ctrl+s"}
SHARED = {
    "a": {"approval.allow_once", "incident.acknowledge", "alert.acknowledge"},
    "s": {"incident.snooze", "alert.snooze"},
    "J": {"incident.jump", "alert.jump"},
    "E": {"console.take_over", "console.start_engine"},
}
"""Keys of several actions on one screen: each acts on another kind of thing, so that what is selected decides, or is
offered in another state of the engine."""


@pytest.mark.parametrize("screen", SCREENS)
def test_ids_and_keys_are_unique_on_a_screen(screen: type[PalyraScreen]) -> None:
    ids = [action.id for action in screen.ACTIONS]
    assert len(ids) == len(set(ids))
    for key in {key for action in screen.ACTIONS for key in action.keys}:
        meant = {action.id for action in screen.ACTIONS if key in action.keys}
        assert len(meant) == 1 or meant <= SHARED[key]


@pytest.mark.parametrize("screen", SCREENS)
def test_no_key_clashes_with_what_terminals_keep_for_themselves(screen: type[PalyraScreen]) -> None:
    keys = {key for action in screen.ACTIONS for key in action.keys}
    assert not keys & CLASHING


@pytest.mark.parametrize("screen", SCREENS)
def test_every_action_is_bound_and_says_what_it_does(screen: type[PalyraScreen]) -> None:
    bound = {item.id for item in screen.BINDINGS if isinstance(item, Binding)}
    for action in screen.ACTIONS:
        assert action.id in bound
        assert action.title
        assert action.help
        assert action.help[0].islower()
        assert not action.help.endswith(".")


@pytest.mark.parametrize("screen", SCREENS)
def test_what_works_everywhere_works_here(screen: type[PalyraScreen]) -> None:
    assert set(EVERYWHERE) <= set(screen.ACTIONS)
    assert [action.footer for action in screen.ACTIONS if action in EVERYWHERE and action.footer][-3:] == [
        "command",
        "keys",
        "quit",
    ]


def test_an_action_has_one_meaning_wherever_it_is() -> None:
    found: dict[str, tuple[str, ...]] = {}
    for screen in SCREENS:
        for action in screen.ACTIONS:
            if action.id != "table.open":
                assert found.setdefault(action.id, action.keys) == action.keys, action.id


def test_the_tables_own_keys_have_the_ids_and_keys_that_help_tells() -> None:
    own = {item.id: set(item.key.split(",")) for item in LiveTable.BINDINGS if isinstance(item, Binding) and item.id}
    told = {action.id: set(action.keys) for action in SCREENS[0].ACTIONS if action.id.startswith("table.")}
    assert own == told


def test_what_cannot_be_undone_asks_first() -> None:
    acting = {action.id: action for screen in SCREENS for action in screen.ACTIONS if action.right is not Right.SEE}
    without_dialog = {name for name, action in acting.items() if action.confirm is Confirm.NONE}
    assert without_dialog == {
        "approval.allow_once",
        "alert.acknowledge",
        "incident.acknowledge",
        "incident.own",
        "letter.retry",
        "job.trigger",
        "job.pause",
        "job.retry",
        "models.discover",
        "models.clear",
    }
