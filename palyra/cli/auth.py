"""`palyra auth`: credentials by profile, how each stands, and the file that names them."""

from typing import Annotated, Any, cast

import typer

from palyra.cli.launch import Launch
from palyra.cli.moments import moment_ahead
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, run
from palyra.cli.output import complain, instant, print_json, say, table
from palyra.control.commands import ClearCredential
from palyra.control.secrets_commands import AddProfile, RemoveProfile
from palyra.control.secrets_queries import AuthAnswer, AuthQuery, ProfileRow
from palyra.core.errors import BadInputError, NotFoundError

Profile = Annotated[str, typer.Argument(metavar="ID", help="The profile's id.")]
TYPES = ("api_key", "token")


def auth(launch: Launch) -> typer.Typer:
    """`palyra auth …`."""
    app = typer.Typer(help="Auth profiles: several credentials of a provider, by reference.", no_args_is_help=True)

    @app.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every profile, how it stands, and when it ends."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(AuthQuery())
            if as_json:
                print_json(answer)
            else:
                _print(answer)
            return DONE

        run(work)

    @app.command("add")
    def add(
        profile_id: Profile,
        provider: Annotated[str, typer.Option("--provider", metavar="P", help="The provider it is for.")],
        vault_ref: Annotated[str, typer.Option("--vault-ref", metavar="REF", help="Where the vault keeps it.")],
        kind: Annotated[str, typer.Option("--type", help="api_key or token.")] = "api_key",
        expires: Annotated[
            str | None, typer.Option("--expires", metavar="T", help="When a token ends, or 30d.")
        ] = None,
        disabled: Annotated[bool, typer.Option("--disabled", help="Keep it switched off.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Adds a profile to the file; comments and order stay."""

        async def work() -> int:
            if kind not in TYPES:
                raise BadInputError(f"--type {kind!r} is unknown.", fix="Use api_key or token.")
            ends = moment_ahead("--expires", expires)
            command = AddProfile(profile_id, provider, vault_ref, cast("Any", kind), ends, not disabled)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("remove")
    def remove(profile_id: Profile, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Removes a profile from the file; its secret stays in the vault."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), RemoveProfile(profile_id), as_json=as_json)

        run(work)

    @app.command("clear")
    def clear(profile_id: Profile, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Gives a profile that was refused or rests another chance."""

        async def work() -> int:
            where = place(config, state_dir)
            async with launch.reading(where) as control:
                answer = await control.ask(AuthQuery())
            found = [one for one in answer.profiles if one.profile_id == profile_id]
            if not found:
                raise NotFoundError(f"There is no usable auth profile {profile_id!r}.", fix="See `palyra auth list`.")
            return await act(launch, where, ClearCredential(found[0].provider, profile_id), as_json=as_json)

        run(work)

    return app


def _print(answer: AuthAnswer) -> None:
    if answer.unusable:
        complain(answer.unusable)
    for problem in answer.problems:
        if not answer.unusable:
            complain(problem)
    if not answer.profiles:
        say("There is no auth profile.")
        return
    headings = ["profile", "provider", "state", "ends", "last used", "last error", "reference"]
    table(headings, [_cells(one) for one in answer.profiles])


def _cells(one: ProfileRow) -> list[str]:
    state = f"{one.state} until {instant(one.until)}" if one.until is not None else one.state
    if not one.provider_uses:
        state += " (not listed)"
    ends = instant(one.expires_at) if one.expires_at is not None else "never"
    return [one.profile_id, one.provider, state, ends, instant(one.last_used), one.last_error or "–", one.vault_ref]
