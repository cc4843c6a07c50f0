"""What really happened to the world outside, counted apart from what the journal says of it."""

from collections import Counter
from dataclasses import dataclass, field

from palyra.runs.background import PromptAsk


@dataclass
class Tally:
    """Effects of all lives. `faults` are what must never happen."""

    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _fire_of_slot: dict[tuple[str, int], str] = field(default_factory=dict)
    _attempts: set[str] = field(default_factory=set)
    _leases: set[tuple[str, int]] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)

    def slot(self, job_id: str, slot: int, fire_id: str) -> None:
        """A slot's work begins."""
        before = self._fire_of_slot.setdefault((job_id, slot), fire_id)
        if before != fire_id:
            self.faults.append(f"slot {slot} of job {job_id} was fired by {before} and {fire_id}")

    def attempt(self, ask: PromptAsk, fence: int) -> None:
        """The work of a run begins; `fence` of its task's lease."""
        if ask.run_id in self._attempts:
            self.faults.append(f"run {ask.run_id} was carried out twice")
        self._attempts.add(ask.run_id)
        if ask.task_id:
            if (ask.task_id, fence) in self._leases:
                self.faults.append(f"task {ask.task_id} was carried out twice under fence {fence}")
            self._leases.add((ask.task_id, fence))
        for work in _works(ask):
            if work in self._done:
                self.faults.append(f"{work} was carried out again although it was done")

    def done(self, ask: PromptAsk) -> None:
        """Somebody was told, durably, that it is done."""
        for work in _works(ask):
            if work in self._done:
                self.faults.append(f"{work} was done twice")
            self._done.add(work)

    def stopped(self, ask: PromptAsk, reason: str, *, beats: bool) -> None:
        """Palyra asks work to end."""
        if beats and (reason == "self_healing" or (reason == "replaced" and ask.source == "task")):
            self.faults.append(f"{ask.source} run {ask.run_id} was stopped ({reason}) while it was well")
        self.seen[f"stopped: {reason}"] += 1


def _works(ask: PromptAsk) -> list[str]:
    """What a run is made for: a task, the fire that it belongs to, or both."""
    return [work for work in (ask.task_id, ask.fire_id) if work]
