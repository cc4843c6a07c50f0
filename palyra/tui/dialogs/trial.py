"""Trying an edited budget on the last days before it bites: started, followed, stopped, and told in words."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import date

from palyra.control.protocol import Control
from palyra.control.replays import ReplayAnswer, ReplayProgress, ReplayQuery, replay
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.ids import IdSource
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui.dialogs.base import TEXT_WIDTH
from palyra.tui.inquiry import Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.charts import gauge
from palyra.tui.widgets.lines import Line, line, muted, part, wrap

DAYS = 7
BAR_CELLS = 20


@value
class Trying:
    """What a dialog needs to try things on history."""

    control: Control
    clock: Clock
    spawn: Spawn


class Trial:
    """One policy on the last seven days. `changed` is told whenever there is more to say."""

    def __init__(self, trying: Trying, fields: Mapping[str, str], changed: Callable[[], None]) -> None:
        self.policy_id = fields.get("policy_id", "")
        self._trying = trying
        self._fields = dict(fields)
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._progress: ReplayProgress | None = None
        self._begun = trying.clock.monotonic()
        self.running = True
        self.answer: ReplayAnswer | None = None
        self.trouble = ""
        trying.spawn(self._run())

    async def _run(self) -> None:
        self._task = asyncio.current_task()
        trying = self._trying
        since = trying.clock.now_ms() - DAYS * show.DAY
        query = ReplayQuery(IdSource(trying.clock).new(), policies=(self._fields,), since=since)
        try:
            if not self._stopped:
                self.answer = await replay(trying.control, query, trying.clock, self._see)
        except PalyraError as error:
            self.trouble = str(error)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            self.running = False
            if not self._stopped:
                self._changed()

    def _see(self, progress: ReplayProgress) -> None:
        self._progress = progress
        if not self._stopped:
            self._changed()

    def stop(self) -> None:
        """Ends it; what it would have told is not told any more."""
        self._stopped = True
        self.running = False
        if self._task is not None:
            self._task.cancel()

    def lines(self) -> list[Line]:
        """How far it has come, or what came of it."""
        if self.answer is not None:
            told = verdict(self.answer, self.policy_id)
            return [row for text, tone in told for row in wrap(text, TEXT_WIDTH, tone=tone)]
        if self.trouble:
            return wrap(f"The last {DAYS} days could not be tried: {self.trouble}", TEXT_WIDTH, tone=Tone.WARN)
        return [self._bar()]

    def _bar(self) -> Line:
        progress = self._progress
        if progress is None or not progress.total:
            return line(muted(f"trying it on the last {DAYS} days …  esc stops"))
        ratio = min(1.0, progress.done / progress.total)
        seconds = self._trying.clock.monotonic() - self._begun
        left = f", {show.span(int(seconds * (1 - ratio) / ratio * 1000))} left" if seconds and 0 < ratio < 1 else ""
        return line(
            part(gauge(ratio, BAR_CELLS), Tone.ACCENT),
            f" {show.percent(ratio)}",
            muted(f"  {progress.done:,} of {progress.total:,}{left}  esc stops"),
        )


def verdict(answer: ReplayAnswer, policy_id: str) -> list[tuple[str, Tone]]:
    """What a policy would have made of the days it was tried on, most telling first."""
    if not answer.requests:
        return [(f"Nothing was asked in the last {DAYS} days, so there is nothing to try it on.", Tone.MUTED)]
    bite = next((one for one in answer.policies if one.policy_id == policy_id), None)
    refused = 0 if bite is None else bite.refused
    asked = 0 if bite is None else bite.approvals
    tone = Tone.WARN if refused else Tone.GOOD
    person = f", {asked:,} of them to ask a person" if asked else ""
    saved, word = answer.saved_nano_usd, "saved"
    if saved < 0:
        saved, word = -saved, "spent more"
    elsewhere = f", {answer.rerouted:,} to another model" if answer.rerouted else ""
    said = [
        (
            f"Last {DAYS} days: would have refused {refused:,} of {answer.requests:,}{person}; "
            f"{show.money(saved)} {word}{elsewhere}.",
            tone,
        ),
    ]
    if bite is not None and bite.first_day:
        said.append((f"It first bites on {_day(bite.first_day)}.", tone))
    before, after = answer.denied_before, answer.denied_after
    if before != after:
        said.append((f"All budgets together refused {before:,}, and would have refused {after:,}.", Tone.MUTED))
    first = answer.recorded_since
    if first is not None and first - answer.since >= show.HOUR:
        said.append((f"Only the last {show.span(answer.until - first)} of them are recorded.", Tone.MUTED))
    return said


def _day(text: str) -> str:
    try:
        return f"{date.fromisoformat(text):%a %Y-%m-%d}"
    except ValueError:
        return text
