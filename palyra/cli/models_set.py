"""`palyra models set`: which models `auto` begins with, written into the configuration file."""

from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, place, run
from palyra.cli.output import complain, print_json, say
from palyra.config.suggest import nearest
from palyra.control.serving_queries import ServingAnswer, ServingQuery
from palyra.core.errors import BadInputError, NotFoundError


def add_set(app: typer.Typer, launch: Launch) -> None:
    """Adds `palyra models set`."""

    @app.command("set")
    def set_(
        chat: Annotated[str | None, typer.Option("--chat", metavar="ID", help="The model `auto` begins with.")] = None,
        embeddings: Annotated[
            str | None, typer.Option("--embeddings", metavar="ID", help="The model that embeds.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Sets [defaults] in palyra.toml; its comments and everything else stay as they are."""

        async def work() -> int:
            wanted = {role: name for role, name in (("chat", chat), ("embeddings", embeddings)) if name is not None}
            if not wanted:
                raise BadInputError("Nothing is to be set.", fix="Give --chat ID, --embeddings ID, or both.")
            where = place(config, state_dir)
            async with launch.reading(where) as control:
                answer = await control.ask(ServingQuery())
                engine = (await control.snapshot([])).engine
            for role, name in wanted.items():
                check_model(answer, role, name)
            if not engine.config_path:
                raise BadInputError("There is no configuration file to write to.", fix="Name one with --config.")
            path = Path(engine.config_path)
            warnings = launch.set_defaults(path, wanted)
            if as_json:
                told = {"config_path": str(path), "defaults": wanted, "reload_needed": answer.live}
                print_json({**told, "warnings": warnings})
                return DONE
            for role, name in wanted.items():
                say(f"{path}: [defaults] {role} = {name}")
            say(
                "`palyra reload` applies it: the engine that runs goes on with what it read."
                if answer.live
                else "The next start reads it."
            )
            for warning in warnings:
                complain(warning)
            return DONE

        run(work)


def check_model(answer: ServingAnswer, role: str, name: str) -> None:
    """Raises NotFoundError for a model nobody has, BadInputError for one that cannot be the default of that role."""
    found = next((one for one in answer.models if name == one.model_id or name in one.aliases), None)
    if found is None:
        near = nearest(name, [one.model_id for one in answer.models if one.role == role])
        hint = f"Did you mean {' or '.join(near)}?" if near else "See `palyra models list`."
        raise NotFoundError(f"There is no model {name!r}.", fix=hint)
    if not found.enabled:
        raise BadInputError(f"{name} is switched off.", fix="Set enabled = true for it first.")
    if found.role != role:
        raise BadInputError(f"{name} is for {found.role}, not for {role}.", fix="See `palyra models list --role`.")
