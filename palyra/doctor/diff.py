"""What a change looks like to a person: a unified diff without secrets, or a line where nothing can be compared."""

import json
import re
import tomllib
from collections.abc import Iterator
from difflib import SequenceMatcher

from palyra.core.redact import MIN_KNOWN, REDACTED, names_secret, redact, remember
from palyra.doctor.change import Action, FileFacts, PlannedChange
from palyra.doctor.confinement import is_temporary

MOST_LINES = 2_000
"""A longer diff is cut and says so."""
MOST_COMPARED = 20_000
"""Lines of both sides together; of more only the sizes are told."""

_HASH = "hash"
"""Names of hashes of keys end so: what proves a key is nobody else's business."""

_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")


def diff_of(change: PlannedChange) -> str:
    """The change as text: line breaks are LF, the last line has one."""
    match change.action:
        case Action.CHMOD:
            return f"mode {change.before.mode:04o} → {change.after.mode:04o}\n"
        case Action.MKDIR:
            return f"new directory, mode {change.after.mode:04o}\n"
        case Action.MOVE:
            return f"keeps what {change.source} holds now\n"
        case Action.DELETE if change.was is None or is_temporary(change.target):
            return f"removed ({_size(change.before)}); kept in the run's backups\n"
        case _ if change.content is None and change.action is not Action.DELETE:
            return _unseen(change)
        case _ if is_temporary(change.target):
            # Half a file, perhaps of a bare key: nothing in it tells what of it is secret.
            return _sizes(change)
    return _unified(change)


def _unseen(change: PlannedChange) -> str:
    """A file that is made only when the repair is applied, or brought back from a backup."""
    if change.work:
        return f"a new file takes the place of the one there is ({_size(change.before)}); it is made first\n"
    return _sizes(change)


def _unified(change: PlannedChange) -> str:
    before, after = _lines(change.was), _lines(change.content)
    if before is None or after is None or len(before) + len(after) > MOST_COMPARED:
        return _sizes(change)
    shown = [
        f"--- {change.target if change.before.exists else '/dev/null'}",
        f"+++ {change.target if change.after.exists else '/dev/null'}",
    ]
    if change.before.exists and change.after.exists and change.before.mode != change.after.mode:
        shown.append(f"mode {change.before.mode:04o} → {change.after.mode:04o}")
    for line in _hunks(before, after):
        if len(shown) >= MOST_LINES:
            shown.append("… the rest of the diff is not shown")
            break
        shown.append(line)
    return "\n".join(shown) + "\n"


def _hunks(before: list[str], after: list[str]) -> Iterator[str]:
    """Compares what is there and tells it without secrets, so that one that changed is seen on both sides."""
    old, new = list(_without_secrets(before)), list(_without_secrets(after))
    for group in SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(3):
        (_, begins, _, begins_new, _), (_, _, ends, _, ends_new) = group[0], group[-1]
        yield f"@@ -{_span(begins, ends)} +{_span(begins_new, ends_new)} @@"
        for tag, i, j, k, m in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[i:j])
                continue
            yield from (f"-{line}" for line in old[i:j])
            yield from (f"+{line}" for line in new[k:m])


def _span(begins: int, ends: int) -> str:
    """Lines as unified diffs count them."""
    length = ends - begins
    return f"{begins + 1}" if length == 1 else f"{begins + 1 if length else begins},{length}"


def _lines(data: bytes | None) -> list[str] | None:
    """The lines of a text, its secrets made known to redaction; None for what is no text."""
    if data is None:
        return []
    if b"\0" in data:
        return None
    _learn(data)
    return data.decode("utf-8", "replace").splitlines()


def _learn(data: bytes) -> None:
    """Secrets are searched for line by line, so that each line of one that spans several is made known by itself."""
    try:
        tree: object = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            return
    for secret in _secrets(tree):
        for line in secret.splitlines():
            if len(line) >= MIN_KNOWN:
                remember(line)


def _secrets(tree: object, *, secret: bool = False) -> Iterator[str]:
    if isinstance(tree, dict):
        for name, below in tree.items():
            yield from _secrets(below, secret=secret or names_secret(str(name)) or str(name).endswith(_HASH))
    elif isinstance(tree, list):
        for below in tree:
            yield from _secrets(below, secret=secret)
    elif secret and isinstance(tree, str):
        yield tree


def _without_secrets(lines: list[str]) -> Iterator[str]:
    """Line for line, also where a secret spans several."""
    inside = False
    for line in lines:
        if inside or _KEY_BEGINS.search(line):
            inside = not _KEY_ENDS.search(line)
            yield REDACTED
        else:
            yield redact(line)


def _sizes(change: PlannedChange) -> str:
    return f"{_size(change.before)} → {_size(change.after)}\n"


def _size(facts: FileFacts) -> str:
    return f"{facts.size:,} bytes" if facts.exists else "nothing"
