"""`palyra access`: operators' tokens for tools that reach the console over HTTP, and the features that gate them.

A running engine makes the change, else one started for it alone, so that the audit chain tells of each.
"""

import os
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, report, run
from palyra.cli.output import complain, print_json, say
from palyra.config.paths import state_dir as find_state_dir
from palyra.control.commands import IssueToken, SetFeature
from palyra.core.clock import SystemClock
from palyra.core.errors import BadInputError
from palyra.vault.access import AccessRegistry
from palyra.vault.records import Role
from palyra.vault.registry_shape import FLAGS

STATES = {"on": True, "off": False}


def access(launch: Launch) -> typer.Typer:
    app = typer.Typer(help="Who may use the console over HTTP.", no_args_is_help=True)
    flags = typer.Typer(help="Features that are on or off.", no_args_is_help=True)
    app.add_typer(flags, name="flags")

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
            if role not in (None, *Role):
                raise BadInputError(f"--role {role!r} is unknown.", fix=f"Use one of {', '.join(Role)}.")
            async with launch.acting(place(config, state_dir)) as control:
                result = await control.send(IssueToken(operator, cast("Any", role or "")))
            if not result.ok:
                return report(result, as_json=as_json)
            if as_json:
                print_json({"operator": operator, **result.data})
                return DONE
            say(result.data["token"])
            complain(" ".join(part for part in (result.message, result.fix) if part))
            if result.data["role"] != Role.VIEWER and not _opened(state_dir).flag("console_write"):
                complain("It can only look: `palyra access flags set console_write on` lets operators act over HTTP.")
            return DONE

        run(work)

    @flags.command("list")
    def list_(state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every feature and whether it is on."""

        async def work() -> int:
            registry = _opened(state_dir)
            found = {name: registry.flag(name) for name in FLAGS}
            if as_json:
                print_json(found)
                return DONE
            for name, on in found.items():
                say(f"{name} {'on' if on else 'off'}")
            return DONE

        run(work)

    @flags.command("set")
    def set_(
        name: Annotated[str, typer.Argument(metavar="NAME")],
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

    return app


def _opened(state_dir: Path | None) -> AccessRegistry:
    return AccessRegistry.open(find_state_dir(state_dir, os.environ), SystemClock())
