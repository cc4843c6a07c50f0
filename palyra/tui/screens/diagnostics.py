"""Diagnostics: every part of the running house, worst first, each fault with what suffers from it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from palyra.control.diagnostics_answers import diagnosis_json
from palyra.control.diagnostics_queries import Diagnosis, DiagnosticsQuery, State
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.private_files import new_private_file, private_dir
from palyra.core.reasons import reason_of
from palyra.core.safe_text import json_safe, safe
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.diagnostics import DIAGNOSTICS
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.diagnosis import PartView, part_lines, part_preview, part_words, parts_of, state_mark
from palyra.tui.dialogs.export import DIRECTORY
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, wrap
from palyra.tui.widgets.rows import CellValue

COLUMNS = (
    Column("sign", safe(""), 1),
    Column("part", safe("part"), 18, flex=1, most=30),
    Column("state", safe("state"), 9),
    Column("told", safe(""), 20, flex=4),
)
LOOK_MS = 2_000
"""How often it is asked while the screen is in front."""


class DiagnosticsScreen(ListScreen):
    """The nodes of the health graph; a row below another one suffers from it."""

    NAME = "diagnostics"
    LABEL = "Diagnostics"
    TOPICS: ClassVar[tuple[Topic, ...]] = ()
    COLUMNS = COLUMNS
    FIELDS = ("part", "state", "told")
    ORDERS = (
        Order("worst"),
        Order("name", "part", lambda one: one.name),
    )
    ACTIONS = (*DIAGNOSTICS, *OPENING, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.diagnosis: Diagnosis | None = None
        self._parts: list[PartView] = []
        self._trouble = ""
        """Why nothing can be told."""
        self._asked_at: int | None = None
        self._looks: Inquiry[Diagnosis] | None = None

    # Asking.

    def draw_body(self, snapshot: Snapshot) -> None:
        ticks = self.now // LOOK_MS
        if ticks != self._asked_at:
            self._asked_at = ticks
            self.look()
        super().draw_body(snapshot)

    def look(self, *, fresh: bool = False) -> None:
        """Has every part asked how it is."""
        if self._looks is None:
            self._looks = Inquiry(self.palyra.spawn, self._show, self._fail)
        self._looks.ask(lambda: self.palyra.control.ask(DiagnosticsQuery(fresh=fresh)))

    def _show(self, told: Diagnosis) -> None:
        self.diagnosis, self._trouble = told, ""
        self._parts = parts_of(told)
        self.redraw()

    def _fail(self, error: PalyraError) -> None:
        self._trouble = str(error)
        self.redraw()

    # Drawing.

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        return self._parts

    def fields(self, subject: Subject) -> Mapping[str, str]:
        assert isinstance(subject, PartView)
        told, _ = part_words(subject)
        return {"part": subject.name, "state": subject.node.effective.value, "told": told}

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, PartView)
        node = subject.node
        glyph, word, tone = state_mark(node.effective)
        told, telling = part_words(subject)
        branch = f"{'  ' * (subject.depth - 1)}{glyphs.TRAIL} " if subject.depth else ""
        return (
            part(glyph, tone),
            part(f"{branch}{node.id}", Tone.MUTED if node.effective is State.DISABLED else Tone.PLAIN),
            part(word, tone),
            part(told, telling),
        )

    def detail(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, PartView)
        if self.diagnosis is None:
            return []
        return part_lines(subject, self.diagnosis, self.zone, self.now, width)

    def preview(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, PartView)
        if self.diagnosis is None:
            return []
        return part_preview(subject, self.diagnosis, self.zone, self.now, width)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        if self._trouble:
            return [BLANK, *wrap(self._trouble, self.size.width - 2, indent=" ", tone=Tone.WARN)]
        return [BLANK, line(" ", muted("Every part is being asked how it is …"))]

    def trail(self, subject: Subject) -> str:
        return subject.name if isinstance(subject, PartView) else ""

    def summary(self) -> Line:
        told = self.diagnosis
        if told is None:
            return (muted("nothing is known yet"),)
        _, word, tone = state_mark(told.overall.state)
        unwell = sum(one.node.effective.unwell for one in self._parts)
        causes = len(told.overall.root_causes)
        words = f"{plural(causes, 'cause')}, {unwell} of {len(self._parts)} unwell" if unwell else f"{len(self._parts)}"
        late = f" {glyphs.SEPARATOR} not told any more" if self._trouble else ""
        return (part(word, tone), muted(f" {glyphs.SEPARATOR} {words}{late}"))

    # Writing out.

    async def export(self) -> None:
        """Writes what is shown as JSON to the state directory, readable for this account only."""
        assert self.snapshot is not None
        assert self.diagnosis is not None
        told = json_safe(json.dumps(diagnosis_json(self.diagnosis), indent=2, ensure_ascii=False))
        directory = Path(self.snapshot.engine.state_dir) / DIRECTORY
        path = directory / f"diagnostics-{datetime.fromtimestamp(self.now / 1_000, UTC):%Y%m%d-%H%M%S}.json"
        try:
            await asyncio.to_thread(_write, path, told)
        except (PalyraError, OSError) as error:
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            self.flash(f"Nothing was written: {why}", Tone.BAD)
            return
        self.palyra.copy(path)
        self.flash(f"Written to {path}; its path is copied.", Tone.GOOD)


def _write(path: Path, text: str) -> None:
    """Raises StateError, OSError."""
    private_dir(path.parent)
    with new_private_file(path) as file:
        file.write(f"{text}\n".encode())
