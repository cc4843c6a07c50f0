"""What Palyra stands on."""

from collections.abc import Iterator

from palyra.core.durations import format_duration
from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Installation
from palyra.doctor.surroundings import OLDEST_PYTHON, SMALLEST_TERMINAL

AHEAD_MS = 5 * 60_000
"""A journal row so far ahead of now means that one of the clocks was wrong."""


def python(found: Installation) -> Iterator[Finding]:
    """Python is new enough."""
    around = found.surroundings.get()
    if around.python < OLDEST_PYTHON:
        yield Finding(
            "env.python",
            Severity.BLOCKING,
            "python",
            f"Python {_dotted(around.python)} is too old; {_dotted(OLDEST_PYTHON)} is needed.",
            manual=f"Install Palyra with Python {_dotted(OLDEST_PYTHON)} or later.",
        )
    for name, fault in around.packages.items():
        yield Finding(
            "env.python",
            Severity.BLOCKING,
            name,
            f"The package {name} cannot be used: {fault}.",
            manual="Install Palyra anew, with everything it needs: pip install --force-reinstall palyra",
        )


def sqlite(found: Installation) -> Iterator[Finding]:
    """SQLite is new enough."""
    from palyra.journal.library import OLDEST

    version = found.surroundings.get().sqlite
    if version < OLDEST:
        yield Finding(
            "env.sqlite",
            Severity.BLOCKING,
            "sqlite",
            f"SQLite {_dotted(version)} is too old for the journal; {_dotted(OLDEST)} is needed.",
            manual="Use a Python that was built with a newer SQLite.",
        )


def zones(found: Installation) -> Iterator[Finding]:
    """Time zones are there, and the system's agree with ours."""
    missing = found.surroundings.get().zones_missing
    if missing:
        yield Finding(
            "env.zones",
            Severity.BLOCKING,
            "tzdata",
            "The zone rules that windows and schedules are reckoned by cannot be read.",
            (missing,),
            manual="Install the package tzdata anew: pip install --force-reinstall tzdata",
        )
        return
    told = found.zones.get()
    for name in told.unknown:
        yield Finding(
            "env.zones",
            Severity.BLOCKING,
            name,
            f"The zone {name} is in use and not among the zone rules.",
            manual="Name a zone there is in the budget or job that uses it, or install a newer tzdata.",
        )
    for name in told.differing:
        yield Finding(
            "env.zones",
            Severity.INFO,
            name,
            f"The system's copy of the zone {name} has other rules than Palyra's.",
            manual="Palyra goes by its own; other programs on this machine may show other local times.",
        )


def terminal(found: Installation) -> Iterator[Finding]:
    """The terminal can show the console."""
    one = found.surroundings.get().terminal
    if one is None:
        return
    if one.encoding.replace("-", "").lower() not in ("utf8", "utf8sig"):
        yield Finding(
            "env.terminal",
            Severity.INFO,
            "encoding",
            f"Text is written in {one.encoding or 'an unknown encoding'}, not in UTF-8.",
            manual="Set LANG to a UTF-8 locale, or use --ascii.",
        )
    columns, lines = SMALLEST_TERMINAL
    if one.columns < columns or one.lines < lines:
        yield Finding(
            "env.terminal",
            Severity.INFO,
            "size",
            f"The terminal has {one.columns}×{one.lines} cells; the screens need {columns}×{lines}.",
            manual="Make the window larger.",
        )


def clock(found: Installation) -> Iterator[Finding]:
    """The clock is not behind what the journal has seen."""
    examined = found.journal.get().examined
    if examined is None or examined.newest_at is None:
        return
    ahead = examined.newest_at - found.now_ms
    if ahead > AHEAD_MS:
        yield Finding(
            "env.clock",
            Severity.WARNING,
            "clock",
            f"The newest row of the journal is {format_duration(ahead)} ahead of now.",
            manual="Check the machine's clock: it is behind now, or was ahead when that row was written.",
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


CHECKS = (
    Check("env.python", Severity.BLOCKING, python),
    Check("env.sqlite", Severity.BLOCKING, sqlite),
    Check("env.zones", Severity.BLOCKING, zones),
    Check("env.terminal", Severity.INFO, terminal),
    Check("env.clock", Severity.WARNING, clock),
)
