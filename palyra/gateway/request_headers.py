"""The X-Palyra headers of a request: whom the work is for, and how it is to be treated.

A mistyped header must not slip past a budget, so an unknown one is refused like a malformed one.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from palyra.config.choices import RoutingMode
from palyra.config.suggest import nearest
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.gateway.errors import RefusedError, forbidden, invalid
from palyra.gateway.ports import Key
from palyra.governance.candidates import TaskClass

PREFIXES = (b"x-palyra", b"x_palyra")
"""What begins a header of ours, also one whose dash was mistyped."""

SESSION = "X-Palyra-Session"
PRINCIPAL = "X-Palyra-Principal"
TAGS = "X-Palyra-Tags"
CHANNEL = "X-Palyra-Channel"
AGENT = "X-Palyra-Agent"
JOB = "X-Palyra-Job"
TASK_CLASS = "X-Palyra-Task-Class"
MODE = "X-Palyra-Mode"
PARK = "X-Palyra-Park"
FAILOVER = "X-Palyra-Failover"
CACHE = "X-Palyra-Cache"
KNOWN = (SESSION, PRINCIPAL, TAGS, CHANNEL, AGENT, JOB, TASK_CLASS, MODE, PARK, FAILOVER, CACHE)

MAX_TAGS = 16

_BY_NAME = {name.lower().encode("ascii"): name for name in KNOWN}
_LABEL = re.compile(r"[A-Za-z0-9._:@/-]{1,128}")
_LABEL_RULE = "1 to 128 of A-Z a-z 0-9 . _ : @ / -"
_PRINCIPAL = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_PRINCIPAL_RULE = "1 to 128 of A-Z a-z 0-9 . _ : @ -"
_TAG_NAME = re.compile(r"[a-z0-9_.-]{1,32}")
_TAG_VALUE = re.compile(r"[\x21-\x2b\x2d-\x7e](?:[\x20-\x2b\x2d-\x7e]{0,62}[\x21-\x2b\x2d-\x7e])?")
_TAG_RULE = "name=value, with a name of 1 to 32 of a-z 0-9 _ . - and a value of 1 to 64 visible ASCII characters"
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")


_USUAL = TaskClass.PRIMARY_INTERACTIVE.value
"""A plain text: SQLite's binding takes a text of an own type only after a long search."""


@value
class Instructions:
    """What the headers say, checked against the key. `park_seconds` 0 does not wait; `mode` empty keeps the default."""

    scope: Scope
    task_class: str
    mode: str
    park_seconds: float
    failover: bool
    cache: bool


def read_instructions(raw: Iterable[tuple[bytes, bytes]], key: Key, park_seconds: float) -> Instructions:
    """Reads the X-Palyra headers. `park_seconds` is the longest wait allowed, and the default.

    Raises RefusedError: 400 for a malformed or unknown header, 403 for one this key may not send.
    """
    given = collect(raw)
    if not given:
        scope = Scope(key.principal, f"default:{key.key_id}", key.key_id, key.channel, key.agent, tags=dict(key.tags))
        return Instructions(scope, _USUAL, "", park_seconds, True, True)
    scope = Scope(
        principal=read_principal(given, key),
        session=read_label(given, SESSION) or f"default:{key.key_id}",
        key_id=key.key_id,
        channel=read_pinned(given, CHANNEL, key.channel),
        agent=read_pinned(given, AGENT, key.agent),
        job=read_label(given, JOB),
        tags=read_tags(given, key.tags),
    )
    return Instructions(
        scope=scope,
        task_class=read_choice(given, TASK_CLASS, tuple(TaskClass)) or _USUAL,
        mode=read_mode(given, key),
        park_seconds=read_park(given, park_seconds),
        failover=not read_choice(given, FAILOVER, ("off",)),
        cache=not read_choice(given, CACHE, ("off",)),
    )


