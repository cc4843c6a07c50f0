"""What stands below the list of Diagnostics while repairs are looked at, carried out, told of and taken back."""

from collections.abc import Callable, Mapping

from palyra.control.doctor_queries import StepView
from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.tui.details.finding import FindingRow
from palyra.tui.details.repair import Footing, came_lines, step_lines, undo_lines, work_lines
from palyra.tui.doctoring import Doctoring, Page
from palyra.tui.subjects import Subject, key_of
from palyra.tui.widgets.lines import Line, line, muted


@value
class Sight:
    """How things are told: the zone, the time (UTC unix ms), the cells of a line, and the keys by action."""

    zone: str
    now: int
    width: int
    keys: Mapping[str, str]


class RepairPages:
    """Which step is in view for what is selected, and the lines of the page in view."""

    def __init__(self, doctor: Doctoring, clock: Clock) -> None:
        self._doctor = doctor
        self._clock = clock
        self._name = ""
        """The repair in view."""
        self._chosen_for = ""
        """The key of the row it was chosen for."""
        self._made: tuple[object, list[Line]] = ((), [])

    def step(self, subject: Subject | None) -> StepView | None:
        """The step in view: that of the selected finding, or another one that was gone on to."""
        doctor = self._doctor
        if doctor.page is Page.UNDO:
            return None if doctor.undoing is None else doctor.undoing.step
        if doctor.page is not Page.REPAIR:
            return None
        key = "" if subject is None else key_of(subject)
        if key != self._chosen_for:
            self._chosen_for, self._name = key, self._own(subject)
        self._name = self._name or self._own(subject)
        return next((one for one in doctor.steps if one.repair_id == self._name), None)

    def _own(self, subject: Subject | None) -> str:
        if not isinstance(subject, FindingRow):
            return ""
        return next((one.repair_id for one in self._doctor.steps if one.repair_id in subject.repairs), "")

    def begin(self, subject: Subject | None) -> None:
        """Shows the repair of what is selected; where that has none, the first of the plan."""
        self._chosen_for, self._name = "", ""
        if self.step(subject) is None and self._doctor.steps:
            self._name = self._doctor.steps[0].repair_id

    def bring(self, step: StepView, key: str) -> None:
        """Shows a step, with the row of that key selected."""
        self._name, self._chosen_for = step.repair_id, key

    def following(self, subject: Subject | None) -> StepView | None:
        """The step after the one in view, the first after the last."""
        steps, now = self._doctor.steps, self.step(subject)
        if not steps:
            return None
        return steps[(steps.index(now) + 1) % len(steps)] if now in steps else steps[0]

    def identity(self, subject: Subject | None) -> object:
        """What the page in view is about: another one begins at its top."""
        return (self._doctor.page, self.step(subject))

    def lines(self, subject: Subject | None, sight: Sight) -> list[Line] | None:
        """The page in view; None where the selected row says what there is to say."""
        doctor, step = self._doctor, self.step(subject)
        match doctor.page:
            case Page.WORK if doctor.work is not None:
                return work_lines(doctor.work, self._clock.monotonic(), sight.width)
            case Page.RESULT if (came := doctor.came) is not None:
                keys = f"{sight.keys['doctor.undo']} takes it back, {sight.keys['doctor.run']} looks again"
                return self._kept((came, sight), lambda: came_lines(came, keys, sight.zone, sight.now, sight.width))
            case Page.UNDO if (undoing := doctor.undoing) is not None:
                footing = self._footing(undoing.step)
                return self._kept(
                    (undoing, footing, sight),
                    lambda: undo_lines(undoing, footing, zone=sight.zone, now=sight.now, width=sight.width),
                )
            case Page.REPAIR if doctor.plan is None:
                return [line(" ", muted("Working out what would be changed …"))]
            case Page.REPAIR if step is not None:
                return self._step(step, sight.width)
        return None

    def _step(self, step: StepView, width: int) -> list[Line]:
        doctor = self._doctor
        footing = self._footing(step)
        count = f"{doctor.steps.index(step) + 1} of {len(doctor.steps)}, {len(doctor.chosen)} ticked"
        return self._kept(
            (step, count, footing, width),
            lambda: step_lines(step, f"repair {count}", footing, width),
        )

    def _footing(self, step: StepView) -> Footing:
        doctor = self._doctor
        return Footing(step in doctor.ticked, doctor.bar(step), doctor.live)

    def _kept(self, made_from: object, make: Callable[[], list[Line]]) -> list[Line]:
        """A long diff is made into lines once."""
        if self._made[0] != made_from:
            self._made = (made_from, make())
        return self._made[1]
