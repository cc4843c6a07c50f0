"""Changes that several repairs are made of."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from palyra.doctor.change import (
    ABSENT,
    PRIVATE_FILE,
    Action,
    FileFacts,
    PlannedChange,
    Root,
    facts_of,
    facts_read,
)
from palyra.doctor.installation import Input, Kind, StateTree

KEPT_BACKUPS = 5
RUN = "{run}"
"""Stands for the id of the run in the name of a quarantined file."""


def written(
    repair_id: str,
    root: Root,
    found: Input,
    content: bytes,
    owner: int,
    *,
    mode: int = PRIVATE_FILE,
    timeless: bytes | None = None,
    holds_secret: bool = False,
) -> PlannedChange:
    """A file made or replaced; what root replaces stays whose it was. `timeless` is the content as it would be were it
    always the same time, where it holds the present one."""
    if owner == 0 and found.facts is not None:
        owner = found.facts.uid
    return PlannedChange(
        repair_id,
        Action.MODIFY if found.exists else Action.CREATE,
        root,
        found.path.name,
        facts_read(found),
        facts_of(content, mode, owner),
        found.data,
        content,
        holds_secret=holds_secret,
        timeless="" if timeless is None else hashlib.sha256(timeless).hexdigest(),
    )


def quarantined(repair_id: str, root: Root, found: Input, *, holds_secret: bool = False) -> PlannedChange:
    """A file that is about to be replaced, kept beside it with its mode."""
    name = found.path.name
    return PlannedChange(
        repair_id,
        Action.MOVE,
        root,
        f"{name}.quarantine-{RUN}",
        ABSENT,
        facts_read(found),
        holds_secret=holds_secret,
        source=name,
    )


def rotated(
    repair_id: str, root: Root, found: Input, backups: Mapping[int, Input], *, holds_secret: bool = False
) -> tuple[PlannedChange, ...]:
    """A file's backups moved up by one, and its content as the newest: the oldest are written first."""
    chain = {0: found, **{number: one for number, one in backups.items() if one.is_file}}
    changes: list[PlannedChange] = []
    for number in range(KEPT_BACKUPS, 0, -1):
        newer, here = chain.get(number - 1), chain.get(number)
        place = here or Input(found.path.with_name(f"{found.path.name}.bak.{number}"))
        if newer is not None and newer.data is not None:
            facts = facts_read(newer)
            if root is Root.STATE:
                facts = replace(facts, mode=PRIVATE_FILE)
            changes.append(
                PlannedChange(
                    repair_id,
                    Action.CREATE if here is None else Action.MODIFY,
                    root,
                    place.path.name,
                    facts_read(place),
                    facts,
                    place.data,
                    newer.data,
                    holds_secret=holds_secret,
                )
            )
        elif here is not None and number < KEPT_BACKUPS:
            changes.append(removed(repair_id, root, place.path.name, here, holds_secret=holds_secret))
    return tuple(changes)


def backups_in(tree: StateTree, name: str) -> dict[int, Input]:
    """The backups of a file of the state directory, by number."""
    numbered = ((number, tree.at(f"{name}.bak.{number}")) for number in range(1, KEPT_BACKUPS + 1))
    return {number: found for number, found in numbered if found.exists}


def removed(repair_id: str, root: Root, target: str, found: Input, *, holds_secret: bool = False) -> PlannedChange:
    """A change that takes a file away; its bytes are kept for taking it back."""
    return PlannedChange(
        repair_id, Action.DELETE, root, target, facts_read(found), ABSENT, found.data, holds_secret=holds_secret
    )


def closed(repair_id: str, root: Root, target: str, found: Input, mode: int) -> PlannedChange | None:
    """A path made its owner's alone; None where it is that, or is nothing whose mode could be set."""
    facts = found.facts
    if facts is None or facts.kind not in (Kind.FILE, Kind.DIRECTORY, Kind.SOCKET) or facts.mode == mode:
        return None
    before = FileFacts(True, mode=facts.mode, owner=facts.uid, kind=facts.kind)
    after = FileFacts(True, mode=mode, owner=facts.uid, kind=facts.kind)
    return PlannedChange(repair_id, Action.CHMOD, root, target, before, after)
