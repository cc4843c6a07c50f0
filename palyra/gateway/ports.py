"""What the gateway needs of the engine, as shapes: anything that has them can be served, an engine or a stand-in."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from palyra.config.serving import ApprovalsConfig, GatewayConfig
from palyra.gateway.tallies import Tallies
from palyra.governance.approvals import Opened
from palyra.governance.overrides import OverrideRequest, Requester
from palyra.healing.reporters import Report
from palyra.runs.overrides import Found
from palyra.runs.request import Answer, Client, Outcome, Refusal, RunRequest
from palyra.vault.records import Operator


class ModelEntry(Protocol):
    """A model a key may use: its public id and the provider that serves it. `max_context` and `max_output` are tokens,
    None where nobody told them."""

    @property
    def id(self) -> str:
        """`provider/model`."""
        ...

    @property
    def provider(self) -> str:
        """The provider's id."""
        ...

    @property
    def max_context(self) -> int | None:
        """Tokens of input and output together; None: nobody knows."""
        ...

    @property
    def max_output(self) -> int | None:
        """Tokens of output; None: nobody knows."""
        ...


class Runner(Protocol):
    """Executes governed requests."""

    async def execute(self, request: RunRequest, client: Client) -> Outcome:
        """Never raises but CancelledError."""
        ...

    def models_for(self, patterns: Sequence[str]) -> Sequence[ModelEntry]:
        """The models a key with these patterns may use; no patterns mean all."""
        ...


class Counter(Protocol):
    """Counts prompts."""

    async def count(self, request: RunRequest) -> Answer | Refusal:
        """How many tokens a request has."""
        ...


class Key(Protocol):
    """A gateway key as the registry holds it. Empty `channel` and `agent` are not pinned."""

    @property
    def key_id(self) -> str: ...

    @property
    def principal(self) -> str:
        """Who pays."""
        ...

    @property
    def channel(self) -> str:
        """The channel of every request with it; empty: as the caller says."""
        ...

    @property
    def agent(self) -> str:
        """The agent of every request with it; empty: as the caller says."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of every request with it."""
        ...

    @property
    def allowed_models(self) -> tuple[str, ...]:
        """Patterns of models; none: all."""
        ...

    @property
    def may_act_for(self) -> tuple[str, ...]:
        """Patterns of other principals it may name."""
        ...

    @property
    def may_set_mode(self) -> bool:
        """Whether it may choose the routing mode."""
        ...


class Access(Protocol):
    """Knows the keys and the operators."""

    @property
    def unavailable(self) -> str:
        """Why nobody can be let in; empty when everybody with a key can."""
        ...

    def authenticate(self, token: str) -> Key | None:
        """The key this token opens, None for one that is unknown, disabled, expired or revoked."""
        ...

    @property
    def operators(self) -> Sequence[Operator]:
        """The operators there are."""
        ...

    def authenticate_operator(self, token: str) -> Operator | None:
        """The operator whose token this is, None for one that is unknown or disabled."""
        ...

    def flag(self, name: str) -> bool:
        """Whether a feature is on."""
        ...

    def refresh(self) -> None:
        """Takes over what was written since by others."""
        ...


class Overrides(Protocol):
    """Requests for room made in words."""

    async def request(self, asked: OverrideRequest, requester: Requester) -> Opened:
        """Raises OverrideInputError, TooOftenError, JournalUnavailableError."""
        ...

    async def look_up(self, approval_id: str) -> Found | None:
        """Raises JournalUnavailableError."""
        ...


class Reporters(Protocol):
    """Work elsewhere that says how it goes."""

    def take(self, principal: str, report: Report) -> int | None:
        """Until when it has to say something again (unix ms); None when it is done. Raises TooOftenError."""
        ...

    def forget(self, principal: str, name: str) -> bool:
        """Whether there was something to forget."""
        ...


class Settings(Protocol):
    """The parts of the configuration the door reads."""

    @property
    def gateway(self) -> GatewayConfig:
        """`[gateway]` of the configuration."""
        ...

    @property
    def approvals(self) -> ApprovalsConfig:
        """`[approvals]` of the configuration."""
        ...


class Metered(Protocol):
    """Sums for those who watch from afar."""

    @property
    def tallies(self) -> Tallies:
        """What was counted since the start."""
        ...

    def text(self) -> bytes:
        """The sums in Prometheus' text format."""
        ...


class House(Protocol):
    """The engine behind the door."""

    @property
    def phase(self) -> str:
        """starting, ready or draining."""
        ...

    def ready_problems(self) -> Sequence[str]:
        """Why new work cannot be taken, as short codes; empty when it can."""
        ...

    @property
    def runner(self) -> Runner:
        """Carries requests out."""
        ...

    @property
    def counter(self) -> Counter:
        """Counts tokens."""
        ...

    @property
    def overrides(self) -> Overrides:
        """Takes petitions for room."""
        ...

    @property
    def reporters(self) -> Reporters:
        """Takes heartbeats of work outside."""
        ...

    @property
    def access(self) -> Access:
        """Knows keys and operators."""
        ...

    @property
    def config(self) -> Settings:
        """The configuration that runs."""
        ...
