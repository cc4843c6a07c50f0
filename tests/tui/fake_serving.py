"""Providers and models, made up, and what asking them comes to."""

from dataclasses import replace

from palyra.control.commands import ClearCredential, DiscoverModels
from palyra.control.serving import (
    BreakerView,
    CredentialView,
    DiscoveryView,
    LeaseView,
    ModelView,
    ProviderView,
)
from palyra.control.serving_queries import (
    CandidateView,
    ConnectionAnswer,
    ConnectionQuery,
    ConnectionView,
    SelectionAnswer,
    SelectionQuery,
)
from palyra.control.snapshots import CommandResult
from palyra.core.errors import NotFoundError
from tests.tui.fake_views import HOUR, MINUTE, NOW, SECOND, USD, evaluation

READ = DiscoveryView(True, 41, False, NOW - 4 * MINUTE)


def providers() -> tuple[ProviderView, ...]:
    """One that is well, one whose second credential rests, one that is degraded."""
    return (
        ProviderView(
            "openai",
            "openai_compatible",
            "ok",
            3,
            "https://api.openai.com/v1",
            leases=LeaseView(2, 8),
            credentials=(
                CredentialView("env:OPENAI_API_KEY", "eligible", last_used=NOW - SECOND, leases=LeaseView(2, 8)),
            ),
            p50_ms=840,
            latency="low",
            discovery=READ,
        ),
        ProviderView(
            "anthropic",
            "anthropic",
            "ok",
            2,
            "https://api.anthropic.com",
            leases=LeaseView(3, 4, 2),
            credentials=(
                CredentialView("profile:team", "eligible", last_used=NOW - 3 * SECOND, leases=LeaseView(3, 4)),
                CredentialView(
                    "profile:spare",
                    "cooling_down",
                    NOW + 7 * SECOND,
                    last_error="rate_limited",
                    last_error_at=NOW - 3 * SECOND,
                    leases=LeaseView(0, 4),
                ),
            ),
            success_percent=98.2,
            p50_ms=1_210,
            latency="standard",
            last_error="rate_limited",
            last_error_at=NOW - 3 * SECOND,
            discovery=READ,
        ),
        ProviderView(
            "local",
            "deterministic",
            "degraded",
            1,
            "",
            "error rate 14 %",
            success_percent=86.0,
            last_error="transient_upstream",
            last_error_at=NOW - MINUTE,
        ),
    )


def down() -> ProviderView:
    """One that failed too often: its breaker is open."""
    return ProviderView(
        "meridian",
        "openai_compatible",
        "down",
        1,
        "https://models.meridian.example/v1",
        "it failed too often: nothing is sent for a while",
        BreakerView("open", 3, NOW + 24 * SECOND),
        LeaseView(0, 1),
        (CredentialView("env:MERIDIAN_KEY", "rejected", last_error="auth_invalid", last_error_at=NOW - HOUR),),
        40.0,
        5_210,
        "high",
        "provider_timeout",
        NOW - 6 * SECOND,
        DiscoveryView(True, 12, True, NOW - HOUR, "meridian answered 503."),
    )


