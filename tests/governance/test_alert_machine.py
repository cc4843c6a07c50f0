"""The life of alerts under any sequence of what is seen, cleared, answered and waited for."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.governance.alert_book import COUNTS_SAVED_EVERY_MS, AlertBook
from palyra.governance.alert_record import AlertRecord, AlertState
from palyra.governance.alerts import AlertCandidate, AlertKind, Severity
from palyra.journal.changes import AlertSaved
from palyra.journal.rows import AlertRow

COOLDOWN = 900_000
KEYS = ("budget_alert:day:*", "budget_alert:week:*", "cost_spike")
DANGER, WARNING = Severity.DANGER, Severity.WARNING
T0 = 1_795_348_800_000


def candidate(key: str, severity: Severity = WARNING, **payload: int) -> AlertCandidate:
    return AlertCandidate(AlertKind(key.partition(":")[0]), severity, key, payload=payload)


class Expected:
    """What a simple mind makes of one key."""

    def __init__(self, at: int, severity: Severity) -> None:
        self.state = AlertState.OPEN
        self.severity = severity
        self.answered: Severity | None = None
        self.first = self.last = at
        self.count = 1
        self.holds = True
        self.until = 0

    def reopen(self) -> None:
        self.state, self.answered = AlertState.OPEN, None


class AlertMachine(RuleBasedStateMachine):
    """Compares a book with what a simple mind expects, and with a book rebuilt from what was saved."""

    def __init__(self) -> None:
        super().__init__()
        self.at = T0
        self.ids = 0
        self.book = AlertBook(self._new_id, COOLDOWN)
        self.expected: dict[str, Expected] = {}
        self.told: dict[str, list[int]] = {}
        self.stored: dict[str, AlertRow] = {}

    def _new_id(self) -> str:
        self.ids += 1
        return f"A{self.ids}"

    def _settle(self) -> None:
        for change in self.book.changes(self.at):
            assert isinstance(change, AlertSaved)
            before = self.stored.get(change.row.alert_id)
            assert before is None or before.revision < change.row.revision
            self.stored[change.row.alert_id] = change.row
        for record in self.book.to_tell():
            times = self.told.setdefault(record.dedupe_key, [])
            assert not times or self.at - times[-1] >= COOLDOWN
            times.append(self.at)
            assert record.state is AlertState.OPEN

    @rule(key=st.sampled_from(KEYS), severity=st.sampled_from([WARNING, DANGER]), again=st.booleans())
    def see(self, key: str, severity: Severity, again: bool) -> None:
        self.book.see(candidate(key, severity, n=self.at), self.at, again=again)
        known = self.expected.get(key)
        if known is None:
            self.expected[key] = Expected(self.at, severity)
        else:
            known.severity, known.holds = severity, True
            if again:
                known.count, known.last = known.count + 1, self.at
            if known.answered is not None and severity.rank > known.answered.rank:
                known.reopen()
        self._settle()

    @rule(key=st.sampled_from(KEYS))
    def clear(self, key: str) -> None:
        self.book.clear(key, self.at)
        known = self.expected.get(key)
        if known is not None and known.state is AlertState.SNOOZED:
            known.holds = False
        else:
            self.expected.pop(key, None)
        self._settle()

    @rule(ms=st.sampled_from([0, 1, 999, 60_000, COOLDOWN - 1, COOLDOWN, 3_600_000]))
    def wait(self, ms: int) -> None:
        self.at += ms
        self.book.sweep(self.at)
        for key, known in tuple(self.expected.items()):
            if known.state is AlertState.SNOOZED and self.at >= known.until:
                if known.holds:
                    known.reopen()
                else:
                    del self.expected[key]
        self._settle()

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        key, record = self._some(data)
        known = self.expected[key]
        if known.state is AlertState.ACKNOWLEDGED:
            try:
                self.book.acknowledge(record.alert_id, "eve", self.at)
            except ConflictError:
                return
            raise AssertionError("acknowledged twice")
        answered = self.book.acknowledge(record.alert_id, "ann", self.at, version=record.version)
        assert (answered.acted_by, answered.acted_at) == ("ann", self.at)
        if known.holds:
            known.state, known.answered = AlertState.ACKNOWLEDGED, known.severity
        else:
            del self.expected[key]
        self._settle()

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), ms=st.sampled_from([1_000, 60_000, 3_600_000]))
    def snooze(self, data: st.DataObject, ms: int) -> None:
        key, record = self._some(data)
        known = self.expected[key]
        self.book.snooze(record.alert_id, ms, "bob", self.at, version=record.version)
        known.state, known.answered, known.until = AlertState.SNOOZED, known.severity, self.at + ms
        self._settle()

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def answer_what_is_no_more(self, data: st.DataObject) -> None:
        _, record = self._some(data)
        attempts: tuple[Callable[[], object], ...] = (
            lambda: self.book.acknowledge(record.alert_id, "eve", self.at, version=record.version + 1),
            lambda: self.book.snooze(record.alert_id, 60_000, "eve", self.at, version=record.version - 1),
            lambda: self.book.snooze(record.alert_id, 0, "eve", self.at),
            lambda: self.book.acknowledge("nothing", "eve", self.at),
        )
        for attempt in attempts:
            version = self.book.version
            try:
                attempt()
            except (ConflictError, BadInputError, NotFoundError):
                assert self.book.version == version
            else:
                raise AssertionError("answered what is no more")

    @rule(hard=st.booleans())
    def die_and_start_again(self, hard: bool) -> None:
        """A kill loses at most what was seen again within the last seconds."""
        if not hard:
            for change in self.book.remaining():
                assert isinstance(change, AlertSaved)
                self.stored[change.row.alert_id] = change.row
        before = {record.dedupe_key: record for record in self.book.live()}
        records = [AlertRecord.from_row(row) for row in self.stored.values()]
        self.book = AlertBook(self._new_id, COOLDOWN, records)
        after = {record.dedupe_key: record for record in self.book.live()}
        assert after.keys() == before.keys()
        for key, record in after.items():
            was, known = before[key], self.expected[key]
            if not hard:
                assert record == was
                continue
            assert (record.state, record.severity, record.version) == (was.state, was.severity, was.version)
            assert (record.answered, record.snoozed_until, record.holds) == (was.answered, was.snoozed_until, was.holds)
            assert record.notified_at == was.notified_at
            assert record.last_seen == was.last_seen or self.at - was.last_seen < COUNTS_SAVED_EVERY_MS
            known.count, known.last = record.occurrence_count, record.last_seen

    def _some(self, data: st.DataObject) -> tuple[str, AlertRecord]:
        key = data.draw(st.sampled_from(sorted(self.expected)))
        record = self.book.of(key)
        assert record is not None
        return key, record

    @invariant()
    def it_is_as_expected(self) -> None:
        live = {record.dedupe_key: record for record in self.book.live()}
        assert live.keys() == self.expected.keys()
        for key, record in live.items():
            known = self.expected[key]
            assert (record.state, record.severity, record.holds) == (known.state, known.severity, known.holds)
            assert (record.occurrence_count, record.last_seen) == (known.count, known.last)
            assert record.first_seen == known.first
            assert record.state is AlertState.SNOOZED or record.holds
            assert (record.state is AlertState.SNOOZED) == (record.snoozed_until is not None)
            assert (record.state is AlertState.OPEN) == (record.answered is None)
            assert self.book.get(record.alert_id) is record
        kinds = [record for kind in AlertKind for record in self.book.of_kinds(kind)]
        assert sorted(kinds, key=lambda record: record.urgency) == self.book.live()


TestAlertMachine = AlertMachine.TestCase
TestAlertMachine.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
