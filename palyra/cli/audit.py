"""`palyra audit`: what people and Palyra did, and whether the chain that vouches for it is whole."""

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import BAD_INPUT, DONE, REFUSED, Config, Json, StateDir, place, run
from palyra.cli.output import complain, instant, print_json, say
from palyra.control.audit_export import export_audit
from palyra.control.audit_queries import AuditEntry, AuditLogQuery, read_kind, told_data
from palyra.control.export import ExportFormat
from palyra.control.protocol import Control
from palyra.control.queries import AuditQuery
from palyra.core.plural import plural
from palyra.core.private_files import new_private_file

PAGE = 500
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="Only entries of this kind.")]
Everything = Annotated[bool, typer.Option("--all", help="With the decisions about requests.")]


def audit(launch: Launch) -> typer.Typer:
    app = typer.Typer(help="What was done, by whom, and the chain that vouches for it.", no_args_is_help=True)

    @app.callback()
    def group() -> None:
        """The audit chain."""

    @app.command("list")
    def show(
        kind: Kind = "",
        everything: Everything = False,
        limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Most entries.")] = 50,
        before: Annotated[int | None, typer.Option("--before", min=1, help="Only entries before that number.")] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """What people and Palyra did, newest first; decisions about requests with --all or --kind decision."""

        async def work() -> int:
            query = AuditLogQuery(deeds=not everything and not kind, audit_kind=read_kind(kind), before=before)
            async with launch.reading(place(config, state_dir)) as control:
                found = [entry async for entry in _entries(control, query, limit)]
            if as_json:
                print_json(found)
            else:
                for entry in found:
                    say(_told(entry))
                if not found:
                    say("nothing is written down")
            return DONE

        run(work)

    @app.command("export")
    def export(
        file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; `-` is standard output.")] = "-",
        kind: Kind = "",
        everything: Everything = False,
        form: Annotated[
            str | None, typer.Option("--format", metavar="KIND", help="csv or json; else by FILE's ending, csv.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
    ) -> None:
        """Every entry with its digest, newest first; a file is 0600 and appears whole or not at all."""

        async def work() -> int:
            chosen = form or ("json" if file.lower().endswith(".json") else "csv")
            if chosen not in ("csv", "json"):
                complain(f"--format {chosen!r} is unknown: use csv or json")
                return BAD_INPUT
            query = AuditLogQuery(deeds=not everything and not kind, audit_kind=read_kind(kind), limit=PAGE)

            async def written(write: Callable[[bytes], object], *, shown: bool) -> int:
                async with launch.reading(place(config, state_dir)) as control:
                    return await export_audit(control, query, ExportFormat(chosen), write, shown=shown)

            if file == "-":
                await written(sys.stdout.buffer.write, shown=sys.stdout.isatty())
                sys.stdout.buffer.flush()
                return DONE
            with new_private_file(Path(file)) as target:
                count = await written(target.write, shown=False)
            complain(f"{plural(count, 'entry', 'entries')} in {file}")
            return DONE

        run(work)

    @app.command("verify")
    def verify(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Follows the hash chain from its first link to the head kept outside the database; exit 1 if broken."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(AuditQuery())
            if as_json:
                print_json(answer)
            else:
                say(f"{plural(answer.rows, 'row')}: {answer.message}")
            return DONE if answer.ok else REFUSED

        run(work)

    return app


async def _entries(control: Control, query: AuditLogQuery, most: int) -> AsyncIterator[AuditEntry]:
    """Up to `most` entries, however many pages that takes."""
    while most:
        page = await control.ask(replace(query, limit=min(most, PAGE)))
        for entry in page.entries:
            yield entry
        most -= len(page.entries)
        if page.next_before is None:
            return
        query = replace(query, before=page.next_before)


def _told(entry: AuditEntry) -> str:
    verb = f" {entry.verb}" if entry.verb else ""
    what = f"{entry.kind}{verb}  {entry.subject}  {told_data(entry)}"
    return f"{entry.seq:>6}  {instant(entry.at)}  {entry.actor}  {what}".rstrip()
