"""Which files a rollback may touch: only those some repair may have touched, whatever a manifest says."""

import re

from palyra.doctor.change import Action, Root
from palyra.doctor.installation import Kind
from palyra.doctor.manifest import RUN_ID, Entry

REWRITTEN = ("auth_profiles.toml", "access_registry.json", "journal.db")
"""Files of the state directory that repairs write anew, with their backups and quarantines."""
SIDECARS = ("auth_profiles.unknown.toml", "auth_profiles.quarantine.toml", "journal.db-wal", "journal.db-shm")
TEMPORARY = re.compile(r"(?:.*/)?(?:[^/]+\.tmp\.[0-9]+(?:\.[0-9A-Za-z_-]+)?|\.[^/]+\.[0-9a-f]{12})")
"""Files half written: `<name>.tmp.<pid>[.<random>]`, or `.<name>.<random>`."""
MARKERS = ("operators.sock", "socket.path")
"""What an engine leaves behind that died."""

_BESIDE = re.compile(rf"(?:\.bak\.[1-9]|\.quarantine-{RUN_ID.pattern}(?:-wal|-shm)?)?")


def may_touch(entry: Entry, config_name: str) -> bool:
    """Whether some repair may do this. `config_name` is what the configuration file is called."""
    target = entry.target
    if target == ".":
        return entry.action in (Action.MKDIR, Action.CHMOD) or entry.before.kind is Kind.DIRECTORY
    if entry.action is Action.CHMOD:
        return entry.root is Root.STATE or _is_one_of(target, (config_name,))
    gone = entry.action in (Action.DELETE, Action.CREATE)
    if entry.root is Root.CONFIG:
        return _is_one_of(target, (config_name,)) or (gone and "/" not in target and is_temporary(target))
    return _is_one_of(target, REWRITTEN) or target in SIDECARS or (gone and (target in MARKERS or is_temporary(target)))


def is_temporary(target: str) -> bool:
    """Whether a target is a file that was being written."""
    return TEMPORARY.fullmatch(target) is not None


def _is_one_of(target: str, names: tuple[str, ...]) -> bool:
    return any(target.startswith(name) and _BESIDE.fullmatch(target[len(name) :]) is not None for name in names)
