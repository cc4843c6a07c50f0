"""The configuration: found, parseable, of this version, valid, closed to others, and not open to the world."""

import re
from collections.abc import Iterator

from palyra.config.problem import Code, Fault, LayerName, Problem
from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import ConfigCandidate, Installation, Kind, NothingToReadError
from palyra.doctor.reading_config import UNPARSEABLE, WHOLE_FILE, parse

RESTORE, REINITIALIZE = "config.restore_backup", "config.reinitialize"
VERSION_CODES = frozenset({Code.VERSION_INVALID, Code.VERSION_NEWER})
_INLINE = re.compile(rb"""^[^#\n]*\bapi_key["']?\s*=""", re.MULTILINE)


def is_found(found: Installation) -> Iterator[Finding]:
    """There is a configuration, or none was asked for."""
    files = found.config_files.get()
    chosen = files.chosen
    if chosen is None:
        place = files.place.input.path
        yield Finding(
            "config.found",
            Severity.INFO,
            str(place),
            "There is no configuration file; Palyra runs on its defaults.",
            tuple(f"looked for {one.input.path} ({one.source})" for one in files.candidates),
            ("config.initialize",),
        )
    elif chosen.missing:
        path = chosen.input.path
        missing = f"{path} leads to nothing" if chosen.input.facts is not None else f"There is no file {path}"
        asked = f", which {chosen.source} names" if chosen.named else ""
        yield Finding(
            "config.found", Severity.BLOCKING, str(path), f"{missing}{asked}.", repairs=("config.initialize",)
        )


def syntax(found: Installation) -> Iterator[Finding]:
    """The configuration is TOML."""
    chosen = found.config_files.get().chosen
    if chosen is None or chosen.missing or not (document := found.document.get()).fault:
        return
    place = f" (line {document.line}, column {document.column})" if document.column else ""
    place = place or (f" (line {document.line})" if document.line else "")
    yield Finding(
        "config.syntax",
        Severity.BLOCKING,
        str(chosen.input.path),
        f"{chosen.input.path} cannot be read as a configuration: {document.fault}{place}.",
        ("Until it can, defaults are assumed.",),
        _ways_back(found, chosen),
        "Correct that line." if document.line else f"Make {chosen.input.path} a readable file, or name another one.",
    )


def _ways_back(found: Installation, chosen: ConfigCandidate) -> tuple[str, ...]:
    if chosen.target.facts is None or chosen.target.facts.kind is not Kind.FILE or chosen.input.data is None:
        return ()
    backups = found.config_files.get().backups.values()
    good = any(one.data is not None and not parse(one.data).fault for one in backups)
    return (RESTORE,) if good else (REINITIALIZE,)


def version(found: Installation) -> Iterator[Finding]:
    """The configuration is of this version."""
    from palyra.config.versions import CURRENT, version_of

    chosen = found.config_files.get().chosen
    if chosen is None or chosen.missing:
        return
    document = found.document.get()
    if document.fault:
        raise NothingToReadError(UNPARSEABLE)
    path = str(chosen.input.path)
    try:
        written = version_of(document.tree)
    except Fault as fault:
        manual = f"{fault.fix}."
        yield Finding("config.version", Severity.BLOCKING, path, f"{path}: {fault.message}.", manual=manual)
        return
    if written < CURRENT:
        message = f"{path} has the format of version {written}; version {CURRENT} is current."
        yield Finding("config.version", Severity.WARNING, path, message, repairs=("config.migrate",))


def values(found: Installation) -> Iterator[Finding]:
    """Every key and value is a good one."""
    told: set[str] = set()
    for problem in found.settings.get().problems:
        if problem.code in VERSION_CODES or (problem.code in WHOLE_FILE and not problem.key):
            continue
        name = _name(problem, told)
        told.add(name)
        manual = (
            f"{problem.fix}."
            if problem.fix
            else f"Correct or remove {problem.key} where it is set: `palyra config check`."
        )
        yield Finding("config.values", Severity.BLOCKING, name, str(problem), manual=manual)


