"""What a console may ask about providers and models, and the answers. Times UTC unix ms, money int nano-dollars."""

from dataclasses import field
from typing import Literal

from palyra.control.serving import ModelView, ProviderView
from palyra.control.snapshots import CounterfactualView, EvaluationView
from palyra.core.values import value

LONGEST_PROMPT = 512 * 1024
"""Bytes of the longest prompt that is explained: more does not fit the operators' socket."""


@value
class ServingQuery:
    """Everything about providers and models, with what is wrong."""

    kind: Literal["serving"] = "serving"


@value
class ServingIssue:
    """Something a person should look at. `subject`: a provider's or a model's id, or a configuration key."""

    subject: str
    message: str
    fix: str = ""


@value
class ServingAnswer:
    """`live`: an engine told it; without one only configuration and journal did.

    `cache_ttl_ms` None: answers are not kept; `cache_kept` are at present, of at most `cache_entries`. `default_chat`
    and `default_embeddings` are empty where there is none. `credential_expiry` counts credentials by the class of their
    end.
    """

    live: bool
    providers: tuple[ProviderView, ...]
    models: tuple[ModelView, ...]
    default_chat: str
    default_embeddings: str
    failover: bool
    failover_candidates: int
    cache_ttl_ms: int | None
    cache_entries: int
    cache_kept: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    issues: tuple[ServingIssue, ...] = ()
    credential_expiry: dict[str, int] = field(default_factory=dict)


@value
class SelectionQuery:
    """How the engine would plan a request, were it sent at `at` (now where None, never in the past); holds nothing.

    An empty `principal` is the one of the first key. Raises BadInputError, and NotFoundError for a model nobody has.
    """

    prompt: str = ""
    model: str = "auto"
    json_mode: bool = False
    vision: bool = False
    tools: bool = False
    max_tokens: int | None = None
    principal: str = ""
    session: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    task_class: str = "primary_interactive"
    at: int | None = None
    kind: Literal["selection"] = "selection"


@value
class CandidateView:
    """A model that was looked at. `reasons` say why it was passed over, empty for one that could serve.

    `expected_nano_usd` and `bound_nano_usd` are None where nobody knows its price, or it was passed over; `p50_ms` is
    the median time of its answers, None before anybody knows.
    """

    model_id: str
    provider_id: str
    tier: str
    reasons: tuple[str, ...] = ()
    expected_nano_usd: int | None = None
    bound_nano_usd: int | None = None
    p50_ms: int | None = None
    chosen: bool = False


@value
class SelectionAnswer:
    """A plan as the engine would make it. `score` is how demanding the prompt is, 0 to 1, and `parts` what adds up to
    it by name. `candidates`: those that could serve, cheapest first, then the others. Tokens are those of the model
    that was chosen: expected, and at most held. `max_tokens` is the ceiling it would be told, None where that is the
    caller's own."""

    at: int
    live: bool
    score: float
    parts: dict[str, float]
    mode: str
    outcome: str
    action: str
    requested_model: str
    recommended_model: str
    actual_model: str
    candidates: tuple[CandidateView, ...]
    reason_codes: tuple[str, ...]
    sentences: tuple[str, ...]
    evaluations: tuple[EvaluationView, ...]
    counterfactual: tuple[CounterfactualView, ...]
    expected_input: int = 0
    expected_output: int = 0
    bound_input: int = 0
    bound_output: int = 0
    expected_nano_usd: int | None = None
    bound_nano_usd: int | None = None
    price_state: str = ""
    max_tokens: int | None = None


@value
class ConnectionQuery:
    """Whether providers answer: all that are switched on, or the named one, or the one of a model. Asks for their
    lists of models, for which nobody charges; one that was read a moment ago is good enough unless `refresh`.

    `send` makes a governed request of one token as well, which needs the role approver. Raises NotFoundError,
    BadInputError.
    """

    provider_id: str = ""
    model_id: str = ""
    timeout_ms: int = 5_000
    refresh: bool = False
    send: bool = False
    kind: Literal["connection"] = "connection"


@value
class ConnectionView:
    """What came of one test. `state`: ok, partial (models of the configuration that it does not list, in `missing`),
    missing_auth, auth_failed, permission_denied, quota_exceeded, rate_limited, timeout, network_failed,
    endpoint_missing, endpoint_failed, malformed, disabled; with `send` also refused (by a budget).

    `found` is how many models it lists, None where nobody could ask; `cached`: the list was read before. `action` says
    what to do. `run_id` and `cost_nano_usd` are of the request that was sent, empty and None where none was.
    """

    provider_id: str
    state: str
    took_ms: int = 0
    found: int | None = None
    missing: tuple[str, ...] = ()
    cached: bool = False
    detail: str = ""
    action: str = ""
    model_id: str = ""
    run_id: str = ""
    cost_nano_usd: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the provider answered."""
        return self.state == "ok"


@value
class ConnectionAnswer:
    """What tests of connections came to; `at` in UTC unix ms."""

    at: int
    tests: tuple[ConnectionView, ...]


ServingAsk = ServingQuery | SelectionQuery | ConnectionQuery
ServingTold = ServingAnswer | SelectionAnswer | ConnectionAnswer
