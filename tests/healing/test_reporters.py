"""Work outside of Palyra that reports: how long it may be silent, how often it may speak, what outlives a restart."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.operations import HealingConfig
from palyra.core.clock import ManualClock
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing import reporters as reporters_module
from palyra.healing.heartbeats import Heartbeats, WorkHeartbeat, limits_of
from palyra.healing.reporters import Report, Reporters, Status, TooOftenError
from palyra.healing.verdicts import Verdict, verdict
from palyra.journal.changes import Change
from palyra.journal.delivery_rows import REPORTERS, ReporterRow
from palyra.journal.entity import EntityForgotten, EntitySaved

EXTERNAL = WorkHeartbeatKind.EXTERNAL
S = 1000


class Desk:
    """Reporters on a clock turned by hand, and what they had written."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.heartbeats = Heartbeats(self.clock, "boot", limits_of(HealingConfig()))
        self.written: list[Change] = []
        self.reporters = Reporters(self.heartbeats, self.clock, self.written.extend)

    def take(self, principal: str = "team", name: str = "etl", **fields: object) -> int | None:
        return self.reporters.take(principal, Report(name, **fields))  # type: ignore[arg-type]

    def of(self, key: str = "team/etl") -> WorkHeartbeat:
        found = self.heartbeats.get(EXTERNAL, key)
        assert found is not None
        return found

    def state(self, key: str = "team/etl") -> Verdict:
        found = self.of(key)
        return verdict(found, self.heartbeats.limits_for(found), self.heartbeats.now())


def test_silence_is_counted_from_what_it_declared() -> None:
    desk = Desk()
    due = desk.take(interval_ms=300 * S, grace_ms=60 * S)
    assert due == desk.clock.now_ms() + 360 * S
    desk.clock.tick(360)
    assert desk.state() is Verdict.HEALTHY
    desk.clock.tick(0.001)
    assert desk.state() is Verdict.SILENT
    desk.take()
    assert desk.state() is Verdict.HEALTHY


def test_what_declares_nothing_has_the_limit_of_the_configuration() -> None:
    desk = Desk()
    assert desk.take() == desk.clock.now_ms() + 120 * S
    desk.clock.tick(120.001)
    assert desk.state() is Verdict.SILENT


def test_it_stalls_only_where_it_said_when() -> None:
    desk = Desk()
    desk.take(interval_ms=86_400 * S, progress=5)
    desk.clock.tick(3600)
    desk.take(progress=5)
    assert desk.state() is Verdict.HEALTHY
    desk.clock.tick(1)
    desk.take(stall_ms=100 * S)
    assert desk.state() is Verdict.STALLED
    desk.clock.tick(1)
    desk.take(progress=6)
    assert desk.state() is Verdict.HEALTHY


def test_what_is_not_said_again_stays_and_what_is_taken_back_goes() -> None:
    desk = Desk()
    desk.take(interval_ms=300 * S, grace_ms=60 * S, summary="nightly load")
    desk.clock.tick(1)
    assert desk.take() == desk.clock.now_ms() + 360 * S
    assert desk.of().summary == "nightly load"
    desk.clock.tick(1)
    assert desk.take(interval_ms=None, summary="") == desk.clock.now_ms() + 120 * S
    assert desk.of().summary == ""


def test_saying_that_it_fails_counts_at_once_until_it_says_otherwise() -> None:
    desk = Desk()
    desk.take(status=Status.FAILING)
    assert desk.state() is Verdict.FAILING
    desk.clock.tick(1)
    desk.take()
    assert desk.state() is Verdict.HEALTHY


def test_done_and_forgotten_are_gone() -> None:
    desk = Desk()
    desk.take()
    desk.take(name="other")
    desk.clock.tick(1)
    assert desk.take(status=Status.DONE) is None
    assert desk.reporters.forget("team", "other")
    assert not desk.reporters.forget("team", "other")
    assert (len(desk.heartbeats), len(desk.reporters)) == (0, 0)
    assert desk.written[-2:] == [REPORTERS.forgotten("team", "etl"), REPORTERS.forgotten("team", "other")]
    desk.clock.tick(1)
    # Saying done twice is no mistake, unless it is said too often.
    assert desk.take(status=Status.DONE) is None
    with pytest.raises(TooOftenError):
        desk.take()


def test_one_id_speaks_once_a_second_and_others_meanwhile() -> None:
    desk = Desk()
    desk.take()
    desk.clock.tick(0.75)
    with pytest.raises(TooOftenError) as refused:
        desk.take(status=Status.FAILING)
    assert refused.value.retry_s == pytest.approx(0.25)
    assert desk.state() is Verdict.HEALTHY
    desk.take(name="other")
    desk.take(principal="others")
    desk.clock.tick(0.25)
    desk.take()


def test_ids_belong_to_their_principal() -> None:
    desk = Desk()
    desk.take("team")
    desk.take("rivals")
    assert not desk.reporters.forget("rivals", "other")
    assert desk.reporters.forget("rivals", "etl")
    assert desk.state("team/etl") is Verdict.HEALTHY


def test_so_many_may_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporters_module, "REPORTERS_AT_MOST", 2)
    desk = Desk()
    desk.take(name="a")
    desk.take(name="b")
    with pytest.raises(TooOftenError) as refused:
        desk.take(name="c")
    assert refused.value.retry_s is None
    desk.clock.tick(1)
    desk.take(name="a")
    desk.take(name="b", status=Status.DONE)
    desk.take(name="c")
    assert len(desk.reporters) == 2


def test_beats_are_kept_once_a_minute_and_declarations_at_once() -> None:
    desk = Desk()
    for _ in range(60):
        desk.take(progress=1)
        desk.clock.tick(1)
    assert len(desk.written) == 1
    desk.take()
    assert len(desk.written) == 2
    desk.clock.tick(1)
    desk.take(interval_ms=5 * S)
    desk.clock.tick(1)
    desk.take(status=Status.FAILING)
    assert len(desk.written) == 4


def test_after_a_restart_it_has_a_whole_interval_to_come_back() -> None:
    desk = Desk()
    row = ReporterRow("team", "etl", 3, "nightly load", False, 300 * S, 60 * S, 50 * S, 7, desk.clock.now_ms() - 10**9)
    desk.reporters.restore([row, replace(row, name="broken", failing=True)])
    assert (desk.state(), desk.state("team/broken")) == (Verdict.HEALTHY, Verdict.FAILING)
    assert (desk.of().summary, desk.of().progress) == ("nightly load", 7)
    desk.clock.tick(50)
    assert desk.take() == desk.clock.now_ms() + 360 * S
    assert len(desk.written) == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(list(Status)), st.floats(0.1, 3)), max_size=30))
def test_memory_and_journal_agree_on_who_reports(said: list[tuple[str, Status, float]]) -> None:
    desk = Desk()
    for name, status, pause in said:
        desk.clock.tick(pause)
        with suppress(TooOftenError):
            desk.take(name=name, status=status)
    kept: set[object] = set()
    for change in desk.written:
        if isinstance(change, EntitySaved):
            kept.add(change.values[1])
        elif isinstance(change, EntityForgotten):
            kept.discard(change.key[1])
    assert kept == {beat.object_id.partition("/")[2] for beat in desk.heartbeats}
