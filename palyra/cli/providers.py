"""`palyra providers`: who answers, how each is, and the models they list."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, place, run
from palyra.cli.output import complain, print_json, say
from palyra.cli.serving_tables import NO_ENGINE_TOLD, print_provider, print_providers
from palyra.control.commands import DiscoverModels
from palyra.control.protocol import Control
from palyra.control.serving import ProviderView
from palyra.control.serving_queries import ServingAnswer, ServingQuery
from palyra.control.snapshots import CommandResult
from palyra.core.errors import NotFoundError


def providers(launch: Launch) -> typer.Typer:
    """`palyra providers …`."""
    app = typer.Typer(help="Providers: their health, credentials and lists of models.", no_args_is_help=True)

    @app.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every provider."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(ServingQuery())
            if as_json:
                print_json({"live": answer.live, "providers": answer.providers})
                return DONE
            if not answer.live:
                say(NO_ENGINE_TOLD)
            print_providers(answer.providers)
            return DONE

        run(work)

    @app.command("show")
    def show(
        provider_id: Annotated[str, typer.Argument(metavar="ID", help="The provider's id.")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """One provider with its health, breaker, places, credentials and models."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(ServingQuery())
            found = find_provider(answer, provider_id)
            own = tuple(one for one in answer.models if one.provider_id == found.provider_id)
            if as_json:
                print_json({"live": answer.live, "provider": found, "models": own})
                return DONE
            if not answer.live:
                say(NO_ENGINE_TOLD)
            print_provider(found, own, live=answer.live)
            return DONE

        run(work)

    @app.command("discover")
    def discover(
        provider_id: Annotated[str, typer.Argument(metavar="[ID]", help="One provider; else all are asked.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Asks providers for their lists of models now; exit 1 if one does not tell."""

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                results = await ask_for_models(control, provider_id)
            if as_json:
                print_json({"providers": [{"provider_id": name, **_plain(one)} for name, one in results]})
            else:
                tell_discoveries(results)
            return DONE if all(one.ok for _, one in results) else REFUSED

        run(work)

    return app


def find_provider(answer: ServingAnswer, provider_id: str) -> ProviderView:
    """Raises NotFoundError."""
    found = next((one for one in answer.providers if one.provider_id == provider_id), None)
    if found is None:
        known = ", ".join(one.provider_id for one in answer.providers)
        raise NotFoundError(f"There is no provider {provider_id!r}.", fix=f"There are {known}.")
    return found


async def ask_for_models(control: Control, provider_id: str = "") -> list[tuple[str, CommandResult]]:
    """Has one provider asked for its models, or all that can be asked; each with what came of it. Raises
    NotFoundError."""
    answer = await control.ask(ServingQuery())
    if provider_id:
        names = [find_provider(answer, provider_id).provider_id]
    else:
        names = [one.provider_id for one in answer.providers if one.base_url and one.health != "disabled"]
    return [(name, await control.send(DiscoverModels(name))) for name in names]


def tell_discoveries(results: list[tuple[str, CommandResult]]) -> None:
    """Prints what providers said of their models."""
    if not results:
        say("No provider on the network is switched on: there is nobody to ask.")
    for _, one in results:
        if one.ok:
            say(one.message)
        else:
            complain(f"{one.message} {one.fix}".strip())


def _plain(one: CommandResult) -> dict[str, object]:
    return {"status": one.status, "message": one.message, "fix": one.fix, **one.data}
