"""`palyra models`: what can be asked, why one would be chosen, and whether providers answer."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.models_set import add_set
from palyra.cli.moments import moment_at
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, given_text, place, run
from palyra.cli.output import plain, print_json, say
from palyra.cli.providers import ask_for_models, tell_discoveries
from palyra.cli.serving_tables import NO_ENGINE_TOLD, print_models, print_selection, print_status, print_test
from palyra.config.choices import ProviderModelRole
from palyra.control.serving_queries import ConnectionQuery, SelectionQuery, ServingAnswer, ServingQuery
from palyra.core.errors import BadInputError, NotFoundError

Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="May be given several times.")]


def models(launch: Launch) -> typer.Typer:
    """`palyra models …`."""
    app = typer.Typer(help="Models: what there is, what would be chosen, who answers.", no_args_is_help=True)
    _add_lists(app, launch)
    _add_explain(app, launch)
    _add_test(app, launch)
    add_set(app, launch)
    return app


def _add_lists(app: typer.Typer, launch: Launch) -> None:
    @app.command("status")
    def status(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every provider's health, the defaults, failover and cache; exit 1 if something is wrong."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(ServingQuery())
            if as_json:
                print_json(_status_json(answer))
            else:
                print_status(answer)
            return REFUSED if answer.issues else DONE

        run(work)

    @app.command("list")
    def list_(
        provider: Annotated[str, typer.Option("--provider", metavar="ID", help="Only of this provider.")] = "",
        role: Annotated[
            str, typer.Option("--role", metavar="ROLE", help="chat, embeddings, audio_transcription.")
        ] = "",
        refresh: Annotated[bool, typer.Option("--refresh", help="Asks providers for their lists first.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Every model that can be named, with its price and where it is known from."""

        async def work() -> int:
            if role and role not in set(ProviderModelRole):
                raise BadInputError(f"There is no role {role!r}.", fix=f"There are {', '.join(ProviderModelRole)}.")
            told = True
            opening = launch.acting if refresh else launch.reading
            async with opening(place(config, state_dir)) as control:
                if refresh:
                    results = [one for one in await ask_for_models(control, provider) if one[1].status != "invalid"]
                    told = all(one.ok for _, one in results)
                    if not told or not as_json:
                        tell_discoveries([one for one in results if not one[1].ok] if as_json else results)
                answer = await control.ask(ServingQuery())
            if provider and provider not in {one.provider_id for one in answer.providers}:
                raise NotFoundError(f"There is no provider {provider!r}.", fix="See `palyra providers list`.")
            shown = tuple(one for one in answer.models if provider in ("", one.provider_id) and role in ("", one.role))
            if as_json:
                print_json(
                    {
                        "live": answer.live,
                        "models": [{**plain(one), "capabilities": list(one.capabilities)} for one in shown],
                    }
                )
            else:
                if not answer.live:
                    say(NO_ENGINE_TOLD)
                print_models(shown)
            return DONE if told else REFUSED

        run(work)


def _status_json(answer: ServingAnswer) -> dict[str, object]:
    return {
        "ok": not answer.issues,
        "live": answer.live,
        "providers": answer.providers,
        "defaults": {"chat": answer.default_chat or None, "embeddings": answer.default_embeddings or None},
        "failover": {"enabled": answer.failover, "max_candidates": answer.failover_candidates},
        "cache": {
            "enabled": answer.cache_ttl_ms is not None,
            "ttl_ms": answer.cache_ttl_ms,
            "entries": answer.cache_entries,
            "kept": answer.cache_kept,
            "hits": answer.cache_hits,
            "misses": answer.cache_misses,
        },
        "credential_expiry": answer.credential_expiry,
        "issues": answer.issues,
    }


def _add_explain(app: typer.Typer, launch: Launch) -> None:
    @app.command("explain")
    def explain(
        prompt: Annotated[str, typer.Option("--prompt", metavar="TEXT", help="The prompt; - reads stdin.")] = "",
        model: Annotated[str, typer.Option("--model", metavar="M", help="A model's id, or auto.")] = "auto",
        json_mode: Annotated[bool, typer.Option("--json-mode", help="It asks for JSON.")] = False,
        vision: Annotated[bool, typer.Option("--vision", help="It shows an image.")] = False,
        tools: Annotated[bool, typer.Option("--tools", help="It offers tools.")] = False,
        max_tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens of its answer.")] = None,
        principal: Annotated[str, typer.Option(metavar="P", help="Who asks; else whom the first key is of.")] = "",
        session: Annotated[str, typer.Option(metavar="S", help="In which session.")] = "",
        tag: Tags = None,
        task_class: Annotated[
            str, typer.Option(metavar="CLASS", help="primary_interactive, background_automation, auxiliary_summary, …")
        ] = "primary_interactive",
        at: Annotated[
            str | None, typer.Option("--at", metavar="TIME", help="A later instant, like 2026-11-22T12:00:00Z.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Why a prompt would go where it would go: the engine's own plan, of which nothing is held."""

        async def work() -> int:
            query = SelectionQuery(
                prompt=given_text(prompt),
                model=model,
                json_mode=json_mode,
                vision=vision,
                tools=tools,
                max_tokens=max_tokens,
                principal=principal,
                session=session,
                tags=_tags(tag or []),
                task_class=task_class,
                at=moment_at(at),
            )
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(query)
            if as_json:
                print_json(answer)
            else:
                print_selection(answer)
            return DONE

        run(work)


def _tags(given: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise BadInputError(f"--tag {text}: a tag is NAME=VALUE.")
        tags[name] = value
    return tags


def _add_test(app: typer.Typer, launch: Launch) -> None:
    @app.command("test-connection")
    def test_connection(
        provider: Annotated[str, typer.Option("--provider", metavar="ID", help="Only this provider.")] = "",
        model: Annotated[str, typer.Option("--model", metavar="M", help="Only this model, at its provider.")] = "",
        timeout_ms: Annotated[int, typer.Option("--timeout-ms", min=100, max=25_000)] = 5_000,
        refresh: Annotated[bool, typer.Option("--refresh", help="Asks although its list is known.")] = False,
        send: Annotated[bool, typer.Option("--send", help="Sends a governed request of one token as well.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Whether providers answer; exit 1 if one does not. Asking for their models costs nothing."""

        async def work() -> int:
            query = ConnectionQuery(provider, model, timeout_ms, refresh, send)
            async with launch.acting(place(config, state_dir)) as control:
                answer = await control.ask(query)
            named = bool(provider or model)
            ok = all(one.ok or (one.state == "disabled" and not named) for one in answer.tests)
            if as_json:
                print_json({"ok": ok, "at": answer.at, "tests": answer.tests})
            else:
                for one in answer.tests:
                    print_test(one)
            return DONE if ok else REFUSED

        run(work)
