"""What is done about slots that are due, and those that were missed: a pure function of a job's times and an instant.

All instants and spans are ms. Every due slot is in the plan once: as a fire's own, or among those that it covers.
"""

from collections.abc import Callable

from palyra.core.values import value
from palyra.core.windows import DAY_MS
from palyra.scheduler.schedule import Times

CAUGHT_UP_MOST = 3
REVIEW_AFTER_MS = DAY_MS


@value
class Due:
    """A slot, and how many further ones up to `through` are dealt with by its fire."""

    slot: int
    coalesced: int = 0
    through: int | None = None

    @property
    def last(self) -> int:
        """The last slot it stands for, UTC unix ms."""
        return self.slot if self.through is None else self.through


@value
class MisfirePlan:
    """`late` are slots that are too old to be fired, `review` those that a person decides on. `fires` start in their
    order, each when the one before has ended. `after` is the instant after which `next_slot` is the first."""

    next_slot: int | None
    after: int
    fires: tuple[Due, ...] = ()
    late: Due | None = None
    review: Due | None = None


def plan_misfire(
    times: Times,
    first: int,
    now: int,
    *,
    catch_up: bool,
    max_lateness: int | None,
    jitter_ms: int,
    release: Callable[[int], int],
) -> MisfirePlan:
    """`first` is the earliest slot that was not dealt with; it has been released."""
    due: int | None = first
    late = None
    if max_lateness is not None:
        due = _not_too_late(times, first, now - max_lateness, jitter_ms, release)
        if due is None or due > first:
            through = times.latest(first, now if due is None else due - 1)
            late = Due(first) if through is None else Due(first, times.count(first, through), through)
        if due is None or release(due) > now:
            return MisfirePlan(due, late.last if late else first, late=late)
    assert due is not None
    following = times.after(due)
    if following is None or following > now:
        return MisfirePlan(following, due, (Due(due),), late)
    missed = times.count(due, now)
    coalesced = Due(due, missed, times.latest(due, now))
    upcoming = times.after(now)
    if not catch_up:
        return MisfirePlan(upcoming, now, (coalesced,), late)
    if missed <= CAUGHT_UP_MOST:
        return MisfirePlan(upcoming, now, (Due(due), *(Due(slot) for slot in times.between(due, now))), late)
    if now - following <= REVIEW_AFTER_MS:
        return MisfirePlan(upcoming, now, (coalesced,), late)
    return MisfirePlan(upcoming, now, late=late, review=coalesced)


def _not_too_late(times: Times, first: int, oldest: int, jitter_ms: int, release: Callable[[int], int]) -> int | None:
    """The first slot whose release lies at `oldest` or later."""
    surely = oldest - jitter_ms
    slot: int | None = first if first >= surely else times.after(surely - 1)
    while slot is not None and release(slot) < oldest:
        slot = times.after(slot)
    return slot
