"""What the planner is given and what it gives back: plain values, so that a plan can be made again from the same."""

from collections.abc import Callable
from dataclasses import field
from enum import StrEnum

from palyra.config.choices import CostTier, RoutingMode
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.governance.decision import RoutingDecision
from palyra.pricing.estimate import PricingEstimate


class Course(StrEnum):
    """Which of its run's attempts a plan is for. The last one asks a model that was failed over to once more."""

    FIRST = ""
    RETRY = "retry"
    FAILOVER = "failover"
    FAILOVER_RETRY = "failover_retry"


class TaskClass(StrEnum):
    """What a request is for; all but the first are routed to the cheapest model, never dearer than the default."""

    PRIMARY_INTERACTIVE = "primary_interactive"
    BACKGROUND_AUTOMATION = "background_automation"
    AUXILIARY_SUMMARY = "auxiliary_summary"
    AUXILIARY_RECALL = "auxiliary_recall"
    AUXILIARY_EXTRACTION = "auxiliary_extraction"
    AUXILIARY_CLASSIFICATION = "auxiliary_classification"
    AUXILIARY_VISION = "auxiliary_vision"


@value
class Candidate:
    """One model that may serve a request.

    `model` is the public id and `provider` our provider's: the values budgets are matched by. `estimate` prices the
    request for so many output tokens in all. `excluded` has why it cannot serve: reason codes, or already_tried.
    `hidden_reasoning`: it spends output tokens nobody sees. `p95_output` is learned per principal and model, None
    before there are enough answers; `p50_ms` its latency, None when unknown. `terms` are set where it is known already
    how much is held for the answer. `wants_ceiling`: it takes no request that names no ceiling for its answer.
    """

    model: str
    provider: str
    estimate: Callable[[int], PricingEstimate]
    tier: CostTier = CostTier.STANDARD
    max_output: int | None = None
    hidden_reasoning: bool = False
    p95_output: int | None = None
    p50_ms: float | None = None
    excluded: tuple[str, ...] = ()
    terms: "OutputTerms | None" = None
    wants_ceiling: bool = False


@value
class OutputLimits:
    """`[runs]` and `[governance]` numbers that bound an answer, in tokens."""

    default_output_tokens: int = 1024
    min_output_tokens: int = 64
    clamp_output: bool = True


@value
class PlanInput:
    """One request to be planned.

    `requested_model` is as the caller wrote it; `explicit` has the public id it resolved to, empty for `auto`.
    `course` FIRST chooses freely; a RETRY has one candidate that may serve; a FAILOVER takes the first that budgets let
    pass, in the `order` of these ids, or by cost where it is empty.
    `default_model` is the public id `auto` begins with. `candidates` have every model that was looked at, the
    excluded ones too. `max_tokens` is the caller's ceiling per choice. `requested_mode` is None unless the key may set
    modes; `denied` has the policies a person refused this principal and session a moment ago.
    """

    decision_id: str
    run_id: str
    scope: Scope
    requested_model: str
    explicit: str
    default_model: str
    candidates: tuple[Candidate, ...]
    streaming: bool
    complexity: float
    max_tokens: int | None = None
    choices: int = 1
    task_class: TaskClass = TaskClass.PRIMARY_INTERACTIVE
    requested_mode: RoutingMode | None = None
    denied: frozenset[str] = frozenset()
    limits: OutputLimits = field(default_factory=OutputLimits)
    course: Course = Course.FIRST
    order: tuple[str, ...] = ()
    others: Callable[[], tuple[Candidate, ...]] = tuple
    """Models that are not to serve it but might have, looked at only when it is refused."""


@value
class OutputTerms:
    """`bound` output tokens are held in all; `per_choice` is the most one answer may use of them.

    `send` is the ceiling to write into the request, None to leave the caller's. `sliced`: the hold grows with the
    answer.
    """

    bound: int
    per_choice: int
    send: int | None
    sliced: bool

    def within(self, per_choice: int, choices: int) -> "OutputTerms":
        """The same with less. A plain call is told its ceiling; a stream only begins with less, and is cut where the
        budget ends, since room may come free until then."""
        if self.sliced:
            return OutputTerms(per_choice, per_choice, self.send, True)
        return OutputTerms(per_choice * choices, per_choice, per_choice, False)


@value
class Tried:
    """One model that could serve, with the output its rules hold and what that costs."""

    candidate: Candidate
    terms: OutputTerms
    estimate: PricingEstimate


@value
class Plan:
    """What to do. `candidate` and `estimate` are None only when no model can serve the request.

    `output_bound` output tokens are to be held; `send_max_tokens` is the ceiling per choice to write into the request,
    None to leave the caller's; `sliced`: further slices are taken as the answer grows. `clamped` is the ceiling per
    choice that a budget brought about, None when none did. To be held and sent only if `proceeds`.

    How it came about: `tried` has the models that could serve, by cost; `first` is what was chosen before any budget
    asked for another, `baseline` what serves without smart routing. `weighed`: budgets had a say in `first` already.
    """

    decision: RoutingDecision
    candidate: Candidate | None
    estimate: PricingEstimate | None
    output_bound: int = 0
    send_max_tokens: int | None = None
    sliced: bool = False
    clamped: int | None = None
    tried: tuple[Tried, ...] = ()
    first: Candidate | None = None
    baseline: Candidate | None = None
    weighed: bool = False

    @property
    def proceeds(self) -> bool:
        """Whether the request goes to a provider now: not refused, and nobody has to be asked."""
        return self.candidate is not None and not self.decision.blocked and not self.decision.approval_required
