"""What can be done about incidents: at what risk, whether by itself, and how long until it must have helped."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum

from palyra.core.values import value
from palyra.healing.record import Attempt, IncidentRecord


class Auto(StrEnum):
    """Whether a remedy is begun by itself: within the guards, once in an episode, only by people, or by people whom
    somebody allowed it."""

    YES = "yes"
    ONCE = "once"
    NO = "no"
    APPROVAL = "approval"

    @property
    def by_itself(self) -> bool:
        """Whether it may be tried without a person."""
        return self in (Auto.YES, Auto.ONCE)


class Risk(StrEnum):
    """What a remedy can break."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Blast(StrEnum):
    """How far it reaches: one session, or everybody."""

    SESSION = "session"
    WORKSPACE = "workspace"


@value
class Remedy:
    """`families`: the incidents it is for. `within_ms`: how long after the act it may take to help; None: for as long
    as it takes. `does` says it in a sentence."""

    name: str
    families: frozenset[str]
    risk: Risk
    blast: Blast
    auto: Auto
    within_ms: int | None
    does: str


def _remedy(
    name: str, family: str, risk: Risk, auto: Auto, within_ms: int | None, does: str, blast: Blast = Blast.SESSION
) -> Remedy:
    return Remedy(name, frozenset([family]), risk, blast, auto, within_ms, does)


SOON_MS = 5_000
REMEDIES: tuple[Remedy, ...] = (
    _remedy("cancel_run", "heartbeat:run", Risk.MEDIUM, Auto.YES, SOON_MS, "Cancels the run that hangs."),
    _remedy(
        "redispatch_task",
        "heartbeat:background_task",
        Risk.MEDIUM,
        Auto.YES,
        60_000,
        "Cancels the task's run and queues the task again.",
    ),
    _remedy(
        "fail_task",
        "heartbeat:background_task",
        Risk.MEDIUM,
        Auto.YES,
        SOON_MS,
        "Cancels the task's run and ends the task, which has no attempts left.",
    ),
    _remedy(
        "stop_fire",
        "heartbeat:cron_job",
        Risk.MEDIUM,
        Auto.YES,
        SOON_MS,
        "Cancels the run of the job's fire; the job's own rule decides about another attempt.",
    ),
    _remedy("rearm_job", "job:overdue", Risk.LOW, Auto.YES, SOON_MS, "Plans the job's next slot anew."),
    _remedy(
        "probe_provider",
        "provider",
        Risk.LOW,
        Auto.YES,
        30_000,
        "Asks the provider whether it answers.",
        Blast.WORKSPACE,
    ),
    _remedy("remind_approvers", "approval", Risk.LOW, Auto.ONCE, None, "Reminds those who may decide."),
    _remedy(
        "retry_deliveries",
        "webhook",
        Risk.LOW,
        Auto.NO,
        60_000,
        "Delivers again what could not be delivered.",
        Blast.WORKSPACE,
    ),
    _remedy("reset_job", "job:faulted", Risk.LOW, Auto.NO, SOON_MS, "Plans the job as if it had just been added."),
    _remedy("pause_job", "job:failing", Risk.MEDIUM, Auto.APPROVAL, SOON_MS, "Pauses the job."),
    _remedy(
        "retry_task",
        "task:poison",
        Risk.HIGH,
        Auto.APPROVAL,
        None,
        "Queues the task again with fresh attempts, although it brought engines down.",
    ),
)
BY_NAME: Mapping[str, Remedy] = {remedy.name: remedy for remedy in REMEDIES}


class Status(StrEnum):
    """Whether a remedy has helped, as far as can be told by now."""

    WAITING = "waiting"
    VERIFIED = "verified"
    FAILED = "failed"


@value
class Checked:
    """Whether a remedy has helped. `since`: from when (unix ms) its time runs, None while it does not run yet."""

    status: Status
    detail: str = ""
    since: int | None = None


@value
class RemedyAct:
    """How a remedy is carried out, as the part of the house that owns the subject does it.

    `act` does it and says what it did; it raises PalyraError for what it cannot do. `check` tells whether it helped.
    `preview` says in sentences what would change, and for whom. `applies`: whether it is for this very incident.
    """

    act: Callable[[IncidentRecord, Attempt], Awaitable[str]]
    check: Callable[[IncidentRecord, Attempt], Checked]
    preview: Callable[[IncidentRecord], Sequence[str]]
    applies: Callable[[IncidentRecord], bool] = lambda incident: True


def helped(done: bool, attempt: Attempt, detail: str = "") -> Checked:
    """What `check` answers where the time runs from the act on."""
    return Checked(Status.VERIFIED if done else Status.WAITING, detail, attempt.started_at)


class RemedyChest:
    """The remedies that can be carried out in this house."""

    def __init__(self, acts: Mapping[str, RemedyAct] | None = None) -> None:
        self._acts: dict[str, RemedyAct] = dict(acts or {})

    def add(self, name: str, act: RemedyAct) -> None:
        """Raises KeyError for a remedy that is not in the table."""
        self._acts[BY_NAME[name].name] = act

    def act(self, remedy: Remedy) -> RemedyAct:
        """What carries that remedy out."""
        return self._acts[remedy.name]

    def for_incident(self, record: IncidentRecord) -> list[Remedy]:
        """Those that can be carried out for it now, the one to begin with first."""
        return [
            remedy
            for remedy in REMEDIES
            if record.family in remedy.families
            and remedy.name in self._acts
            and self._acts[remedy.name].applies(record)
        ]
