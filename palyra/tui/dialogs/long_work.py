"""A dialog that does something long: how far it has come, how fast, how long still; Esc stops it."""

import asyncio

from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.dialogs.base import Dialog, sentences
from palyra.tui.inquiry import Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.charts import gauge
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part

BAR = 30
LEAST_MS = 500
"""Before so much time has passed, a rate says nothing."""


class LongWorkDialog(Dialog[None]):
    """Subclasses say what is about to be done, do it, and say what came of it."""

    UNIT = "steps"

    def __init__(self, title: str, spawn: Spawn, clock: Clock) -> None:
        super().__init__(title)
        self._spawn = spawn
        self._clock = clock
        self._under_way: asyncio.Task[None] | None = None
        self._stopped_by_hand = False
        """Whether the operator ended it, and not the end of the console."""
        self._began_at = 0.0
        self._steps_done = 0
        self._steps_total = 0
        self._outcome: list[Line] | None = None
        """What came of it; None until something did."""

    # What subclasses say.

    def about(self) -> list[Line]:
        """What would be done."""
        raise NotImplementedError

    async def work(self) -> list[Line]:
        """Does it, tells `progress` how far it is, and returns what came of it. May raise PalyraError."""
        raise NotImplementedError

    # Living.

    @property
    def under_way(self) -> bool:
        """Whether it is at work."""
        return self._under_way is not None

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def explain(self) -> None:
        """Says what would be done, while nothing is."""
        if self.under_way:
            self.say([BLANK, *self._progress_lines()])
        else:
            self.say([BLANK, *(self.about() if self._outcome is None else self._outcome)])

    def start_over(self) -> None:
        """Forgets what came of it before: something else would be done now."""
        if not self.under_way:
            self._outcome = None
            self.explain()

    def act(self) -> None:
        if not self.under_way:
            self._spawn(self._run())

    async def _run(self) -> None:
        self._under_way = asyncio.current_task()
        self._began_at, self._steps_done, self._steps_total = self._clock.monotonic(), 0, 0
        self.explain()
        try:
            self._outcome = await self.work()
        except PalyraError as error:
            self._outcome = _told(f"{glyphs.BAD} {error}", Tone.BAD)
        except asyncio.CancelledError:
            if not self._stopped_by_hand:
                raise
            self._outcome = [line(muted("Stopped; nothing came of it."))]
        finally:
            self._under_way, self._stopped_by_hand = None, False
            if self.is_mounted:
                self.explain()

    def progress(self, done: int, total: int) -> None:
        """Shows how far the work has come."""
        self._steps_done, self._steps_total = done, total
        if self.is_mounted:
            self.explain()

    def _progress_lines(self) -> list[Line]:
        ratio = min(1.0, self._steps_done / self._steps_total) if self._steps_total else 0.0
        passed = (self._clock.monotonic() - self._began_at) * 1_000
        pieces = [part(gauge(ratio, BAR), Tone.ACCENT), part(f" {show.percent(ratio)}")]
        if passed >= LEAST_MS and self._steps_done:
            left = round(passed * (self._steps_total - self._steps_done) / self._steps_done)
            rate = round(self._steps_done * 1_000 / passed)
            pieces.append(muted(f"  {rate:,} {self.UNIT}/s  {show.span(max(0, left))} left"))
        return [line(*pieces), BLANK, line(muted("esc stops it"))]

    def action_leave(self) -> None:
        """The first Esc stops the work, the next one leaves."""
        if self._under_way is not None:
            self._stopped_by_hand = True
            self._under_way.cancel()
        else:
            super().action_leave()

    def on_unmount(self) -> None:
        if self._under_way is not None:
            self._under_way.cancel()


def _told(text: str, tone: Tone) -> list[Line]:
    return [tuple(part(piece.text, tone) for piece in row) for row in sentences(text)]
