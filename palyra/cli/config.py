"""`palyra config`: which file is read, what is wrong with it, every value and its origin. No engine is needed."""

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, place, run_to_end
from palyra.cli.output import complain, on_terminal, print_foreign_json, say, table
from palyra.config.initialising import initialise
from palyra.config.load import LoadResult, Sources
from palyra.config.migrating import migrate_file
from palyra.config.model import LoadedConfig
from palyra.config.paths import Standing, config_candidates, standing_of
from palyra.config.problem import LayerName, Origin, Problem
from palyra.config.settings import settings
from palyra.config.shape import Path as KeyPath
from palyra.config.shape import dotted
from palyra.config.suggest import nearest
from palyra.control.config_queries import ConfigAnswer, ConfigQuery
from palyra.core.errors import BadInputError, NotFoundError, PalyraError
from palyra.core.plural import plural

SCHEMA_VERSION = 1
NO_FILE = 3
"""The exit code of `path` for a named file that is not there."""


def config_commands(launch: Launch) -> typer.Typer:
    """`palyra config …`."""
    app = typer.Typer(help="The configuration file.", no_args_is_help=True)
    _add_path(app)
    _add_check(app)
    _add_show(app, launch)
    _add_migrate(app)
    _add_init(app)
    return app


def _run(work: Callable[[], Awaitable[int]]) -> NoReturn:
    """As other commands run, but that whatever is refused exits with 1."""

    async def refusing() -> int:
        try:
            return await work()
        except BadInputError:
            raise
        except PalyraError as error:
            complain(*error.lines)
            return REFUSED

    raise typer.Exit(run_to_end(refusing))


def _print(told: dict[str, Any]) -> None:
    print_foreign_json({"schema_version": SCHEMA_VERSION, **told})


def _add_path(app: typer.Typer) -> None:
    @app.command("path")
    def path(config: Config = None, as_json: Json = False) -> None:
        """The file that is read, and every place where one is looked for."""

        async def work() -> int:
            places = [(one, standing_of(one.path)) for one in config_candidates(config, os.environ)]
            chosen = next((one for one, standing in places if standing is not Standing.MISSING or one.named), None)
            missing = chosen is not None and standing_of(chosen.path) is Standing.MISSING
            if as_json:
                shown = [{"source": one.source, "path": str(one.path), "state": found.value} for one, found in places]
                _print({"chosen": None if chosen is None else str(chosen.path), "candidates": shown})
            else:
                say("No file: everything is at its default." if chosen is None else str(chosen.path))
                for one, standing in places:
                    say(f"  {one.source}: {one.path} ({standing})")
            return NO_FILE if missing else DONE

        _run(work)


def _add_check(app: typer.Typer) -> None:
    @app.command("check")
    def check(config: Config = None, as_json: Json = False) -> None:
        """Everything that is wrong with the configuration, at once."""

        async def work() -> int:
            loaded = Sources(config, os.environ).load()
            if as_json:
                _print(_findings(loaded))
            else:
                _tell_findings(loaded)
                if not loaded.problems:
                    say(f"{loaded.path or 'The configuration of no file'} has no problems.")
            return REFUSED if loaded.problems else DONE

        _run(work)


