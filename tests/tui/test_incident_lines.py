"""What an opened incident says of what was done about it, in words."""

from dataclasses import replace

from palyra.control.incidents_queries import IncidentQuery, TimelineView
from palyra.core.clock import ManualClock
from palyra.tui.details.incident import incident_lines, incident_preview
from palyra.tui.widgets.lines import lines_text
from tests.tui.fake_control import FakeControl
from tests.tui.fake_incidents import morning
from tests.tui.fake_views import MINUTE, NOW
from tests.tui.fake_worlds import World


async def test_people_are_told_of_an_event_and_nothing_is_done_where_nothing_can_be() -> None:
    trouble = morning()
    incident = trouble.incidents[0]
    control = FakeControl(World(trouble=trouble), ManualClock(NOW))
    detail = await control.ask(IncidentQuery(incident.incident_id))
    told = TimelineView(NOW - MINUTE, "notified", "palyra", {"event": "opened"})
    detail = replace(detail, timeline=(told,), remedies=(), attempts=(), next_try=None)
    opened = lines_text(incident_lines(incident, detail, "UTC", NOW, 78))
    assert "10:41:00 notified: opened" in opened
    assert "nothing is done by itself" in opened
    assert "nothing is done by itself" in lines_text(incident_preview(incident, detail, "UTC", NOW, 80))
