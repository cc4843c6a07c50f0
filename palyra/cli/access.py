"""`palyra access`: operators, their tokens for tools that reach the console over HTTP, and the features that gate them.

A running engine makes the change, else one started for it alone, so that the audit chain tells of each.
"""

from typing import Annotated, Any, cast

import typer

from palyra.cli.launch import Launch
from palyra.cli.operators import ROLES, operators
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, report, run
from palyra.cli.output import complain, print_json, say
from palyra.control.access_commands import AddFlag, RemoveFlag
from palyra.control.access_queries import AccessQuery
from palyra.control.commands import IssueToken, SetFeature
from palyra.core.errors import BadInputError

Feature = Annotated[str, typer.Argument(metavar="NAME", help="The feature's name.")]
VIEWER = "viewer"
STATES = {"on": True, "off": False}


def access(launch: Launch) -> typer.Typer:
    """`palyra access …`."""
    app = typer.Typer(help="Who may do what: operators, their tokens, features.", no_args_is_help=True)
    flags = typer.Typer(help="Features that are on or off.", no_args_is_help=True)
    app.add_typer(flags, name="flags")
    app.add_typer(operators(launch), name="operators")

    @app.command("token")
    def token(
        operator: Annotated[str, typer.Option("--operator", metavar="O", help="The operator's id.")],
        role: Annotated[
            str | None, typer.Option(metavar="ROLE", help="viewer, approver or admin; of a new operator, else viewer.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Makes a token for an operator, in place of any they had, and shows it this once."""

        async def work() -> int:
            if role not in (None, *ROLES):
                raise BadInputError(f"--role {role!r} is unknown.", fix=f"Use one of {', '.join(ROLES)}.")
            async with launch.acting(place(config, state_dir)) as control:
                # Asked first: nothing may come between a token that is made and its being told, this once.
                answer = await control.ask(AccessQuery())
                result = await control.send(IssueToken(operator, cast("Any", role or "")))
            if not result.ok:
                return report(result, as_json=as_json)
            if as_json:
                print_json({"operator": operator, **result.data})
                return DONE
            say(result.data["token"])
            complain(" ".join(part for part in (result.message, result.fix) if part))
            if result.data["role"] != VIEWER and not answer.flags["console_write"]:
                complain("It can only look: `palyra access flags set console_write on` lets operators act over HTTP.")
            return DONE

        run(work)

    @flags.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every feature and whether it is on."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(AccessQuery())
            found = answer.flags
            if as_json:
                print_json(found)
                return DONE
            if answer.unavailable:
                complain(answer.unavailable)
            for name, on in found.items():
                say(f"{name} {'on' if on else 'off'}")
            return DONE

        run(work)

    @flags.command("set")
    def set_(
        name: Feature,
        state: Annotated[str, typer.Argument(metavar="on|off")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Switches a feature on or off."""

        async def work() -> int:
            if state not in STATES:
                raise BadInputError(f"{state!r} is no state of a feature.", fix="Write on or off.")
            return await act(launch, place(config, state_dir), SetFeature(name, STATES[state]), as_json=as_json)

        run(work)

    @flags.command("add")
    def add(name: Feature, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Writes a feature that the registry lacks, off."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), AddFlag(name), as_json=as_json)

        run(work)

    @flags.command("remove")
    def remove(name: Feature, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Takes a feature out of the registry, so that it counts as off."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), RemoveFlag(name), as_json=as_json)

        run(work)

    return app
