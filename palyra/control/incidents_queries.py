"""What a console may ask about incidents, and the answers. Times UTC unix ms, durations in ms."""

from dataclasses import field
from typing import Any, Literal

from palyra.core.values import value


@value
class IncidentView:
    """An incident as it stands. `severity`: low, medium, high, critical; `state`: open, remediating, resolved.

    `holds`: whether its condition did when it was last looked at; `muted`: somebody closed it although it holds.
    `children` hang below it, `parent_id` is what it hangs below. `related` names what it leads to by kind (run, task,
    job, provider, decision, approval, session, principal).
    """

    incident_id: str
    version: int
    domain: str
    key: str
    family: str
    feature: str
    severity: str
    state: str
    summary: str
    detail: str
    cause: str
    subject: str
    related: dict[str, str]
    parent_id: str
    children: int
    episode: int
    occurrences: int
    condition_since: int
    opened_at: int
    updated_at: int
    holds: bool
    muted: bool
    flapping: bool
    escalated: bool
    resolved_at: int | None
    resolved_by: str
    reason: str
    acknowledged_at: int | None
    acknowledged_by: str
    assignee: str
    snoozed_until: int | None
    snooze_reason: str

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.state != "resolved"

    @property
    def storm(self) -> bool:
        """Whether it stands for many others."""
        return self.key.startswith("storm:")


@value
class IncidentsQuery:
    """Those on top, not what hangs below them unless `parent` names one or `all` is set. Empty filters take
    everything; `state` is also `unresolved`, `assignee` also `nobody`. `cursor` is the last page's."""

    state: str = "unresolved"
    severity: str = ""
    domain: str = ""
    assignee: str = ""
    text: str = ""
    parent: str = ""
    all: bool = False
    limit: int = 200
    cursor: str = ""
    kind: Literal["incidents"] = "incidents"


@value
class HealingView:
    """How the loop stands. `modes` by feature, `said` those that an operator set until the next start. `circuits`:
    until when each open one is. `suspended_until`: nobody is judged before; None: everybody is."""

    modes: dict[str, str]
    said: tuple[str, ...]
    circuits: dict[str, int]
    suspended_until: int | None
    last_look_at: int | None
    heartbeats: int


@value
class IncidentsPage:
    """Critical and unacknowledged ones first, what was put away last, resolved ones after that, newest first.

    `total` counts those that match; `open` are all that are not resolved, by severity. `healing` is None without an
    engine.
    """

    incidents: tuple[IncidentView, ...]
    total: int
    open: dict[str, int]
    healing: HealingView | None = None
    next_cursor: str = ""


@value
class IncidentQuery:
    """One in full; its timeline is the newest part, or what lies before the entry `before` (`timeline_before`)."""

    incident_id: str
    before: str = ""
    kind: Literal["incident"] = "incident"


@value
class TimelineView:
    """An entry of an incident's timeline; `at` in UTC unix ms."""

    at: int
    kind: str
    by: str
    data: dict[str, Any] = field(default_factory=dict)


@value
class RemedyAttemptView:
    """One try of a remedy. `status`: planned, running, succeeded, failed, skipped."""

    attempt_id: str
    incident_id: str
    episode: int
    remedy: str
    status: str
    asked_by: str
    mode: str
    detail: str
    planned_at: int
    started_at: int | None
    ended_at: int | None
    approval_id: str


@value
class RemedyView:
    """A remedy that could be carried out now. `auto`: yes, once, no, approval. `left`: automatic attempts left in this
    episode. `preview` says in sentences what it would change, and for whom."""

    name: str
    does: str
    risk: str
    blast: str
    auto: str
    left: int
    preview: tuple[str, ...]


@value
class ProviderCallView:
    """The last call to a provider of the run that an incident is about: `attempts` were made, the last one at
    `dispatched_at`, None where none was. `ended` says how the run ended, empty while it goes on."""

    provider: str
    model: str
    attempts: int
    dispatched_at: int | None
    phase: str
    ended: str


@value
class IncidentDetail:
    """An incident in full. `next_try`: when a remedy may be begun by itself next; `last_beat_ms` and
    `last_progress_ms` are how long ago its subject beat and advanced, None where it does not beat. `call` is None where
    it is about no run. `timeline_before` asks for what lies before this timeline, empty where nothing does."""

    incident: IncidentView
    timeline: tuple[TimelineView, ...]
    attempts: tuple[RemedyAttemptView, ...]
    children: tuple[IncidentView, ...]
    parent: IncidentView | None
    remedies: tuple[RemedyView, ...] = ()
    next_try: int | None = None
    last_beat_ms: int | None = None
    last_progress_ms: int | None = None
    phase: str = ""
    call: ProviderCallView | None = None
    timeline_before: str = ""


@value
class IncidentStatsQuery:
    """`window`: 24h, 7d, 30d."""

    window: str = "7d"
    kind: Literal["incident_stats"] = "incident_stats"


@value
class MeasuresView:
    """Of episodes that opened within the window. `severity` is empty for all together; means in ms, None where there
    is nothing to take one of."""

    severity: str
    episodes: int
    unacknowledged: int
    unresolved: int
    mttd_ms: int | None
    mtta_ms: int | None
    mttr_ms: int | None


@value
class IncidentStats:
    """What incidents came to within a window."""

    window: str
    measures: tuple[MeasuresView, ...]


IncidentAsked = IncidentsQuery | IncidentQuery | IncidentStatsQuery
IncidentTold = IncidentsPage | IncidentDetail | IncidentStats
