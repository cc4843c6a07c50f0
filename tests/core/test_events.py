import logging

import pytest

from palyra.core.events import Event, EventHub


def test_every_subscriber_hears_until_it_leaves() -> None:
    hub, first, second = EventHub(), list[Event](), list[Event]()
    leave = hub.subscribe(first.append)
    hub.subscribe(second.append)
    hub.publish(Event("run.started", 1))
    leave()
    leave()
    hub.publish(Event("run.ended", 2))
    assert [event.kind for event in first] == ["run.started"]
    assert [event.kind for event in second] == ["run.started", "run.ended"]


def test_one_that_fails_is_logged_and_does_not_silence_the_others(caplog: pytest.LogCaptureFixture) -> None:
    hub, heard = EventHub(), list[Event]()

    def broken(event: Event) -> None:
        raise RuntimeError("out of order")

    hub.subscribe(broken)
    hub.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        hub.publish(Event("run.started", 1))
    assert len(heard) == 1
    assert "run.started" in caplog.text


def test_whoever_names_kinds_hears_of_no_others() -> None:
    hub, edits, everything = EventHub(), list[Event](), list[Event]()
    hub.publish(Event("run.started", 1))
    leave = hub.subscribe(edits.append, "policy.edited", "grant.revoked")
    hub.subscribe(everything.append)
    for kind in ("run.started", "policy.edited", "run.ended", "grant.revoked"):
        hub.publish(Event(kind, 2))
    leave()
    hub.publish(Event("policy.edited", 3))
    assert [event.kind for event in edits] == ["policy.edited", "grant.revoked"]
    assert len(everything) == 5
