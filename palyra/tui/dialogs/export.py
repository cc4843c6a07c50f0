"""Writing the usage of the shown span to a file of the state directory."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from palyra.control.export import Exported, ExportFormat, export_usage
from palyra.control.protocol import Control
from palyra.control.usage_queries import UsageRowsQuery
from palyra.core.clock import Clock
from palyra.core.plural import plural
from palyra.core.private_files import new_private_file, private_dir
from palyra.tui.dialogs.base import sentences
from palyra.tui.dialogs.long_work import LongWorkDialog
from palyra.tui.inquiry import Spawn
from palyra.tui.widgets.form import Cycle, Labelled, Push
from palyra.tui.widgets.lines import BLANK, Line, line, muted

DIRECTORY = "exports"
PAGE = 200
"""Attempts a turn: writing them takes the loop a few milliseconds."""


class ExportDialog(LongWorkDialog):
    """Every settled attempt of a span as CSV or JSON. `attempts` is how many there are, for the bar alone."""

    UNIT = "attempts"
    AUTO_FOCUS = "#format"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy_path", "Copy the path", show=False)]

    def __init__(
        self,
        control: Control,
        spawn: Spawn,
        clock: Clock,
        copy: Callable[[object], None],
        *,
        state_dir: str,
        span: tuple[int, int],
        title: str,
        attempts: int,
    ) -> None:
        super().__init__(f"Export usage of the {title}", spawn, clock)
        self._control = control
        self._copy = copy
        self._state_dir = Path(state_dir)
        self._span = span
        self._attempts = attempts
        self.written: Path | None = None

    def compose_content(self) -> ComposeResult:
        yield Labelled("as", Cycle([form.value for form in ExportFormat], id="format"))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Close", id="keep")
        yield Push("Export", id="act")

    def on_cycle_changed(self) -> None:
        self.written = None
        self.start_over()

    def about(self) -> list[Line]:
        return sentences(
            f"Writes {plural(self._attempts, 'attempt')} with every token and nano-dollar to"
            f" {self._state_dir / DIRECTORY}, readable for this account only."
        )

    async def work(self) -> list[Line]:
        form = ExportFormat(str(self.query_one("#format", Cycle).value))
        now = self._clock.now_ms()
        directory = self._state_dir / DIRECTORY
        path = directory / f"usage-{datetime.fromtimestamp(now / 1_000, UTC):%Y%m%d-%H%M%S}.{form.value}"
        since, until = self._span
        query = UsageRowsQuery(since, min(until, now + 1), limit=PAGE)

        def told(far: Exported) -> None:
            self.progress(far.rows, max(self._attempts, far.rows))

        with ExitStack() as stack:
            await asyncio.to_thread(private_dir, directory)
            file = stack.enter_context(new_private_file(path))
            count = await export_usage(self._control, query, form, file.write, told)
            # The rest is a wait for the disk; an export that fails or is stopped leaves nothing behind.
            whole = stack.pop_all()
        await asyncio.to_thread(whole.close)
        self.written = path
        return [
            line(f"{plural(count, 'attempt')} in"),
            *sentences(path),
            BLANK,
            line(muted("y copies the path")),
        ]

    def action_copy_path(self) -> None:
        if self.written is not None:
            self._copy(self.written)
