"""How the gateway did in the last five minutes."""

from palyra.core.clock import ManualClock
from palyra.gateway.lately import Lately, by_class


def test_statuses_are_told_by_class_and_402_by_itself() -> None:
    lately = Lately(ManualClock())
    for status in (200, 204, 402, 404, 499, 500, 503):
        lately.served(status, 0.1, None, None)
    assert by_class(lately.statuses()) == {"2xx": 2, "4xx": 2, "402": 1, "5xx": 2}
    assert lately.statuses()["500"] == 1


def test_times_are_those_of_late_and_nobody_waited_for_counts_as_ours() -> None:
    clock = ManualClock()
    lately = Lately(clock)
    assert lately.overhead(0.5) is None
    lately.served(200, 3.0, 0.4, 2.9)
    lately.served(200, 2.0, None, 2.5)
    lately.served(200, 1.0, None, None)
    assert lately.overhead(0.99) == 3.0 - 2.9
    assert lately.overhead(0.0) == 0
    assert lately.first_byte(0.5) == 0.4
    clock.tick(301)
    assert (lately.overhead(0.5), lately.first_byte(0.5), lately.statuses().total()) == (None, None, 0)


def test_errors_of_our_own_are_those_within_and_those_at_the_door_that_nobody_meant() -> None:
    clock = ManualClock()
    lately = Lately(clock)
    for status in (200, 402, 502, 500):
        lately.served(status, 0.1, None, None)
    for status, code in ((401, "invalid_api_key"), (403, "host_not_allowed"), (503, "engine_draining")):
        lately.refused(status, code)
    assert (lately.own_errors(), lately.refused_hosts) == (1, 1)
    lately.refused(503, "access_unavailable")
    assert lately.own_errors() == 2
    clock.tick(301)
    assert lately.own_errors() == 0
