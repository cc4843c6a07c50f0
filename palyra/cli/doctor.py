"""`palyra doctor`, which starts also where nothing else of Palyra can."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from palyra.control.doctor import (
    Asked,
    Mode,
    Report,
    Where,
    doctor,
    exit_code_of,
    report_json,
    report_text,
)
from palyra.core.clock import Clock, SystemClock
from palyra.core.errors import BadInputError
from palyra.core.logs import keep_terminal_clean
from palyra.core.safe_text import json_safe, safe
from palyra.core.signals import hear_interrupts

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """`palyra doctor …` by itself; its exit code. With --json there is one document whatever happens."""
    keep_terminal_clean()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    try:
        code: Any = typer.main.get_command(app)(args=list(arguments), prog_name="palyra doctor", standalone_mode=False)
    except Exception as error:
        return _refused(error, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0


def _refused(error: Exception, *, as_json: bool) -> int:
    """Flags that no doctor understands."""
    told = getattr(error, "format_message", None)
    if told is None:
        raise error
    refusal = BadInputError(str(told()), fix="See `palyra doctor --help`.", code="usage")
    print_report(Report(Mode.DIAGNOSTICS).failed(refusal), as_json=as_json)
    return exit_code_of(refusal)


def command(
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")] = False,
    rollback: Annotated[str, typer.Option("--rollback", metavar="RUN", help="Take a recovery run back.")] = "",
    runs: Annotated[bool, typer.Option("--runs", help="List recovery runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 while something blocking is left.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ID", help="Only this check or repair, or group like config.*."),
    ] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", metavar="ID", help="All but this one.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also repairs that lose something; rollback over changes.")
    ] = False,
    plan: Annotated[str, typer.Option("--plan", metavar="DIGEST", help="Apply only this plan.")] = "",
    online: Annotated[bool, typer.Option("--online", help="Ask providers and probes too.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Look at the whole journal, however long it takes.")] = False,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration file.")] = None,
    state_dir: Annotated[Path | None, typer.Option("--state-dir", metavar="DIR", help="State directory.")] = None,
) -> None:
    """Finds what is wrong with an installation, repairs it with a way back, and takes repairs back."""
    asked = Asked(
        repair=repair,
        dry_run=dry_run,
        rollback=rollback,
        runs=runs,
        strict=strict,
        force=force,
        plan=plan,
        only=tuple(only or ()),
        skip=tuple(skip or ()),
        online=online,
        deep=deep,
    )
    where = Where(config, state_dir, dict(os.environ))
    raise typer.Exit(see(asked, where, SystemClock(), as_json=as_json))


def see(asked: Asked, where: Where, clock: Clock, *, as_json: bool) -> int:
    """Has the doctor look, prints the report, and returns the exit code."""
    os.umask(0o077)
    known = [Report(asked.mode, clock.now_ms(), strict=asked.strict)]
    try:
        hear_interrupts()
        report, code = asyncio.run(doctor(asked, where, clock, known.append))
    except KeyboardInterrupt:
        report, code = known[-1].failed(InterruptedError("it was interrupted")), INTERRUPTED
    except Exception as error:
        report, code = known[-1].failed(error), exit_code_of(error)
    print_report(report, as_json=as_json)
    return code


def print_report(report: Report, *, as_json: bool) -> None:
    """A document on standard output, or text; why the doctor failed goes to standard error there."""
    if as_json:
        text = json_safe(json.dumps(report_json(report), indent=2, ensure_ascii=False)) + "\n"
        _write(sys.stdout.fileno(), text)
        return
    lines = report_text(report)
    if lines:
        _write(sys.stdout.fileno(), "".join(f"{safe(line)}\n" for line in lines))


def _write(descriptor: int, text: str) -> None:
    """Unbuffered: what stays in a buffer of a pipe that has gone would spoil the exit code."""
    data = text.encode("utf-8", "replace")
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        return
