"""What a console may ask about the audit chain beside whether it is whole, and the answer. Times UTC unix ms."""

import json
from dataclasses import field
from typing import Any, Literal

from palyra.core.errors import BadInputError
from palyra.core.money import format_usd
from palyra.core.terms import Term
from palyra.core.values import value

AUDIT_KINDS = (
    "access",
    "alert",
    "approval",
    "config",
    "decision",
    "engine",
    "grant",
    "incident",
    "job",
    "memory",
    "notification",
    "policy",
    "repair",
    "run",
    "task",
    "usage",
    "vault",
)


@value
class AuditLogQuery:
    """A page of the chain, newest first. `deeds`: without the decisions about requests. `audit_kind`: only that one
    of `AUDIT_KINDS`; `actor` and `subject`: only what that one did, or what was done to that one; `since` and `until`:
    only what was done in [since, until); `terms` must hold of the fields who, kind, what, to, told and entry. `before`:
    only numbers lower than it; `after`: the nearest numbers higher than it; `limit` 1 to 500."""

    deeds: bool = False
    audit_kind: str = ""
    actor: str = ""
    subject: str = ""
    since: int | None = None
    until: int | None = None
    before: int | None = None
    after: int | None = None
    terms: tuple[Term, ...] = ()
    limit: int = 100
    kind: Literal["audit_log"] = "audit_log"


@value
class AuditEntry:
    """A link of the chain: `actor` did it to `subject`. `verb` says in a word what; `data` is what was written down
    with it, without secrets. `digest` vouches for it and for all before it."""

    seq: int
    at: int
    kind: str
    subject: str
    actor: str
    verb: str
    digest: str
    data: dict[str, Any] = field(default_factory=dict)


@value
class AuditLogPage:
    """Newest first. `next_before` leads to the next page, or `next_after` to one of newer entries where those after a
    number were asked for; None on the last."""

    entries: tuple[AuditEntry, ...]
    next_before: int | None = None
    next_after: int | None = None


@value
class AuditProgressQuery:
    """How far a check of the chain has come that is under way here (`AuditQuery`)."""

    kind: Literal["audit_progress"] = "audit_progress"


@value
class AuditProgress:
    """`done` of about `total` entries are followed; 0 of 0: none is under way, or it has only begun."""

    done: int = 0
    total: int = 0


AuditAsked = AuditLogQuery | AuditProgressQuery
AuditTold = AuditLogPage | AuditProgress


def read_kind(text: str) -> str:
    """A kind of entries, or "" for any. Raises BadInputError."""
    if text and text not in AUDIT_KINDS:
        raise BadInputError(f"No entry is of the kind {text!r}.", fix=f"Use one of: {', '.join(AUDIT_KINDS)}.")
    return text


def told_data(entry: AuditEntry) -> str:
    """What was written down beside the verb, on one line: `name value, name value`."""
    return ", ".join(f"{name} {told}" for name, told in told_pairs(entry) if told not in ("", entry.verb))


def told_pairs(entry: AuditEntry) -> list[tuple[str, str]]:
    """What was written down, as people read it: names without underscores, nano-dollars as dollars."""
    pairs = []
    for name, told in entry.data.items():
        if name.endswith("_nano_usd") and type(told) is int:
            name, told = name.removesuffix("_nano_usd"), format_usd(told)
        pairs.append((name.replace("_", " "), _spelt(told)))
    return pairs


def _spelt(told: Any) -> str:
    if isinstance(told, list) and all(isinstance(one, str) for one in told):
        return ", ".join(told)
    if isinstance(told, dict) and all(isinstance(one, str | int) for one in told.values()):
        return ", ".join(f"{name} {_spelt(one)}" for name, one in told.items())
    if told is None:
        return ""
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
