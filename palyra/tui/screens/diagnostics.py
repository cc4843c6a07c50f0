"""Diagnostics: what the doctor found, then every part of the running house, worst first; repairs are done in place."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from palyra.control.diagnostics_queries import Diagnosis, DiagnosticsQuery
from palyra.control.doctor_queries import DoctorReport, RunOfRepairs, StepView
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.reasons import reason_of
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings, key_words
from palyra.tui.commands.diagnostics import DIAGNOSTICS
from palyra.tui.commands.doctor import DOCTOR
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.diagnosis import PartView, part_lines, part_preview, parts_of, state_mark
from palyra.tui.details.finding import (
    FindingRow,
    GroupRow,
    counted,
    finding_lines,
    finding_preview,
    group_lines,
    group_rows,
    severity_mark,
)
from palyra.tui.details.house import COLUMNS, RUNS, mark_of, name_of, row_cells, told_of
from palyra.tui.details.repair import run_of_repairs_lines, work_words
from palyra.tui.dialogs.export import DIRECTORY
from palyra.tui.doctoring import Doctoring, Page, can_be_undone
from palyra.tui.house_export import write_house
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.screens.repairing import RepairPages, Sight
from palyra.tui.subjects import Subject, key_of
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, Part, line, lines_text, muted, part, wrap
from palyra.tui.widgets.rows import CellValue

View = Literal["house", "runs"]
LOOK_MS = 2_000
"""How often the parts are asked while the screen is in front."""


class DiagnosticsScreen(ListScreen):
    """Findings first, then the nodes of the health graph; a row below another one suffers from it. The doctor looks
    when the screen is first shown and when it is told to, never by itself after that."""

    NAME = "diagnostics"
    LABEL = "Diagnostics"
    IN_RECOVERY = True
    TOPICS: ClassVar[tuple[Topic, ...]] = ()
    COLUMNS = COLUMNS
    FIELDS = ("part", "state", "told")
    ORDERS = (
        Order("worst"),
        Order("name", "part", lambda one: name_of(one)),
    )
    ACTIONS = (*DOCTOR, *DIAGNOSTICS, *OPENING, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.view: View = "house"
        self.diagnosis: Diagnosis | None = None
        self._parts: list[PartView] = []
        self._trouble = ""
        """Why nothing can be told of the parts."""
        self._asked_at: int | None = None
        self._looks: Inquiry[Diagnosis] | None = None
        self._doctor: Doctoring | None = None
        self._pages: RepairPages | None = None
        self._page_shown: object = None
        self._report_seen: DoctorReport | None = None

    # The doctor.

    @property
    def doctor(self) -> Doctoring:
        """What is known of findings and repairs."""
        if self._doctor is None:
            palyra = self.palyra
            self._doctor = Doctoring(
                palyra.control, palyra.send, palyra.spawn, palyra.clock, self._doctor_changed, self._doctor_failed
            )
        return self._doctor

    @property
    def pages(self) -> RepairPages:
        """What is shown in the list's place."""
        if self._pages is None:
            self._pages = RepairPages(self.doctor, self.palyra.clock)
        return self._pages

    @property
    def paging(self) -> bool:
        """Whether a page of repairs stands below the list."""
        return self.doctor.page is not Page.NONE

    def _doctor_changed(self) -> None:
        if not self.drawable:
            return
        if self.paging and self.focused is self.table:
            # Keys that page go to the page then, and not to the list.
            self.set_focus(None)
        report, rows, was = self.doctor.report, self.table.rows, self._report_seen
        at_top = bool(rows) and self.table.selected_key == rows[0].key
        self._report_seen = report
        self.redraw()
        if report is not was and at_top and not self._order and not self.opened and self.doctor.rows:
            # Who is at the top of the list wants to see the worst, and not what was the worst a moment ago.
            self.bring(key_of(self.doctor.rows[0]))

    def _doctor_failed(self, why: str) -> None:
        self.flash(why, Tone.BAD)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self.doctor.report is None:
            self.doctor.look()

    def find(self, key: str) -> None:
        """Selects a thing in the list that it belongs to."""
        wanted: View = "runs" if key.startswith("repair:") else "house"
        if wanted != self.view:
            self.show_view(wanted)
        super().find(key)

    @property
    def known(self) -> tuple[Subject, ...]:
        """Both lists, whichever is in view."""
        found = {key_of(one): one for one in (*super().known, *self.doctor.rows, *self.doctor.runs)}
        return tuple(found.values())

    def is_listed(self, subject: Subject) -> bool:
        """Whether the list shows it; a filter may hide it."""
        return key_of(subject) in self._subjects

    def bring(self, key: str) -> None:
        """Selects a row."""
        self.table.select(key)

    def note_read(self) -> None:
        """Remembers the step in view as read, if its end was on the screen."""
        step = self.pages.step(self.subject)
        shown = self.pane if self.wide or self.opened else self._lines("preview")
        if step is not None and self._page_shown == self.pages.identity(self.subject) and shown.end_seen:
            self.doctor.note_read(step)

    def show_page(self, page: Page) -> None:
        """Shows a page of repairs, or none."""
        if page is not Page.NONE and self.opened:
            self.close_detail()
        self.doctor.page = page
        if page is Page.NONE:
            self.table.focus()
        else:
            self.set_focus(None)
        self.redraw()

    def show_view(self, view: View) -> None:
        """Lists findings and parts, or the doctor's runs."""
        if self.opened:
            self.close_detail()
        self.view = view
        self.forget_rows()
        self.table.set_columns(RUNS if view == "runs" else COLUMNS, ())
        self.redraw()

    @property
    def can_go_back(self) -> bool:
        looking = self.doctor.looking_since is not None
        return super().can_go_back or self.paging or looking or self.view == "runs"

    def go_back(self) -> None:
        """One step back; what is being carried out goes on, and is told of when it is done."""
        if self.filtering or self.opened:
            super().go_back()
        elif self.paging:
            if self.doctor.page is Page.WORK:
                self.flash("It goes on to its end; what came of it is shown here when it is done.")
            self.show_page(Page.NONE)
        elif self.doctor.looking_since is not None:
            self.doctor.stop_looking()
            self.flash("The doctor was stopped; it had only looked.")
        elif self.filter:
            super().go_back()
        else:
            self.show_view("house")

    def move(self, name: str) -> None:
        self.note_read()
        if not self.paging or self.opened or name in ("down", "up"):
            super().move(name)
            return
        shown = self.pane if self.wide else self._lines("preview")
        page, end = max(1, shown.scrollable_content_region.height - 1), len(shown.lines)
        steps = {"page_down": page, "page_up": -page, "first": -end, "last": end}
        shown.scroll_relative(y=steps[name], animate=False)

    def copy(self) -> None:
        """Copies the page of repairs in view, else as every list does."""
        if self.paging and not self.opened:
            shown = self.pane if self.wide else self._lines("preview")
            self.palyra.copy(lines_text(shown.lines))
        else:
            super().copy()

    # Asking how the parts are.

    @property
    def recovering(self) -> bool:
        """Whether no engine runs here: there are no parts to ask."""
        return self.snapshot is not None and bool(self.snapshot.engine.trouble)

    def draw_body(self, snapshot: Snapshot) -> None:
        ticks = self.now // LOOK_MS
        if ticks != self._asked_at and not self.recovering:
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
        if self.view == "runs":
            return list({key_of(one): one for one in self.doctor.runs}.values())
        report = self.doctor.report
        if self.recovering:
            return [*self.doctor.rows, *(() if report is None else group_rows(report))]
        return [*self.doctor.rows, *self._parts]

    def fields(self, subject: Subject) -> Mapping[str, str]:
        _, state, _ = mark_of(subject)
        return {"part": name_of(subject), "state": state, "told": told_of(subject)}

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        return row_cells(subject, self.zone, self.now)

    def detail(self, subject: Subject, width: int) -> list[Line]:
        page = self._page(subject, width)
        if page is not None:
            return page
        match subject:
            case FindingRow():
                return finding_lines(subject, self.diagnosis, self._steps, self._how, width)
            case GroupRow():
                return group_lines(subject, width)
            case RunOfRepairs():
                how = f"{self.keys('doctor.undo')} shows what taking it back would do" if can_be_undone(subject) else ""
                return run_of_repairs_lines(subject, how, self.zone, self.now, width)
        assert isinstance(subject, PartView)
        return [] if self.diagnosis is None else part_lines(subject, self.diagnosis, self.zone, self.now, width)

    def preview(self, subject: Subject, width: int) -> list[Line]:
        page = self._page(subject, width - 1)
        if page is not None:
            return page
        match subject:
            case FindingRow():
                return finding_preview(subject, self.diagnosis, self._steps, self._how, width)
            case GroupRow():
                return []
            case RunOfRepairs():
                return self.detail(subject, width)
        assert isinstance(subject, PartView)
        return [] if self.diagnosis is None else part_preview(subject, self.diagnosis, self.zone, self.now, width)

    def _page(self, subject: Subject, width: int) -> list[Line] | None:
        names = {name: self.keys(name) for name in ("doctor.undo", "doctor.run")}
        return self.pages.lines(subject, Sight(self.zone, self.now // show.MINUTE * show.MINUTE, width, names))

    @property
    def _steps(self) -> dict[str, StepView]:
        plan = self.doctor.plan
        return {} if plan is None else {one.repair_id: one for one in plan.steps}

    @property
    def _how(self) -> str:
        return f"{self.keys('doctor.preview')} shows it as a diff, {self.keys('doctor.apply')} applies it"

    def keys(self, name: str) -> str:
        """The key of one of the doctor's actions as people read it."""
        return key_words(next(self.key_of(one) for one in DOCTOR if one.id == name))

    def rule(self, width: int) -> list[Line]:
        return [] if self.paging else super().rule(width)

    def draw_detail(self) -> None:
        self.set_class(self.paging, "-paging")
        shown = self.pages.identity(self.subject) if self.paging else None
        if shown != self._page_shown:
            self._page_shown = shown
            for name in ("preview", "detail"):
                self._lines(name).start_over()
        super().draw_detail()

    def teach(self, snapshot: Snapshot) -> list[Line]:
        trouble = self.doctor.fault or self._trouble
        if self.view == "runs":
            return [BLANK, line(" ", muted("The doctor has not repaired anything here yet."))]
        if trouble:
            return [BLANK, *wrap(trouble, self.size.width - 2, indent=" ", tone=Tone.WARN)]
        return [BLANK, line(" ", muted("Every part is being asked how it is …"))]

    def trail(self, subject: Subject) -> str:
        return name_of(subject)

    def title_left(self) -> Line:
        left = super().title_left()
        return (*left, muted(f" {glyphs.TRAIL} "), part("runs of the doctor")) if self.view == "runs" else left

    def summary(self) -> Line:
        if self.view == "runs":
            return (muted(plural(self._listed, "run")),)
        doctor, house = self._doctor_words(), self._house_words()
        return (*doctor, *((muted(f" {glyphs.SEPARATOR} "),) if doctor and house else ()), *house)

    def _doctor_words(self) -> Line:
        doctor = self.doctor
        if doctor.work is not None:
            return (part(work_words(doctor.work), Tone.ACCENT),)
        if doctor.looking_since is not None:
            passed = self.palyra.clock.monotonic() - doctor.looking_since
            return (muted(f"the doctor looks … {show.span(round(passed * 1_000))}"),)
        if doctor.fault:
            return (part("the doctor could not look", Tone.BAD),)
        if doctor.report is None:
            return ()
        pieces: list[Part] = []
        found = counted(doctor.rows)
        for severity, count in found.items():
            if severity == "info" and len(found) > 1 and not self.wide:
                continue
            words = f"{count} {severity}" if severity != "warning" else plural(count, severity)
            pieces += [muted(", ") if pieces else muted("doctor: "), part(words, severity_mark(severity)[1])]
        return tuple(pieces) or (muted("doctor: "), part("all well", Tone.GOOD))

    def _house_words(self) -> Line:
        told = self.diagnosis
        if self.recovering:
            return ()
        if told is None:
            return (muted("nothing is known yet"),)
        _, word, tone = state_mark(told.overall.state)
        unwell = sum(one.node.effective.unwell for one in self._parts)
        causes = len(told.overall.root_causes)
        words = f", {unwell} of {len(self._parts)} unwell" if unwell else f", {plural(len(self._parts), 'part')}"
        from_where = f" from {plural(causes, 'cause')}" if unwell and self.wide else ""
        late = f" {glyphs.SEPARATOR} not told any more" if self._trouble else ""
        return (part(word, tone), muted(f"{words}{from_where}{late}"))

    # Writing out.

    async def export(self) -> None:
        """Writes what is shown as JSON to the state directory, readable for this account only."""
        assert self.snapshot is not None
        diagnosis = None if self.recovering else self.diagnosis
        directory = Path(self.snapshot.engine.state_dir) / DIRECTORY
        try:
            files = await asyncio.to_thread(write_house, directory, self.now, diagnosis, self.doctor.report)
        except (PalyraError, OSError) as error:
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            self.flash(f"Nothing was written: {why}", Tone.BAD)
            return
        self.palyra.copy(" ".join(map(str, files)))
        names = " and ".join([str(files[0]), *(path.name for path in files[1:])])
        self.flash(f"Written to {names}; copied.", Tone.GOOD)
