"""A job with its fires that have not ended."""

from dataclasses import dataclass, field

from palyra.journal.job_rows import FireRow, FireState, JobRow, Trigger
from palyra.scheduler.admission import Occupied
from palyra.scheduler.schedule import Schedule, ScheduleKind, Times, times_of

CAUGHT_UP = frozenset({Trigger.CATCH_UP, Trigger.REVIEW})


def times_of_job(job: JobRow) -> Times:
    """Raises ValueError for a schedule that cannot be read."""
    return times_of(Schedule(ScheduleKind(job.schedule), job.expression, job.timezone), job.anchor)


@dataclass(slots=True)
class Lane:
    """`fires` in the order in which they start, one after another; `review` is what a person has to decide on.

    `under_way`: the first one's attempt runs. `replaced_at`: when it was asked to make room for the next (unix ms).
    """

    job: JobRow
    fires: list[FireRow] = field(default_factory=list)
    review: FireRow | None = None
    under_way: bool = False
    replaced_at: int | None = None
    unsaved: set[str] = field(default_factory=set)
    """Fires whose rows are not durable yet: nothing of them may be sent."""
    last: FireRow | None = None
    """The newest one that ended."""

    @property
    def head(self) -> FireRow | None:
        """The fire that is under way or next."""
        return self.fires[0] if self.fires else None

    @property
    def waiting(self) -> list[FireRow]:
        """The fires behind it, in their order."""
        return self.fires[1:]

    @property
    def occupied(self) -> Occupied:
        """What stands in the way of another fire."""
        draining = any(fire.trigger in CAUGHT_UP for fire in self.fires)
        return Occupied(bool(self.fires), max(0, len(self.fires) - 1), draining)

    def may_start(self, now: int) -> bool:
        """Whether the first fire could be handed to whoever carries it out."""
        head = self.head
        if head is None or self.under_way or head.fire_id in self.unsaved:
            return False
        if head.state is FireState.BACKOFF:
            return head.retry_at is None or head.retry_at <= now
        return head.state is FireState.PENDING

    def put(self, fire: FireRow) -> FireRow:
        """Keeps what a fire has become: one that ended leaves."""
        if fire.terminal:
            self.last = fire
        if fire.state is FireState.REVIEW:
            self.review = fire
            return fire
        if self.review is not None and self.review.fire_id == fire.fire_id:
            self.review = None
            if not fire.terminal:
                self.fires.append(fire)
            return fire
        for place, one in enumerate(self.fires):
            if one.fire_id == fire.fire_id:
                if fire.terminal:
                    del self.fires[place]
                    if place == 0:
                        self.under_way, self.replaced_at = False, None
                else:
                    self.fires[place] = fire
                return fire
        if not fire.terminal:
            self.fires.append(fire)
        return fire
