"""What a fake engine's audit chain tells."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from palyra.control.audit_queries import AuditEntry, AuditLogPage, AuditLogQuery
from tests.tui.fake_views import HOSTILE, MINUTE, NOW, ident


def entry(seq: int, kind: str, verb: str, actor: str, subject: str, **data: Any) -> AuditEntry:
    digest = sha256(str(seq).encode()).hexdigest()
    return AuditEntry(seq, NOW - (200 - seq) * 7 * MINUTE, kind, subject, actor, verb, digest, {"verb": verb, **data})


def morning_audit() -> tuple[AuditEntry, ...]:
    """Some of what people did this morning among decisions about requests, oldest first."""
    decisions = [
        entry(seq, "decision", "allowed", "agent-ci", ident(3_000 + seq), mode="enforced", run_id=ident(2_000 + seq))
        for seq in range(150, 196, 5)
    ]
    deeds = [
        entry(141, "engine", "started", "palyra", ident(1)),
        entry(156, "policy", "edited", "pavel", "team-day", revision=4, hard_limit="45.00"),
        entry(167, "approval", "allow", "pavel", ident(31), scope="once", amount_nano_usd=1_120_000_000),
        entry(168, "grant", "drawn", "palyra", ident(32), amount_nano_usd=900_000_000),
        entry(184, "incident", "acknowledged", "ana", ident(51)),
        entry(189, "job", "paused", "ana", ident(61), why="the provider is being moved"),
        entry(198, "access", "operator_added", "pavel", "bo", role="approver", attestation="uid"),
    ]
    return tuple(sorted((*decisions, *deeds), key=lambda one: one.seq))


def long_audit() -> tuple[AuditEntry, ...]:
    return tuple(
        entry(seq, "policy", "edited", f"op-{seq % 7}", f"budget-{seq % 50}", revision=seq) for seq in range(1, 1_200)
    )


def evil_audit() -> tuple[AuditEntry, ...]:
    one = entry(5, "policy", HOSTILE, HOSTILE, HOSTILE, note=HOSTILE)
    return (replace(one, data={HOSTILE: HOSTILE}), entry(6, "approval", "deny", HOSTILE, ident(9), reason=HOSTILE))


def audit_page(entries: Sequence[AuditEntry], query: AuditLogQuery) -> AuditLogPage:
    found = [one for one in sorted(entries, key=lambda one: -one.seq) if _wanted(one, query)]
    page = tuple(found[: query.limit] if query.after is None else found[-query.limit :])
    more = len(found) > query.limit
    if query.after is not None:
        return AuditLogPage(page, next_after=page[0].seq if more else None)
    return AuditLogPage(page, page[-1].seq if more else None)


def _wanted(one: AuditEntry, query: AuditLogQuery) -> bool:
    fields = {"who": one.actor, "kind": one.kind, "what": f"{one.kind} {one.verb}", "to": one.subject}
    fields |= {"told": str(one.data), "entry": str(one.seq)}
    return (
        (query.before is None or one.seq < query.before)
        and (query.after is None or one.seq > query.after)
        and (query.since is None or one.at >= query.since)
        and (query.until is None or one.at < query.until)
        and not (query.deeds and one.kind == "decision")
        and all(term.matches(fields) for term in query.terms)
    )
