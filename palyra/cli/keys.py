"""`palyra keys`: the gateway's keys, whom each speaks for and what it may ask for."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.moments import moment_ahead
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, report, run
from palyra.cli.output import complain, instant, print_json, say, table
from palyra.control.access_commands import AddKey, RevokeKey, SetKey
from palyra.control.access_queries import AccessQuery, KeyRow
from palyra.core.errors import BadInputError

Key = Annotated[str, typer.Argument(metavar="ID", help="The key's id.")]
Name = Annotated[str | None, typer.Option("--name", help="A name for people.")]
Channel = Annotated[str | None, typer.Option("--channel", help="Pins the channel; empty: not pinned.")]
Agent = Annotated[str | None, typer.Option("--agent", help="Pins the agent; empty: not pinned.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Once for each tag.")]
Models = Annotated[list[str] | None, typer.Option("--model", metavar="PATTERN", help="Models it may use; none: all.")]
Acts = Annotated[list[str] | None, typer.Option("--may-act-for", metavar="PATTERN", help="Whom it may speak for.")]
Mode = Annotated[bool | None, typer.Option("--may-set-mode/--may-not-set-mode", help="Whether it may set the mode.")]
Expires = Annotated[str | None, typer.Option("--expires", metavar="T", help="When it ends: a time, 30d, or never.")]
NEVER = "never"


def keys(launch: Launch) -> typer.Typer:
    """`palyra keys …`."""
    app = typer.Typer(help="Gateway keys.", no_args_is_help=True)

    @app.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every key, never its secret."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(AccessQuery())
            if as_json:
                print_json({"keys": answer.keys, "unavailable": answer.unavailable, "faults": answer.faults})
                return DONE
            for problem in (answer.unavailable, *answer.faults):
                if problem:
                    complain(problem)
            headings = ["key", "principal", "state", "ends", "models", "acts for", "pinned", "tags"]
            table(headings, [_cells(one) for one in answer.keys])
            return DONE

        run(work)

    @app.command("add")
    def add(
        key_id: Key,
        principal: Annotated[str, typer.Option("--principal", metavar="P", help="Who pays.")],
        name: Name = None,
        channel: Channel = None,
        agent: Agent = None,
        tag: Tags = None,
        model: Models = None,
        may_act_for: Acts = None,
        may_set_mode: Mode = None,
        expires: Expires = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Makes a key and shows it this once."""

        async def work() -> int:
            command = AddKey(
                key_id,
                principal,
                name or "",
                channel or "",
                agent or "",
                tuple(tag or ()),
                tuple(model or ()),
                tuple(may_act_for or ()),
                may_set_mode is True,
                None if expires == NEVER else moment_ahead("--expires", expires),
            )
            async with launch.acting(place(config, state_dir)) as control:
                result = await control.send(command)
            if as_json or not result.ok:
                return report(result, as_json=as_json)
            say(result.data["token"])
            complain(f"{result.message} {result.fix}".strip())
            return DONE

        run(work)

    @app.command("set")
    def set_(
        key_id: Key,
        principal: Annotated[str | None, typer.Option("--principal", metavar="P", help="Who pays.")] = None,
        name: Name = None,
        channel: Channel = None,
        agent: Agent = None,
        tag: Tags = None,
        model: Models = None,
        may_act_for: Acts = None,
        may_set_mode: Mode = None,
        expires: Expires = None,
        clear: Annotated[
            list[str] | None, typer.Option("--clear", metavar="FIELD", help="Empties tags, models or may-act-for.")
        ] = None,
        enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Switches it on or off.")] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Changes a key; it holds at once, also for who uses it."""

        async def work() -> int:
            lists = {"tags": tag, "models": model, "may-act-for": may_act_for}
            for field in clear or ():
                if field not in lists:
                    raise BadInputError(f"--clear {field!r} is unknown.", fix=f"Use one of {', '.join(lists)}.")
                lists[field] = []
            given = {field: None if words is None else tuple(words) for field, words in lists.items()}
            command = SetKey(
                key_id,
                name=name,
                principal=principal,
                enabled=enabled,
                channel=channel,
                agent=agent,
                tags=given["tags"],
                allowed_models=given["models"],
                may_act_for=given["may-act-for"],
                may_set_mode=may_set_mode,
                expires_at=None if expires == NEVER else moment_ahead("--expires", expires),
                never_expires=expires == NEVER,
            )
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("revoke")
    def revoke(key_id: Key, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Ends a key for good."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), RevokeKey(key_id), as_json=as_json)

        run(work)

    return app


def _cells(one: KeyRow) -> list[str]:
    pinned = " ".join(text for text in (one.channel, one.agent) if text)
    ends = instant(one.expires_at) if one.expires_at is not None else NEVER
    models, acts = ", ".join(one.allowed_models) or "all", ", ".join(one.may_act_for) or "–"
    return [one.key_id, one.principal, one.state, ends, models, acts, pinned or "–", ", ".join(one.tags) or "–"]