def model(model_id: str, tier: str, rates: tuple[str, str], p50: int | None = None, **changes: object) -> ModelView:
    provider, _, upstream = model_id.partition("/")
    made = ModelView(
        model_id,
        provider,
        upstream,
        "chat",
        "config",
        tools=True,
        json=True,
        vision=True,
        max_context=200_000,
        max_output=32_000,
        tier=tier,
        price=tier,
        priced=bool(rates[0]),
        input_usd=rates[0],
        output_usd=rates[1],
        latency="unknown" if p50 is None else "low" if p50 <= 1000 else "standard",
        p50_ms=p50,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def models() -> tuple[ModelView, ...]:
    return (
        model("openai/gpt-5.4", "premium", ("2.5", "15"), 1_120, aliases=("large",), is_default=True, reasoning=True),
        model("openai/gpt-5.4-mini", "standard", ("0.25", "2"), 610, failover=("anthropic/claude-haiku-5",)),
        model(
            "openai/text-embedding-3-small",
            "low",
            ("0.02", ""),
            role="embeddings",
            tools=False,
            json=False,
            vision=False,
            is_default=True,
        ),
        model("anthropic/claude-opus-5", "premium", ("5", "25"), 1_900),
        model("anthropic/claude-haiku-5", "standard", ("1", "5"), 700, enabled=False, routed=False),
        model("openai/gpt-6-preview", "standard", ("", ""), source="discovery", routed=False),
        model("local/echo", "low", ("0", "0"), free=True, tools=False, vision=False, max_context=8_192),
    )


def many_providers() -> tuple[ProviderView, ...]:
    states = ("ok", "down", "degraded", "missing_auth", "unknown", "disabled")
    return tuple(
        replace(down(), provider_id=f"region-{number:02d}", health=states[number % 6], leases=LeaseView(64, 64, 900))
        for number in range(40)
    )


def many_models() -> tuple[ModelView, ...]:
    return tuple(
        model(f"region-{number % 40:02d}/model-{number:04d}-preview-20261122", "standard", ("0.25", "2"), 3_210)
        for number in range(900)
    )


def evil_provider(evil: str) -> ProviderView:
    credential = CredentialView(evil, "cooling_down", NOW + 7 * SECOND, last_error=evil, last_error_at=NOW, detail=evil)
    found = DiscoveryView(True, 1, True, NOW, evil)
    return replace(
        down(),
        provider_id=evil,
        kind=evil,
        base_url=evil,
        detail=evil,
        credentials=(credential,),
        last_error=evil,
        discovery=found,
    )


def evil_model(evil: str) -> ModelView:
    made = model("a/b", evil, (evil, evil))
    return replace(made, model_id=f"{evil}/{evil}", provider_id=evil, upstream=evil, aliases=(evil,), source=evil)


def serving_told(
    query: ConnectionQuery | SelectionQuery,
    known: tuple[ProviderView, ...],
    listed: tuple[ModelView, ...],
    now: int,
    text: str,
) -> ConnectionAnswer | SelectionAnswer:
    if isinstance(query, ConnectionQuery):
        tests = [_tested(one, text) for one in known if query.provider_id in ("", one.provider_id)]
        return ConnectionAnswer(now, tuple(tests))
    if query.model not in ("auto", *(one.model_id for one in listed)):
        raise NotFoundError(f"There is no model {query.model!r}.", fix="See /v1/models.")
    chosen = listed[0].model_id if query.model == "auto" else query.model
    return SelectionAnswer(
        at=now,
        live=True,
        score=0.41,
        parts={"bytes": 0.11, "tokens": 0.1, "json": 0.2, "images": 0.0, "keywords": 0.0},
        mode="enforced",
        outcome="ok",
        action="proceed",
        requested_model=query.model,
        recommended_model=chosen,
        actual_model=chosen,
        candidates=(
            CandidateView(chosen, "openai", "premium", (), 12_000_000, 61_000_000, 1_120, chosen=True),
            CandidateView("local/echo", "local", "", (text or "capability_missing",)),
        ),
        reason_codes=("complexity_mid", "default_model"),
        sentences=(f"{query.model} was asked for; {chosen} was chosen.", text or "Budget team-day would reach $41.3."),
        evaluations=(evaluation("team-day", 41 * USD, 0, USD // 16, 45 * USD),),
        counterfactual=(),
        expected_input=1_204,
        expected_output=310,
        bound_input=1_900,
        bound_output=query.max_tokens or 1_024,
        expected_nano_usd=12_000_000,
        bound_nano_usd=61_000_000,
        price_state="known",
    )


def _tested(provider: ProviderView, text: str) -> ConnectionView:
    if provider.health == "down":
        return ConnectionView(
            provider.provider_id,
            "endpoint_failed",
            214,
            detail=text or "meridian answered 503.",
            action="Try again later.",
        )
    if provider.provider_id == "anthropic":
        missing = ("anthropic/claude-opus-5",)
        return ConnectionView("anthropic", "partial", 320, 40, missing, action="Correct `upstream` in [[models]].")
    return ConnectionView(provider.provider_id, "ok", 118, provider.models)


def serving_done(
    command: ClearCredential | DiscoverModels, known: tuple[ProviderView, ...]
) -> tuple[tuple[ProviderView, ...], CommandResult]:
    """The providers afterwards, and the engine's answer."""
    if isinstance(command, DiscoverModels):
        listing = DiscoveryView(True, 42, False, NOW)
        after = tuple(
            replace(one, discovery=listing) if one.provider_id == command.provider_id else one for one in known
        )
        return after, CommandResult("accepted", f"{command.provider_id} lists 42 models.")
    cleared = [
        replace(
            one,
            credentials=tuple(
                replace(own, state="eligible", cooling_until=None)
                if own.credential_id == command.credential_id
                else own
                for own in one.credentials
            ),
        )
        if one.provider_id == command.provider_id
        else one
        for one in known
    ]
    told = f"Credential {command.credential_id} of {command.provider_id} is eligible."
    return tuple(cleared), CommandResult("accepted", told)
