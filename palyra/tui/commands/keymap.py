"""Keys of an operator's own: what is wrong with them is told, and only sound ones are taken."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from textual.keys import KEY_NAME_REPLACEMENTS, Keys

from palyra.tui.commands.action import Action

NAMED = frozenset(key.value for key in Keys)
"""`f2`, `ctrl+o`, `pageup` and others, as Textual calls them."""
SUBJECTS = frozenset({"alert", "approval", "grant", "incident", "job", "letter", "task"})
"""What the ids of actions begin with that act on one kind of thing: they never clash with those of another kind."""
MODIFIERS = ("ctrl+", "alt+", "shift+")


def sound_keys(
    wanted: Mapping[str, str], screens: Iterable[tuple[str, Sequence[Action[Any]]]]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Takes of `[console.keys]` what can be taken: known actions, real keys, none that another action has.

    Returns the sound ones by action id, and what is wrong with the others. `screens` are their labels and actions.
    Actions on different kinds of things may share a key; where two would clash, the one that was moved stays where it
    was.
    """
    shown = [(label, tuple(actions)) for label, actions in screens]
    known = {action.id: action for _, actions in shown for action in actions}
    keys: dict[str, str] = {}
    faults: list[str] = []
    for identifier, text in wanted.items():
        names = [name.strip() for name in text.split(",")]
        if identifier not in known:
            near = get_close_matches(identifier, known, 1, 0.0)
            faults.append(f"{identifier}: there is no such action, the nearest is {near[0]}")
        elif bad := [name for name in names if not is_key(name)]:
            faults.append(f"{identifier}: {bad[0] or 'nothing'} is no key; write one like o, f2 or ctrl+o")
        else:
            keys[identifier] = ",".join(map(key_name, names))
    while (clash := _clash(keys, shown)) is not None:
        moved, other, key, label = clash
        del keys[moved]
        faults.append(f"{moved}: {key} is already {known[other].title.rstrip('…')!r} ({other}) on {label}")
    return keys, tuple(f"[console.keys] {fault}" for fault in faults)


def is_key(name: str) -> bool:
    """Whether a terminal can tell that key."""
    if len(name) == 1:
        return name.isprintable() and not name.isspace()
    if name in NAMED or name in KEY_NAME_REPLACEMENTS.values():
        return True
    for modifier in MODIFIERS:
        if name.startswith(modifier):
            return is_key(name.removeprefix(modifier))
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True


def key_name(name: str) -> str:
    """As Textual calls it: a sign has a name, which for `?` is `question_mark`."""
    if len(name) != 1 or name.isalnum():
        return name
    called = unicodedata.name(name).lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(called, called)


def _clash(
    keys: Mapping[str, str], screens: Sequence[tuple[str, Sequence[Action[Any]]]]
) -> tuple[str, str, str, str] | None:
    """A moved action, the other one that has its key on a screen, the key and the screen; None when there is none."""
    order = {identifier: number for number, identifier in enumerate(keys)}
    for label, actions in screens:
        holders: dict[str, list[Action[Any]]] = {}
        for action in actions:
            for key in keys[action.id].split(",") if action.id in keys else action.keys:
                for other in holders.setdefault(key, []):
                    if not _apart(action, other):
                        stayed, moved = sorted((action, other), key=lambda one: order.get(one.id, -1))
                        return moved.id, stayed.id, key, label
                holders[key].append(action)
    return None


def _apart(one: Action[Any], other: Action[Any]) -> bool:
    """Whether two actions are never offered at the same time."""
    kinds = {action.id.partition(".")[0] for action in (one, other)}
    return bool(set(one.keys) & set(other.keys)) or (len(kinds) == 2 and kinds <= SUBJECTS)
