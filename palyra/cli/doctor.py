"""`palyra doctor`, which starts also where nothing else of Palyra can."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

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
from palyra.core.errors import BadInputError, PalyraError
from palyra.core.logs import keep_terminal_clean
from palyra.core.reasons import reason_of
from palyra.core.safe_text import json_safe, safe
from palyra.core.signals import hear_interrupts

REFUSED, INTERRUPTED = 1, 130


class _Parser(argparse.ArgumentParser):
    """The standard library's own: it is there also where packages are not."""

    def error(self, message: str) -> NoReturn:
        raise BadInputError(f"{message[:1].upper()}{message[1:]}.", fix="See `palyra doctor --help`.", code="usage")


def run(arguments: Sequence[str]) -> int:
    """`palyra doctor …`; its exit code. With --json there is one document whatever happens."""
    keep_terminal_clean()
    as_json = "--json" in arguments
    try:
        given = _parser().parse_args(arguments)
    except BadInputError as refusal:
        return print_report(Report(Mode.DIAGNOSTICS).failed(refusal), as_json=as_json) or exit_code_of(refusal)
    except SystemExit:
        # Its help was asked for, and has been told.
        return 0
    where = Where(given.config, given.state_dir, dict(os.environ))
    return see(asked_of(given), where, SystemClock(), as_json=given.json)


def asked_of(given: argparse.Namespace) -> Asked:
    """What the words of the command ask for."""
    return Asked(
        repair=given.repair,
        dry_run=given.dry_run,
        rollback=given.rollback or "",
        runs=given.runs,
        strict=given.strict,
        force=given.force,
        plan=given.plan or "",
        only=tuple(given.only),
        skip=tuple(given.skip),
        online=given.online,
        deep=given.deep,
    )


def _given(text: str) -> str:
    """A value that is there: an empty one is a variable of a script that was never set, and means nothing here."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _path(text: str) -> Path:
    return Path(_given(text))


def _parser() -> _Parser:
    parser = _Parser(
        prog="palyra doctor",
        description="Finds what is wrong with an installation, repairs it with a way back, and takes repairs back.",
        allow_abbrev=False,
    )
    flags = (
        ("--repair", "repair what can be repaired"),
        ("--dry-run", "show what would be done; write nothing"),
        ("--runs", "list recovery runs"),
        ("--json", "print one JSON document"),
        ("--strict", "exit 1 while something blocking is left"),
        ("--force", "also repairs that lose something, and rollback over changes"),
        ("--online", "ask providers and probes too"),
        ("--deep", "look at the whole journal, however long it takes"),
    )
    for name, text in flags:
        parser.add_argument(name, action="store_true", help=text)
    parser.add_argument("--rollback", metavar="RUN", type=_given, help="take a recovery run back")
    parser.add_argument("--plan", metavar="DIGEST", type=_given, help="apply only this plan")
    parser.add_argument(
        "--only", metavar="ID", action="append", default=[], help="only this check, repair, or group like config.*"
    )
    parser.add_argument("--skip", metavar="ID", action="append", default=[], help="all but this one")
    parser.add_argument("--config", metavar="FILE", type=_path, help="configuration file")
    parser.add_argument("--state-dir", metavar="DIR", type=_path, help="state directory")
    return parser


def see(asked: Asked, where: Where, clock: Clock, *, as_json: bool) -> int:
    """Has the doctor look, prints the report, and returns the exit code."""
    os.umask(0o077)
    known = [Report(asked.mode, clock.now_ms(), strict=asked.strict)]
    try:
        hear_interrupts()
        report, code = asyncio.run(doctor(asked, where, clock, known.append))
    except KeyboardInterrupt:
        report, code = known[-1].failed(_interrupted()), INTERRUPTED
    except Exception as error:
        report, code = known[-1].failed(error), exit_code_of(error)
    return print_report(report, as_json=as_json) or code


def _interrupted() -> PalyraError:
    fix = "A step that was under way was brought to its end: `palyra doctor --runs` tells what was done."
    return PalyraError("The doctor was interrupted.", fix=fix, code="interrupted")


def print_report(report: Report, *, as_json: bool) -> int:
    """A document, or text, on standard output; an exit code where it could not be written, else 0."""
    if as_json:
        return _write(json_safe(json.dumps(report_json(report), indent=2, ensure_ascii=False)) + "\n")
    return _write("".join(f"{safe(line)}\n" for line in report_text(report)))


def _write(text: str) -> int:
    """In UTF-8, whatever the locale. A pipe that has gone is no fault, also not of the flush when the process ends; a
    file that holds only part of what was to be said is one."""
    if sys.stdout is None:
        return 0
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"The report could not be written: {reason_of(error)}.\n")
            return REFUSED
    return 0
