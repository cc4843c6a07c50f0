"""`palyra pricing`: what models cost, what an answer costs, and what is wrong with prices."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.moments import moment_at
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, place, run
from palyra.cli.output import instant, plain, print_foreign_json, print_json, say, table
from palyra.control.prices import (
    CostAnswer,
    CostQuery,
    PriceAnswer,
    PriceCheckAnswer,
    PriceCheckQuery,
    PriceFinding,
    PriceQuery,
    PriceView,
    RateView,
)
from palyra.control.recordings import read_recording
from palyra.core.errors import BadInputError
from palyra.core.money import format_usd
from palyra.core.plural import plural

FILE_LIMIT = 32 * 1024 * 1024
"""Bytes of a recorded answer that are read at most."""

ANSWER_LIMIT = 512 * 1024
"""Characters of what matters of it: more does not fit the operators' socket."""

At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="An instant like 2026-11-22T12:00:00Z, or a UTC date.")
]


def pricing(launch: Launch) -> typer.Typer:
    """`palyra pricing …`."""
    app = typer.Typer(help="What models and answers cost.", no_args_is_help=True)

    @app.command("show")
    def show(
        model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's id, alias or upstream name.")],
        provider: Annotated[
            str, typer.Option(metavar="ID", help="A configured provider, or one of the price package.")
        ] = "",
        at: At = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """What a model costs and where its price comes from; exit 1 if nobody has priced it."""

        async def work() -> int:
            query = PriceQuery(model, provider, moment_at(at))
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(query)
            if as_json:
                print_json(answer)
            else:
                _print_prices(answer)
            return DONE if any(price.priced for price in answer.prices) else REFUSED

        run(work)

    @app.command("cost")
    def cost(
        provider: Annotated[
            str, typer.Option("--provider", metavar="P", help="A configured provider, or one of the price package.")
        ],
        model: Annotated[str, typer.Option("--model", metavar="M", help="The model that was asked.")],
        file: Annotated[
            str, typer.Argument(metavar="FILE", help="A response body, a stream, or a usage object; - reads stdin.")
        ],
        at: At = None,
        flavour: Annotated[
            str, typer.Option(metavar="F", help="chat, responses, embeddings or messages; else told by the body.")
        ] = "",
        service_tier: Annotated[
            str, typer.Option(metavar="T", help="The tier that was asked for; the answer's own comes first.")
        ] = "",
        prompt_bytes: Annotated[
            int | None, typer.Option(min=0, help="Bytes of the prompt, to meter an input that nobody reported.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """What one answer of a provider costs: its usage, every priced part, and the total."""

        async def work() -> int:
            asked_at = moment_at(at)
            recorded = read_recording(_bytes_of(file), flavour)
            answer_text = json.dumps(dict(recorded.answer))
            if len(answer_text) > ANSWER_LIMIT:
                raise BadInputError(
                    "Its usage is too large to be one.", fix="Give a response body or its usage object."
                )
            query = CostQuery(
                provider=provider,
                model=model,
                shape=recorded.shape.value,
                answer=answer_text,
                visible_bytes=recorded.visible_bytes,
                complete=recorded.complete,
                at=asked_at,
                service_tier=service_tier,
                prompt_bytes=prompt_bytes,
            )
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(query)
            if as_json:
                print_foreign_json({**plain(answer), "raw": json.loads(answer.raw)})
            else:
                _print_cost(answer)
            return DONE

        run(work)

    @app.command("check")
    def check(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Looks for models without a price, rows that clash or have ended, old data, and estimates that are off."""

        async def work() -> int:
            try:
                async with launch.reading(place(config, state_dir)) as control:
                    answer = await control.ask(PriceCheckQuery())
            except BadInputError as error:
                # Prices that clash keep a configuration from being used at all.
                finding = PriceFinding("configuration", "palyra.toml", error.message, error.fix)
                answer = PriceCheckAnswer(0, "", 0, 0, (finding,))
            if as_json:
                print_foreign_json({**plain(answer), "ok": answer.ok})
            else:
                _print_check(answer)
            return DONE if answer.ok else REFUSED

        run(work)

    return app


def _bytes_of(file: str) -> bytes:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(FILE_LIMIT + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInputError(f"{file} cannot be read: {reason}.") from None
    if len(data) > FILE_LIMIT:
        raise BadInputError(
            f"{file} is larger than {FILE_LIMIT // (1024 * 1024)} MiB.", fix="Give its usage object alone."
        )
    return data


_NOTES = {
    "before_first_price": "no price held yet: the first one is taken",
    "listed_free": "listed as free",
    "model_substituted": "another model answered, at its own price",
    "reported_cost_charged": "charged what the provider said it cost",
    "input_unmetered": "nobody told the input: give --prompt-bytes, or the total lacks it",
}


def _noted(notes: tuple[str, ...]) -> str:
    return "; ".join(_NOTES.get(note, note) for note in notes)


def _print_prices(answer: PriceAnswer) -> None:
    if not answer.prices:
        say(f"{answer.model}: unpriced at {instant(answer.at)}; nobody has said what it costs.")
        say("Name its provider with --provider, or add a [[pricing]] row.")
    for price in answer.prices:
        _print_price(price, answer.at)


def _print_price(price: PriceView, at: int) -> None:
    where = "" if price.configured else " (not configured; from the price package)"
    known_as = f" as {price.model_id}" if price.model_id else ""
    say(f"{price.provider}/{price.model}{known_as}{where} at {instant(at)}")
    if not price.priced:
        say(f"  unpriced · label {price.label} · add a [[pricing]] row to say what it costs")
        return
    entry = f" {price.version}, {price.package_provider}/{price.package_model}" if price.package_model else ""
    say(f"  {price.state} · {price.source}{entry} · {price.precision} · label {price.label} · card {price.card_id}")
    if price.valid_from is not None or price.valid_to is not None:
        say(f"  valid from {instant(price.valid_from)} to {instant(price.valid_to)}")
    if price.next_change is not None:
        say(f"  costs something else from {instant(price.next_change)} on")
    if price.notes:
        say(f"  {_noted(price.notes)}")
    rows = [("", *row) for row in _rate_rows(price.rates)]
    for variant in price.variants:
        name = ", ".join(f"{key}={value}" for key, value in variant.when.items())
        rows += [(name, *row) for row in _rate_rows(variant.rates)]
    table(("variant", "unit", "usd", "per", "over input"), rows, right=(2, 3, 4))


def _rate_rows(rates: tuple[RateView, ...]) -> list[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    for rate in rates:
        rows.append((rate.unit, f"${rate.usd}", f"{rate.per:,}", ""))
        rows += [(rate.unit, f"${tier.usd}", f"{rate.per:,}", f"{tier.above:,}") for tier in rate.tiers]
    return rows


def _print_cost(answer: CostAnswer) -> None:
    where = "" if answer.configured else " (not configured; from the price package)"
    say(f"{answer.provider}/{answer.model}{where} at {instant(answer.at)} · {answer.flavour}")
    priced = f" of {answer.priced_model}" if answer.priced_model not in ("", answer.model) else ""
    say(f"price {answer.price_state}{priced} · {answer.source} · {answer.precision} · card {answer.card_id or '–'}")
    used = answer.usage
    say(f"usage from the {'provider' if answer.usage_source == 'provider' else 'meter'}")
    say(f"  input   {plural(used.input_total, 'token')}" + _inside(used.input_total, _input_parts(answer)))
    say(f"  output  {plural(used.output_total, 'token')}" + _inside(used.output_total, _output_parts(answer)))
    for tool, uses in used.tools.items():
        say(f"  {tool} {uses:,}")
    if answer.parts:
        table(
            ("part", "count", "usd", "per", "nano-dollars"),
            [
                (part.unit, f"{part.count:,}", f"${part.usd}", f"{part.per:,}", f"{Decimal(part.nano):,f}")
                for part in answer.parts
            ],
            right=(1, 2, 3, 4),
        )
    if answer.total_nano_usd is not None:
        say(f"total {format_usd(answer.total_nano_usd)} · {answer.total_nano_usd:,} nano-dollars")
    elif answer.flat_nano_usd is not None:
        say(f"total unknown: unpriced; a budget charges {format_usd(answer.flat_nano_usd)} ({answer.on_unknown_price})")
    else:
        say("total unknown")
    if answer.reported_cost_nano_usd is not None:
        say(f"the provider says {format_usd(answer.reported_cost_nano_usd)}")
    if answer.flags:
        say(f"flags {', '.join(answer.flags)}")
    if answer.notes:
        say(f"notes {_noted(answer.notes)}")
    if len(answer.readings) > 1:
        for reading in answer.readings:
            amount = "unpriced" if reading.amount_nano_usd is None else format_usd(reading.amount_nano_usd)
            tokens = f"{reading.usage.input_total:,} in, {reading.usage.output_total:,} out"
            say(f"reading {reading.name}: {tokens}, {amount}")


def _inside(whole: int, parts: dict[str, int]) -> str:
    told = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    return f", of which {told}" if whole and told else ""


def _input_parts(answer: CostAnswer) -> dict[str, int]:
    used = answer.usage
    return {
        "cache read": used.cache_read,
        "cache write 5m": used.write_5m,
        "cache write 1h": used.write_1h,
        "audio": used.audio_in,
        "image": used.image_in,
    }


def _output_parts(answer: CostAnswer) -> dict[str, int]:
    used = answer.usage
    return {"reasoning": used.reasoning, "citation": used.citation, "audio": used.audio_out}


def _print_check(answer: PriceCheckAnswer) -> None:
    if answer.version:
        since = instant(answer.package_prices_from)[:10]
        say(f"genai-prices {answer.version}, prices up to {since} · {plural(answer.models, 'model')} checked")
    for finding in answer.findings:
        say(f"✖ {finding.kind} {finding.subject}: {finding.message} {finding.fix}".rstrip())
    say("prices are in order" if answer.ok else f"{len(answer.findings)} to look at")
