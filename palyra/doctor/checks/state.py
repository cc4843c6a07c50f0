"""The state directory: there, ours, closed to others, with room left, and without what the dead left behind."""

from collections.abc import Iterator

from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Facts, Input, Installation, Kind
from palyra.doctor.leftovers import Left, is_text
from palyra.vault.identity import account_of

OTHERS = 0o077
OTHERS_READ = 0o044
OTHERS_WRITE = 0o022
SECRET = ("vault", "recovery/", "access_registry.json", "auth_profiles", "gateway-key.txt", "fingerprint.key")
"""What names begin with of what others must never read."""
SUBDIRECTORIES = ("vault", "logs", "backups", "recovery", "recovery/runs")


def directory(found: Installation) -> Iterator[Finding]:
    """The state directory is there and is ours."""
    tree = found.state.get()
    root, path = tree.root, tree.root.path
    if root.facts is None and not root.problem:
        message = f"There is no state directory {path} yet."
        yield Finding("state.directory", Severity.INFO, ".", message, repairs=("state.create",))
        return
    if root.facts is None or root.facts.kind is not Kind.DIRECTORY:
        message = f"{path} cannot be used: {root.problem or 'it is no directory'}."
        manual = "Remove it, or name another place with --state-dir."
        yield _unusable(".", message, manual if root.facts is not None else "Name another place with --state-dir.")
        return
    if root.facts.uid != found.uid:
        yield _foreign(".", root, found.uid)
    elif found.uid and root.facts.mode & 0o700 != 0o700:
        message = f"{path} is closed to its own owner (mode {root.facts.mode:04o})."
        yield _unusable(".", message, f"Run: chmod 700 {path}")
    if tree.space is not None and tree.space.read_only:
        yield _unusable("file system", f"{path} lies on a file system that is read-only.", "Mount it writable.")
    if tree.problem:
        yield _unusable("entries", f"{path} cannot be read in full: {tree.problem}.", "Check its permissions.")
    for name, one in tree.entries.items():
        if one.facts is not None and one.facts.uid != found.uid and root.facts.uid == found.uid:
            yield _foreign(name, one, found.uid)
        if one.problem and not one.too_large:
            yield _unusable(name, f"{one.path} cannot be read: {one.problem}.", "Check its permissions and the disk.")
        if name in SUBDIRECTORIES and not _may_be_directory(one.facts):
            yield _unusable(name, f"{one.path} is in the way: a directory belongs there.", f"Move {one.path} away.")


def _may_be_directory(facts: Facts | None) -> bool:
    # A link there is told of as one.
    return facts is None or facts.kind in (Kind.DIRECTORY, Kind.LINK)


def _unusable(name: str, message: str, manual: str) -> Finding:
    return Finding("state.directory", Severity.BLOCKING, name, message, manual=manual)


def _foreign(name: str, one: Input, uid: int) -> Finding:
    owner = -1 if one.facts is None else one.facts.uid
    return _unusable(
        name,
        f"{one.path} belongs to another account ({account_of(owner)}).",
        f"Run as its owner, or give it to this account: chown {account_of(uid)} {one.path}",
    )


def permissions(found: Installation) -> Iterator[Finding]:
    """Nobody else may read or write what is in it."""
    tree = found.state.get()
    for name, one in ((".", tree.root), *tree.entries.items()):
        facts = one.facts
        if facts is None or facts.kind in (Kind.LINK, Kind.OTHER) or (name == "." and facts.kind is Kind.FILE):
            continue
        wanted = 0o700 if facts.kind is Kind.DIRECTORY else 0o600
        if facts.mode & OTHERS:
            yield _open(name, one, facts, wanted)
        elif facts.mode & wanted != wanted and facts.kind is not Kind.SOCKET and name != ".":
            message = f"{one.path} is closed to its own owner (mode {facts.mode:04o} instead of {wanted:04o})."
            yield _mode(Severity.WARNING, name, message)


def _open(name: str, one: Input, facts: Facts, wanted: int) -> Finding:
    holds_secret = name.startswith(SECRET) or facts.kind is Kind.SOCKET or name.endswith(".key")
    takes_files = facts.kind is Kind.DIRECTORY and facts.mode & OTHERS_WRITE
    may = "change" if facts.mode & OTHERS_WRITE else "read" if facts.mode & OTHERS_READ else "reach"
    return _mode(
        Severity.BLOCKING if holds_secret or takes_files else Severity.WARNING,
        name,
        f"Other accounts may {may} {one.path} (mode {facts.mode:04o} instead of {wanted:04o}).",
    )


def _mode(severity: Severity, name: str, message: str) -> Finding:
    """What has no name that can be written down could not be taken back, so that no repair touches it."""
    if is_text(name):
        return Finding("state.permissions", severity, name, message, repairs=("state.permissions",))
    manual = "Rename or remove it by hand: its name is no text."
    return Finding("state.permissions", severity, ascii(name), message, manual=manual)


def symlinks(found: Installation) -> Iterator[Finding]:
    """Nothing in it leads elsewhere."""
    tree = found.state.get()
    for name, one in ((".", tree.root), *tree.entries.items()):
        if one.facts is None or one.facts.kind is not Kind.LINK:
            continue
        manual = "Put what it leads to in its place." if name != "." else "Name the directory it leads to."
        message = f"{one.path} is a link (to {one.facts.leads_to}); nothing in a state directory may be one."
        yield Finding("state.symlinks", Severity.BLOCKING, name, message, manual=manual)


def disk(found: Installation) -> Iterator[Finding]:
    """Its disk has room."""
    space = found.state.get().space
    if space is None:
        return
    config, assumed = found.assumed()
    low, stop = config.journal.disk_low, config.journal.disk_stop
    limits = f"disk_low is {_mib(low)}, disk_stop is {_mib(stop)}"
    evidence = (f"{limits} (defaults are assumed)" if assumed else limits,)
    manual = "Make room on that file system."
    if space.inodes == 0:
        yield Finding(
            "state.disk",
            Severity.BLOCKING,
            "inodes",
            "No file can be made in the state directory: its file system has no inodes left.",
            manual="Remove files on that file system.",
        )
    left = f"{_mib(space.free)} are left for the state directory"
    if space.free < stop:
        message = f"Only {left}; nothing new is held."
        yield Finding("state.disk", Severity.BLOCKING, "space", message, evidence, manual=manual)
    elif space.free < low:
        yield Finding("state.disk", Severity.WARNING, "space", f"Only {left}.", evidence, manual=manual)


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"


def leftovers(found: Installation) -> Iterator[Finding]:
    """Nothing is left of processes that are gone."""
    for one in found.leftovers.get():
        yield Finding(
            "state.leftovers",
            Severity.WARNING,
            one.name,
            f"{one.path} is left over: {_TOLD[one.what]}.",
            (one.proof,) if one.proof else (),
            ("state.cleanup",) if one.removable else (),
            one.manual,
        )


_TOLD = {
    Left.TEMPORARY: "a file that was never finished",
    Left.SOCKET: "nobody listens there",
    Left.MARKER: "it names an engine that ended without a word",
    Left.ROTATION: "a change of the vault's key that did not end",
}

CHECKS = (
    Check("state.directory", Severity.BLOCKING, directory),
    Check("state.permissions", Severity.BLOCKING, permissions),
    Check("state.symlinks", Severity.BLOCKING, symlinks),
    Check("state.disk", Severity.BLOCKING, disk),
    Check("state.leftovers", Severity.WARNING, leftovers),
)
