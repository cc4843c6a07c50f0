"""Deciding on slots that passed while nothing ran."""

from typing import get_args

from textual.app import ComposeResult

from palyra.control.jobs_commands import ReviewDecision
from palyra.control.jobs_queries import JobView
from palyra.core.plural import plural
from palyra.tui.dialogs.base import Dialog, sentences
from palyra.tui.widgets.form import Cycle, Labelled, Push
from palyra.tui.widgets.lines import BLANK

CHOICES: tuple[ReviewDecision, ...] = ("skip", "run", "replay")
MOST_REPLAYED = 100
_ACTS = {"skip": "Skip them", "run": "Fire once", "replay": "Fire each"}


class ReviewDialog(Dialog[ReviewDecision]):
    """The decision, or None. Begins with what does nothing."""

    def __init__(self, job: JobView) -> None:
        super().__init__(f"What about {plural(job.review_slots, 'missed slot')} of {job.name}?")
        self._job = job

    def compose_content(self) -> ComposeResult:
        yield Labelled("decide", Cycle(CHOICES, id="decision"))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Decide later", id="keep")
        yield Push(_ACTS["skip"], id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#decision").focus()
        self.explain()

    def on_cycle_changed(self) -> None:
        self.explain()

    @property
    def decision(self) -> ReviewDecision:
        """What is chosen about the missed slots."""
        chosen = self.query_one("#decision", Cycle).value
        return next(one for one in get_args(ReviewDecision) if one == chosen)

    def explain(self) -> None:
        """Says what the choice would do."""
        self.query_one("#act", Push).relabel(_ACTS[self.decision])
        self.say([BLANK, *sentences(self._words())])

    def _words(self) -> str:
        slots = self._job.review_slots
        match self.decision:
            case "skip":
                return f"Nothing runs for {plural(slots, 'slot')}; each is kept as skipped. The schedule goes on."
            case "run":
                return f"One fire now stands for all {slots:,}. Budgets apply."
            case "replay":
                most = f", at most {MOST_REPLAYED}" if slots > MOST_REPLAYED else ""
                return f"{plural(slots, 'fire')} one after another, oldest slot first{most}. Each is paid for."

    def act(self) -> None:
        self.dismiss(self.decision)
