"""`palyra memory`: the notes that jobs, sessions and operators keep."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, act, given_text, place, run
from palyra.cli.output import instant, print_json, say, table
from palyra.control.memory_commands import AddNote, ForgetNotes, ForgetScope
from palyra.control.memory_queries import (
    MemoryStats,
    MemoryStatsQuery,
    NoteSearchQuery,
    NotesQuery,
    NoteView,
)
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError
from palyra.core.plural import plural

LINE = 72
"""Characters of a note in a list."""

Place = Annotated[
    str, typer.Option("--scope", metavar="SCOPE[:NAME]", help="session, job or agent, also with a name, or global.")
]
Owner = Annotated[str, typer.Option("--owner", metavar="PRINCIPAL", help="Whose notes.")]


def memory(launch: Launch) -> typer.Typer:
    """`palyra memory …`."""
    app = typer.Typer(help="Notes that are kept and recalled.", no_args_is_help=True)

    @app.command("stats")
    def stats(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """How many there are, how they are searched, and what maintenance did."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                told = await control.ask(MemoryStatsQuery())
            if as_json:
                print_json(told)
            else:
                _tell(told)
            return DONE

        run(work)

    @app.command("list")
    def list_(
        scope: Place = "",
        owner: Owner = "",
        limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
        cursor: Annotated[str, typer.Option(metavar="ID", help="The last note of the page before.")] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Newest first."""

        async def work() -> int:
            kind, _, name = scope.partition(":")
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(NotesQuery(kind, name, owner, limit, cursor))
            if as_json:
                print_json(page)
            else:
                _list(page.notes)
                if page.next_cursor:
                    say(f"There are more: --cursor {page.next_cursor}")
            return DONE

        run(work)

    @app.command("search")
    def search(
        text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for; `-` reads standard input.")],
        scope: Place = "",
        owner: Owner = "",
        limit: Annotated[int, typer.Option(min=1, max=50)] = 8,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """The nearest notes, the best first."""

        async def work() -> int:
            kind, _, name = scope.partition(":")
            asked = NoteSearchQuery(given_text(text), kind, name, owner, limit)
            async with launch.reading(place(config, state_dir)) as control:
                found = await control.ask(asked)
            if as_json:
                print_json(found)
            else:
                _list(found.notes)
                if not found.by_meaning:
                    say("Only words were compared: there was no vector to search with.")
            return DONE

        run(work)

    @app.command("add")
    def add(
        text: Annotated[str, typer.Argument(metavar="TEXT", help="The note; `-` reads standard input.")],
        scope: Annotated[
            str, typer.Option("--scope", metavar="SCOPE[:NAME]", help="Such as job:nightly, or global.")
        ] = "global",
        owner: Owner = "",
        tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A label; may be repeated.")] = None,
        ttl: Annotated[
            str, typer.Option("--ttl", metavar="DUR", help="How long it is kept, like 30d; none: for good.")
        ] = "",
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Keeps a note. An equal text in the same place stays one note."""

        async def work() -> int:
            kind, _, name = scope.partition(":")
            command = AddNote(given_text(text), kind, name, owner, tuple(tag or ()), _duration(ttl))
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    @app.command("forget")
    def forget(
        ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Their ids.")] = None,
        scope: Place = "",
        yes: Annotated[bool, typer.Option("--yes", help="Really all of a scope.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Deletes notes for good; their ids stay in the audit."""

        async def work() -> int:
            if bool(ids) == bool(scope):
                raise BadInputError("Either ids or --scope must be given.", fix="List them with `palyra memory list`.")
            if scope and not yes:
                raise BadInputError(f"All notes of {scope} would be deleted for good.", fix="Add --yes if you mean it.")
            kind, colon, name = scope.partition(":")
            command = ForgetScope(kind, name if colon else None) if scope else ForgetNotes(tuple(ids or ()))
            return await act(launch, place(config, state_dir), command, as_json=as_json)

        run(work)

    return app


def _duration(text: str) -> int | None:
    if not text:
        return None
    if text == "none":
        return 0
    try:
        duration = parse_duration_ms(text)
    except ValueError as error:
        raise BadInputError(f"--ttl: {error}.", fix="Give a duration like 12h or 30d, or none.") from None
    if duration <= 0:
        raise BadInputError("--ttl: it must be longer than nothing.", fix="Give a duration like 12h or 30d, or none.")
    return duration


def _list(notes: tuple[NoteView, ...]) -> None:
    if not notes:
        say("No notes.")
        return
    table(
        ("note", "where", "owner", "made", "recalled", "ends", "text"),
        [
            (
                note.note_id,
                f"{note.scope}:{note.scope_value}" if note.scope_value else note.scope,
                note.owner,
                instant(note.created_at),
                f"{note.recall_count:,}",
                "never" if note.expires_at is None else instant(note.expires_at),
                _line(note.text),
            )
            for note in notes
        ],
        right=(4,),
    )


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LINE else f"{line[: LINE - 1]}…"


def _tell(told: MemoryStats) -> None:
    scopes = ", ".join(f"{scope} {count:,}" for scope, count in sorted(told.by_scope.items()))
    say(f"{told.state} · {told.notes:,} notes, {told.bytes:,} bytes{f' ({scopes})' if scopes else ''}")
    entries = f"{told.max_entries:,} notes" if told.max_entries else "any number of notes"
    size = f"{told.max_bytes:,} bytes" if told.max_bytes else "any size"
    kept = plural(told.ttl_days, "day") if told.ttl_days else "for good"
    say(f"limits: {entries}, {size}, kept {kept}; {told.expired_waiting:,} have ended and wait to be deleted")
    dimensions = f", {told.dimensions} dimensions" if told.dimensions else ""
    say(f"vectors: {told.vectors_indexed:,} made, {told.vectors_pending:,} wait; {told.embeddings_model}{dimensions}")
    last = told.maintenance
    if last is None:
        say("maintenance: never so far")
    else:
        say(
            f"maintenance: {instant(last.last_at)}, {last.deleted_expired:,} ended and {last.deleted_capacity:,} too"
            f" many deleted, {last.indexed:,} vectors made, {last.took_ms:,} ms"
        )
    overdue = ", overdue" if told.vacuum_overdue else ""
    say(f"vacuum: last {instant(told.vacuumed_at)}, next {instant(told.vacuum_due_at)} ({told.vacuum_cron}){overdue}")
    if told.problems:
        say(f"problems: {', '.join(told.problems)}")
    if told.degraded_reason:
        say(f"degraded: {told.degraded_reason}")
