"""Many heartbeats: few costs while all is well, one incident when all are lost at once."""

import pytest

from palyra.core.conditions import Severity
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.heartbeats import Key
from palyra.healing.record import IncidentEventKind
from palyra.healing.verdicts import Watchdog
from tests.healing.conftest import Staged
from tests.healing.stage import RUN, healing_config

LOST = 1_000


async def test_a_thousand_lost_at_once_are_one_incident_with_children(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    for number in range(LOST):
        stage.beat(f"r{number}")
    await stage.pass_time(120_001)
    (visible,) = [one for one in stage.incidents() if not one.parent_id]
    assert (visible.storm, visible.children, visible.severity) == (True, LOST, Severity.HIGH)
    assert stage.told() == ["opened"]
    opened = [event for event in stage.events if event.kind is IncidentEventKind.OPENED]
    assert len(opened) == LOST + 1
    for number in range(LOST):
        stage.beat(f"r{number}")
    await stage.pass_time(15_000)
    assert stage.incidents() == []
    assert stage.told() == ["opened", "resolved"]


async def test_ten_thousand_that_beat_are_looked_at_once_for_each_of_their_limits(
    staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a look costs does not grow with who is well."""
    stage = await staged(measured=False)
    beats = stage.healing.heartbeats
    watchdog = Watchdog(beats)
    for number in range(10_000):
        beats.record(WorkHeartbeatKind.RUN, f"r{number}", "work")
        watchdog.expect((RUN, f"r{number}"))
    looked = 0
    due = beats.due

    def counted(key: Key) -> int | None:
        nonlocal looked
        looked += 1
        return due(key)

    monkeypatch.setattr(beats, "due", counted)
    for cycle in range(1, 8):
        stage.clock.tick(15)
        for number in range(10_000):
            beats.record(WorkHeartbeatKind.RUN, f"r{number}", "work", None, cycle)
        assert watchdog.late(beats.now()) == []
    assert looked == 0
    stage.clock.tick(15.001)
    assert watchdog.late(beats.now()) == []
    assert looked <= 3 * 10_000