def _add_show(app: typer.Typer, launch: Launch) -> None:
    @app.command("show")
    def show(
        section: Annotated[
            str | None, typer.Option("--section", metavar="S", help="Only this table, such as gateway.")
        ] = None,
        changed: Annotated[bool, typer.Option("--changed", help="Only what is not at its default.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Every value, where it comes from, what it shadows, and whether the running engine waits for it."""

        async def work() -> int:
            _check_section(section)
            loaded = Sources(config, os.environ).load()
            if loaded.config is None:
                if as_json:
                    _print({**_findings(loaded), "engine": None, "values": []})
                else:
                    _tell_findings(loaded)
                return REFUSED
            engine = await _ask(launch, state_dir)
            ours = "" if loaded.path is None else str(loaded.path.absolute())
            same = engine is not None and engine.path == ours
            values = _values(loaded, loaded.config, section, changed=changed, engine=engine if same else None)
            if as_json:
                told = [one for _, one in values]
                _print({**_findings(loaded), "engine": _engine_data(engine), "values": told})
                return DONE
            _tell_values(values, pending=same)
            for warning in loaded.warnings:
                complain(str(warning))
            if engine is not None and not same:
                complain(f"The running engine reads {engine.path or 'no file'}: what waits for it is not known.")
            return DONE

        _run(work)


def _check_section(section: str | None) -> None:
    """Raises BadInputError for a table there is not."""
    known = list(LoadedConfig.model_fields)
    if section is not None and section not in known:
        near = nearest(section, known)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."
        raise BadInputError(f"There is no section {section!r}.", fix=hint)


async def _ask(launch: Launch, state_dir: Path | None) -> ConfigAnswer | None:
    """What the running engine says of its configuration; None where none runs, or none that could say."""
    try:
        async with launch.running(place(None, state_dir)) as control:
            return None if control is None else await control.ask(ConfigQuery())
    except (PalyraError, OSError):
        return None


def _values(
    loaded: LoadResult, config: LoadedConfig, section: str | None, *, changed: bool, engine: ConfigAnswer | None
) -> list[tuple[KeyPath, dict[str, Any]]]:
    """What is told of each value, with where it is."""
    shown: list[tuple[KeyPath, dict[str, Any]]] = []
    for one in settings(config):
        origin = loaded.origins.get(one.key, Origin())
        if section not in (None, one.section) or (changed and origin.layer is LayerName.DEFAULT):
            continue
        shadows = [f"{shadow}{f' ({shadow.key})' if shadow.key else ''}" for shadow in origin.shadows]
        told = {"key": one.key, "value": one.spelled, "origin": str(origin), "shadows": shadows}
        shown.append((one.path, {**told, "pending": None if engine is None else engine.waiting.get(one.key)}))
    return shown


def _tell_values(values: Sequence[tuple[KeyPath, dict[str, Any]]], *, pending: bool) -> None:
    """For a person one table after the other, as the file has them; for a program that looks for a key, all in one."""
    headings = ["value", "from", "shadows", "waits for"]
    columns = len(headings) if pending else len(headings) - 1
    rows = [
        [_spelled(one["value"]), one["origin"], ", ".join(one["shadows"]) or "–", one["pending"] or "–"][:columns]
        for _, one in values
    ]
    if not rows:
        say("Everything is at its default.")
    elif not on_terminal():
        named = [[one["key"], *row] for (_, one), row in zip(values, rows, strict=True)]
        table(["key", *headings[:columns]], named)
    else:
        paths = [path for path, _ in values]
        for number, (place, found) in enumerate(groupby(zip(paths, rows, strict=True), lambda one: one[0][:-1])):
            if number:
                say("")
            named = [[dotted(path[-1:]), *row] for path, row in found]
            table([dotted(place) or "key", *headings[:columns]], named)


def _spelled(value: object) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _engine_data(engine: ConfigAnswer | None) -> dict[str, Any] | None:
    if engine is None:
        return None
    return {
        "config_path": engine.path or None,
        "pending_restart": list(engine.pending_restart),
        "last_reload": None if engine.reloaded_at is None else {"at": engine.reloaded_at, "ok": engine.reload_ok},
    }


def _findings(loaded: LoadResult) -> dict[str, Any]:
    return {
        "config_path": None if loaded.path is None else str(loaded.path),
        "ok": not loaded.problems,
        "problems": [_problem(problem) for problem in loaded.problems],
        "warnings": [_problem(problem) for problem in loaded.warnings],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code.value,
        "key": problem.key,
        "origin": str(problem.origin),
        "place": problem.origin.place,
        "message": problem.message,
        "fix": problem.fix,
        "suggestions": list(problem.suggestions),
    }


def _tell_findings(loaded: LoadResult) -> None:
    for problem in loaded.problems:
        say(str(problem))
    for warning in loaded.warnings:
        complain(f"warning: {warning}")
    if loaded.problems:
        complain(f"The configuration has {plural(len(loaded.problems), 'problem')}.")


def _add_migrate(app: typer.Typer) -> None:
    @app.command("migrate")
    def migrate(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would change, write nothing.")] = False,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Brings the file to the current version; all that is in it stays, and the old one is kept beside it."""

        async def work() -> int:
            places = config_candidates(config, os.environ)
            path = next(
                (one.path for one in places if one.named or standing_of(one.path) is not Standing.MISSING), None
            )
            if path is None:
                raise NotFoundError("There is no configuration file.", fix="`palyra config init` writes one.")
            done = migrate_file(path, dry_run=dry_run)
            changes = done.rewritten.changes
            if as_json:
                backup = None if done.backup is None else str(done.backup)
                told = {"config_path": str(path), "target": str(done.target), "from_version": done.rewritten.written}
                _print({**told, "changes": list(changes), "written": done.backup is not None, "backup": backup})
                return DONE
            if not changes:
                say(f"{path} is of the current version: there is nothing to do.")
            for change in changes:
                say(f"{path}: {change}")
            if done.backup is not None:
                say(f"The file as it was is {done.backup}.")
            elif changes:
                say("Nothing was written.")
            return DONE

        _run(work)


def _add_init(app: typer.Typer) -> None:
    @app.command("init")
    def init(
        force: Annotated[bool, typer.Option("--force", help="Replace a file that is there, keeping a backup.")] = False,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Writes a first, commented configuration file that only this account can read."""

        async def work() -> int:
            done = initialise(config, os.environ, force=force)
            if as_json:
                _print({"config_path": str(done.target), "backup": None if done.backup is None else str(done.backup)})
                return DONE
            say(f"{done.target} is written.")
            if done.backup is not None:
                say(f"What was there is {done.backup}.")
            return DONE

        _run(work)
