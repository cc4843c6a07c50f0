"""The seam between a door (the gateway) and a run: what was asked, and how the answer is handed back."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.rows import RunRow
from palyra.providers.request import ParsedRequest


class Owner(Protocol):
    """Whom a run is for when no connection waits for it: a job's fire or a task.

    What these calls give is written in one unit with what they tell of. They wait for nothing; what they raise is
    logged, and the run goes on or ends without them.
    """

    def begun(self, row: RunRow) -> Sequence[Change]:
        """The run is written down for the first time."""
        ...

    def ended(self, row: RunRow, retry_after_ms: int | None) -> Sequence[Change]:
        """The run has ended, whoever ended it. Called once. `retry_after_ms` is what a provider asked to wait."""
        ...

    def said(self, content: Mapping[str, Any]) -> None:
        """The JSON of an event of the streamed answer that goes on to the caller, in the words of the request's wire.
        Unlike the others, it may not raise."""
        ...


@value
class RunRequest:
    """One governed request, already authenticated and parsed.

    `park_seconds` 0 refuses at once instead of waiting for a person; `allowed_models` empty means all;
    `mode_override` is empty or a RoutingMode a key may ask for; `failover` and `cache` are False where the caller
    switched them off for this request. `run_id` is one that nobody has had before, empty for a new one.
    `max_duration_s` None is `runs.max_duration`; of what has a limit of its own, waiting for a person does not count.
    """

    scope: Scope
    parsed: ParsedRequest
    source: str = "gateway"
    task_class: str = "primary_interactive"
    park_seconds: float = 60.0
    mode_override: str = ""
    allowed_models: tuple[str, ...] = ()
    forward_headers: Mapping[str, str] = field(default_factory=dict)
    failover: bool = True
    cache: bool = True
    run_id: str = ""
    max_duration_s: float | None = None
    owner: Owner | None = None


@value
class RunReport:
    """What the headers of an answer tell; known once planned, costs once settled.

    `cached`: whether a kept answer was given; None where none was looked for. `away_s`: seconds spent waiting for
    providers and people.
    """

    run_id: str
    decision_id: str = ""
    approval_id: str = ""
    model: str = ""
    attempts: int = 0
    outcome: str = ""
    reason_codes: tuple[str, ...] = ()
    would_block: tuple[str, ...] = ()
    output_clamped: int | None = None
    bound_usd: int | None = None
    cost_usd: int | None = None
    usage_source: str = ""
    cached: bool | None = None
    away_s: float = 0.0


@value
class Refusal:
    """Why there is no answer: the gateway renders it in the caller's dialect.

    `status` HTTP status; `type` and `code` from the closed error table; `palyra` is the object both dialects carry
    (run_id, decision_id, approval_id, outcome, evaluations, counterfactual). `upstream_body` is set when the
    provider's own answer (redacted) is to be passed on as it was. `param` names the field at fault.
    """

    status: int
    type: str
    code: str
    message: str
    palyra: dict[str, object] = field(default_factory=dict)
    retry_after: float | None = None
    upstream_body: bytes | None = None
    param: str | None = None


@value
class Answer:
    """A plain (not streamed) provider reply to pass on unchanged."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client(Protocol):
    """The caller's connection, as a run sees it. Implemented by the gateway; methods raise ClientGoneError."""

    @property
    def gone(self) -> bool:
        """Whether the caller has hung up."""
        ...

    @property
    def streaming(self) -> bool:
        """Whether bytes of a streamed answer (or a parking comment) have already gone out."""
        ...

    def on_gone(self, callback: "GoneCallback") -> None:
        """Calls back once, soon, when the caller disconnects (at once if it already has)."""
        ...

    async def parked(self, report: RunReport) -> None:
        """Called each keep-alive interval while a streamed request waits for a person; writes a parking comment."""
        ...

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        """Sends the head of a streamed answer; a no-op if parking comments already did."""
        ...

    async def write(self, data: bytes) -> None:
        """Passes stream bytes on, waiting while the caller is slow."""
        ...


class GoneCallback(Protocol):
    """Called once, when the caller hangs up."""

    def __call__(self) -> None: ...


class ClientGoneError(Exception):
    """The caller closed its connection or made no progress for the stall time."""


@value
class Outcome:
    """How a run ended towards its caller.

    Exactly one of `answer` (plain reply) and `refusal` is set, or neither when a stream was delivered, cut cleanly
    or the caller left. A refusal after `client.streaming` is to be written as the dialect's error event.
    """

    report: RunReport
    state: str
    reason: str
    answer: Answer | None = None
    refusal: Refusal | None = None
