"""Tests of connections: each provider is asked for its models, and where that is wanted for one token as well."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

from palyra.config.choices import ProviderModelRole
from palyra.control.selection import own_scope
from palyra.control.serving_queries import ConnectionAnswer, ConnectionQuery, ConnectionView
from palyra.control.snapshots import OperatorView
from palyra.core.errors import BadInputError, NotFoundError, PalyraError
from palyra.engine import Engine
from palyra.providers.credentials import CredentialHealth, Unavailable
from palyra.providers.entries import ModelEntry, ModelSource, ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.request import parse_request
from palyra.providers.wires import Wire
from palyra.runs.request import GoneCallback, Outcome, RunReport, RunRequest

SHORTEST_MS, LONGEST_MS = 100, 25_000
CHANNEL = "connection-test"
"""The channel of requests that only test a connection, so that budgets and usage can tell them apart."""

STATES: Mapping[ErrorClass, str] = {
    ErrorClass.AUTH_EXPIRED: "auth_failed",
    ErrorClass.AUTH_INVALID: "auth_failed",
    ErrorClass.PERMISSION_DENIED: "permission_denied",
    ErrorClass.QUOTA_EXCEEDED: "quota_exceeded",
    ErrorClass.RATE_LIMITED: "rate_limited",
    ErrorClass.PROVIDER_TIMEOUT: "timeout",
    ErrorClass.NETWORK_UNAVAILABLE: "network_failed",
    ErrorClass.MALFORMED_RESPONSE: "malformed",
}
"""What an error class says of a connection; the others say that its endpoint failed."""
NO_SUCH_PLACE = frozenset({404, 405, 410, 501})
ACTIONS: Mapping[str, str] = {
    "partial": "Correct `upstream` in [[models]], or ask who runs the account for access.",
    "missing_auth": "Set its variable before Palyra starts, or give it a vault secret or an auth profile.",
    "auth_failed": "Set a valid credential; one that is good again is cleared with c on the Models screen.",
    "permission_denied": "Ask who runs the account for access.",
    "quota_exceeded": "Top up the account.",
    "rate_limited": "Wait, or add a credential.",
    "timeout": "Try again with a larger --timeout-ms.",
    "network_failed": "Check base_url and the way there.",
    "endpoint_missing": "Check base_url; where it lists no models, test with --send.",
    "endpoint_failed": "Try again later.",
    "malformed": "Check base_url: something else answers there.",
    "disabled": "Set enabled = true to use it.",
    "refused": "Look at the run's decision.",
}


class Connections:
    """Tests the connections of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sent: set[asyncio.Task[Outcome]] = set()
        """Requests under way; one whose answer comes too late is finished, so that it is charged as it was."""

    async def test(self, query: ConnectionQuery, operator: OperatorView) -> ConnectionAnswer:
        """Raises NotFoundError, BadInputError, and PalyraError for who may not send."""
        if not SHORTEST_MS <= query.timeout_ms <= LONGEST_MS:
            raise BadInputError(f"A time-out is {SHORTEST_MS} to {LONGEST_MS} ms.", fix="Give another --timeout-ms.")
        if query.send and not operator.may_approve:
            raise PalyraError(
                f"{operator.name} is {operator.role}; sending a request needs the role approver.", code="role_missing"
            )
        wanted = self._wanted(query)
        tests = await asyncio.gather(*(self._test(provider, model, query) for provider, model in wanted))
        return ConnectionAnswer(self._engine.clock.now_ms(), tuple(tests))

    def _wanted(self, query: ConnectionQuery) -> list[tuple[ProviderEntry, ModelEntry | None]]:
        registry = self._engine.registry
        if query.provider_id and query.provider_id not in registry.providers:
            known = ", ".join(registry.providers)
            raise NotFoundError(f"There is no provider {query.provider_id!r}.", fix=f"There are {known}.")
        if query.model_id:
            model = registry.known(query.model_id) or registry.resolve(query.model_id)
            if query.provider_id not in ("", model.provider):
                raise BadInputError(f"{model.id} is not of {query.provider_id}.", fix=f"It is of {model.provider}.")
            return [(registry.provider_of(model), model)]
        if query.provider_id:
            return [(registry.providers[query.provider_id], None)]
        return [(provider, None) for provider in registry.providers.values()]

    async def _test(self, provider: ProviderEntry, model: ModelEntry | None, query: ConnectionQuery) -> ConnectionView:
        clock = self._engine.clock
        begun = clock.monotonic()
        view = await self._listed(provider, model, query)
        if query.send and view.state in ("ok", "partial", "endpoint_missing"):
            view = await self._answered(view, provider, model, query)
        took = round(1000 * (clock.monotonic() - begun))
        model_id = view.model_id or ("" if model is None else model.id)
        return replace(view, took_ms=took, action=ACTIONS.get(view.state, ""), model_id=model_id)

    async def _listed(
        self, provider: ProviderEntry, model: ModelEntry | None, query: ConnectionQuery
    ) -> ConnectionView:
        """What its list of models says."""
        engine = self._engine
        now = engine.clock.now_ms()
        own = [one for one in engine.registry.models if one.provider == provider.id]
        if not provider.enabled:
            return ConnectionView(provider.id, "disabled", detail="switched off in the configuration")
        if missing := engine.credentials.missing(provider.id, now):
            return ConnectionView(provider.id, self._refused(provider, now) or "missing_auth", detail=missing)
        if not provider.on_network:
            return ConnectionView(provider.id, "ok", found=len(own), detail="it answers in this process")
        unavailable = engine.credentials.unavailable(provider.id, now)
        if unavailable is not None:
            wait = "" if unavailable.until is None else f" for {max(1, (unavailable.until - now) // 1000)} s"
            state = self._rests(provider, unavailable, now)
            return ConnectionView(provider.id, state, detail=f"every credential rests after an error{wait}")
        listing = engine.care.discovery.of(provider.id)
        fresh = listing.at is not None and not listing.stale and now - listing.at < 1000 * provider.discovery_ttl_s
        # What it said before it failed tells nothing of how it is now.
        fresh = fresh and engine.care.healthy(provider.id)
        if query.refresh or not fresh:
            try:
                async with engine.clock.timeout(query.timeout_ms / 1000):
                    error = await engine.care.upkeep.ask(provider)
            except TimeoutError:
                return ConnectionView(provider.id, "timeout", detail=f"no answer within {query.timeout_ms} ms")
            if error is not None:
                return ConnectionView(provider.id, state_of(error), detail=error.message)
            listing = engine.care.discovery.of(provider.id)
        listed = {one.upstream for one in listing.models}
        asked = own if model is None else [model]
        missing_models = tuple(one.id for one in asked if one.upstream not in listed and _declared(one))
        return ConnectionView(
            provider.id,
            "partial" if missing_models else "ok",
            found=len(listed),
            missing=missing_models,
            cached=fresh and not query.refresh,
        )

    def _refused(self, provider: ProviderEntry, now: int) -> str:
        """What the provider said of the credentials it refused; empty where that is not why there is none."""
        standings = self._engine.credentials.standings(provider.id, now)
        said = [
            one.last_error for one in standings if one.health in (CredentialHealth.REJECTED, CredentialHealth.EXPIRED)
        ]
        if not said or len(said) < len(standings):
            return ""
        return STATES.get(ErrorClass(said[0]), "auth_failed") if said[0] in set(ErrorClass) else "auth_failed"

    def _rests(self, provider: ProviderEntry, unavailable: Unavailable, now: int) -> str:
        """Why the credential rests that is back first."""
        standings = self._engine.credentials.standings(provider.id, now)
        first = next((one for one in standings if one.until == unavailable.until), None)
        spent = first is not None and first.last_error == ErrorClass.QUOTA_EXCEEDED
        return "quota_exceeded" if spent else "rate_limited"

    async def _answered(
        self, listed: ConnectionView, provider: ProviderEntry, model: ModelEntry | None, query: ConnectionQuery
    ) -> ConnectionView:
        """What a request of one token comes to; it says more than the list does."""
        chat = [one for one in self._engine.registry.listed if one.provider == provider.id]
        named = model or next((one for one in chat if one.role is ProviderModelRole.CHAT), None)
        if named is None or named.role is not ProviderModelRole.CHAT:
            return replace(listed, detail="there is no chat model to send a request to")
        body = {"model": named.id, "messages": [{"role": "user", "content": "Say ok."}], "max_tokens": 1}
        parsed = parse_request(Wire.CHAT, json.dumps(body).encode())
        request = RunRequest(own_scope(channel=CHANNEL), parsed, park_seconds=0, failover=False, cache=False)
        caller = Caller()
        task = asyncio.create_task(self._engine.runner.execute(request, caller), name="palyra:connection-test")
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)
        try:
            async with self._engine.clock.timeout(query.timeout_ms / 1000):
                outcome = await asyncio.shield(task)
        except TimeoutError:
            caller.leave()
            return replace(listed, state="timeout", detail=f"no answer within {query.timeout_ms} ms", model_id=named.id)
        except asyncio.CancelledError:
            caller.leave()
            raise
        return _concluded(replace(listed, model_id=named.id), outcome)


