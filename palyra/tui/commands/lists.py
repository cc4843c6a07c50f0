"""What works on every list: moving, opening, filtering, sorting, copying."""

from typing import TYPE_CHECKING

from palyra.tui.commands.action import HIDDEN, READY, Action, Offer, Stay

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


class Open(Action["ListScreen"]):
    id = "table.open"
    keys = ("enter",)
    title = "Open"
    help = "shows everything about the selected row"
    footer = "open"

    def offer(self, screen: "ListScreen") -> Offer:
        return HIDDEN if screen.subject is None or screen.opened else READY

    def perform(self, screen: "ListScreen") -> None:
        screen.open_detail()


class Back(Action["ListScreen"]):
    id = "list.back"
    keys = ("escape",)
    title = "Back"
    help = "closes the detail, then the filter, then goes to where you came from"
    footer = "back"
    stay = Stay.ALWAYS

    def offer(self, screen: "ListScreen") -> Offer:
        return READY if screen.can_go_back else HIDDEN

    def perform(self, screen: "ListScreen") -> None:
        screen.go_back()


class Find(Action["ListScreen"]):
    id = "list.filter"
    keys = ("slash",)
    title = "Filter"
    help = "words, or field:value; a leading ! keeps the others"
    footer = "filter"
    stay = Stay.WHERE_THERE_IS_ROOM

    def offer(self, screen: "ListScreen") -> Offer:
        return HIDDEN if screen.opened else READY

    def perform(self, screen: "ListScreen") -> None:
        screen.open_filter()


class NextSort(Action["ListScreen"]):
    id = "list.sort"
    keys = ("S",)
    title = "Next sort order"
    help = "goes through the orders of this list"

    def perform(self, screen: "ListScreen") -> None:
        screen.next_order()


class Copy(Action["ListScreen"]):
    id = "list.copy"
    keys = ("y",)
    title = "Copy"
    help = "to the terminal's clipboard, also over SSH (OSC 52)"
    footer = "copy"
    stay = Stay.WHERE_THERE_IS_ROOM

    def perform(self, screen: "ListScreen") -> None:
        screen.copy()


class Move(Action["ListScreen"]):
    """Moves the cursor, or scrolls an opened detail. Shares its id with the table's own binding."""

    listed = False
    moves = True

    def __init__(self, name: str, keys: tuple[str, ...], title: str) -> None:
        self.id = f"table.{name}"
        self.keys = keys
        self.title = title
        self.help = "row of the list, or line of an opened detail"
        self.name = name

    def perform(self, screen: "ListScreen") -> None:
        screen.move(self.name)


MOVES = (
    Move("down", ("j", "down"), "Next"),
    Move("up", ("k", "up"), "Previous"),
    Move("first", ("g", "home"), "First"),
    Move("last", ("G", "end"), "Last"),
    Move("page_down", ("pagedown",), "Page down"),
    Move("page_up", ("pageup",), "Page up"),
)
OPENING: tuple[Action["ListScreen"], ...] = (Open(), Back())
LISTS: tuple[Action["ListScreen"], ...] = (Find(), Copy(), NextSort(), *MOVES)
