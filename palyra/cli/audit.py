"""`palyra audit`: what people and Palyra did, and whether the chain that vouches for it is whole."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.moments import moment_back
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, place, run
from palyra.cli.output import complain, instant, print_json, say
from palyra.cli.progress import ProgressBar
from palyra.control.audit_export import export_audit
from palyra.control.audit_queries import (
    AuditEntry,
    AuditLogPage,
    AuditLogQuery,
    AuditProgressQuery,
    read_kind,
    told_data,
)
from palyra.control.export import format_of
from palyra.control.protocol import Control
from palyra.control.queries import AuditAnswer, AuditQuery
from palyra.core.clock import Clock, SystemClock
from palyra.core.plural import plural
from palyra.core.private_files import new_private_file

PAGE = 500
LOOK_S = 0.25
"""How often a check is asked how far it has come."""
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="Only entries of this kind.")]
Everything = Annotated[bool, typer.Option("--all", help="With the decisions about requests.")]
Actor = Annotated[str, typer.Option("--actor", metavar="NAME", help="Only what this one did.")]
Object = Annotated[str, typer.Option("--subject", metavar="ID", help="Only what was done to this.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Only since: like 24h or 30d, an instant or UTC date.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Only before: an instant, UTC date, or how long ago.")
]


def audit(launch: Launch) -> typer.Typer:
    """`palyra audit …`."""
    app = typer.Typer(help="What was done, by whom, and the chain that vouches for it.", no_args_is_help=True)

    @app.callback()
    def group() -> None:
        """The audit chain."""

    @app.command("list")
    def show(
        kind: Kind = "",
        everything: Everything = False,
        actor: Actor = "",
        subject: Object = "",
        since: Since = None,
        until: Until = None,
        limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Most entries.")] = 50,
        before: Annotated[int | None, typer.Option("--before", min=1, help="Only entries before that number.")] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """What people and Palyra did, newest first; decisions about requests with --all or --kind decision."""

        async def work() -> int:
            query = replace(_asked(kind, everything, actor, subject, since, until), before=before)
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
        actor: Actor = "",
        subject: Object = "",
        since: Since = None,
        until: Until = None,
        form: Annotated[
            str | None, typer.Option("--format", metavar="KIND", help="csv, json or jsonl; else by FILE's ending, csv.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
    ) -> None:
        """Every entry with its digest, newest first; a file is 0600 and appears whole or not at all."""

        async def work() -> int:
            chosen = format_of(file, form)
            query = replace(_asked(kind, everything, actor, subject, since, until), limit=PAGE)

            async def written(write: Callable[[bytes], object], *, shown: bool) -> int:
                async with launch.reading(place(config, state_dir)) as control:
                    told = _Told(control)
                    try:
                        return await export_audit(told, query, chosen, write, shown=shown)
                    finally:
                        told.clear()

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
                answer = await followed(control, SystemClock())
            if as_json:
                print_json(answer)
            else:
                say(f"{plural(answer.rows, 'row')}: {answer.message}")
            return DONE if answer.ok else REFUSED

        run(work)

    return app


def _asked(
    kind: str, everything: bool, actor: str, subject: str, since: str | None, until: str | None
) -> AuditLogQuery:
    """Raises BadInputError naming the option at fault."""
    now = SystemClock().now_ms()
    end = None if until is None else moment_back("--until", until, now)
    return AuditLogQuery(
        deeds=not everything and not kind,
        audit_kind=read_kind(kind),
        actor=actor,
        subject=subject,
        since=None if since is None else moment_back("--since", since, now if end is None else end),
        until=end,
    )


class _Told:
    """A control whose pages show how far back they have come."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._bar = ProgressBar("exporting", "", SystemClock())
        self._first = 0

    async def ask(self, query: AuditLogQuery) -> AuditLogPage:
        page = await self._control.ask(query)
        if page.next_before is not None:
            self._first = self._first or page.entries[0].seq
            self._bar.show(self._first - page.next_before, self._first)
        return page

    def clear(self) -> None:
        self._bar.clear()


async def followed(control: Control, clock: Clock) -> AuditAnswer:
    """The verdict; meanwhile a terminal shows how far the check has come."""
    bar = ProgressBar("following the chain", "entries", clock)
    check = asyncio.ensure_future(control.ask(AuditQuery()))
    try:
        while bar.shown and not check.done():
            with suppress(TimeoutError):
                async with clock.timeout(LOOK_S):
                    await asyncio.wait([check])
            if not check.done():
                come = await control.ask(AuditProgressQuery())
                if come.total:
                    bar.show(come.done, come.total)
        return await check
    finally:
        check.cancel()
        bar.clear()


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
