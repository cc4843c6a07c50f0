"""MTTD, MTTA and MTTR over episodes."""

from palyra.core.conditions import Severity
from palyra.healing.measures import Measures, measure
from palyra.healing.record import Episode
from tests.healing.stage import T0


def test_means_are_taken_over_what_opened_in_the_window_by_severity() -> None:
    episodes = [
        Episode("i1", 1, Severity.HIGH, T0 - 1_000, T0, acknowledged_at=T0 + 10_000, resolved_at=T0 + 60_000),
        Episode("i1", 2, Severity.HIGH, T0 + 100_000, T0 + 100_000, resolved_at=T0 + 120_000),
        Episode("i2", 1, Severity.CRITICAL, T0, T0 + 2_000),
        Episode("i3", 1, Severity.LOW, T0 - 9_000, T0 - 1),
    ]
    assert measure(episodes, T0) == (
        Measures(None, 3, 2, 1, 1_000, 10_000, 40_000),
        Measures(Severity.CRITICAL, 1, 1, 1, 2_000, None, None),
        Measures(Severity.HIGH, 2, 1, 0, 500, 10_000, 40_000),
    )


def test_nothing_is_measured_of_nothing() -> None:
    assert measure([], T0) == (Measures(None, 0, 0, 0, None, None, None),)
