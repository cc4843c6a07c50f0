"""What can be written: each class is one kind of change. A unit of changes becomes durable together or not at all."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any, NamedTuple

from palyra.core.redact import redact_data
from palyra.core.signed_name import SignedName
from palyra.core.values import value
from palyra.journal.entity import EntityForgotten, EntitySaved
from palyra.journal.rows import (
    AlertRow,
    ApprovalRow,
    CounterMove,
    CredentialRow,
    DecisionRow,
    GrantRow,
    HoldRow,
    PolicyRow,
    RunRow,
    UsageRow,
)


@value
class RunSaved:
    """Inserts or replaces a run; ignored when the stored run is terminal or has this or a later version.

    A terminal run has a `finished_at`, and no other has. Principal, session, job and `accepted_at` stay as first saved.
    """

    row: RunRow


@value
class DecisionMade:
    """Stores a decision and links it to the audit chain (`decision`, subject = decision_id)."""

    row: DecisionRow


@value
class HoldTaken:
    """Stores a hold of a run that is stored before it or with it; a hold id is taken once."""

    row: HoldRow


@value
class HoldGrown:
    """A further slice: the hold's new totals. Has no effect unless it is still `held`."""

    hold_id: str
    bound_usd: int | None
    bound_tokens: int
    moves: Sequence[CounterMove]
    at: int = 0
    """When the slice was taken (unix ms)."""


@value
class Metered:
    """A meter reading of a live attempt: what it would be charged if everything died now.

    Has no effect unless the hold is still `held`.
    """

    hold_id: str
    metered_input: int
    metered_output: int
    metered_usd: int | None


class HoldEnded(NamedTuple):
    """Ends a hold once: has no effect unless it is still `held`."""

    hold_id: str
    state: str
    terminal_at: int
    actual_usd: int | None
    actual_tokens: int
    requests: int
    usage_source: str
    overrun: int
    recovered: bool
    moves: Sequence[CounterMove]


@value
class HoldCorrected:
    """What an ended hold turned out to have charged, and what its run's row tells then: absolute numbers all.

    Has no effect on a hold that is open or was released.
    """

    hold_id: str
    actual_usd: int | None
    actual_tokens: int
    overrun: int
    moves: Sequence[CounterMove]
    input_tokens: int
    output_tokens: int
    cost: int | None


@value
class UsageRecorded:
    """Adds a usage row and, in the same transaction, its roll-ups; a second row for one hold has no effect, nor has a
    correction with the flags of one that is there.

    A row without a hold (a cache hit) has an empty `hold_id` and is always added.
    """

    row: UsageRow


@value
class ApprovalSaved:
    """Inserts or replaces an approval; ignored unless `row.version` is above the stored one."""

    row: ApprovalRow


@value
class GrantSaved:
    """Inserts or replaces a grant; ignored unless `row.version` is above the stored one."""

    row: GrantRow


@value
class PolicySaved:
    """Stores one more revision; a revision that is stored already refuses the unit, so the first editor wins."""

    row: PolicyRow


@value
class AlertSaved:
    """Inserts or replaces an alert; ignored unless `row.revision` is above the stored one."""

    row: AlertRow


@value
class AuditAdded:
    """Appends a link to the audit chain. `kind` says what it is about: approval, policy, repair, engine, access, task …

    An actor who signed (`SignedName`) is written down with how we know them, and no secret is written down at all: what
    is in the chain stays there.
    """

    at: int
    kind: str
    subject: str
    actor: str
    payload: dict[str, Any]

    def __post_init__(self) -> None:
        told = redact_data(self.payload)
        if isinstance(self.actor, SignedName):
            assert isinstance(told, dict)
            told |= self.actor.signature
            object.__setattr__(self, "actor", str(self.actor))
        object.__setattr__(self, "payload", told)


@value
class RunNoted:
    """A line of a run's timeline (run_terminal, late_usage, stream_cut, parked, attempt …)."""

    run_id: str
    at: int
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


@value
class NameKept:
    """A text that plans refer to by `name`, a hash of it; nothing where it is kept already."""

    name: int
    body: str


@value
class PlanKept:
    """What a plan was made of, so that it can be made again; of a run that is stored before it or with it.

    `scope` and `shape` are names; `usd` and `tokens` what the model chosen first asked for, `outcome` what was decided,
    packed; `body` has the numbers of every model.
    """

    run_id: str
    at: int
    scope: int
    shape: int
    usd: int | None
    tokens: int
    outcome: int
    body: str


@value
class TermsKept:
    """The policies and settings that plans are made under from here on, or how they have changed."""

    at: int
    body: dict[str, Any]


@value
class CredentialNoted:
    """Inserts or replaces what is noted of a credential."""

    row: CredentialRow


Change = (
    RunSaved
    | DecisionMade
    | HoldTaken
    | HoldGrown
    | Metered
    | HoldEnded
    | HoldCorrected
    | UsageRecorded
    | ApprovalSaved
    | GrantSaved
    | PolicySaved
    | AlertSaved
    | AuditAdded
    | RunNoted
    | NameKept
    | PlanKept
    | TermsKept
    | CredentialNoted
    | EntitySaved
    | EntityForgotten
)
