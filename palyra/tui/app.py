"""The console's application: it shows screens, pulls snapshots, runs actions, and never ends because a view failed."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar, TypeVar

from textual import events
from textual._context import active_message_pump
from textual.actions import ActionParseResult
from textual.app import App
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.driver import Driver
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widget import Widget

from palyra.control.commands import Command
from palyra.control.protocol import Control
from palyra.control.snapshots import CommandResult, Snapshot
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import themes
from palyra.tui.bridge import Bridge
from palyra.tui.commands.action import Action, Right
from palyra.tui.commands.catalogue import help_lines, palette_entries
from palyra.tui.commands.held import Held, hindrance
from palyra.tui.commands.keymap import sound_keys
from palyra.tui.commands.rights import refusal
from palyra.tui.dialogs.base import Dialog
from palyra.tui.dialogs.confirm import ConfirmDialog, Consequence
from palyra.tui.dialogs.decision import DecisionDialog
from palyra.tui.dialogs.help import HelpDialog
from palyra.tui.dialogs.palette import PaletteDialog
from palyra.tui.dialogs.reader import ReaderDialog
from palyra.tui.everything import everything
from palyra.tui.frame.herald import Herald, Ringing
from palyra.tui.frame.notice import Flash, flash
from palyra.tui.glyphs import AsciiFilter
from palyra.tui.habits import Habits
from palyra.tui.memory import Memory, load_memory, save_memory
from palyra.tui.screens.approvals import ApprovalsScreen
from palyra.tui.screens.audit import AuditScreen
from palyra.tui.screens.base import PalyraScreen
from palyra.tui.screens.budgets import BudgetsScreen
from palyra.tui.screens.diagnostics import DiagnosticsScreen
from palyra.tui.screens.incidents import IncidentsScreen
from palyra.tui.screens.jobs import JobsScreen
from palyra.tui.screens.listing import ListScreen
from palyra.tui.screens.models import ModelsScreen
from palyra.tui.screens.runs import RunsOf, RunsScreen
from palyra.tui.screens.triage import TriageScreen
from palyra.tui.screens.usage import UsageScreen
from palyra.tui.themes import Tone

log = logging.getLogger(__name__)

R = TypeVar("R")

SCREENS: tuple[type[PalyraScreen], ...] = (
    TriageScreen,
    ApprovalsScreen,
    IncidentsScreen,
    UsageScreen,
    RunsScreen,
    JobsScreen,
    BudgetsScreen,
    ModelsScreen,
    DiagnosticsScreen,
    AuditScreen,
)
HOME = TriageScreen.NAME
HERE = Path(__file__).parent
STYLES: list[str | PurePath] = [
    HERE / "app.tcss",
    HERE / "screens" / "listing.tcss",
    *(HERE / "screens" / f"{screen.NAME}.tcss" for screen in SCREENS),
    HERE / "dialogs" / "dialogs.tcss",
]
"""All read at start: a style sheet that comes later makes Textual read all of them again, in the midst of a key."""
CLIPBOARD_BYTES = 64 * 1024
"""Terminals cut longer clipboard writes, some after printing them."""

MOST_FAILURES = 20
"""More failures than these and the console closes: something is wrong that a fresh screen does not mend."""

_TONES = {"accepted": Tone.GOOD, "stale": Tone.WARN, "conflict": Tone.WARN}


class PalyraApp(App[None], inherit_bindings=False):
    """The console over a `Control`. The engine is started and stopped by whoever starts this."""

    TITLE = "Palyra"
    CSS_PATH = STYLES
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self,
        control: Control,
        *,
        clock: Clock,
        read_only: bool = False,
        ascii_only: bool = False,
        theme: str = themes.DEFAULT,
        color_system: str | None = None,
        refresh_hz: float = 4.0,
        drain_seconds: float = 30.0,
        ringing: Ringing | None = None,
        habits: Habits | None = None,
        keys: Mapping[str, str] | None = None,
        memory: Path | None = None,
        driver_class: type[Driver] | None = None,
    ) -> None:
        """`keys` remaps actions by their id. `memory` is the file that keeps screen, theme, filters and orders from one
        time to the next; `theme` is for a console that remembers none; `color_system`: what
        Rich says that the terminal can do."""
        self.clock = clock
        self.control = control
        self.read_only = read_only
        self.habits = habits or Habits()
        self.failures: list[BaseException] = []
        self.flashed: Flash | None = None
        self.troubles: tuple[str, ...] = ()
        """What is wrong with the console itself."""
        self.taking_over = False
        """Whether it ended so that an engine can be started in its place."""
        super().__init__(driver_class=driver_class)
        self.animation_level = "none"
        for own in themes.THEMES:
            self.register_theme(own)
        self._memory_file = memory
        self.memory = Memory() if memory is None else load_memory(memory)
        self.theme = themes.fitting(self.memory.theme, theme, color_system)
        self.take_keys(keys or {})
        self.bridge = Bridge(
            control, clock, refresh_hz=refresh_hz, on_snapshot=self._on_snapshot, on_link=self._on_link
        )
        self._ascii: list[LineFilter] = [AsciiFilter()] if ascii_only else []
        self.drain_seconds = drain_seconds
        self._recovering = False
        self._held = Held()
        self._herald = Herald(self._to_terminal, ringing)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: list[Command] = []

    def take_keys(self, wanted: Mapping[str, str]) -> None:
        """Keys of the operator's own, by the ids of actions; what is wrong with them is told as other problems are."""
        self.keys, self.key_faults = sound_keys(wanted, ((one.LABEL, one.ACTIONS) for one in SCREENS))
        self.set_keymap(self.keys)

    # Living.

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.ANSI_VARIABLES if self.current_theme.dark else themes.ANSI_LIGHT_VARIABLES

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._ascii]

    async def on_mount(self) -> None:
        for screen_class in SCREENS:
            self.install_screen(screen_class(), screen_class.NAME)
        last = self.memory.screen
        await self.push_screen(last if any(last == screen.NAME for screen in SCREENS) else HOME)
        self._herald.open()
        self.spawn(self.bridge.run())
        self.spawn(self._mount_screens())

    async def _mount_screens(self) -> None:
        """Makes the other screens once the first shows what there is, one at a time."""
        await self.bridge.answered.wait()
        for screen_class in SCREENS:
            _, mounted = self._get_screen(screen_class.NAME)
            await mounted

    def on_exit_app(self) -> None:
        """What is still asked would be answered to views that are being taken apart."""
        for task in self._tasks:
            task.cancel()

    async def on_unmount(self) -> None:
        self._herald.close()
        if self._memory_file is not None:
            save_memory(self._memory_file, self.memory)
        self.on_exit_app()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.MouseEvent):
            self.bridge.touch()
        if isinstance(event, events.Key | events.MouseDown) and not event.is_forwarded:
            key = event.key if isinstance(event, events.Key) else f"button {event.button}"
            self._held.press(key, self.clock.monotonic())
            if isinstance(self.screen, Dialog) and self.screen.holds_off(key, again=self._held.again):
                return
        await super().on_event(event)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Runs beside the screen; what it raises becomes a panel on the screen in front, never an end."""
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception as error:
            if self.is_running:
                self.note_failure(error, self.front)
            else:
                self._note(error, self)

    # Snapshots.

    @property
    def front(self) -> PalyraScreen | None:
        """The console's screen in front, or behind the dialog in front."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, PalyraScreen)), None)

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; None until the first has come."""
        return self.bridge.latest

    def _to_terminal(self, sequence: str) -> None:
        if self._driver is not None:
            self._driver.write(sequence)

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        self._herald.see(snapshot, self.clock.monotonic())
        front = self.front
        if front is None:
            return
        recovering = snapshot.engine.phase == "recovery"
        if recovering and not self._recovering:
            self.spawn(self._open_recovery())
        self._recovering = recovering
        with self.batch_update():
            try:
                if self.bridge.paused:
                    front.refresh_frame()
                else:
                    front.receive(snapshot)
                    if isinstance(self.screen, Dialog):
                        self.screen.take(snapshot)
            except Exception as error:
                self.note_failure(error, front)
        # Not at once: to draw and to paint take some milliseconds each, and the engine serves in between.
        self.screen._update_timer.reset()

    def _on_link(self) -> None:
        if self.front is not None:
            self.front.refresh_frame()

    # Failing.

    def note_failure(self, error: BaseException, screen: PalyraScreen | None) -> None:
        """Logs an error of the console's own and shows it as a panel on that screen."""
        self._note(error, screen)
        if screen is not None and not screen.failed:
            try:
                screen.fail(error)
            except Exception as again:
                self._note(again, screen)

    def _note(self, error: BaseException, where: object) -> None:
        log.error("the console failed in %s", type(where).__name__, exc_info=error)
        self.failures.append(error)

    async def _close_dialog(self) -> None:
        await self.pop_screen()
        self.flash("That dialog failed and was closed; nothing was done. The log says why.", Tone.BAD)

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Runs what a key is bound to. Keys are handled by the app itself, which must outlive what they do."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:
            if isinstance(self.screen, Dialog):
                self._note(error, self.screen)
                await self._close_dialog()
            else:
                self.note_failure(error, self.front)
            return True

    def _handle_exception(self, error: Exception) -> None:
        """Textual's last resort for an error in a handler. It would end the app; here the view alone is given up.

        The part that raised handles no more messages, so its whole screen is replaced by one that shows the panel.
        """
        pump = active_message_pump.get(None)
        self._note(error, pump)
        broken = pump.screen if isinstance(pump, Widget) else None
        if broken is None or len(self.failures) > MOST_FAILURES:
            self.exit(return_code=1, message="The console failed and was closed; the log says why.")
        else:
            self.call_later(self._give_up, broken, error)

    async def _give_up(self, broken: Screen[Any], error: Exception) -> None:
        if broken not in self.screen_stack:
            return
        while self.screen is not broken:
            await self.pop_screen()
        if not isinstance(broken, PalyraScreen):
            await self._close_dialog()
            return
        panel = type(broken)()
        panel.failed = True
        await self.switch_screen(panel)
        panel.fail(error)
        self.uninstall_screen(broken.NAME)
        self.install_screen(type(broken)(), broken.NAME)
        await broken.remove()

    # Going places.

    async def show(self, name: str) -> PalyraScreen:
        """Brings a screen to the front and returns it; one that had failed gets another chance."""
        front, target = self.front, self._own(name)
        self.memory.screen = name
        if front is target:
            if target.failed:
                target.recover()
            return target
        while isinstance(self.screen, Dialog):
            await self.pop_screen()
        if target.failed:
            target.recover()
        await self.switch_screen(name)
        return target

    def _own(self, name: str) -> PalyraScreen:
        screen = self.get_screen(name)
        assert isinstance(screen, PalyraScreen)
        return screen

    def go(self, name: str) -> None:
        """Brings a screen to the front."""
        self.spawn(self.show(name))

    async def _open_recovery(self) -> None:
        """Where the trouble is told and mended; the screen that was last in front is remembered all the same."""
        last = self.memory.screen
        await self.show(DiagnosticsScreen.NAME)
        self.memory.screen = last

    async def show_runs(self, view: RunsOf) -> None:
        """Shows the runs that a bucket of the timeline stands for."""
        runs = await self.show(RunsScreen.NAME)
        assert isinstance(runs, RunsScreen)
        runs.show_view(view)

    @property
    def colourless(self) -> bool:
        """Whether plots must tell their series apart by signs."""
        return self.no_color or bool(self._ascii)

    # Dialogs.

    async def ask(self, dialog: Dialog[R]) -> R | None:
        """Opens a dialog and waits for its answer; None when it was left."""
        answered: asyncio.Future[R | None] = asyncio.get_running_loop().create_future()

        def done(result: R | None) -> None:
            if not answered.done():
                answered.set_result(result)

        await self.push_screen(dialog, done)
        return await answered

    async def open_palette(self, screen: PalyraScreen) -> None:
        """Every action and every object by name."""
        objects = await everything(self.control, [self._own(one.NAME) for one in SCREENS])
        chosen = await self.ask(PaletteDialog(palette_entries(screen, SCREENS, objects)))
        what, _, rest = (chosen or "").partition(":")
        name, _, key = rest.partition(":")
        if what == "action":
            (await self.show(name)).act_by_name(key, at_once=name == screen.NAME)
        elif what == "object":
            await self.show_object(name, key)

    async def show_object(self, name: str, key: str) -> None:
        """Shows one thing on the screen that lists it."""
        target = await self.show(name)
        if isinstance(target, ListScreen):
            target.find(key)

    async def show_filtered(self, name: str, text: str) -> None:
        """Shows a list with only what a filter lets through."""
        target = await self.show(name)
        if isinstance(target, ListScreen):
            target.set_filter(text)

    def open_help(self, screen: PalyraScreen) -> None:
        """The keys of a screen."""
        self._read(HelpDialog(screen.LABEL, lambda width: help_lines(screen, width)))

    def open_decision(self, decision_id: str) -> None:
        """Why something was decided as it was."""
        zone = self.habits.timezone or ("UTC" if self.latest is None else self.latest.engine.timezone)
        self._read(DecisionDialog(self.control, decision_id, zone, self.clock, self.spawn))

    def _read(self, dialog: ReaderDialog) -> None:
        self.push_screen(dialog, lambda text: None if text is None else self.copy(text))

    async def ask_to_quit(self) -> None:
        """Quits; first says what would stop if the engine lives in this process and has runs in flight."""
        snapshot = self.latest
        if not self.control.attached and snapshot is not None and snapshot.runs_live:
            live = plural(snapshot.runs_live, "run")
            consequence = Consequence(
                title="Quit, and stop the engine with it?",
                text=f"{live} in flight: they get up to {self.drain_seconds:.0f} s to end, then they are cut. New "
                "requests are refused from now on. To keep the gateway open without a console, run: palyra serve",
                keep="Stay",
                act="Quit",
            )
            if not await self.ask(ConfirmDialog(consequence)):
                return
        self.exit()

    # Acting.

    def run_action_of(self, screen: PalyraScreen, action: Action[Any]) -> None:
        """Runs an action if it is offered, allowed, and what it acts on has stood still for long enough."""
        offer = action.check(screen)
        if not offer.shown:
            return
        if said := hindrance(action, offer, screen, self._held):
            self.flash(said, Tone.WARN, guard=True)
            return
        if self.flashed is not None and self.flashed.guard and not action.moves:
            self.flashed = None
            screen.refresh_frame()
        try:
            work = action.perform(screen)
        except Exception as error:
            self.note_failure(error, screen)
            return
        if work is not None:
            self.spawn(work)

    def take_over(self) -> None:
        """Ends; whoever started the console starts it again on an engine of its own."""
        self.taking_over = True
        self.exit()

    def refusal(self, right: Right) -> str:
        """Why the operator may not; empty when they may."""
        operator = None if self.latest is None else self.latest.operator
        return refusal(right, operator, self.bridge.link, read_only=self.read_only)

    async def send(self, command: Command) -> CommandResult | None:
        """Sends a command once, shows what came of it, and returns that; None when no answer came."""
        if command in self._sending:
            return None
        self._sending.append(command)
        try:
            result = await self.control.send(command)
        except PalyraError as error:
            self.flash(f"Not done: {error.message} {error.fix}".strip(), Tone.BAD)
            return None
        finally:
            self._sending.remove(command)
        self.flash(f"{result.message} {result.fix}".strip(), _TONES.get(result.status, Tone.BAD))
        self.bridge.hurry()
        return result

    def flash(self, text: object, tone: Tone = Tone.PLAIN, *, guard: bool = False) -> None:
        """Shows one line above the footer of the screen in front for some seconds; a `guard` says why a key did
        nothing, until another one does something."""
        front = self.front
        self.flashed = flash(text, tone, self.clock.monotonic(), "" if front is None else front.NAME, guard=guard)
        if front is not None:
            front.refresh_frame()

    def copy(self, text: object) -> None:
        """Puts safe text into the terminal's clipboard (OSC 52)."""
        clean = safe(text, multiline=True)
        if (octets := len(clean.encode())) > CLIPBOARD_BYTES:
            self.flash(f"Not copied: {show.size(octets)} is more than terminals take.", Tone.WARN)
            return
        self.copy_to_clipboard(clean)
        self.flash(f"Copied {plural(len(clean), 'character')}.", Tone.GOOD)

    def next_theme(self) -> None:
        """Takes the theme after the present one, and remembers it."""
        names = themes.CHOICES
        self.theme = self.memory.theme = names[(names.index(self.theme) + 1) % len(names)]
        self.flash(f"Theme {self.theme}.")
