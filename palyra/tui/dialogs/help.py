"""The keys of a screen."""

from collections.abc import Callable

from palyra.tui.dialogs.reader import ReaderDialog
from palyra.tui.widgets.lines import Line


class HelpDialog(ReaderDialog):
    """Shows what `?` shows: made from the same actions as footer and palette."""

    def __init__(self, label: str, make: Callable[[int], list[Line]]) -> None:
        super().__init__(f"Keys of {label}")
        self._make = make

    def lines(self, width: int) -> list[Line]:
        return self._make(width)
