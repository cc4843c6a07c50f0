"""How the screen sees the engine: it pulls the newest snapshot when it wants one, so that refreshes never queue up."""

import asyncio
import logging
from collections.abc import Callable, Collection
from enum import StrEnum

from palyra.control.protocol import Control
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.clock import Clock, Timer
from palyra.core.errors import EngineGoneError, PalyraError

log = logging.getLogger(__name__)

CALM_SECONDS = 1.0
"""Between two snapshots while nobody is acting."""

ACTING_SECONDS = 5.0
"""How long after a key or mouse event the operator counts as acting."""

PATIENCE_SECONDS = 5.0
"""An engine that has not answered for so long is said not to answer."""

TURNS = 4
"""Of the loop, between a snapshot and its drawing: an engine in this process goes on with what it was at, for taking
the one and drawing the other are some milliseconds each."""


class Link(StrEnum):
    """What the screen knows of the engine."""

    WAITING = "waiting"
    LIVE = "live"
    PAUSED = "paused"
    TROUBLED = "troubled"
    GONE = "gone"


class Bridge:
    """Pulls snapshots for the screen in front, one at a time, and says how the link is.

    `on_snapshot` gets each new snapshot, but not one that was asked for by the screen before.
    `on_link` is told after every change of `link` or `trouble`.
    """

    def __init__(
        self,
        control: Control,
        clock: Clock,
        *,
        refresh_hz: float,
        on_snapshot: Callable[[Snapshot], None],
        on_link: Callable[[], None],
    ) -> None:
        self.control = control
        self.clock = clock
        self.link = Link.WAITING
        self.trouble = ""
        self.since_ms = clock.now_ms()
        self.latest: Snapshot | None = None
        self.answered = asyncio.Event()
        """Set with the first snapshot."""
        self.paused = False
        self._topics: tuple[Topic, ...] = ()
        self.refresh_hz = refresh_hz
        """How often a second it looks while the operator acts."""
        self._on_snapshot = on_snapshot
        self._on_link = on_link
        self._wake = asyncio.Event()
        self._timer: Timer | None = None
        self._touched: float | None = None
        self._pulled = clock.monotonic()

    def watch(self, topics: Collection[Topic]) -> None:
        """Sets what the screen in front needs and pulls it at once."""
        self._topics = tuple(topics)
        self._wake.set()

    def touch(self) -> None:
        """Notes that the operator pressed a key or moved the mouse."""
        was_calm = self.interval > 1.0 / self.refresh_hz
        self._touched = self.clock.monotonic()
        if was_calm:
            self._arm()

    def hurry(self) -> None:
        """Pulls as soon as possible, after a command for instance."""
        self._wake.set()

    def pause(self, paused: bool) -> None:
        """Freezes what screens show; the status line goes on."""
        self.paused = paused
        self.hurry()
        self._on_link()

    @property
    def interval(self) -> float:
        """Seconds until the next pull."""
        acting = self._touched is not None and self.clock.monotonic() - self._touched < ACTING_SECONDS
        return 1.0 / self.refresh_hz if acting else CALM_SECONDS

    async def run(self) -> None:
        """Pulls until cancelled."""
        while True:
            self._wake.clear()
            await self.pull()
            self._arm()
            await self._wake.wait()

    async def pull(self) -> None:
        """Takes one snapshot. Never raises but CancelledError: trouble is a state."""
        topics = self._topics
        try:
            async with self.clock.timeout(PATIENCE_SECONDS):
                snapshot = await self.control.snapshot(topics)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        except TimeoutError:
            self._set_link(Link.TROUBLED, "the engine does not answer")
        except EngineGoneError as error:
            self._set_link(Link.GONE, error.message)
        except PalyraError as error:
            self._set_link(Link.TROUBLED, error.message)
        except Exception:
            log.exception("a snapshot failed")
            self._set_link(Link.TROUBLED, "the engine's state could not be read; the log says why")
        else:
            self.latest = snapshot
            self._set_link(Link.PAUSED if self.paused else Link.LIVE, "")
            if topics == self._topics:
                self._on_snapshot(snapshot)
            self.answered.set()
        self._pulled = self.clock.monotonic()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = self._pulled + self.interval - self.clock.monotonic()
        self._timer = self.clock.call_later(max(0.0, left), self._wake.set)

    def _set_link(self, link: Link, trouble: str) -> None:
        if (link, trouble) == (self.link, self.trouble):
            return
        if link is not self.link:
            self.since_ms = self.clock.now_ms()
        self.link, self.trouble = link, trouble
        self._on_link()
