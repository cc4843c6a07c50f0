"""What all screens share: the frame, their part of the snapshot, the running of actions, failing calmly."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen

from palyra.control.commands import Command
from palyra.control.snapshots import Snapshot, Topic
from palyra.tui.commands.action import Action, find, key_words
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.compositor import TightCompositor
from palyra.tui.frame.failure import failure_lines
from palyra.tui.frame.footer import footer_line, reason_line
from palyra.tui.frame.notice import Banner, notice_line
from palyra.tui.frame.small import small_lines, too_small
from palyra.tui.frame.status import Marks, status_line
from palyra.tui.frame.stopped import stopped_lines
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, Lines, line, spread, strong

if TYPE_CHECKING:
    from palyra.tui.app import PalyraApp

WIDE_FROM = 110
"""From this width on there is a side panel."""
ROOMY_FROM = 160
"""From this width on it takes two fifths of the screen."""


class PalyraScreen(Screen[None]):
    """One screen of the console. Subclasses say what they show of a snapshot and which actions they offer."""

    AUTO_FOCUS = ""
    NAME: ClassVar[str]
    LABEL: ClassVar[str]
    TOPICS: ClassVar[Collection[Topic]]
    ACTIONS: ClassVar[tuple[Action[Any], ...]]
    IN_RECOVERY: ClassVar[bool] = False
    """Whether it is of use while no engine runs."""

    def __init__(self) -> None:
        super().__init__(name=self.NAME)
        self._compositor = TightCompositor()
        self.snapshot: Snapshot | None = None
        self.failed = False
        self._afterwards: Action[Any] | None = None
        """What is done once the next snapshot is shown."""
        self._composed = False

    # What others see of it.

    @property
    def palyra(self) -> "PalyraApp":
        """The application it belongs to."""
        return cast("PalyraApp", self.app)

    @property
    def actions(self) -> tuple[Action[Any], ...]:
        """What can be done here, and what can be done everywhere."""
        if self.stopped:
            return tuple(action for action in self.ACTIONS if action in EVERYWHERE)
        return self.ACTIONS

    @property
    def stopped(self) -> bool:
        """Whether there is nothing to show, since no engine runs."""
        latest = self.palyra.latest
        return not self.IN_RECOVERY and latest is not None and bool(latest.engine.trouble)

    @property
    def subject(self) -> Subject | None:
        """What is selected."""
        return None

    @property
    def known(self) -> tuple[Subject, ...]:
        """What the palette finds here by name."""
        return ()

    @property
    def now(self) -> int:
        """UTC unix ms."""
        return self.palyra.clock.now_ms()

    @property
    def zone(self) -> str:
        """The zone in which times are told."""
        return self.palyra.habits.timezone or self.house_zone

    @property
    def house_zone(self) -> str:
        """The zone whose days count where nothing else is said."""
        return "UTC" if self.snapshot is None else self.snapshot.engine.timezone

    @property
    def wide(self) -> bool:
        """Whether there is room for a panel beside the list."""
        return self.size.width >= WIDE_FROM

    def key_of(self, action: Action[Any]) -> str:
        """The keys an action has now, after remapping."""
        return self.palyra.keys.get(action.id) or ",".join(action.keys)

    def key_words_of(self, identifier: str) -> str:
        """The key of one of its actions as people read it."""
        action = find(self.ACTIONS, identifier)
        return "" if action is None else key_words(self.key_of(action))

    # Composing.

    def compose(self) -> ComposeResult:
        yield Lines(id="status")
        yield Lines(id="title")
        with Vertical(id="body"):
            yield from self.compose_body()
        yield Lines(id="failure")
        yield from self.compose_prompt()
        yield Lines(id="notice")
        yield Lines(id="footer")
        yield Lines(id="small")

    def compose_body(self) -> ComposeResult:
        """What stands between title and notice."""
        yield from ()

    def compose_prompt(self) -> ComposeResult:
        """What may stand in place of the notice."""
        yield from ()

    def _lines(self, identifier: str) -> Lines:
        return self.query_one(f"#{identifier}", Lines)

    @property
    def drawable(self) -> bool:
        """Whether its parts are there: not yet before they are made, and no more once the console ends."""
        return self._composed and self.app.is_running

    # Living.

    def on_mount(self) -> None:
        self._composed = True
        self.redraw()

    def on_screen_resume(self) -> None:
        self.palyra.bridge.watch(self.TOPICS)
        self.redraw()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(too_small(event.size.width, event.size.height), "-small")
        self.set_class(event.size.width >= WIDE_FROM, "-wide")
        self.set_class(event.size.width >= ROOMY_FROM, "-roomy")
        self.redraw()

    def receive(self, snapshot: Snapshot) -> None:
        """Shows a snapshot; while no engine runs, nothing is asked for it."""
        if self.stopped:
            self.snapshot = snapshot
            self.redraw()
        else:
            self.take(snapshot)
        if self._afterwards is not None:
            action, self._afterwards = self._afterwards, None
            self.palyra.run_action_of(self, action)

    def take(self, snapshot: Snapshot) -> None:
        """Shows a snapshot."""
        self.snapshot = snapshot
        self.redraw()

    def redraw(self) -> None:
        """Shows the newest snapshot and the present time; only what changed is painted."""
        if not self.drawable:
            return
        stopped = self.stopped and not self.failed
        self.set_class(stopped, "-stopped")
        if stopped:
            self._lines("failure").show(stopped_lines(self.palyra.latest, self.LABEL, self.size.width))
        elif self.snapshot is not None and not self.failed:
            self.draw_body(self.snapshot)
        self.refresh_frame()

    def draw_body(self, snapshot: Snapshot) -> None:
        """Shows what this screen is for."""

    def refresh_frame(self) -> None:
        """Status, title, notice and footer."""
        if not self.drawable:
            return
        palyra, bridge, width = self.palyra, self.palyra.bridge, self.size.width
        marks = Marks(bridge.link, palyra.read_only, palyra.control.attached, palyra.habits.timezone)
        latest = bridge.latest
        self._lines("status").show_line(status_line(latest, marks, self.now, width))
        self._lines("title").show_line(spread(self.title_left(), () if self.stopped else self.title_right(), width - 1))
        monotonic = palyra.clock.monotonic()
        banner = Banner(bridge.link, bridge.trouble, bridge.since_ms)
        problems = (*(() if latest is None else latest.engine.problems), *palyra.key_faults, *palyra.troubles)
        flashed = palyra.flashed if palyra.flashed is not None and palyra.flashed.where in ("", self.NAME) else None
        self._lines("notice").show_line(
            notice_line(flashed, banner, problems, self.zone, monotonic) or reason_line(self)
        )
        self._lines("footer").show_line(self.footer(width))
        if self.has_class("-small"):
            self._lines("small").show(small_lines(latest, bridge.link, width, self.size.height))

    def footer(self, width: int) -> Line:
        """The keys that act now."""
        return footer_line(self, width)

    def title_left(self) -> Line:
        """Where the operator is, as a trail."""
        return line(" ", strong(self.LABEL))

    def title_right(self) -> Line:
        """What sums the screen up."""
        return ()

    def fail(self, error: BaseException) -> None:
        """Shows a calm panel in place of a body that could not be shown."""
        self.failed = True
        if not self._composed:
            return
        self.set_class(True, "-failed")
        self._lines("failure").show(failure_lines(error, self.LABEL, self.palyra.latest, self.size.width))
        self.refresh_frame()

    def recover(self) -> None:
        """Tries again after a failure."""
        self.failed = False
        self.set_class(False, "-failed")
        self.redraw()

    # Acting.

    def action_act(self, identifier: str) -> None:
        """Runs the action of that id, if it is offered."""
        action = find(self.actions, identifier)
        if self.has_class("-small") and not (action is not None and action.blindly):
            return
        if action is not None:
            self.palyra.run_action_of(self, action)
        elif self.stopped:
            self.flash("No engine runs, so there is nothing to do this to: 9 shows what is wrong.", Tone.WARN)

    def act_by_name(self, identifier: str, *, at_once: bool) -> None:
        """Runs an action that was chosen by its name. From elsewhere (not `at_once`) it waits until this screen shows
        what is so now, and what is done to what is selected waits for its key."""
        action = find(self.actions, identifier)
        if action is None:
            return
        if at_once:
            self.palyra.run_action_of(self, action)
        elif action.on_selection:
            key = key_words(self.key_of(action))
            self.flash(f"{action.title.rstrip('…')}: select what it is for, then press {key}.")
        elif self.snapshot is not None and self.snapshot is self.palyra.latest:
            self.palyra.run_action_of(self, action)
        else:
            self._afterwards = action

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key of an action that is not offered is free for another one of that key."""
        if action == "act" and parameters:
            found = find(self.actions, str(parameters[0]))
            return found is None or found.offer(self).shown
        return super().check_action(action, parameters)

    def may_act(self) -> bool:
        """Whether what is selected has been the same for long enough to act on it."""
        return True

    async def send(self, command: Command) -> None:
        """Sends a command and shows what came of it."""
        await self.palyra.send(command)

    def flash(self, text: object, tone: Tone = Tone.PLAIN, *, guard: bool = False) -> None:
        """Tells what came of an act, for a while; with `guard` why a key did nothing, until another one does."""
        self.palyra.flash(text, tone, guard=guard)

    def on_lines_clicked(self, event: Lines.Clicked) -> None:
        event.stop()
        self.action_act(event.action)

    def on_lines_resized(self, event: Lines.Resized) -> None:
        event.stop()
        self.redraw()
