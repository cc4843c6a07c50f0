"""Jobs: what fires when, how it went, and the tasks that work in the background."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from palyra.control.jobs_queries import JobDetail, JobQuery, JobView
from palyra.control.snapshots import Snapshot, Topic
from palyra.control.task_queries import TaskDetail, TaskQuery, TaskView
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.jobs import JOBS
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.job import job_lines, job_mark, last_words, late_words, next_words
from palyra.tui.details.task import task_lines, task_mark, waits_words
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong
from palyra.tui.widgets.rows import CellValue, cell

ROOMY = 100
"""From this width on a list has room for the moment of the next slot."""
COLUMNS = (
    Column("sign", safe(""), 1),
    Column("name", safe("job, task"), 26, flex=3, most=40),
    Column("state", safe("state"), 9),
    Column("when", safe("schedule"), 15, flex=2, most=28, priority=1),
    Column("next", safe("next"), 8, flex=1, most=21),
    Column("last", safe("last"), 12, flex=1, most=16),
    Column("late", safe("late"), 7, align="right", priority=2),
    Column("who", safe("for"), 8, flex=1, most=20, priority=3),
)
ROOMY_COLUMNS = tuple(replace(one, width=14) if one.key == "next" else one for one in COLUMNS)
Detail = JobDetail | TaskDetail


class JobsScreen(ListScreen):
    """Jobs by name, the system's last; then tasks, those at work first."""

    NAME = "jobs"
    LABEL = "Jobs"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.JOBS,)
    COLUMNS = COLUMNS
    ROOMY = ROOMY
    ROOMY_COLUMNS = ROOMY_COLUMNS
    FIELDS = ("job", "task", "state", "schedule", "does", "for", "from", "why")
    ORDERS = (
        Order("name"),
        Order("next slot", "next", lambda item: _next(item)),
        Order("trouble", "state", lambda item: _calm(item)),
        Order("last", "last", lambda item: -_ended(item)),
    )
    ACTIONS = (*OPENING, *JOBS, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._inquiry: Inquiry[Detail] | None = None
        self._asked_for: tuple[object, ...] | None = None
        self._known: Detail | None = None

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        own = [job for job in snapshot.jobs if job.source != "system"]
        system = [job for job in snapshot.jobs if job.source == "system"]
        return [*own, *snapshot.tasks, *system]

    def fields(self, subject: Subject) -> Mapping[str, str]:
        if isinstance(subject, JobView):
            return {
                "job": subject.name,
                "state": " ".join((subject.state, job_mark(subject)[1], subject.last_state)),
                "schedule": f"{subject.schedule} {subject.expression} {subject.timezone}",
                "does": subject.what,
                "for": subject.owner,
                "from": subject.source,
                "why": subject.why,
            }
        assert isinstance(subject, TaskView)
        return {
            "task": f"{subject.task_kind} {subject.task_id}",
            "state": subject.state,
            "for": subject.owner,
            "from": subject.source,
            "why": f"{subject.waits} {subject.reason}",
        }

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        if isinstance(subject, JobView):
            return self._job_cells(subject)
        assert isinstance(subject, TaskView)
        glyph, word, tone = task_mark(subject)
        since = subject.finished_at or subject.started_at or subject.created_at
        return (
            part(glyph, tone),
            part(f"{subject.task_kind.replace('_', ' ')} {show.short_id(subject.task_id)}"),
            part(word, tone),
            cell(part(waits_words(subject), Tone.WARN if subject.waits else Tone.MUTED), span=2),
            safe(""),
            muted(show.age(self.now - since)),
            safe(""),
            part(subject.owner, Tone.MUTED),
        )

    def _job_cells(self, job: JobView) -> tuple[CellValue, ...]:
        glyph, word, tone = job_mark(job)
        plain = Tone.MUTED if job.source == "system" or job.state == "paused" else Tone.PLAIN
        last, last_tone = last_words(job, self.now)
        return (
            part(glyph, tone),
            part(job.name, plain),
            part(word, tone),
            part(job.expression, plain),
            part(self._next(job), plain),
            part(last, last_tone),
            part(late_words(job), Tone.MUTED),
            part(job.owner, Tone.MUTED),
        )

    def _next(self, job: JobView) -> str:
        """The time until the next slot; where there is room for it the slot in the job's own zone."""
        if job.next_slot is None or not self.laid_out_roomy:
            return next_words(job, self.now)
        return show.instant(job.next_slot, job.timezone, self.now)

    # One in full.

    def detail(self, subject: Subject, width: int) -> list[Line]:
        known = self._known
        if isinstance(subject, JobView):
            fits = isinstance(known, JobDetail) and known.job.job_id == subject.job_id
            return job_lines(
                subject, known if fits and isinstance(known, JobDetail) else None, self.zone, self.now, width
            )
        assert isinstance(subject, TaskView)
        fits = isinstance(known, TaskDetail) and known.task.task_id == subject.task_id
        return task_lines(
            subject, known if fits and isinstance(known, TaskDetail) else None, self.zone, self.now, width
        )

    def look_up(self, subject: Subject) -> None:
        if not (self.opened or self.wide) or not isinstance(subject, JobView | TaskView):
            return
        wanted: tuple[object, ...]
        if isinstance(subject, JobView):
            wanted = (subject.job_id, subject.version, subject.next_slot, subject.active, subject.last_at)
        else:
            wanted = (subject.task_id, subject.version)
        if wanted == self._asked_for:
            return
        self._asked_for = wanted
        if self._inquiry is None:
            self._inquiry = Inquiry(self.palyra.spawn, self._apply, self._fail)
        control = self.palyra.control
        if isinstance(subject, JobView):
            self._inquiry.ask(lambda: control.ask(JobQuery(subject.job_id)))
        else:
            self._inquiry.ask(lambda: control.ask(TaskQuery(subject.task_id)))

    def _apply(self, detail: Detail) -> None:
        self._known = detail
        self.draw_detail()

    def _fail(self, error: PalyraError) -> None:
        self._asked_for = None
        self.flash(f"It could not be read: {error}", Tone.WARN)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        return [
            line(" ", strong("No jobs yet: "), muted("nothing runs on a schedule.")),
            BLANK,
            line(" ", part("n", Tone.ACCENT, bold=True), muted("  makes one here, or add it to palyra.toml:")),
            BLANK,
            *(
                line("   ", part(text, Tone.ACCENT))
                for text in ("[[jobs]]", 'name = "morning"', 'cron = "0 9 * * mon-fri"', 'action = "prompt"')
            ),
        ]

    def trail(self, subject: Subject) -> str:
        if isinstance(subject, JobView):
            return subject.name
        return show.short_id(subject.task_id) if isinstance(subject, TaskView) else ""

    def summary(self) -> Line:
        if self.snapshot is None:
            return ()
        jobs, tasks = self.snapshot.jobs, self.snapshot.tasks
        own = sum(job.source != "system" for job in jobs)
        live = sum(task.live for task in tasks)
        unwell = sum(_calm(job) == 0 for job in jobs)
        words = [
            plural(own, "job") if own or not jobs else "no jobs of yours yet",
            *([plural(live, "live task")] if live else []),
            *([f"{unwell} unwell"] if unwell else []),
        ]
        return (muted(f" {glyphs.SEPARATOR} ".join(words)),)


def _next(subject: Subject) -> int:
    """What comes next first; tasks that are at work come before all slots."""
    if isinstance(subject, JobView):
        return 2**62 if subject.next_slot is None else subject.next_slot
    return 0 if isinstance(subject, TaskView) and subject.live else 2**62


def _calm(subject: Subject) -> int:
    """0 needs somebody, 1 runs, 2 is well, 3 is switched off or done."""
    if isinstance(subject, JobView):
        if subject.review_id or subject.state == "faulted" or subject.last_state in ("failed", "denied"):
            return 0
        return 1 if subject.active else 2 if subject.state == "active" else 3
    if isinstance(subject, TaskView):
        return 0 if subject.state == "failed" else 1 if subject.live else 3
    return 3


def _ended(subject: Subject) -> int:
    if isinstance(subject, JobView):
        return subject.last_at or 0
    return (subject.finished_at or subject.created_at) if isinstance(subject, TaskView) else 0
