"""What a console may do. Each command names its object and the version the operator saw."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from palyra.control.access_commands import AccessCommand
from palyra.control.doctor_commands import DoctorCommand
from palyra.control.engine_commands import StartEngine
from palyra.control.incidents_commands import IncidentCommand
from palyra.control.jobs_commands import JobCommand
from palyra.control.memory_commands import MemoryCommand
from palyra.control.secrets_commands import SecretsCommand
from palyra.control.task_commands import TaskCommand
from palyra.core.values import value

GrantScope = Literal["once", "session", "timeboxed", "amount"]


@value
class DecideApproval:
    """Allows or denies. `scope`: once, session, timeboxed, amount (allow only). `amount` is nano-dollars for USD
    budgets, else tokens or requests. `version` None decides whatever version is current."""

    approval_id: str
    decision: Literal["allow", "deny"]
    version: int | None = None
    scope: GrantScope = "once"
    duration_seconds: int | None = None
    amount: int | None = None
    reason: str = ""
    kind: Literal["decide_approval"] = "decide_approval"


@value
class RequestOverride:
    """Asks for room in words. `policy_ids` may name one of several counters: `per-model=openai/gpt-5.4`.

    An empty `principal` is the one of the first key, an empty `session` means each of theirs; `amount` is text in the
    budgets' unit, empty where none is named.
    """

    policy_ids: tuple[str, ...]
    principal: str = ""
    session: str = ""
    amount: str = ""
    reason: str = ""
    kind: Literal["request_override"] = "request_override"


@value
class RevokeGrant:
    """Nothing more is drawn from a grant."""

    grant_id: str
    kind: Literal["revoke_grant"] = "revoke_grant"


@value
class CancelRun:
    """Asks for the end of a run."""

    run_id: str
    reason: str = ""
    kind: Literal["cancel_run"] = "cancel_run"


@value
class IssueToken:
    """Gives an operator a new token in place of any they had; the result's `data` tells it, this once. One who is not
    registered is, with `role` (viewer where it is empty)."""

    operator_id: str
    role: Literal["", "viewer", "approver", "admin"] = ""
    kind: Literal["issue_token"] = "issue_token"


@value
class SetFeature:
    """Switches a feature of the access registry on or off."""

    name: str
    on: bool
    kind: Literal["set_feature"] = "set_feature"


@value
class AddPolicy:
    """`fields` are a policy's fields as text, as an operator types them."""

    fields: dict[str, str] = field(default_factory=dict)
    kind: Literal["add_policy"] = "add_policy"


@value
class EditPolicy:
    """Changes fields of a budget, as somebody wrote them, if it is still of that revision."""

    policy_id: str
    fields: dict[str, str] = field(default_factory=dict)
    revision: int | None = None
    kind: Literal["edit_policy"] = "edit_policy"


@value
class RemovePolicy:
    """A budget goes, if it is still of that revision; its history stays."""

    policy_id: str
    revision: int | None = None
    kind: Literal["remove_policy"] = "remove_policy"


@value
class CorrectUsage:
    """Puts right what an attempt used: a hold's id, or a run's that was charged for one attempt. What is None stays;
    without a cost (nano-dollars) the tokens are priced as they were when it was held."""

    what: str
    reason: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost_nano_usd: int | None = None
    kind: Literal["correct_usage"] = "correct_usage"


@value
class AckAlert:
    """Notes that somebody knows: the alert stays quiet for as long as its condition lasts."""

    alert_id: str
    version: int | None = None
    kind: Literal["ack_alert"] = "ack_alert"


@value
class SnoozeAlert:
    """Puts an alert away for `duration_seconds`; if it is still true then, it comes back."""

    alert_id: str
    duration_seconds: int
    version: int | None = None
    kind: Literal["snooze_alert"] = "snooze_alert"


@value
class ClearCredential:
    """Gives a provider's credential another chance after it was refused or while it rests."""

    provider_id: str
    credential_id: str
    kind: Literal["clear_credential"] = "clear_credential"


@value
class DiscoverModels:
    """Asks a provider for its models now. Costs nothing; any answer shows that it lives."""

    provider_id: str
    kind: Literal["discover_models"] = "discover_models"


@value
class RetryDeadLetters:
    """Sends dead letters again under their ids: those that are named or, with `webhook`, all of that one."""

    delivery_ids: tuple[str, ...] = ()
    webhook: str = ""
    kind: Literal["retry_dead_letters"] = "retry_dead_letters"


@value
class DiscardDeadLetters:
    """Drops dead letters: those that are named or, with `webhook`, all of that one."""

    delivery_ids: tuple[str, ...] = ()
    webhook: str = ""
    kind: Literal["discard_dead_letters"] = "discard_dead_letters"


@value
class TryWebhook:
    """Sends a test to a webhook, once and at once."""

    name: str
    kind: Literal["try_webhook"] = "try_webhook"


@value
class Reload:
    """Reads the configuration file again and puts in force what may change under way; with any problem, nothing."""

    kind: Literal["reload"] = "reload"


Command = Annotated[
    DecideApproval
    | RequestOverride
    | RevokeGrant
    | CancelRun
    | IssueToken
    | SetFeature
    | AccessCommand
    | SecretsCommand
    | AddPolicy
    | EditPolicy
    | RemovePolicy
    | CorrectUsage
    | AckAlert
    | SnoozeAlert
    | ClearCredential
    | DiscoverModels
    | RetryDeadLetters
    | DiscardDeadLetters
    | TryWebhook
    | Reload
    | DoctorCommand
    | StartEngine
    | JobCommand
    | TaskCommand
    | IncidentCommand
    | MemoryCommand,
    Field(discriminator="kind"),
]