def collect(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The X-Palyra headers by their known name. Only tags may be given on several lines."""
    given: dict[str, str] = {}
    for name, sent in raw:
        if name[:8].lower() not in PREFIXES:
            continue
        known = _BY_NAME.get(name.lower())
        if known is None:
            raise unknown_header(name.decode("ascii", "replace"))
        text = sent.decode("ascii", "replace").strip()
        if known not in given:
            given[known] = text
        elif known == TAGS:
            given[known] += "," + text
        else:
            raise malformed(known, "is given twice")
    return given


def unknown_header(name: str) -> RefusedError:
    """A header of ours that does not exist, with the nearest that does: 400."""
    near = nearest(name.lower(), [known.lower() for known in KNOWN])
    spelled = [known for known in KNOWN if known.lower() in near[:1]]
    hint = f"did you mean {spelled[0]}?" if spelled else f"the known ones are {', '.join(KNOWN)}."
    return invalid("invalid_header", f"Unknown header {name[:80]}: {hint}", param=name[:80])


def malformed(name: str, problem: str) -> RefusedError:
    """A header that cannot be read: 400."""
    return invalid("invalid_header", f"{name} {problem}.", param=name)


def read_label(given: Mapping[str, str], name: str) -> str:
    """A label; empty where it was not given. Raises RefusedError."""
    value = given.get(name)
    if value is None:
        return ""
    if not _LABEL.fullmatch(value):
        raise malformed(name, f"must be {_LABEL_RULE}")
    return value


def read_principal(given: Mapping[str, str], key: Key) -> str:
    """Whom the request is for: the key's own, or one it may act for. Raises RefusedError."""
    value = given.get(PRINCIPAL)
    if value is None:
        return key.principal
    if not _PRINCIPAL.fullmatch(value):
        raise malformed(PRINCIPAL, f"must be {_PRINCIPAL_RULE}")
    if not may_act_as(value, key):
        raise forbidden("principal_not_allowed", f"This key may not act for {value}; leave {PRINCIPAL} out.")
    return value


def may_act_as(principal: str, key: Key) -> bool:
    """Whether a key speaks for a principal: its own, or one of those it may act for."""
    return principal == key.principal or any(fnmatchcase(principal, pattern) for pattern in key.may_act_for)


def read_pinned(given: Mapping[str, str], name: str, pinned: str) -> str:
    """A label the key may have pinned. Raises RefusedError for another."""
    value = read_label(given, name)
    if pinned and value and value != pinned:
        raise forbidden("pinned_value", f"{name} is {pinned} for this key; send that or leave it out.")
    return pinned or value


def read_tags(given: Mapping[str, str], pinned: Mapping[str, str]) -> dict[str, str]:
    """The key's tags and the caller's. A caller adds, and never changes."""
    tags = dict(pinned)
    if TAGS not in given:
        return tags
    added: dict[str, str] = {}
    for part in given[TAGS].split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _TAG_NAME.fullmatch(name) or not _TAG_VALUE.fullmatch(value):
            raise malformed(TAGS, f"must be a list of {_TAG_RULE}")
        if added.setdefault(name, value) != value:
            raise malformed(TAGS, f"names {name} twice, with different values")
        if len(added) > MAX_TAGS:
            raise malformed(TAGS, f"may name at most {MAX_TAGS} tags")
        if pinned.get(name, value) != value:
            raise forbidden("tag_locked", f"The tag {name} is {pinned[name]} for this key; send that or leave it out.")
    return tags | added


def read_choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """One of the choices; empty where it was not given. Raises RefusedError."""
    value = given.get(name)
    if value is None:
        return ""
    if value not in choices:
        raise malformed(name, f"must be {' or '.join(choices) if len(choices) < 3 else 'one of ' + ', '.join(choices)}")
    return value


def read_mode(given: Mapping[str, str], key: Key) -> str:
    """The routing mode, where the key may choose it. Raises RefusedError."""
    mode = read_choice(given, MODE, tuple(RoutingMode))
    if mode and not key.may_set_mode:
        raise forbidden("mode_not_allowed", f"This key may not set {MODE}; leave it out.")
    return mode


def read_park(given: Mapping[str, str], longest: float) -> float:
    """How many seconds the caller waits for an approval, at most `longest`. Raises RefusedError."""
    value = given.get(PARK)
    if value is None:
        return longest
    if not _SECONDS.fullmatch(value) or float(value) > longest:
        raise malformed(PARK, f"must be a number of seconds from 0 to {longest:g} (approvals.park_seconds)")
    return float(value)
