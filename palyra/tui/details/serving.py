"""Providers and models, opened; what a test of a connection came to; and why a prompt would go where it would go."""

from palyra.control.serving import CredentialView, ModelView, ProviderView
from palyra.control.serving_queries import ConnectionView, SelectionAnswer
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.layout import Cell, Pair, heading, pairs, table
from palyra.tui.details.words import Mark, provider_mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, column, line, muted, part, strong, wrap

SCORE_CELLS = 9
_STATES = {"ok": (glyphs.OK, Tone.GOOD), "partial": (glyphs.ATTENTION, Tone.WARN)}
_CREDENTIALS = {"eligible": Tone.GOOD, "cooling_down": Tone.WARN, "disabled": Tone.MUTED}


def tested_mark(test: ConnectionView) -> Mark:
    """Glyph, word and tone of a test of a connection."""
    glyph, tone = _STATES.get(test.state, (glyphs.BAD, Tone.BAD))
    return glyph, test.state.replace("_", " "), tone


def breaker_words(provider: ProviderView, now: int) -> tuple[str, Tone]:
    """`open 0:24` while nothing is sent; nothing for one that is closed."""
    breaker = provider.breaker
    if breaker.state == "closed":
        return "", Tone.MUTED
    if breaker.retry_at is not None:
        return f"open {show.stopwatch(breaker.retry_at - now)}", Tone.BAD
    return breaker.state.replace("_", " "), Tone.WARN


def lease_words(provider: ProviderView) -> str:
    """`2/4`, with `+3` for those who wait; nothing where any number is taken."""
    leases = provider.leases
    if leases is None:
        return ""
    return f"{leases.in_use}/{leases.limit}" + (f" +{leases.waiting}" if leases.waiting else "")


def credential_words(one: CredentialView, now: int) -> str:
    """`env:KEY cooling down 0:07`."""
    words = f"{one.credential_id} {one.state.replace('_', ' ')}"
    if one.cooling_until is not None:
        words += f" {show.stopwatch(one.cooling_until - now)}"
    return f"{words}, ends soon" if one.expiring else words


def price_words(model: ModelView) -> str:
    """Dollars for a million tokens in and out: `2.5/10`, `free`, `unpriced`."""
    if model.free:
        return "free"
    if not model.priced:
        return "unpriced"
    return f"{model.input_usd or show.NONE}/{model.output_usd or show.NONE}"


def first_byte(p50_ms: int | None) -> str:
    """How soon answers begin; `p50_ms` in ms."""
    return show.NONE if p50_ms is None else show.latency(p50_ms)


def provider_lines(
    provider: ProviderView, test: ConnectionView | None, testing: bool, zone: str, now: int, width: int
) -> list[Line]:
    """Everything about a provider, in lines."""
    glyph, word, tone = provider_mark(provider)
    breaker, breaker_tone = breaker_words(provider, now)
    waiting = "" if provider.leases is None else f", {provider.leases.waiting} waiting"
    values: list[Pair] = [
        ("provider", strong(provider.provider_id)),
        ("health", part(f"{glyph} {word}", tone)),
        ("kind", part(provider.kind)),
        ("breaker", part(breaker or "closed", breaker_tone)),
        ("failures", part(str(provider.breaker.failures))),
        ("in use", part(f"{lease_words(provider).partition(' ')[0]}{waiting}" if provider.leases else show.NONE)),
        ("succeeded", part(f"{provider.success_percent:g} %")),
        ("first byte", part(f"{first_byte(provider.p50_ms)}, {provider.latency}")),
        ("models", part(str(provider.models))),
        ("lists", part(_listing_words(provider, zone, now))),
        ("address", part(provider.base_url or "in this process")),
    ]
    if provider.detail:
        values.append(("why", part(provider.detail, tone)))
    if provider.last_error:
        when = show.moment(provider.last_error_at, zone, now)
        values.append(("last error", part(f"{provider.last_error}, {when}", Tone.WARN)))
    lines = pairs(values, width)
    if provider.credentials:
        lines += [BLANK, heading("credentials"), *_credentials(provider, zone, now, width)]
    if test is not None or testing:
        lines += [BLANK, heading("connection"), *tested_lines(test, testing, width)]
    return lines


def _listing_words(provider: ProviderView, zone: str, now: int) -> str:
    found = provider.discovery
    if found.at is None:
        return "not read yet" if found.enabled else "nobody asks for them"
    stale = f", stale: {found.detail}" if found.stale else ""
    return f"{plural(found.count, 'model')} at {show.moment(found.at, zone, now)}{stale}"


