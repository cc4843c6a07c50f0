"""A check of the audit chain as a console has it made: how far it is, how fast, how long still; it can be stopped."""

import asyncio
from collections.abc import Callable

from palyra.control.audit_queries import AuditProgressQuery
from palyra.control.protocol import Control
from palyra.control.queries import AuditAnswer, AuditQuery
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.inquiry import Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, muted, part

BAR = 12
PROGRESS_S = 0.25
"""Between two looks at how far it has come."""
LEAST_S = 0.5
"""Before so much time has passed, a rate says nothing."""


class Verifying:
    """One check at a time. `told` gets the verdict, `failed` why there is none; `changed`: there is something new."""

    def __init__(
        self,
        control: Control,
        spawn: Spawn,
        clock: Clock,
        told: Callable[[AuditAnswer], None],
        failed: Callable[[PalyraError], None],
        changed: Callable[[], None],
    ) -> None:
        self._control, self._spawn, self._clock = control, spawn, clock
        self._told, self._failed, self._changed = told, failed, changed
        self._began: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        """Whether the operator ended it, and not the end of the console."""
        self._done = self._total = 0

    @property
    def under_way(self) -> bool:
        """Whether the chain is being followed."""
        return self._began is not None

    def begin(self) -> None:
        """Begins to follow the chain, unless that is under way."""
        if self._began is None:
            self._began, self._done, self._total = self._clock.monotonic(), 0, 0
            self._spawn(self._follow())
            self._spawn(self._watch(self._began))
            self._changed()

    def stop(self) -> None:
        """Gives it up: nothing is known of the chain then that was not known before."""
        if self._task is not None:
            self._stopped = True
            self._task.cancel()

    def line(self) -> Line:
        """How far it has come."""
        passed = 0.0 if self._began is None else self._clock.monotonic() - self._began
        ratio = min(1.0, self._done / self._total) if self._total else 0.0
        words = f" {show.percent(ratio)}"
        if passed >= LEAST_S and self._done:
            left = round(passed * 1_000 * max(0, self._total - self._done) / self._done)
            sign = glyphs.SEPARATOR
            words += f" {sign} {round(self._done / passed):,} entries/s {sign} {show.span(left)} left {sign} esc stops"
        return (muted("verifying "), *gauge_parts(ratio, BAR, Tone.ACCENT), part(words))

    async def _follow(self) -> None:
        self._task = asyncio.current_task()
        try:
            answer = await self._control.ask(AuditQuery())
        except PalyraError as error:
            self._failed(error)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        else:
            self._told(answer)
        finally:
            self._began, self._task, self._stopped = None, None, False
        self._changed()

    async def _watch(self, began: float) -> None:
        while self._began == began:
            try:
                come = await self._control.ask(AuditProgressQuery())
            except PalyraError:
                return
            if come.total:
                self._done, self._total = come.done, come.total
                self._changed()
            await self._clock.sleep(PROGRESS_S)
