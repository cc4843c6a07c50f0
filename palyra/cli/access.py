"""`palyra access`: operators' tokens for tools that reach the console over HTTP, and the features that gate them.

Works on the registry's file, which belongs to the account the engine runs on; a running engine notices.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.options import DONE, Json, StateDir, run
from palyra.cli.output import complain, print_json, say
from palyra.config.paths import state_dir as find_state_dir
from palyra.core.clock import SystemClock
from palyra.core.errors import BadInputError
from palyra.vault.access import AccessRegistry
from palyra.vault.identity import account_of
from palyra.vault.records import FLAGS, RecordError, Role

STATES = {"on": True, "off": False}


def access() -> typer.Typer:
    app = typer.Typer(help="Who may use the console over HTTP.", no_args_is_help=True)
    flags = typer.Typer(help="Features that are on or off.", no_args_is_help=True)
    app.add_typer(flags, name="flags")

    @app.command("token")
    def token(
        operator: Annotated[str, typer.Option("--operator", metavar="O", help="The operator's id.")],
        role: Annotated[
            str | None, typer.Option(metavar="ROLE", help="viewer, approver or admin; of a new operator, else viewer.")
        ] = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Makes a token for an operator, in place of any they had, and shows it this once."""

        async def work() -> int:
            if role not in (None, *Role):
                raise BadInputError(f"--role {role!r} is unknown.", fix=f"Use one of {', '.join(Role)}.")
            registry = _opened(state_dir)
            try:
                made = registry.issue_token(
                    operator, owner=account_of(os.geteuid()), role=None if role is None else Role(role)
                )
            except RecordError as error:
                raise BadInputError(
                    f"--operator {operator!r}: {error}.", fix="Use a-z 0-9 _ . -, beginning with a letter or digit."
                ) from None
            (holder,) = [one for one in registry.operators if one.operator_id == operator]
            if as_json:
                print_json({"operator": operator, "role": holder.role.value, "token": made})
                return DONE
            say(made)
            complain(f"{operator} is {holder.role} with this token. It is not shown again.")
            if holder.role is not Role.VIEWER and not registry.flag("console_write"):
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
        state_dir: StateDir = None,
    ) -> None:
        """Switches a feature on or off."""

        async def work() -> int:
            if state not in STATES:
                raise BadInputError(f"{state!r} is no state of a feature.", fix="Write on or off.")
            _opened(state_dir).set_flag(name, STATES[state])
            say(f"{name} is {state}.")
            return DONE

        run(work)

    return app


def _opened(state_dir: Path | None) -> AccessRegistry:
    return AccessRegistry.open(find_state_dir(state_dir, os.environ), SystemClock())
