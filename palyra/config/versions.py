"""Versions of the file's format: pure steps from one to the next, applied in memory."""

from collections.abc import Callable, Mapping
from typing import Any

from palyra.config.problem import Code, Fault
from palyra.core.values import value

CURRENT = 1


def _stamp(tree: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    return {"version": 1, **tree}, ["version = 1 added"]


STEPS: tuple[Callable[[Mapping[str, Any]], tuple[dict[str, Any], list[str]]], ...] = (_stamp,)
"""STEPS[n] turns version n into version n + 1 and lists its changes."""


@value
class Migrated:
    """A tree of the current version, the version it was written in, and what was changed on the way."""

    tree: dict[str, Any]
    written: int
    changes: tuple[str, ...]


def migrate(tree: Mapping[str, Any]) -> Migrated:
    """Brings a file's data to the current version. Raises Fault for a version that is newer or none."""
    written = version_of(tree)
    data = dict(tree)
    changes: list[str] = []
    for step in STEPS[written:]:
        data, made = step(data)
        changes += made
    return Migrated(data, written, tuple(changes))


def version_of(tree: Mapping[str, Any]) -> int:
    """The version a file's data says it has; 0 when it says nothing. Raises Fault."""
    if "version" not in tree:
        return 0
    version = tree["version"]
    if isinstance(version, bool) or not isinstance(version, int) or version <= 0:
        raise Fault(Code.VERSION_INVALID, "the version must be a whole number from 1", f"Write version = {CURRENT}")
    if version > CURRENT:
        shown = version if version < 10**9 else "this"
        raise Fault(
            Code.VERSION_NEWER,
            f"version {shown} was written for a newer Palyra; this one knows version {CURRENT}",
            "Upgrade Palyra",
        )
    return version
