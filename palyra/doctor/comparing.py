"""Whether a file is what a plan or a manifest says it is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from palyra.core.values import value
from palyra.doctor.change import Action, FileFacts, Root
from palyra.doctor.installation import Kind
from palyra.doctor.manifest import Entry, EntryState

UNKNOWN_OWNER = -1


def same(now: FileFacts, told: FileFacts, *, content: bool = True) -> bool:
    """Whether what is there now is what was told. An owner or content that was not told is not compared."""
    if not now.exists or not told.exists:
        return now.exists == told.exists
    if now.kind is not told.kind:
        return False
    if now.kind is Kind.DIRECTORY and content:
        return True
    if now.mode != told.mode or (UNKNOWN_OWNER not in (now.owner, told.owner) and now.owner != told.owner):
        return False
    return not content or same_content(now, told)


def same_content(now: FileFacts, told: FileFacts) -> bool:
    """By digest, or by what changes with every write where the file was too large to be read before."""
    if not now.exists or not told.exists or now.kind is not told.kind:
        return now.exists == told.exists and now.kind is told.kind
    if told.kind is not Kind.FILE:
        return True
    return now.mark == told.mark if not told.sha256 and told.mark else now.sha256 == told.sha256


class Fate(StrEnum):
    """What became of an entry, judged by its target."""

    HAPPENED = "happened"
    NEVER = "never"
    CONFLICT = "conflict"


@value
class Judged:
    """`now` is what the target is found to be once all later entries are taken back."""

    entry: Entry
    fate: Fate
    now: FileFacts


def judge(entries: Sequence[Entry], look: Callable[[Root, str], FileFacts], *, unfinished: bool) -> tuple[Judged, ...]:
    """What became of a run's entries, the newest first.

    Of an unfinished run a target that is as before means that the change never happened; of a finished one, that
    somebody has changed it since.
    """
    found: dict[tuple[Root, str], FileFacts] = {}
    judged: list[Judged] = []
    for entry in reversed(entries):
        if entry.state is EntryState.UNDONE:
            continue
        place = entry.root, entry.target
        now = found[place] if place in found else look(*place)
        content = entry.action is not Action.CHMOD
        was = same(now, entry.before, content=content)
        if same(now, entry.after, content=content) and not (was and unfinished):
            fate = Fate.HAPPENED
        else:
            fate = Fate.NEVER if was and unfinished else Fate.CONFLICT
        judged.append(Judged(entry, fate, now))
        if fate is not Fate.NEVER:
            found[place] = entry.before if content else replace(now, mode=entry.before.mode, owner=entry.before.owner)
        else:
            found[place] = now
    return tuple(judged)