def _credentials(provider: ProviderView, zone: str, now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for one in provider.credentials:
        tone = _CREDENTIALS.get(one.state, Tone.BAD)
        used = f"  {one.leases.in_use}/{one.leases.limit} in use" if one.leases.limit else ""
        last = "" if one.last_used is None else f"  used {show.moment(one.last_used, zone, now)}"
        lines += wrap(f"{credential_words(one, now)}{used}{last}", width - 1, indent="   ", hang=" " * 5, tone=tone)
        if one.last_error:
            when = show.moment(one.last_error_at, zone, now)
            lines += wrap(f"last error {one.last_error}, {when}", width - 1, indent=" " * 5, tone=Tone.MUTED)
        if one.detail:
            lines += wrap(one.detail, width - 1, indent=" " * 5, tone=Tone.MUTED)
    return lines


def tested_lines(test: ConnectionView | None, testing: bool, width: int) -> list[Line]:
    """What the newest test came to, and what to do about it."""
    if testing:
        return [line("   ", muted("asking it for its models …"))]
    if test is None:
        return []
    glyph, word, tone = tested_mark(test)
    found = "" if test.found is None else f", {plural(test.found, 'model')}"
    known = ", known already" if test.cached else ""
    lines = wrap(f"{glyph} {word}, {test.took_ms:,} ms{found}{known}", width - 1, indent="   ", tone=tone)
    if test.missing:
        lines += wrap(f"not listed: {', '.join(test.missing)}", width - 1, indent=" " * 5)
    for text in (test.detail, test.action):
        if text:
            lines += wrap(text, width - 1, indent=" " * 5, tone=Tone.MUTED)
    return lines


def model_lines(model: ModelView, width: int) -> list[Line]:
    """Everything about a model, in lines."""
    state = "on" if model.enabled else "switched off"
    chosen = "first choice" if model.is_default else "auto may choose it" if model.routed else "by name only"
    values: list[Pair] = [
        ("model", strong(model.model_id)),
        ("upstream", part(model.upstream)),
        ("provider", part(model.provider_id)),
        ("role", part(model.role)),
        ("state", part(f"{state}, {chosen}" if model.enabled else state)),
        ("known from", part(model.source.replace("_", " "))),
        ("can", part(", ".join(model.capabilities) or show.NONE)),
        ("context", part(plural(model.max_context, "token"))),
        ("max output", part(show.NONE if model.max_output is None else plural(model.max_output, "token"))),
        ("tier", part(model.tier or show.NONE)),
        ("input", part(_rate(model, model.input_usd), Tone.PLAIN if model.priced else Tone.WARN)),
        ("output", part(_rate(model, model.output_usd), Tone.PLAIN if model.priced else Tone.WARN)),
        ("first byte", part(f"{first_byte(model.p50_ms)}, {model.latency}")),
    ]
    if model.aliases:
        values.append(("aliases", part(", ".join(model.aliases))))
    if model.failover:
        values.append(("failover", part(", ".join(model.failover))))
    return pairs(values, width)


def _rate(model: ModelView, usd: str) -> str:
    if model.free:
        return "free"
    if not model.priced:
        return "unpriced: add a [[pricing]] row"
    return f"${usd} a million" if usd else show.NONE


def add_a_provider(width: int) -> list[Line]:
    """What to do where nobody but the built-in provider answers."""
    head = "Only the built-in provider answers. Add one to palyra.toml and restart:"
    toml = ("[providers.openai]", 'kind = "openai_compatible"', 'api_key_env = "UPSTREAM_OPENAI_KEY"')
    return [
        *wrap(head, width - 1, indent=" ", tone=Tone.MUTED),
        *(line("   ", part(text, Tone.ACCENT)) for text in toml),
    ]


def selection_lines(answer: SelectionAnswer, zone: str, now: int, width: int) -> list[Line]:
    """The plan: what was chosen and at what price, the score, the candidates, and the whole in sentences."""
    stops = answer.action in ("blocked", "approval_required")
    tone = Tone.BAD if stops else Tone.GOOD
    chosen = answer.actual_model or "no model"
    made_of = ", ".join(f"{name} {amount:g}" for name, amount in answer.parts.items() if amount)
    lines: list[Line] = [
        line(part(f"{glyphs.BAD if stops else glyphs.OK} {answer.action.replace('_', ' ')} ", tone), strong(chosen)),
        *wrap(f"score {answer.score:g}" + (f": {made_of}" if made_of else ""), width, tone=Tone.MUTED),
    ]
    if answer.price_state:
        cost = f"{show.run_money(answer.expected_nano_usd)} expected, {show.run_money(answer.bound_nano_usd)} at most"
        spent = (
            f"{plural(answer.expected_input, 'token')} in, {answer.expected_output:,} out (≤ {answer.bound_output:,})"
        )
        lines += wrap(f"{cost} {glyphs.SEPARATOR} {spent}", width)
    lines.append(BLANK)
    able = [one for one in answer.candidates if not one.reasons]
    if able:
        rows: list[list[Cell]] = [
            [
                part(one.model_id, Tone.ACCENT if one.chosen else Tone.PLAIN),
                show.run_money(one.expected_nano_usd),
                show.run_money(one.bound_nano_usd),
                first_byte(one.p50_ms),
            ]
            for one in able
        ]
        lines += table(("model", "expected", "at most", "answers"), rows, width, right=frozenset([1, 2, 3]))
    for one in answer.candidates:
        if one.reasons:
            lines += wrap(
                f"{one.model_id}: {', '.join(one.reasons)}", width - 1, indent=" ", hang="   ", tone=Tone.MUTED
            )
    lines.append(BLANK)
    for sentence in answer.sentences:
        lines += wrap(sentence, width, hang="  ")
    return lines


def sample(label: str, text: str) -> Line:
    """A short labelled line under a list."""
    return line(" ", column(label, SCORE_CELLS, Tone.MUTED), part(text))
