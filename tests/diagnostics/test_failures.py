"""What failed lately: merged, counted by class, kept, and of the right class."""

import pytest

from palyra.core.clock import ManualClock
from palyra.core.redact import remember
from palyra.diagnostics.failure import FailureClass, Source, failure_class, is_failure
from palyra.diagnostics.failures import KEPT, SHOWN, FailureBook
from palyra.diagnostics.outside import FailureCounts
from palyra.governance.decision import ReasonCode
from palyra.journal.changes import Change
from palyra.journal.entity import EntityForgotten, EntitySaved
from palyra.journal.journal import Journal
from palyra.journal.observation_rows import FAILURES, FailureRow
from palyra.providers.errors import ErrorClass
from palyra.vault.secrets import SecretState


class Desk:
    """A book whose writes are seen."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.written: list[Change] = []
        self.count = 0
        self.book = FailureBook(self.clock, self._new_id, self.written.extend)

    def _new_id(self) -> str:
        self.count += 1
        return f"f{self.clock.now_ms()}-{self.count:06d}"

    def fail(self, subject: str = "ops", code: str = "bad_status", message: str = "busy") -> None:
        self.book.record(Source.WEBHOOK, subject, code, message, {"incident": "i1"})

    def rows(self) -> dict[str, FailureRow]:
        """What a journal would have now."""
        kept: dict[str, FailureRow] = {}
        for change in self.written:
            if isinstance(change, EntitySaved):
                values = [
                    given if name != "correlation" else {}
                    for name, given in zip(FAILURES.table.columns, change.values, strict=True)
                ]
                row = FAILURES.read(values)
                kept[row.failure_id] = row
            elif isinstance(change, EntityForgotten):
                kept.pop(str(change.key[0]), None)
        return kept


def test_two_hundred_failures_in_a_minute_are_one_row() -> None:
    desk = Desk()
    for _ in range(200):
        desk.fail()
        desk.clock.tick(0.3)
    (row,) = desk.book.recent()
    assert (row.count, row.source, row.subject, row.class_) == (200, Source.WEBHOOK, "ops", "bad_status")
    assert row.last_at - row.at == 59_700
    assert len(desk.written) == 1
    desk.book.flush()
    (kept,) = desk.rows().values()
    assert kept.count == 200
    desk.clock.tick(0.1)
    desk.fail()
    assert [one.count for one in desk.book.recent()] == [1, 200]


def test_failures_that_differ_are_rows_of_their_own() -> None:
    desk = Desk()
    for subject, code in (("ops", "bad_status"), ("ops", "unreachable"), ("pager", "bad_status")):
        desk.fail(subject, code)
    assert {(one.subject, one.class_) for one in desk.book.recent()} == {
        ("ops", "bad_status"),
        ("ops", "unreachable"),
        ("pager", "bad_status"),
    }


def test_the_newest_come_first_and_no_more_than_are_shown() -> None:
    desk = Desk()
    for number in range(SHOWN + 10):
        desk.fail(f"s{number}")
        desk.clock.tick(1)
    shown = desk.book.recent()
    assert len(shown) == SHOWN
    assert shown[0].subject == f"s{SHOWN + 9}"


def test_classes_are_counted_over_a_quarter_of_an_hour_and_a_day() -> None:
    desk = Desk()
    desk.fail(code="bad_status")
    desk.clock.tick(16 * 60)
    desk.fail(code="unreachable")
    desk.fail(code="unreachable")
    classes = desk.book.classes()
    assert classes["upstream"] == FailureCounts(0, 1)
    assert classes["network"] == FailureCounts(2, 2)
    assert set(classes) == {one.value for one in FailureClass}
    assert desk.book.lately(Source.WEBHOOK, {"ops"}) == 2
    desk.clock.tick(24 * 3_600)
    assert desk.book.classes()["network"] == FailureCounts(0, 0)


def test_old_rows_make_room_but_the_newest_stay_however_old() -> None:
    desk = Desk()
    for number in range(SHOWN + 5):
        desk.fail(f"s{number}")
    desk.clock.tick(25 * 3_600)
    desk.book.flush()
    assert len(desk.rows()) == len(desk.book.recent(KEPT)) == SHOWN
    for number in range(KEPT + 20):
        desk.fail(f"t{number}")
    assert len(desk.rows()) == KEPT


async def test_what_failed_outlives_the_engine(journal: Journal) -> None:
    clock = ManualClock()
    written: list[Change] = []
    book = FailureBook(clock, iter(["f1", "f2", "f3"]).__next__, written.extend)
    book.record(Source.PROVIDER, "openai", "auth_invalid", "no", {"run": "r1", "attempt": "1"})
    clock.tick(10)
    book.record(Source.PROVIDER, "openai", "auth_invalid", "still no", {"run": "r2", "attempt": "1"})
    book.flush()
    await journal.submit(written)
    again = FailureBook(clock, iter(["f9"]).__next__, written.extend)
    again.restore(await journal.readers.failures())
    (row,) = again.recent()
    assert (row.count, row.message, row.correlation) == (2, "still no", {"run": "r2", "attempt": "1"})
    assert again.classes()["credential"] == FailureCounts(2, 2)
    again.record(Source.PROVIDER, "openai", "auth_invalid", "no", {"run": "r3"})
    assert [one.count for one in again.recent()] == [3]


def test_a_clock_that_was_set_back_begins_a_row_of_its_own() -> None:
    desk = Desk()
    desk.fail()
    desk.clock.set_wall(desk.clock.now_ms() - 3_600_000)
    desk.fail()
    assert [one.count for one in desk.book.recent()] == [1, 1]


def test_no_secret_is_kept() -> None:
    remember("canary-of-failures")
    desk = Desk()
    desk.fail(message="Bearer abc then canary-of-failures, total_tokens: 42")
    (row,) = desk.book.recent()
    assert row.message == "Bearer [redacted] then [redacted], total_tokens: 42"
    assert "canary" not in repr(desk.written)


@pytest.mark.parametrize(
    ("expected", "codes"),
    [
        (
            FailureClass.CONFIG,
            ["invalid_reload", "invalid_ref", "unknown_model", "model_not_found", "model_not_allowed"],
        ),
        (
            FailureClass.CREDENTIAL,
            ["auth_invalid", "auth_expired", "permission_denied", "quota_exceeded", "missing", "locked", "wrong_key"],
        ),
        (
            FailureClass.UPSTREAM,
            ["rate_limited", "transient_upstream", "permanent_upstream", "malformed_response", "provider_timeout"],
        ),
        (FailureClass.UPSTREAM, ["bad_status"]),
        (FailureClass.NETWORK, ["network_unavailable", "unreachable", "timed_out"]),
        (FailureClass.REQUEST, ["context_window_exceeded", "content_policy_blocked"]),
        (FailureClass.PRODUCT, ["internal_error", "collector", "journal", "RuntimeError", ""]),
    ],
)
def test_whose_business_a_failure_is(expected: FailureClass, codes: list[str]) -> None:
    assert [failure_class(code) for code in codes] == [expected] * len(codes)


def test_every_error_of_a_provider_and_every_state_of_a_vault_is_somebodys() -> None:
    for error in ErrorClass:
        assert failure_class(error.value) is not FailureClass.PRODUCT, error
    for state in SecretState:
        if state not in (SecretState.RESOLVED,):
            assert failure_class(state.value) in (FailureClass.CREDENTIAL, FailureClass.CONFIG), state


@pytest.mark.parametrize(
    "reason",
    [
        ReasonCode.BUDGET_BLOCKED.value,
        ReasonCode.BUDGET_APPROVAL_REQUIRED.value,
        ReasonCode.PRICE_UNKNOWN_BLOCKED.value,
        ReasonCode.MODE_REFUSED.value,
        "approval_denied",
        "self_healing",
        "by_operator",
        "parent_cancelled",
        "engine_stopping",
    ],
)
def test_what_a_budget_refused_or_somebody_ended_is_no_failure(reason: str) -> None:
    assert not is_failure("failed", reason)


def test_what_went_wrong_by_itself_is_one() -> None:
    for reason in ("permission_denied", "timeout", "poison", "internal_error", "unknown_model"):
        assert is_failure("failed", reason)
        assert not is_failure("cancelled", reason)
        assert not is_failure("completed", reason)
