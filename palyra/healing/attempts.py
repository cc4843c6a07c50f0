"""Every attempt that still matters: of episodes that go on, and of the last minutes."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from palyra.core.redact import redact
from palyra.healing.guards import CIRCUIT_WITHIN_MS, SUBJECT_WITHIN_MS, TRIES_MOST, Tried
from palyra.healing.record import AUTO, INTERRUPTED, Attempt, AttemptStatus, Circuit, IncidentRecord
from palyra.healing.remedies import Remedy
from palyra.journal.changes import Change
from palyra.journal.incident_rows import ATTEMPTS, CIRCUITS

DETAIL_MOST = 500


class Attempts:
    """By incident, by subject and by feature; and which features' circuits are open."""

    def __init__(self, new_id: Callable[[], str], boot_id: str) -> None:
        self._new_id = new_id
        self._boot_id = boot_id
        self._of: dict[str, dict[str, Attempt]] = {}
        self._subjects: dict[str, deque[Attempt]] = {}
        self._features: dict[str, deque[Attempt]] = {}
        self._circuits: dict[str, Circuit] = {}
        """The last one of each feature."""

    def restore(self, rows: Iterable[Attempt], circuits: Iterable[Circuit], at: int) -> list[Attempt]:
        """Takes what is known from before, oldest first. Returns those that another boot left behind, as they ended."""
        left: list[Attempt] = []
        self._circuits = {circuit.feature: circuit for circuit in circuits}
        for row in rows:
            if not row.status.ended:
                row = self.ended(row, AttemptStatus.FAILED, INTERRUPTED, at)
                left.append(row)
            self._remember(row)
        return left

    def plan(
        self, record: IncidentRecord, remedy: Remedy, mode: str, asked_by: str, at: int, *, approval_id: str = ""
    ) -> Attempt:
        """A new attempt, that is remembered from now on."""
        attempt = Attempt(
            attempt_id=self._new_id(),
            incident_id=record.incident_id,
            episode=record.episode,
            remedy=remedy.name,
            subject=record.subject,
            feature=record.feature,
            mode=mode,
            asked_by=asked_by,
            boot_id=self._boot_id,
            planned_at=at,
            approval_id=approval_id,
        )
        self._remember(attempt)
        return attempt

    def started(self, attempt: Attempt, at: int) -> Attempt:
        """The remedy is at work, since `at` (UTC unix ms)."""
        return self._renew(replace(attempt, status=AttemptStatus.RUNNING, started_at=at))

    def ended(self, attempt: Attempt, status: AttemptStatus, detail: str, at: int) -> Attempt:
        """The attempt is over; `detail` is scrubbed and cut to DETAIL_MOST characters."""
        return self._renew(replace(attempt, status=status, detail=redact(detail)[:DETAIL_MOST], ended_at=at))

    def of(self, record: IncidentRecord) -> list[Attempt]:
        """Those of its present episode, oldest first."""
        return [one for one in self._of.get(record.incident_id, {}).values() if one.episode == record.episode]

    def tried(self, record: IncidentRecord, remedy: Remedy, at: int) -> Tried:
        """What the guards judge by."""
        lately = self._features.get(record.feature, deque())
        while lately and at - lately[0].planned_at >= CIRCUIT_WITHIN_MS:
            lately.popleft()
        return Tried(
            episode=[one for one in self.of(record) if one.remedy == remedy.name],
            subject=self._subjects.get(record.subject, ()) if record.subject else (),
            feature=[one.planned_at for one in lately],
            circuit_until=self._until(record.feature, at),
        )

    def open_circuit(self, feature: str, at: int, until: int) -> Change:
        """Nothing of a feature is begun by itself until then; what makes that durable."""
        before = self._circuits.get(feature)
        circuit = Circuit(feature, 1 if before is None else before.version + 1, at, until)
        self._circuits[feature] = circuit
        return CIRCUITS.saved(circuit)

    def circuits(self, at: int) -> dict[str, int]:
        """Until when each open circuit is (unix ms), by feature."""
        return {feature: self._until(feature, at) for feature in self._circuits if self._until(feature, at) > at}

    def _until(self, feature: str, at: int) -> int:
        """0 where it is closed; also where it has not opened yet, since the clock was set back."""
        circuit = self._circuits.get(feature)
        return circuit.until if circuit is not None and circuit.opened_at <= at < circuit.until else 0

    def left(self, record: IncidentRecord, remedy: Remedy) -> int:
        """How many automatic attempts are left in this episode."""
        if record.escalated or not remedy.auto.by_itself:
            return 0
        tries = [one for one in self.of(record) if one.remedy == remedy.name and one.status != AttemptStatus.SKIPPED]
        return max(0, TRIES_MOST - len(tries))

    def forget(self, live: Callable[[str], bool], at: int) -> None:
        """Lets go of what no guard asks for any more. `live`: whether an incident is."""
        for incident_id in [one for one in self._of if not live(one)]:
            del self._of[incident_id]
        for subject, tries in list(self._subjects.items()):
            if not tries or at - tries[-1].planned_at >= SUBJECT_WITHIN_MS:
                del self._subjects[subject]

    @staticmethod
    def saved(*attempts: Attempt) -> list[Change]:
        """The changes that keep these attempts."""
        return [ATTEMPTS.saved(attempt) for attempt in attempts]

    def _renew(self, attempt: Attempt) -> Attempt:
        attempt = replace(attempt, version=attempt.version + 1)
        known = self._of.get(attempt.incident_id)
        if known is not None and attempt.attempt_id in known:
            known[attempt.attempt_id] = attempt
        if attempt.status is AttemptStatus.SKIPPED:
            # What was not tried does not count against what might be.
            for lately in (self._subjects.get(attempt.subject), self._features.get(attempt.feature)):
                if lately is not None:
                    _drop(lately, attempt.attempt_id)
        return attempt

    def _remember(self, attempt: Attempt) -> None:
        self._of.setdefault(attempt.incident_id, {})[attempt.attempt_id] = attempt
        if attempt.asked_by != AUTO or attempt.mode != AUTO or attempt.status is AttemptStatus.SKIPPED:
            return
        self._features.setdefault(attempt.feature, deque()).append(attempt)
        if attempt.subject:
            self._subjects.setdefault(attempt.subject, deque()).append(attempt)


def _drop(attempts: deque[Attempt], attempt_id: str) -> None:
    for place, one in enumerate(attempts):
        if one.attempt_id == attempt_id:
            del attempts[place]
            return
