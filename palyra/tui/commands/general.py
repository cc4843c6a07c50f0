"""What works on every screen: going places, palette, help, theme, pause, quit."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.engine_commands import RUNS_ELSEWHERE, StartEngine
from palyra.tui.bridge import Link
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Stay
from palyra.tui.commands.configuration import Configuration

if TYPE_CHECKING:
    from palyra.tui.screens.base import PalyraScreen


class GoTo(Action["PalyraScreen"]):
    """Shows one of the console's screens."""

    def __init__(self, key: str, name: str, label: str, what: str) -> None:
        self.id = f"go.{name}"
        self.keys = (key,)
        self.title = label
        self.help = what
        self.name = name

    def perform(self, screen: "PalyraScreen") -> None:
        screen.palyra.go(self.name)


class Palette(Action["PalyraScreen"]):
    id = "console.palette"
    keys = ("colon", "ctrl+p")
    title = "Command palette"
    help = "every action and every object by name"
    footer = "command"
    stay = Stay.IF_NOTHING_ACTS

    def perform(self, screen: "PalyraScreen") -> Coroutine[Any, Any, None]:
        return screen.palyra.open_palette(screen)


class Help(Action["PalyraScreen"]):
    id = "console.help"
    keys = ("question_mark",)
    title = "Keys of this screen"
    help = "this list"
    footer = "keys"
    stay = Stay.ALWAYS

    def perform(self, screen: "PalyraScreen") -> None:
        screen.palyra.open_help(screen)


class NextTheme(Action["PalyraScreen"]):
    id = "console.theme"
    keys = ("T",)
    title = "Next theme"
    help = "dark, light, high contrast, colour-blind safe, the terminal's own colours"

    def perform(self, screen: "PalyraScreen") -> None:
        screen.palyra.next_theme()


class Pause(Action["PalyraScreen"]):
    id = "console.pause"
    keys = ("P",)
    title = "Pause or go on"
    help = "lists stand still while the status line goes on"

    def perform(self, screen: "PalyraScreen") -> None:
        screen.palyra.bridge.pause(not screen.palyra.bridge.paused)


class TakeOver(Action["PalyraScreen"]):
    id = "console.take_over"
    keys = ("E",)
    title = "Take over"
    help = "runs the engine in this console, once the one it showed has gone"
    footer = "take over"
    stay = Stay.ALWAYS

    def offer(self, screen: "PalyraScreen") -> Offer:
        app = screen.palyra
        return READY if app.control.attached and app.bridge.link is Link.GONE else HIDDEN

    def perform(self, screen: "PalyraScreen") -> None:
        screen.palyra.take_over()


class StartAgain(Action["PalyraScreen"]):
    id = "console.start_engine"
    keys = ("E",)
    title = "Start the engine"
    help = "tries again in recovery mode, once what kept it away is out of the way"
    footer = "start"
    stay = Stay.ALWAYS

    def offer(self, screen: "PalyraScreen") -> Offer:
        latest = screen.palyra.latest
        return READY if latest is not None and latest.engine.phase == "recovery" else HIDDEN

    def perform(self, screen: "PalyraScreen") -> Coroutine[Any, Any, None]:
        return self._start(screen)

    @staticmethod
    async def _start(screen: "PalyraScreen") -> None:
        result = await screen.palyra.send(StartEngine())
        if result is not None and result.code == RUNS_ELSEWHERE:
            # Whoever started the console looks for the engine of another process first.
            screen.palyra.take_over()


class Quit(Action["PalyraScreen"]):
    id = "console.quit"
    keys = ("q", "ctrl+c")
    title = "Quit"
    help = "asks first while runs would stop with the console"
    footer = "quit"
    stay = Stay.IF_NOTHING_ACTS
    blindly = True
    confirm = Confirm.DIALOG

    def perform(self, screen: "PalyraScreen") -> Coroutine[Any, Any, None]:
        return screen.palyra.ask_to_quit()


GO_TO = (
    GoTo("1", "triage", "Triage", "what needs a person now"),
    GoTo("2", "approvals", "Approvals", "requests that wait for a word, decided ones, grants"),
    GoTo("3", "incidents", "Incidents", "what went wrong, and what is done about it"),
    GoTo("4", "usage", "Usage", "tokens, cost and latency over time"),
    GoTo("5", "runs", "Runs", "live and recent runs"),
    GoTo("6", "jobs", "Jobs", "what fires when, and the tasks in the background"),
    GoTo("7", "budgets", "Budgets", "policies and where their counters stand"),
    GoTo("8", "models", "Models", "providers and their models: health, places, prices"),
    GoTo("9", "diagnostics", "Diagnostics", "how every part of the house is, and what suffers from what"),
    GoTo("0", "audit", "Audit", "what people and Palyra did, and the chain that vouches for it"),
)
EVERYWHERE: tuple[Action["PalyraScreen"], ...] = (
    TakeOver(),
    StartAgain(),
    Palette(),
    Help(),
    Quit(),
    *GO_TO,
    Configuration(),
    NextTheme(),
    Pause(),
)
