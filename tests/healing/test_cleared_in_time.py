"""Work that ends in the moment its remedy would begin: nothing is done, once, and its incident ends by itself."""

from palyra.healing.record import AttemptStatus, IncidentEvent, IncidentEventKind, IncidentState
from tests.healing.stage import a_stage


async def test_a_remedy_that_is_not_needed_any_more_is_skipped_once() -> None:
    stage = await a_stage()

    def ended(event: IncidentEvent) -> None:
        if event.kind is IncidentEventKind.OPENED:
            stage.end("r1")

    stage.healing.on_event(ended)
    stage.beat("r1")
    await stage.clock.advance(121)
    (tried,) = stage.attempts("r1")
    assert (tried.status, tried.detail) == (AttemptStatus.SKIPPED, "condition_cleared")
    await stage.clock.advance(8)
    assert len(stage.attempts("r1")) == 1
    await stage.clock.advance(30)
    found = stage.incident_of("r1")
    assert found is not None
    assert found.state is IncidentState.RESOLVED
    assert stage.cancelled == []
    await stage.close()
