"""What a console may ask about the audit chain beside whether it is whole, and the answer. Times UTC unix ms."""

from dataclasses import field
from typing import Any, Literal

from palyra.core.values import value


@value
class AuditLogQuery:
    """A page of the chain, newest first. `deeds`: without the decisions about requests. `audit_kind`: only that kind
    (decision, approval, grant, policy, alert, incident, job, task, memory, access, repair, usage, notification,
    engine). `before`: only numbers lower than it; `limit` 1 to 500."""

    deeds: bool = False
    audit_kind: str = ""
    before: int | None = None
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
    """`next_before` leads to the next page; None on the last."""

    entries: tuple[AuditEntry, ...]
    next_before: int | None = None


AuditAsked = AuditLogQuery
AuditTold = AuditLogPage
