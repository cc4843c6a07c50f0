"""`palyra incidents ack|assign|snooze|note|resolve|remedy|mode`: what people do about incidents."""

from typing import Annotated

import typer

from palyra.cli.incident_tables import show_modes, show_remedy
from palyra.cli.launch import Launch
from palyra.cli.options import DONE, NOT_FOUND, Config, Json, StateDir, act, given_text, place, report, run
from palyra.cli.output import complain, print_json, say
from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
from palyra.control.incidents_queries import IncidentDetail, IncidentQuery, IncidentsQuery
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError, EngineGoneError

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="The incidents' ids.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The incident's id.")]


def _refs(ids: list[str]) -> tuple[IncidentRef, ...]:
    return tuple(IncidentRef(incident_id) for incident_id in ids)


def _seconds(text: str) -> int:
    """Raises BadInputError."""
    try:
        return parse_duration_ms(text) // 1000
    except ValueError as error:
        raise BadInputError(f"--for: {error}.", fix="Give a duration like 30m or 8h, or 0 to wake it.") from None


def add_acts(app: typer.Typer, launch: Launch) -> None:
    """Adds the commands that do something about incidents."""

    @app.command("ack")
    def ack(ids: Ids, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Says that somebody knows: nobody is reminded any more."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), AckIncidents(_refs(ids)), as_json=as_json)

        run(work)

    @app.command("assign")
    def assign(
        incident_id: Id,
        name: Annotated[str, typer.Argument(metavar="NAME", help="An operator; nothing takes it away.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Gives it to somebody."""

        async def work() -> int:
            command = AssignIncidents(_refs([incident_id]), name)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("snooze")
    def snooze(
        ids: Ids,
        for_: Annotated[str, typer.Option("--for", metavar="DUR", help="How long, like 30m or 8h; 0 wakes it.")],
        reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Puts it away, silent and last in every list, unless it gets worse."""

        async def work() -> int:
            command = SnoozeIncidents(_refs(ids), _seconds(for_), reason)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("note")
    def note(
        incident_id: Id,
        text: Annotated[str, typer.Argument(metavar="TEXT", help="What to note; - reads it from standard input.")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Adds a note to its timeline, for good."""

        async def work() -> int:
            command = NoteIncident(IncidentRef(incident_id), given_text(text))
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("resolve")
    def resolve(
        ids: Ids,
        force: Annotated[
            bool, typer.Option("--force", help="Also what still holds: mutes it until it is gone.")
        ] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Ends it."""

        async def work() -> int:
            command = ResolveIncidents(_refs(ids), force)
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)


def add_remedy(app: typer.Typer, launch: Launch) -> None:
    """Adds `palyra incidents remedy`."""

    @app.command("remedy")
    def remedy(
        incident_id: Id,
        name: Annotated[str, typer.Argument(metavar="NAME", help="Which; the first that is offered.")] = "",
        preview: Annotated[bool, typer.Option("--preview", help="Only tells what would change, and for whom.")] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Does not ask before.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Begins a remedy, after telling what it would change."""

        async def work() -> int:
            where = place(config, state_dir)
            async with launch.acting(where) as control:
                detail = await control.ask(IncidentQuery(incident_id))
            offered = [one for one in detail.remedies if name in ("", one.name)]
            if not offered:
                complain(_none_of(detail, name))
                return NOT_FOUND
            if preview and as_json:
                print_json({"incident_id": incident_id, "remedies": offered})
                return DONE
            if preview or not (yes or as_json):
                for one in offered if preview else offered[:1]:
                    show_remedy(one)
            if preview:
                return DONE
            if not (yes or as_json) and not typer.confirm("Do it?"):
                say("Nothing was done.")
                return DONE
            ref = IncidentRef(incident_id, detail.incident.version)
            return await act(launch, where, RunRemedy(ref, offered[0].name), as_json=as_json)

        run(work)

    @app.command("mode")
    def mode(
        feature: Annotated[str, typer.Argument(metavar="FEATURE", help="runs, tasks, jobs, … or all.")] = "",
        mode_: Annotated[str, typer.Argument(metavar="MODE", help="disabled, observe_only or auto.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Shows what is done by itself, or sets it until the engine stops."""

        async def work() -> int:
            if feature and not mode_:
                raise BadInputError("A mode is missing.", fix="Give disabled, observe_only or auto.")
            async with launch.reading(place(config, state_dir)) as control:
                healing = (await control.ask(IncidentsQuery(limit=1))).healing
                if healing is None:
                    raise EngineGoneError("No engine runs: nothing is healed.", fix="Start one with `palyra serve`.")
                if feature:
                    return report(await control.send(SetHealingMode(feature, mode_)), as_json=as_json)
            if as_json:
                print_json({"modes": healing.modes, "said": healing.said, "circuits": healing.circuits})
            else:
                show_modes(healing)
            return DONE

        run(work)


def _none_of(detail: IncidentDetail, name: str) -> str:
    names = ", ".join(one.name for one in detail.remedies)
    if not names:
        return f"There is no remedy for incident {detail.incident.incident_id} now."
    return f"{name!r} is no remedy for incident {detail.incident.incident_id}. There is: {names}."
