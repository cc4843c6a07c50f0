"""Providers, models and plans as the command line prints them."""

from palyra.cli.output import instant, say, table, time_of_day
from palyra.control.serving import CredentialView, ModelView, ProviderView
from palyra.control.serving_queries import CandidateView, ConnectionView, SelectionAnswer, ServingAnswer
from palyra.core.money import format_usd_short
from palyra.core.plural import plural

_ENDS = {
    "expired": "already",
    "le_5m": "within 5 min",
    "le_15m": "within 15 min",
    "le_60m": "within the hour",
    "le_24h": "within a day",
    "gt_24h": "later",
}
"""When credentials end, in words; of those that do not end nothing is said."""

NO_ENGINE_TOLD = "No engine runs here; this is what configuration and journal tell."


def print_status(answer: ServingAnswer) -> None:
    """Prints how models and providers do."""
    if not answer.live:
        say(NO_ENGINE_TOLD)
    table(
        ("provider", "kind", "health", "breaker", "credentials", "leases", "p50", "last error"),
        [_provider_row(one, live=answer.live) for one in answer.providers],
        right=(6,),
    )
    say(f"defaults: chat {answer.default_chat or '–'}, embeddings {answer.default_embeddings or '–'}")
    most = plural(answer.failover_candidates, "candidate")
    cache = "off"
    if answer.cache_ttl_ms is not None:
        used = f"{answer.cache_kept} of {answer.cache_entries} kept, {answer.cache_hits} hits" if answer.live else "on"
        cache = f"{answer.cache_ttl_ms // 1000} s, {used}"
    say(f"failover: {f'on, at most {most}' if answer.failover else 'off'} · cache: {cache}")
    ends = [
        f"{number} {_ENDS[bucket]}" for bucket, number in answer.credential_expiry.items() if number and bucket in _ENDS
    ]
    if ends:
        say(f"credentials end: {', '.join(ends)}")
    for issue in answer.issues:
        say(f"✖ {issue.subject} {issue.message}. {issue.fix}".strip())
    if not answer.issues:
        say("no issues")


def _provider_row(one: ProviderView, *, live: bool) -> tuple[str, ...]:
    return (
        one.provider_id,
        one.kind,
        one.health,
        _breaker_text(one) if live else "–",
        ", ".join(_standing(credential) for credential in one.credentials) or "–",
        _leases_text(one),
        "–" if one.p50_ms is None else f"{one.p50_ms} ms",
        one.last_error or "–",
    )


def _breaker_text(one: ProviderView) -> str:
    breaker = one.breaker
    text = breaker.state if not breaker.failures else f"{breaker.state} ({plural(breaker.failures, 'failure')})"
    return text if breaker.retry_at is None else f"{text} until {time_of_day(breaker.retry_at)}"


def _standing(one: CredentialView) -> str:
    until = "" if one.cooling_until is None else f" until {time_of_day(one.cooling_until)}"
    return f"{one.credential_id} {'expiring' if one.expiring and not until else one.state}{until}"


def _leases_text(one: ProviderView) -> str:
    if one.leases is None:
        return "–"
    waiting = f", {one.leases.waiting} waiting" if one.leases.waiting else ""
    return f"{one.leases.in_use}/{one.leases.limit}{waiting}"


def print_models(models: tuple[ModelView, ...]) -> None:
    """Prints models with their prices."""
    if not models:
        say("No model of that kind is known.")
        return
    named = [one.upstream if one.model_id != f"{one.provider_id}/{one.upstream}" else "" for one in models]
    headings = ("model", "role", "tier", "in / 1M", "out / 1M", "context", "latency", "can", "source", "", "upstream")
    # Most are called upstream as they are here.
    kept = len(headings) - (not any(named))
    table(
        headings[:kept],
        [
            (
                one.model_id,
                one.role,
                one.tier or "–",
                f"${one.input_usd}" if one.input_usd else "–",
                (f"${one.output_usd}" if one.output_usd else "–") if one.priced else "unpriced",
                f"{one.max_context:,}",
                one.latency if one.p50_ms is None else f"{one.latency} {one.p50_ms} ms",
                " ".join(one.capabilities) or "–",
                one.source,
                _marks(one),
                upstream,
            )[:kept]
            for one, upstream in zip(models, named, strict=True)
        ],
        right=(3, 4, 5),
    )


def _marks(one: ModelView) -> str:
    if not one.enabled:
        return "disabled"
    return "default" if one.is_default else "" if one.routed else "by name only"