def _name(problem: Problem, told: set[str]) -> str:
    """The key at fault; with its place, and the code, where that alone would not tell it from another."""
    placed = f"{problem.key}@{problem.origin.place}"
    for name in (problem.key, placed, f"{placed}:{problem.code}"):
        if name and name not in told:
            return name
    return f"{placed}:{len(told)}"


def permissions(found: Installation) -> Iterator[Finding]:
    """Nobody else may write the configuration, nor read the secrets of this one and of earlier ones."""
    chosen = found.config_files.get().chosen
    facts = None if chosen is None else chosen.target.facts
    if chosen is None or facts is None or facts.kind is not Kind.FILE:
        return
    path = str(chosen.target.path)
    ours = found.uid in (facts.uid, 0)
    repairs = ("config.permissions",) if ours else ()
    manual = "" if ours else f"Have its owner run: chmod 600 {path}"
    secret = _INLINE.search(chosen.input.data or b"") is not None
    if facts.uid not in (found.uid, 0):
        message = f"{path} belongs to another account, which may change what Palyra does."
        yield Finding("config.permissions", Severity.BLOCKING, path, message, manual="Use a file of your own.")
    elif facts.mode & 0o022:
        message = f"Other accounts may change {path} (mode {facts.mode:04o})."
        yield Finding("config.permissions", Severity.BLOCKING, path, message, (), repairs, manual)
    elif facts.mode & 0o044 and secret:
        message = f"{path} holds a secret and can be read by other accounts (mode {facts.mode:04o})."
        yield Finding("config.permissions", Severity.BLOCKING, path, message, (), repairs, manual)
    elif facts.mode & 0o044 and chosen.source != "system":
        message = f"Other accounts may read {path} (mode {facts.mode:04o})."
        yield Finding("config.permissions", Severity.WARNING, path, message, (), repairs, manual)
    yield from _earlier_ones(found)


def _earlier_ones(found: Installation) -> Iterator[Finding]:
    """A backup keeps the mode that the file had, also when that one is closed later."""
    for kept in found.config_files.get().backups.values():
        facts = kept.facts
        if facts is None or not kept.is_file or not facts.mode & 0o066 or _INLINE.search(kept.data or b"") is None:
            continue
        ours = found.uid in (facts.uid, 0)
        yield Finding(
            "config.permissions",
            Severity.BLOCKING,
            str(kept.path),
            f"{kept.path}, an earlier configuration, holds a secret and is open to other accounts"
            f" (mode {facts.mode:04o}).",
            (),
            ("config.permissions",) if ours else (),
            "" if ours else f"Have its owner run: chmod 600 {kept.path}",
        )


def exposure(found: Installation) -> Iterator[Finding]:
    """Who can reach the gateway was meant to."""
    from palyra.config.urls import is_loopback_bind

    config = found.config()
    gateway = config.gateway
    if not is_loopback_bind(gateway.bind) and gateway.tls_cert is None:
        yield Finding(
            "config.exposure",
            Severity.WARNING,
            "gateway.bind",
            f"The gateway listens on {gateway.bind} for others without TLS: keys and prompts can be read on the way.",
            manual="Set tls_cert and tls_key, or bind to 127.0.0.1 behind a proxy that does TLS.",
        )
    origins = found.settings.get().origins
    for name, provider in config.providers.items():
        key = f"providers.{name}.api_key"
        origin = origins.get(key)
        if provider.api_key is not None and origin is not None and origin.layer is LayerName.FILE:
            yield Finding(
                "config.exposure",
                Severity.WARNING,
                key,
                f"The key of {name} is written in the configuration ({origin.place}).",
                manual="Keep it in the vault and name it with api_key_vault_ref, or in a variable with api_key_env.",
            )


CHECKS = (
    Check("config.found", Severity.BLOCKING, is_found),
    Check("config.syntax", Severity.BLOCKING, syntax),
    Check("config.version", Severity.BLOCKING, version),
    Check("config.values", Severity.BLOCKING, values),
    Check("config.permissions", Severity.BLOCKING, permissions),
    Check("config.exposure", Severity.WARNING, exposure),
)
