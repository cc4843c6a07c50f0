"""`palyra access operators`: who may be at a keyboard, what they may do, and how they are known."""

from typing import Annotated, Any, cast

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, run
from palyra.cli.output import complain, print_json, table
from palyra.control.access_commands import AddOperator, RemoveOperator, SetOperator
from palyra.control.access_queries import AccessQuery, OperatorRow
from palyra.core.errors import BadInputError

ROLES = ("viewer", "approver", "admin")

Operator = Annotated[str, typer.Argument(metavar="ID", help="The operator's id.")]
Identities = Annotated[
    list[str] | None,
    typer.Option("--identity", metavar="I", help="unix:<account> or ssh_key:SHA256:<fingerprint>; once for each."),
]


def operators(launch: Launch) -> typer.Typer:
    """`palyra access operators …`."""
    app = typer.Typer(help="Who may be at a keyboard.", no_args_is_help=True)

    @app.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every operator."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(AccessQuery())
            if as_json:
                print_json({name: getattr(answer, name) for name in ("operators", "unavailable", "faults")})
                return DONE
            for problem in (answer.unavailable, *answer.faults):
                if problem:
                    complain(problem)
            if not answer.operators:
                complain("Nobody is registered: the state directory's owner is admin.")
            table(
                ["operator", "name", "role", "state", "identities", "token"], [_cells(one) for one in answer.operators]
            )
            return DONE

        run(work)

    @app.command("add")
    def add(
        operator_id: Operator,
        role: Annotated[str, typer.Option(metavar="ROLE", help="viewer, approver or admin.")] = "viewer",
        name: Annotated[str, typer.Option(help="A name for people.")] = "",
        identity: Identities = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Registers an operator; with the first one, the state's owner becomes an admin too."""

        async def work() -> int:
            command = AddOperator(operator_id, _role(role), name, tuple(identity or ()))
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("set")
    def set_(
        operator_id: Operator,
        role: Annotated[str | None, typer.Option(metavar="ROLE", help="viewer, approver or admin.")] = None,
        name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
        enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Switches them on or off.")] = None,
        identity: Identities = None,
        remove_identity: Annotated[
            list[str] | None, typer.Option("--remove-identity", metavar="I", help="Once for each.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Changes an operator; the last enabled admin stays one."""

        async def work() -> int:
            command = SetOperator(
                operator_id,
                None if role is None else _role(role),
                name,
                enabled,
                tuple(identity or ()),
                tuple(remove_identity or ()),
            )
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("remove")
    def remove(operator_id: Operator, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Removes an operator; what they did stays in the audit chain."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), RemoveOperator(operator_id), as_json=as_json)

        run(work)

    return app


def _role(text: str) -> Any:
    if text not in ROLES:
        raise BadInputError(f"--role {text!r} is unknown.", fix=f"Use one of {', '.join(ROLES)}.")
    return cast("Any", text)


def _cells(one: OperatorRow) -> list[str]:
    state, token = "enabled" if one.enabled else "disabled", "yes" if one.has_token else "–"
    return [one.operator_id, one.name, one.role, state, ", ".join(one.identities) or "–", token]
