"""What the engine tells of one incident beyond its row: its timeline, attempts, remedies and evidence."""

from palyra.control.incidents_queries import IncidentDetail, IncidentQuery, IncidentView
from palyra.core.errors import PalyraError
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen
from palyra.tui.themes import Tone

FRESH_MS = 2_000
"""Ages of heartbeats and the next try move while nothing else does."""


class IncidentStory:
    """Asks about one incident at a time: once for each change of it, and every few seconds while it lives."""

    def __init__(self, screen: ListScreen) -> None:
        self._screen = screen
        self._for: tuple[object, ...] | None = None
        self._answer: IncidentDetail | None = None
        self._inquiry: Inquiry[IncidentDetail] | None = None

    def look_up(self, incident: IncidentView) -> None:
        """Asks for an incident's timeline, again after FRESH_MS while it lives."""
        ticks = self._screen.now // FRESH_MS if incident.live else 0
        wanted = (incident.incident_id, incident.version, incident.updated_at, incident.state, ticks)
        if wanted == self._for:
            return
        self._for = wanted
        palyra = self._screen.palyra
        if self._inquiry is None:
            self._inquiry = Inquiry(palyra.spawn, self._apply, self._fail)
        self._inquiry.ask(lambda: palyra.control.ask(IncidentQuery(incident.incident_id)))

    def of(self, incident: IncidentView) -> IncidentDetail | None:
        """The answer, if it is about this incident."""
        answer = self._answer
        return answer if answer is not None and answer.incident.incident_id == incident.incident_id else None

    def _apply(self, answer: IncidentDetail) -> None:
        self._answer = answer
        self._screen.draw_detail()

    def _fail(self, error: PalyraError) -> None:
        self._screen.flash(f"More of the incident could not be read: {error}", Tone.WARN)
