"""What of the incidents is not durable yet, and the episodes that the measures are taken from."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from palyra.core.redact import redact_data
from palyra.healing.record import Episode, IncidentRecord, TimelineEntry, TimelineKind
from palyra.journal.changes import Change
from palyra.journal.incident_rows import EPISODES, INCIDENTS, TIMELINE

COUNTS_SAVED_EVERY_MS = 60_000
"""How often it is saved that a condition was found again; anything else is saved at once."""


class Paper:
    """Collects what is to be written; in the order in which it may be."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._unsaved: dict[str, None] = {}
        self._entries: list[TimelineEntry] = []
        self._episodes: dict[str, Episode] = {}
        self._changed_episodes: dict[tuple[str, int], Episode] = {}
        self._forgotten: list[str] = []
        self._counts: dict[str, int] = {}
        """How often a condition was found by now, where that is more than its incident says."""
        self._counted_since: int | None = None

    def save(self, record: IncidentRecord) -> None:
        """The incident is to be written as it stands, with its count."""
        self._unsaved[record.incident_id] = None
        self._counts.pop(record.incident_id, None)

    def count(self, record: IncidentRecord, at: int) -> None:
        """A condition was found once more."""
        self._counts[record.incident_id] = self._counts.get(record.incident_id, record.occurrence_count) + 1
        if self._counted_since is None:
            self._counted_since = at

    def counted(self, record: IncidentRecord) -> IncidentRecord:
        """The incident with how often its condition was found by now."""
        count = self._counts.get(record.incident_id, 0)
        return record if count <= record.occurrence_count else replace(record, occurrence_count=count)

    def uncounted(self, at: int, *, everything: bool = False) -> list[str]:
        """The incidents whose counts are to be written now."""
        if self._counted_since is None:
            return []
        if not everything and at - self._counted_since < COUNTS_SAVED_EVERY_MS:
            return []
        self._counted_since = None
        return list(self._counts)

    def log(self, incident_id: str, at: int, kind: TimelineKind, by: str, data: dict[str, Any]) -> None:
        """Notes an entry of an incident's timeline, scrubbed, to be written with the next unit."""
        told = cast(dict[str, Any], redact_data(data))
        self._entries.append(TimelineEntry(self._new_id(), incident_id, at, kind, by, told))

    def forget(self, incident_id: str) -> None:
        """It and all that belongs to it."""
        self._forgotten.append(incident_id)
        self._unsaved.pop(incident_id, None)
        self._counts.pop(incident_id, None)
        self._episodes.pop(incident_id, None)
        self._entries = [entry for entry in self._entries if entry.incident_id != incident_id]
        for key in [key for key in self._changed_episodes if key[0] == incident_id]:
            del self._changed_episodes[key]

    # Episodes

    def remember(self, episode: Episode) -> None:
        """The present one of an incident, after a start."""
        self._episodes[episode.incident_id] = episode

    def episode_begun(self, record: IncidentRecord) -> None:
        """The condition holds, for the first time or again."""
        fresh = Episode(record.incident_id, record.episode, record.severity, record.condition_since, record.opened_at)
        self._keep(fresh)

    def episode_moved(self, record: IncidentRecord) -> None:
        """It weighs more or less, or somebody acknowledged it."""
        known = self._episodes.get(record.incident_id)
        if known is not None:
            moved = replace(known, severity=record.severity, acknowledged_at=record.acknowledged_at)
            self._keep(replace(moved, version=known.version + 1))

    def episode_ended(self, record: IncidentRecord, at: int) -> None:
        """The condition has passed, at `at` (UTC unix ms)."""
        known = self._episodes.get(record.incident_id)
        if known is not None:
            self._keep(replace(known, resolved_at=at, version=known.version + 1))

    def _keep(self, episode: Episode) -> None:
        self._episodes[episode.incident_id] = episode
        self._changed_episodes[episode.incident_id, episode.episode] = episode

    # Handing out

    def changes(self, records: Mapping[str, IncidentRecord]) -> list[Change]:
        """What is to be written now, each change once. `records`: every incident there is."""
        written: list[Change] = [INCIDENTS.forgotten(incident_id) for incident_id in self._forgotten]
        written += [INCIDENTS.saved(records[incident_id]) for incident_id in self._unsaved]
        written += [EPISODES.saved(episode) for episode in self._changed_episodes.values()]
        written += [TIMELINE.saved(entry) for entry in self._entries]
        self._forgotten, self._entries = [], []
        self._unsaved.clear()
        self._changed_episodes.clear()
        return written
