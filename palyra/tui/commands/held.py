"""Tells a key that is held down from one that is pressed again."""

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
        self._again = False

    def press(self, key: str, now: float) -> None:
        """A key came at `now` (monotonic seconds)."""
        self._again = key == self._key and now - self._pressed < RELEASE_SECONDS
        if not self._again:
            self._acted = ""
        self._key, self._pressed = key, now

    def repeats(self, act: str) -> bool:
        """Whether the key that came last has done this already, and was not let go since."""
        return self._again and act == self._acted

    def did(self, act: str) -> None:
        """What the key that came last does."""
        self._acted = act
