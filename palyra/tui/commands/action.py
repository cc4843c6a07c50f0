"""An action is declared once: its key, its words, who may do it, and what it does."""

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual.binding import Binding, BindingType

from palyra.core.values import value

if TYPE_CHECKING:
    from palyra.tui.screens.base import PalyraScreen

S_contra = TypeVar("S_contra", bound="PalyraScreen", contravariant=True)

GUARD_SECONDS = 0.3
"""After what is selected changed, keys that act on it are ignored for so long."""


class Confirm(StrEnum):
    """How sure the console makes itself before it acts."""

    NONE = "none"
    """Can be undone, or changes nothing."""
    DIALOG = "dialog"
    """A dialog tells the exact consequence; the safe button has the focus."""


class Stay(IntEnum):
    """What leaves a footer that is too narrow: the lowest first, and among equals the last."""

    WHERE_THERE_IS_ROOM = 0
    """The same on every list."""
    IF_NOTHING_ACTS = 1
    """The same on every screen."""
    ACTS = 2
    """On what is selected."""
    ALWAYS = 3


class Right(StrEnum):
    """What the operator must be allowed to do."""

    SEE = "see"
    DECIDE = "decide"
    ADMINISTER = "administer"
    REPAIR = "repair"


@value
class Offer:
    """Whether an action can be done now. A shown action with a reason is dimmed.

    `told`: the reason is worth a line before the key is pressed.
    """

    shown: bool = True
    reason: str = ""
    told: bool = True

    @property
    def ready(self) -> bool:
        """Whether its key does anything now."""
        return self.shown and not self.reason


READY = Offer()
HIDDEN = Offer(shown=False)


def dimmed(reason: str, *, told: bool = True) -> Offer:
    """It is shown, cannot be done, and says why."""
    return Offer(reason=reason, told=told)


class Action(ABC, Generic[S_contra]):
    """One thing an operator can do on screens of kind `S_contra`.

    `id` is what `[console.keys]` rebinds; `title` names it in the palette, `footer` in the footer (empty: not there).
    Actions that need a `Right` obey the guard time, unless they do nothing to what is selected.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    footer: str = ""
    stay: Stay = Stay.ACTS
    """How long it stays in a footer that gets narrower."""
    listed: bool = True
    """Worth a line in the palette."""
    blindly: bool = False
    """Works where the terminal is too small to show anything."""
    confirm: Confirm = Confirm.NONE
    right: Right = Right.SEE
    on_selection: bool = True
    """Acts on what is selected."""
    moves: bool = False
    """Only goes elsewhere in what is shown: what was said of an act still holds."""

    def offer(self, screen: S_contra) -> Offer:
        """Whether there is anything here to do it to."""
        return READY

    def footer_of(self, screen: S_contra) -> str:
        """What the footer says of it for what is selected."""
        return self.footer

    @abstractmethod
    def perform(self, screen: S_contra) -> Coroutine[Any, Any, None] | None:
        """Does it; what has to wait comes back as a coroutine that runs beside the screen."""

    def check(self, screen: S_contra) -> Offer:
        """The offer, dimmed where the operator may not."""
        offer = self.offer(screen)
        if not offer.ready or self.right is Right.SEE:
            return offer
        return dimmed(reason) if (reason := screen.palyra.refusal(self.right)) else offer


def bindings(actions: Iterable[Action[Any]]) -> list[BindingType]:
    """Textual bindings of actions; footer and help are drawn by Palyra."""
    return [
        Binding(",".join(action.keys), f"act('{action.id}')", action.title, show=False, id=action.id)
        for action in actions
    ]


KEY_WORDS = {
    "enter": "⏎",
    "escape": "esc",
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "space": "space",
    "ctrl+p": "^p",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "delete": "del",
}


def key_words(keys: str) -> str:
    """Keys as people read them: the first of `enter,o` is `⏎`."""
    first = keys.partition(",")[0]
    return KEY_WORDS.get(first, first)


def find(actions: Sequence[Action[Any]], identifier: str) -> Action[Any] | None:
    """The action of that id."""
    return next((action for action in actions if action.id == identifier), None)
