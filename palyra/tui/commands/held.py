"""Tells a key that is held down from one that is pressed again, and why a key does nothing."""

from typing import Any

from palyra.tui.commands.action import Action, Offer, Right

RELEASE_SECONDS = 0.7
"""Terminals tell no releases. Keys that are held down come again after half a second, then every few hundredths: one
that stayed away for longer than this was let go."""


class Held:
    """Follows keys and what they did: while its key may be held down, an act is not done again to what comes next."""

    def __init__(self) -> None:
        self._key = ""
        self._pressed = 0.0
        self._acted = ""
        """The id of what the key did when it was pressed first, and not by being held; empty for nothing."""
        self.again = False
        """Whether the key that came last came before, and was not let go since."""

    def press(self, key: str, now: float) -> None:
        """A key came at `now` (monotonic seconds)."""
        self.again = key == self._key and now - self._pressed < RELEASE_SECONDS
        if not self.again:
            self._acted = ""
        self._key, self._pressed = key, now

    def repeats(self, act: str) -> bool:
        """Whether the key that came last has done this already, and was not let go since."""
        return self.again and act == self._acted

    def did(self, act: str) -> None:
        """What the key that came last does."""
        self._acted = act


def hindrance(action: Action[Any], offer: Offer, screen: Any, held: Held) -> str:
    """Why a shown action is not done now, empty where it is: it cannot be, or what it acts on has not stood still for
    long enough to have been looked at. What it does is noted as done by its key."""
    if offer.reason:
        return f"{action.title.rstrip('…')}: {offer.reason}."
    if action.right is Right.SEE or not action.on_selection:
        return ""
    if held.repeats(action.id):
        return "Still held down? Let go of the key, look, then press again."
    if not screen.may_act():
        return "It changed just now. Look again, then press again."
    held.did(action.id)
    return ""