def print_providers(providers: tuple[ProviderView, ...]) -> None:
    """Prints providers."""
    table(
        ("provider", "kind", "health", "models", "listed", "address"),
        [
            (one.provider_id, one.kind, one.health, str(one.models), _listed(one), one.base_url or "in this process")
            for one in providers
        ],
        right=(3,),
    )


def _listed(one: ProviderView) -> str:
    if one.discovery.at is None:
        return "not read yet" if one.discovery.enabled else "–"
    return f"{one.discovery.count}{' (stale)' if one.discovery.stale else ''}"


def print_provider(one: ProviderView, models: tuple[ModelView, ...], *, live: bool) -> None:
    """`live`: an engine told it; without one nobody knows how it does."""
    say(f"{one.provider_id} · {one.kind} · {one.base_url or 'in this process'}")
    say(f"  health       {one.health}{f': {one.detail}' if one.detail else ''}")
    if live:
        say(f"  success      {one.success_percent:g} % of its latest attempts")
        say(f"  breaker      {_breaker_text(one)}")
        say(f"  leases       {_leases_text(one)}")
        say(f"  first byte   {'–' if one.p50_ms is None else f'{one.p50_ms} ms'} ({one.latency})")
    if one.last_error:
        say(f"  last error   {one.last_error} at {instant(one.last_error_at)}")
    stale = f", stale: {one.discovery.detail}" if one.discovery.stale else ""
    when = "" if one.discovery.at is None else f", read {instant(one.discovery.at)}"
    say(f"  lists        {_listed(one)}{when}{stale}")
    for credential in one.credentials:
        say(f"  credential   {_credential(credential)}")
    if models:
        print_models(models)


def _credential(one: CredentialView) -> str:
    parts = [f"{one.credential_id} {one.state}"]
    if one.cooling_until is not None:
        parts[0] += f" until {instant(one.cooling_until)}"
    if one.expires_at is not None:
        parts.append(f"{'soon ' if one.expiring else ''}expires {instant(one.expires_at)}")
    if one.last_error:
        parts.append(f"last error {one.last_error} at {instant(one.last_error_at)}")
    if one.detail:
        parts.append(one.detail)
    return ", ".join(parts)


def print_test(one: ConnectionView) -> None:
    """Prints what a test of a connection came to."""
    found = "" if one.found is None else f" · {plural(one.found, 'model')}"
    cached = " (known already)" if one.cached else ""
    cost = "" if one.cost_nano_usd is None else f" · {format_usd_short(one.cost_nano_usd)}"
    sent = f" · {one.model_id} run {one.run_id}{cost}" if one.run_id else ""
    detail = f" · {one.detail}" if one.detail else ""
    say(f"{'●' if one.ok else '✖'} {one.provider_id}: {one.state} · {one.took_ms} ms{found}{cached}{sent}{detail}")
    if one.missing:
        say(f"  not listed: {', '.join(one.missing)}")
    if one.action:
        say(f"  {one.action}")


def print_selection(answer: SelectionAnswer) -> None:
    """Prints where a prompt would go and why."""
    if not answer.live:
        say(NO_ENGINE_TOLD)
    say(f"at {instant(answer.at)} · mode {answer.mode} · outcome {answer.outcome} · action {answer.action}")
    made_of = ", ".join(f"{name} {part:g}" for name, part in answer.parts.items() if part)
    say(f"score {answer.score:g}{f' ({made_of})' if made_of else ''}")
    table(
        ("", "model", "tier", "expected", "at most", "p50", "passed over"),
        [
            (
                "→" if one.chosen else "",
                one.model_id,
                one.tier or "–",
                _cost(one, one.expected_nano_usd),
                _cost(one, one.bound_nano_usd),
                "–" if one.p50_ms is None else f"{one.p50_ms} ms",
                ", ".join(one.reasons),
            )
            for one in answer.candidates
        ],
        right=(3, 4, 5),
    )
    if answer.price_state:
        told = "" if answer.max_tokens is None else f" · told max_tokens {answer.max_tokens:,}"
        say(
            f"tokens: input {answer.expected_input:,} (at most {answer.bound_input:,}), output"
            f" {answer.expected_output:,} (at most {answer.bound_output:,}) · price {answer.price_state}{told}"
        )
    say(f"reasons: {', '.join(answer.reason_codes)}")
    for sentence in answer.sentences:
        say(f"  {sentence}")


def _cost(one: CandidateView, amount: int | None) -> str:
    if amount is None:
        return "–" if one.reasons else "unpriced"
    return format_usd_short(amount)
