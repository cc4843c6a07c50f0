"""The seam between a fire and whoever carries its attempts out: runs, tasks, maintenance, or a simulation."""

from collections.abc import Callable, Sequence
from typing import Protocol

from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.job_rows import FireRow, JobRow
from palyra.scheduler.retrying import AttemptEnd


@value
class Order:
    """One attempt.

    `attempt_id` is the id that its run or task is to have. With `adopted` it was begun by an earlier engine and goes
    on. `begun` gives what is written with the run's or task's row, before anything is sent; `ended` what is written
    with its end. Each is called once, `begun` not for an adopted one, nor where nothing could be begun. `beat` says
    that it lives: a phase and a counter.
    """

    job: JobRow
    fire: FireRow
    attempt_id: str
    number: int
    adopted: bool
    begun: Callable[[], Sequence[Change]]
    ended: Callable[[AttemptEnd], Sequence[Change]]
    beat: Callable[[str, int | None], None]


class Executor(Protocol):
    """Carries out the attempts of fires."""

    async def carry_out(self, order: Order) -> None:
        """Returns once `order.ended` was called. Cancelled, it ends as `engine_stopping`."""
        ...

    def stop(self, order: Order, reason: str, by: str) -> None:
        """Asks for its end, for one of the reasons a run can be cancelled for. Returns at once."""
        ...