def state_of(error: ProviderError) -> str:
    """What a failure to list models says of a connection."""
    if error.upstream_status in NO_SUCH_PLACE and error.error_class not in STATES:
        return "endpoint_missing"
    return STATES.get(error.error_class, "endpoint_failed")


def _declared(model: ModelEntry) -> bool:
    return model.source is ModelSource.CONFIG


def _concluded(listed: ConnectionView, outcome: Outcome) -> ConnectionView:
    report, refusal = outcome.report, outcome.refusal
    view = replace(listed, run_id=report.run_id, cost_nano_usd=report.cost_usd)
    if refusal is None:
        lists = listed.state != "endpoint_missing"
        return view if lists else replace(view, state="ok", detail="it answers, but lists no models")
    if outcome.state == "refused":
        return replace(view, state="refused", detail=refusal.message)
    if outcome.reason == ErrorClass.PERMANENT_UPSTREAM and refusal.status in NO_SUCH_PLACE:
        return replace(view, state="endpoint_missing", detail=refusal.message)
    known = {error_class.value: state for error_class, state in STATES.items()}
    return replace(view, state=known.get(outcome.reason, "endpoint_failed"), detail=refusal.message)


class Caller:
    """Who waits for the answer to a test; nobody sees it."""

    def __init__(self) -> None:
        self._callbacks: list[GoneCallback] = []
        self._gone = False

    @property
    def gone(self) -> bool:
        """Whether the test was given up."""
        return self._gone

    @property
    def streaming(self) -> bool:
        """A test streams nothing."""
        return False

    def on_gone(self, callback: GoneCallback) -> None:
        if self._gone:
            callback()
        else:
            self._callbacks.append(callback)

    def leave(self) -> None:
        """Nobody waits any more."""
        self._gone = True
        for callback in self._callbacks:
            callback()

    async def parked(self, report: RunReport) -> None:
        """Never called: a test waits for nobody's word."""
        raise AssertionError("a test waits for nobody's word")

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        """Never called: a test streams nothing."""
        raise AssertionError("a test streams nothing")

    async def write(self, data: bytes) -> None:
        """Never called: a test streams nothing."""
        raise AssertionError("a test streams nothing")
