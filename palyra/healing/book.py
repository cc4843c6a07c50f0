"""Every incident there is: what holds opens one or goes on, what has gone ends one, many of one kind become one.

Synchronous and in memory. What has to be made durable is collected and handed out by `changes`, what happened to people
by `events`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from palyra.core.conditions import Condition, Domain
from palyra.core.errors import NotFoundError
from palyra.healing.features import feature_of
from palyra.healing.paper import Paper
from palyra.healing.record import (
    CONDITION_CLEARED,
    STORM,
    Episode,
    IncidentEvent,
    IncidentEventKind,
    IncidentRecord,
    IncidentState,
    TimelineKind,
)
from palyra.healing.transitions import (
    FLAPPING_TURNS,
    FLAPPING_WITHIN_MS,
    PALYRA,
    STABLE_AFTER_MS,
    STORM_WITHIN_MS,
    is_flapping,
    is_storm,
    opened,
    reopened,
    resolved,
    seen,
    storm_condition,
)
from palyra.journal.changes import Change

AT_MOST = 10_000
"""How many incidents there are; the oldest resolved one makes room."""
KEPT_MS = 90 * 86_400_000
"""How long a resolved one is kept."""
STABLE = "stable"
CHILDREN_RESOLVED = "children_resolved"

Key = tuple[Domain, str]


class IncidentBook:
    """Incidents by id and by domain and key; one key has one of them for good."""

    def __init__(self, new_id: Callable[[], str], boot_id: str) -> None:
        self._new_id = new_id
        self.boot_id = boot_id
        self._by_id: dict[str, IncidentRecord] = {}
        self._by_key: dict[Key, str] = {}
        self._live: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        """Those that are resolved, oldest end first."""
        self._holding: dict[str, None] = {}
        """Those whose condition held when it was last looked at."""
        self._told: dict[str, Condition] = {}
        """The condition of each live one as it was last told: most of the time it is told the same again."""
        self._children: dict[str, dict[str, None]] = {}
        self._turns: dict[str, deque[int]] = {}
        self._openings: dict[tuple[Domain, str], dict[str, int]] = {}
        """When the last ones of each family opened, oldest first."""
        self._events: list[tuple[IncidentEventKind, str, int]] = []
        self.paper = Paper(new_id)
        self.version = 0
        """Grows with everything a console could show."""

    def restore(self, records: Iterable[IncidentRecord], episodes: Iterable[Episode], at: int = 0) -> None:
        """Takes what is known from before. `episodes`: the present one of each record, and those that began or ended of
        late. What opened within the last minute may still become a storm."""
        for record in sorted(records, key=lambda record: record.resolved_at or record.opened_at):
            self._place(record)
        for record in self._by_id.values():
            self._hang(record)
        for episode in episodes:
            self._turn(episode.incident_id, episode.opened_at)
            if episode.resolved_at is not None:
                self._turn(episode.incident_id, episode.resolved_at)
            record_of = self._by_id.get(episode.incident_id)
            if record_of is not None and record_of.episode == episode.episode:
                self.paper.remember(episode)
        for record in sorted(self._by_id.values(), key=lambda record: record.opened_at):
            if not record.parent_id and not record.storm and 0 <= at - record.opened_at <= STORM_WITHIN_MS:
                self._openings.setdefault((record.domain, record.family), {})[record.incident_id] = record.opened_at

    def __len__(self) -> int:
        return len(self._by_id)

    # Looking

    def find(self, incident_id: str) -> IncidentRecord | None:
        """The incident of that id, with its occurrences as counted by now."""
        record = self._by_id.get(incident_id)
        return None if record is None else self.paper.counted(record)

    def get(self, incident_id: str) -> IncidentRecord:
        """Raises NotFoundError."""
        record = self.find(incident_id)
        if record is None:
            raise NotFoundError(f"No incident {incident_id!r} is known.", fix="List them with `palyra incidents list`.")
        return record

    def of(self, domain: Domain, key: str) -> IncidentRecord | None:
        """The open incident of that domain and key."""
        found = self._by_key.get((domain, key))
        return None if found is None else self.find(found)

    def live(self) -> list[IncidentRecord]:
        """Those that are not resolved, in the order in which they opened."""
        return [self.paper.counted(self._by_id[incident_id]) for incident_id in self._live]

    def holding(self) -> list[IncidentRecord]:
        """Those whose condition held when it was last looked at, also those that somebody closed nevertheless."""
        return [self._by_id[incident_id] for incident_id in self._holding]

    def resolved(self) -> list[IncidentRecord]:
        """Newest end first."""
        return [self._by_id[incident_id] for incident_id in reversed(self._ended)]

    def children(self, incident_id: str) -> list[IncidentRecord]:
        """Those of its present episode, resolved ones too."""
        return [self.paper.counted(self._by_id[child]) for child in self._children.get(incident_id, ())]

    def below(self, incident_id: str) -> list[IncidentRecord]:
        """Live incidents that hang below it, however deep."""
        found: list[IncidentRecord] = []
        for child in self.children(incident_id):
            if child.live:
                found.append(child)
                found += self.below(child.incident_id)
        return found

    def still_holds(self, record: IncidentRecord) -> bool:
        """Whether its condition does, or that of anything below it."""
        return (record.holds and not record.storm) or any(child.holds for child in self.below(record.incident_id))

    # What is seen

    def see(self, condition: Condition, at: int, *, counted: bool = False) -> IncidentRecord | None:
        """A condition holds; `counted`: it was found once more in a regular cycle.

        Returns its incident; None when so many are live that none can be opened.
        """
        incident_id = self._by_key.get((condition.domain, condition.key))
        record = None if incident_id is None else self._by_id[incident_id]
        if record is None:
            return self._open(condition, at)
        if not record.live:
            if record.muted:
                return record
            return self._reopen(record, condition, at)
        if counted:
            self.paper.count(record, at)
        if record.holds and self._told.get(record.incident_id) == condition:
            return record
        self._told[record.incident_id] = condition
        now = seen(record, condition, at, self.boot_id)
        if now.severity is not record.severity:
            now = self.severity_moved(record, now, at)
        return self.put(now)

    def gone(self, domain: Domain, key: str, at: int, reason: str = CONDITION_CLEARED) -> None:
        """A condition does not hold."""
        incident_id = self._by_key.get((domain, key))
        record = None if incident_id is None else self._by_id[incident_id]
        if record is None or not record.holds:
            return
        self._told.pop(record.incident_id, None)
        record = self.put(replace(record, holds=False, muted=False, gone_since=at))
        self.settle(record, at, reason)

    def settle(self, record: IncidentRecord, at: int, reason: str = CONDITION_CLEARED) -> IncidentRecord:
        """Resolves an incident if it may end by itself now; returns it as it stands."""
        if record.state is not IncidentState.OPEN or self.still_holds(record) or self.below(record.incident_id):
            return record
        if record.storm and record.gone_since is None:
            record = self.put(replace(record, gone_since=at))
        if record.flapping:
            if record.gone_since is None or at - record.gone_since < STABLE_AFTER_MS:
                return record
            self._turns.pop(record.incident_id, None)
            ended = self.end(record, at, PALYRA, STABLE, told=IncidentEventKind.STABLE)
            self._turns.pop(record.incident_id, None)
            return ended
        if is_flapping([*self._turns.get(record.incident_id, ()), at], at):
            self.log(record, at, TimelineKind.FLAPPING, PALYRA, {"turns": FLAPPING_TURNS})
            self._turn(record.incident_id, at)
            flapping = replace(record, flapping=True, version=record.version + 1, updated_at=at)
            self.tell(IncidentEventKind.FLAPPING, flapping, at)
            return self.put(flapping)
        return self.end(record, at, PALYRA, reason)

    def sweep(self, at: int) -> None:
        """Wakes what was put away until now, ends what has been stable for long enough, makes room."""
        for incident_id in tuple(self._live):
            record = self._by_id[incident_id]
            if record.snoozed_until is not None and at >= record.snoozed_until:
                self.wake(record, at, PALYRA)
            elif record.flapping and not record.holds:
                self.settle(record, at)
        while (oldest := self._oldest_ended()) is not None and at - (oldest.resolved_at or 0) >= KEPT_MS:
            self._forget(oldest)

    # Building blocks for what people and remedies do

    def put(self, record: IncidentRecord) -> IncidentRecord:
        """Keeps an incident as it stands from now on."""
        record = replace(self.paper.counted(record), revision=self._revision(record.incident_id) + 1)
        self._place(record)
        self.paper.save(record)
        self.version += 1
        return record

    def end(
        self,
        record: IncidentRecord,
        at: int,
        by: str,
        reason: str,
        *,
        told: IncidentEventKind = IncidentEventKind.RESOLVED,
    ) -> IncidentRecord:
        """Resolves it, and whatever it hangs below if that was all that kept it open."""
        ended = self.put(resolved(record, at, by, reason))
        self._told.pop(record.incident_id, None)
        self._turn(record.incident_id, at)
        self.paper.episode_ended(ended, at)
        self.log(ended, at, TimelineKind.RESOLVED, by, {"reason": reason})
        self.tell(told, ended, at)
        parent = self._by_id.get(record.parent_id)
        if parent is not None and parent.live:
            self.settle(parent, at, CHILDREN_RESOLVED if parent.storm else CONDITION_CLEARED)
        return ended

    def wake(self, record: IncidentRecord, at: int, by: str) -> IncidentRecord:
        """It was put away and is no longer."""
        self.log(record, at, TimelineKind.WOKEN, by)
        woken = replace(record, snoozed_until=None, snooze_reason="", version=record.version + 1)
        return self.put(replace(woken, updated_at=at))

    def severity_moved(self, before: IncidentRecord, now: IncidentRecord, at: int) -> IncidentRecord:
        """Notes that an incident weighs more or less; what was put away comes back when it weighs more."""
        told = {"from": before.severity.value, "to": now.severity.value}
        self.log(now, at, TimelineKind.SEVERITY, PALYRA, told)
        self.paper.episode_moved(now)
        if now.severity.rank > before.severity.rank:
            if now.snoozed_until is not None:
                self.log(now, at, TimelineKind.WOKEN, PALYRA, {"reason": "severity"})
                now = replace(now, snoozed_until=None, snooze_reason="")
            storm = self._by_id.get(now.parent_id)
            if storm is not None and storm.live and storm.storm and storm.severity.rank < now.severity.rank:
                heavier = replace(storm, severity=now.severity, version=storm.version + 1, updated_at=at)
                self.put(self.severity_moved(storm, heavier, at))
        return now

    def log(
        self, record: IncidentRecord, at: int, kind: TimelineKind, by: str, data: Mapping[str, Any] | None = None
    ) -> None:
        """A line of its timeline."""
        self.paper.log(record.incident_id, at, kind, by, dict(data or {}))
        self.version += 1

    def tell(self, kind: IncidentEventKind, record: IncidentRecord, at: int) -> None:
        """Something happened that people may want to hear of."""
        if not record.flapping or kind in (IncidentEventKind.FLAPPING, IncidentEventKind.STABLE):
            self._events.append((kind, record.incident_id, at))

    # What has to be done about it

    def changes(self, at: int) -> list[Change]:
        """What has to be made durable now."""
        return self._written(self.paper.uncounted(at))

    def remaining(self, at: int) -> list[Change]:
        """As `changes`, with what could wait a little."""
        return self._written(self.paper.uncounted(at, everything=True))

    def _written(self, counted: Iterable[str]) -> list[Change]:
        for incident_id in counted:
            self.put(self._by_id[incident_id])
        return self.paper.changes(self._by_id)

    def events(self) -> list[IncidentEvent]:
        """What happened since the last call, each with its incident as it stands now."""
        happened, self._events = self._events, []
        return [IncidentEvent(kind, self.get(found), at) for kind, found, at in happened if found in self._by_id]

    # How incidents begin

    def _open(self, condition: Condition, at: int) -> IncidentRecord | None:
        if len(self._by_id) >= AT_MOST and not condition.key.startswith(f"{STORM}:"):
            oldest = self._oldest_ended()
            if oldest is None:
                return None
            self._forget(oldest)
        family = condition.kin
        feature = feature_of(condition.domain, family.removeprefix(f"{STORM}:"))
        record = opened(self._new_id(), condition, feature, at, self.boot_id)
        return self._begun(record, condition, at, TimelineKind.OPENED, IncidentEventKind.OPENED)

    def _reopen(self, record: IncidentRecord, condition: Condition, at: int) -> IncidentRecord:
        back = reopened(self.paper.counted(record), condition, at, self.boot_id)
        if back.severity.rank > record.severity.rank and back.snoozed_until is not None:
            back = replace(back, snoozed_until=None, snooze_reason="")
            self.log(back, at, TimelineKind.WOKEN, PALYRA, {"reason": "severity"})
        self._release(record.incident_id)
        self._leave(record)
        return self._begun(back, condition, at, TimelineKind.REOPENED, IncidentEventKind.REOPENED)

    def _begun(
        self, record: IncidentRecord, condition: Condition, at: int, line: TimelineKind, event: IncidentEventKind
    ) -> IncidentRecord:
        record = self.put(record)
        self._told[record.incident_id] = condition
        self._turn(record.incident_id, at)
        self.paper.episode_begun(record)
        data = {"severity": record.severity.value, "episode": record.episode, "since": record.condition_since}
        self.log(record, at, line, PALYRA, data)
        self.tell(event, record, at)
        if record.storm:
            return record
        self._group(record, at)
        self._adopt_work(record, at)
        return self._by_id[record.incident_id]

    def _group(self, record: IncidentRecord, at: int) -> None:
        """Hangs it below its provider's incident, below a storm of its family, or makes one."""
        provider = record.related.get("provider", "")
        cause = self.of(Domain.PROVIDER, f"provider:{provider}") if provider else None
        if cause is not None and cause.live and record.domain is not Domain.PROVIDER:
            self._adopt(cause, record, at)
            return
        storm = self.of(record.domain, f"{STORM}:{record.family}")
        if storm is not None and storm.live:
            self._adopt(storm, record, at)
            return
        openings = self._openings.setdefault((record.domain, record.family), {})
        openings.pop(record.incident_id, None)
        openings[record.incident_id] = at
        for incident_id in [one for one, opening in openings.items() if at - opening > STORM_WITHIN_MS]:
            del openings[incident_id]
        if not is_storm(openings.values(), at):
            return
        found = [self._by_id[one] for one in openings if one in self._live and not self._by_id[one].parent_id]
        openings.clear()
        made = self.see(storm_condition(record.domain, record.family, found), at)
        if made is not None:
            made = self.put(replace(made, holds=False))
            for one in found:
                self._adopt(self._by_id[made.incident_id], one, at)

    def _adopt_work(self, cause: IncidentRecord, at: int) -> None:
        """A provider's incident takes what hangs on that provider, out of storms too."""
        if cause.domain is not Domain.PROVIDER:
            return
        for incident_id in tuple(self._live):
            record = self._by_id[incident_id]
            under = self._by_id.get(record.parent_id)
            if (
                record.domain is not Domain.PROVIDER
                and f"provider:{record.related.get('provider')}" == cause.key
                and (under is None or under.storm)
            ):
                self._adopt(cause, record, at)

    def _adopt(self, parent: IncidentRecord, child: IncidentRecord, at: int) -> None:
        before = self._by_id.get(child.parent_id)
        self.log(child, at, TimelineKind.GROUPED, PALYRA, {"parent": parent.incident_id})
        hung = self.put(replace(child, parent_id=parent.incident_id, version=child.version + 1, updated_at=at))
        self._cover(hung, parent, at)
        family = self._children.setdefault(parent.incident_id, {})
        family[child.incident_id] = None
        parent = self._by_id[parent.incident_id]
        gone_since = None if parent.storm else parent.gone_since
        grown = replace(parent, children=len(family), gone_since=gone_since, updated_at=at)
        if parent.storm and child.severity.rank > parent.severity.rank:
            grown = self.severity_moved(parent, replace(grown, severity=child.severity, version=parent.version + 1), at)
        self.put(grown)
        if before is not None and before.live:
            self._leave(child)
            self.settle(self._by_id[before.incident_id], at, CHILDREN_RESOLVED)

    def _cover(self, child: IncidentRecord, parent: IncidentRecord, at: int) -> None:
        """What people said of a parent before goes for a child that comes later."""
        told = {"parent": parent.incident_id}
        now = child
        if parent.acknowledged_at is not None and child.acknowledged_at is None:
            now = replace(now, acknowledged_at=at, acknowledged_by=parent.acknowledged_by)
            self.log(now, at, TimelineKind.ACKNOWLEDGED, parent.acknowledged_by, told)
        if parent.assignee and not child.assignee:
            now = replace(now, assignee=parent.assignee)
            self.log(now, at, TimelineKind.ASSIGNED, PALYRA, {"to": parent.assignee, **told})
        snoozed = parent.snoozed_until is not None and at < parent.snoozed_until
        if snoozed and child.snoozed_until is None and child.severity.rank <= parent.severity.rank:
            now = replace(now, snoozed_until=parent.snoozed_until, snooze_reason=parent.snooze_reason)
            self.log(now, at, TimelineKind.SNOOZED, PALYRA, {"until": parent.snoozed_until, **told})
        if now is not child:
            self.paper.episode_moved(self.put(now))

    # Keeping

    def _place(self, record: IncidentRecord) -> None:
        self._by_id[record.incident_id] = record
        self._by_key[record.domain, record.key] = record.incident_id
        if record.live:
            self._live[record.incident_id] = None
            self._ended.pop(record.incident_id, None)
        else:
            self._live.pop(record.incident_id, None)
            self._ended[record.incident_id] = None
        if record.holds:
            self._holding[record.incident_id] = None
        else:
            self._holding.pop(record.incident_id, None)

    def _hang(self, record: IncidentRecord) -> None:
        """After a start."""
        if record.parent_id in self._by_id:
            self._children.setdefault(record.parent_id, {})[record.incident_id] = None

    def _leave(self, child: IncidentRecord) -> None:
        """It hangs below its parent no more."""
        siblings, parent = self._children.get(child.parent_id), self._by_id.get(child.parent_id)
        if siblings is not None and parent is not None:
            siblings.pop(child.incident_id, None)
            if parent.live:
                self.put(replace(parent, children=len(siblings)))

    def _release(self, incident_id: str) -> None:
        """Lets go of those that hung below it in its last episode."""
        for child in self._children.pop(incident_id, ()):
            if (orphan := self._by_id.get(child)) is not None and orphan.parent_id == incident_id:
                self.put(replace(orphan, parent_id=""))

    def _turn(self, incident_id: str, at: int) -> None:
        turns = self._turns.setdefault(incident_id, deque(maxlen=FLAPPING_TURNS))
        turns.append(at)
        while at - turns[0] > FLAPPING_WITHIN_MS:
            turns.popleft()

    def _oldest_ended(self) -> IncidentRecord | None:
        return next((self._by_id[incident_id] for incident_id in self._ended), None)

    def _revision(self, incident_id: str) -> int:
        known = self._by_id.get(incident_id)
        return 0 if known is None else known.revision

    def _forget(self, record: IncidentRecord) -> None:
        del self._by_id[record.incident_id], self._by_key[record.domain, record.key], self._ended[record.incident_id]
        self._holding.pop(record.incident_id, None)
        self._release(record.incident_id)
        self._leave(record)
        self._turns.pop(record.incident_id, None)
        self.paper.forget(record.incident_id)
        self.version += 1
