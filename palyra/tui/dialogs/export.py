"""Writing usage or the audit to a file of the state directory."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from palyra.control.audit_export import export_audit
from palyra.control.audit_queries import AuditLogQuery
from palyra.control.export import Exported, ExportFormat, export_usage
from palyra.control.protocol import Control
from palyra.control.usage_queries import UsageRowsQuery
from palyra.core.clock import Clock
from palyra.core.plural import plural
from palyra.core.private_files import new_private_file, private_dir
from palyra.core.values import value
from palyra.tui.dialogs.base import sentences
from palyra.tui.dialogs.long_work import LongWorkDialog
from palyra.tui.inquiry import Spawn
from palyra.tui.widgets.form import Cycle, Labelled, Push
from palyra.tui.widgets.lines import BLANK, Line, line, muted

DIRECTORY = "exports"
PAGE = 200
"""Rows a turn: writing them takes the loop a few milliseconds."""


class Exportable(Protocol):
    """What is written out. `stem` begins the file's name; `about` how many there are, and what; about `total` rows."""

    @property
    def title(self) -> str:
        """What the dialog is called."""
        ...

    @property
    def stem(self) -> str:
        """How the file's name begins."""
        ...

    @property
    def about(self) -> str:
        """What will be written."""
        ...

    @property
    def total(self) -> int:
        """How many rows there are."""
        ...

    def counted(self, rows: int) -> str:
        """`3,102 attempts`."""
        ...

    async def write(
        self, form: ExportFormat, write: Callable[[bytes], object], told: Callable[[int], None], now: int
    ) -> int:
        """Writes all of it, tells after each page how many rows are written, and returns how many there were."""
        ...


@value
class UsageExport:
    """Every settled attempt of [since, until), UTC unix ms; `total` is how many there are, for the bar alone."""

    control: Control
    span: tuple[int, int]
    span_title: str
    total: int
    stem: str = "usage"

    @property
    def title(self) -> str:
        """What the dialog is called."""
        return f"Export usage of the {self.span_title}"

    @property
    def about(self) -> str:
        """What will be written."""
        return f"{self.counted(self.total)} with every token and nano-dollar"

    def counted(self, rows: int) -> str:
        """So many rows, in words."""
        return plural(rows, "attempt")

    async def write(
        self, form: ExportFormat, write: Callable[[bytes], object], told: Callable[[int], None], now: int
    ) -> int:
        """Writes every attempt, and tells how many are written."""
        since, until = self.span
        # What settles while this runs would come or not come by chance.
        query = UsageRowsQuery(since, min(until, now + 1), limit=PAGE)

        def far(exported: Exported) -> None:
            told(exported.rows)

        return await export_usage(self.control, query, form, write, far)


@value
class AuditExport:
    """Every entry of the audit chain that a query means, newest first; `total` is about how many. `narrowed`: the
    filter that the query is made of, as typed."""

    control: Control
    query: AuditLogQuery
    total: int
    narrowed: str = ""
    stem: str = "audit"

    @property
    def title(self) -> str:
        """What the dialog is called."""
        return "Export what the filter shows of the audit" if self.narrowed else "Export the audit"

    @property
    def about(self) -> str:
        """What will be written."""
        which = "what people and Palyra did" if self.query.deeds else "every entry, decisions about requests too"
        only = f", only what / {self.narrowed} lets through" if self.narrowed else ""
        return f"{which}{only}, each with its digest"

    def counted(self, rows: int) -> str:
        """So many rows, in words."""
        return plural(rows, "entry", "entries")

    async def write(
        self, form: ExportFormat, write: Callable[[bytes], object], told: Callable[[int], None], now: int
    ) -> int:
        """Writes every entry, and tells how many are written. What is added meanwhile does not come: each page is older
        than the one before it."""
        return await export_audit(self.control, replace(self.query, limit=PAGE), form, write, told)


class ExportDialog(LongWorkDialog):
    """Writes something out as CSV or JSON, as a file of its own."""

    UNIT = "rows"
    AUTO_FOCUS = "#format"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy_path", "Copy the path", show=False)]

    def __init__(
        self, what: Exportable, spawn: Spawn, clock: Clock, copy: Callable[[object], None], *, state_dir: str
    ) -> None:
        super().__init__(what.title, spawn, clock)
        self._what = what
        self._copy = copy
        self._state_dir = Path(state_dir)
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
        where = self._state_dir / DIRECTORY
        return sentences(f"Writes {self._what.about} to {where}, readable for this account only.")

    async def work(self) -> list[Line]:
        form = ExportFormat(str(self.query_one("#format", Cycle).value))
        now = self._clock.now_ms()
        directory = self._state_dir / DIRECTORY
        path = directory / f"{self._what.stem}-{datetime.fromtimestamp(now / 1_000, UTC):%Y%m%d-%H%M%S}.{form.value}"

        def told(rows: int) -> None:
            self.progress(rows, max(self._what.total, rows))

        with ExitStack() as stack:
            await asyncio.to_thread(private_dir, directory)
            file = stack.enter_context(new_private_file(path))
            count = await self._what.write(form, file.write, told, now)
            # The rest is a wait for the disk; an export that fails or is stopped leaves nothing behind.
            whole = stack.pop_all()
        await asyncio.to_thread(whole.close)
        self.written = path
        return [
            line(f"{self._what.counted(count)} in"),
            *sentences(path),
            BLANK,
            line(muted("y copies the path")),
        ]

    def action_copy_path(self) -> None:
        if self.written is not None:
            self._copy(self.written)
