"""What operators' tools may look at and do: each address is a query or a command of `control`, and how it is told."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from palyra.control.commands import AddPolicy, CancelRun, Command, EditPolicy, Reload, RemovePolicy, RevokeGrant
from palyra.control.notice_queries import HeartbeatsQuery
from palyra.control.protocol import Control
from palyra.control.queries import (
    AlertsQuery,
    ApprovalQuery,
    ApprovalsQuery,
    BudgetQuery,
    DecisionQuery,
    RunQuery,
    RunsQuery,
)
from palyra.control.snapshots import CommandResult, GrantView, Topic
from palyra.control.usage_queries import InsightsQuery, UsageQuery
from palyra.core.errors import NotFoundError
from palyra.core.pulse import WorkHeartbeatKind
from palyra.gateway.console_answers import (
    Told,
    approval_data,
    decision_data,
    listed,
    page_of,
    policies_data,
    policy_data,
    refusal_for,
    run_data,
    stale_revision,
)
from palyra.gateway.console_bodies import (
    FILTERS,
    MOST,
    Words,
    read_acknowledgement,
    read_decision,
    read_nothing,
    read_policy,
    read_revision,
    read_snooze,
    wants_amount,
    whole_policy,
)
from palyra.governance.alert_record import AlertState
from palyra.governance.grants import GrantState
from palyra.healing.verdicts import Verdict
from palyra.runs.states import RunState

BY = tuple(FILTERS.values())
PERIOD = ("since", "until")
BUCKETS = ("auto", "hour", "day")
ENTRIES, MOST_ENTRIES, DECISIONS = 10, 50, 10


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that was let in. `identity` is the record the address names, `if_match` what the header says."""

    control: Control
    identity: str = ""
    query: str = ""
    body: bytes = b""
    if_match: tuple[str, ...] = ()

    def words(self, *known: str) -> Words:
        """The words of the query; others than the known ones are refused. Raises RefusedError."""
        return Words(self.query, known)


Serve = Callable[[Ask], Awaitable[Told]]


# Usage


async def summary(ask: Ask) -> Told:
    """`GET usage/summary`: sums of a period."""
    words = ask.words(*PERIOD, *FILTERS)
    answer = await ask.control.ask(
        UsageQuery(words.instant("since"), words.instant("until"), bucket="none", limit=1, where=words.where())
    )
    return Told(
        {
            "since": answer.since,
            "until": answer.until,
            "total": answer.total,
            "median_latency_ms": answer.median_latency_ms,
        }
    )


async def timeline(ask: Ask) -> Told:
    """`GET usage/timeline`: usage over time, by one thing."""
    words = ask.words(*PERIOD, "by", "bucket", "timezone", *FILTERS)
    answer = await ask.control.ask(
        UsageQuery(
            words.instant("since"),
            words.instant("until"),
            words.choice("by", BY, "model"),
            words.choice("bucket", BUCKETS, "auto"),
            words.text("timezone") or "UTC",
            limit=1,
            where=words.where(),
        )
    )
    return Told(
        {
            "since": answer.since,
            "until": answer.until,
            "by": answer.by,
            "bucket": answer.bucket,
            "timezone": answer.timezone,
            "total": answer.total,
            "timeline": answer.timeline,
        }
    )


async def breakdown(ask: Ask) -> Told:
    """`GET usage/breakdown`: usage by one thing, the dearest first, in pages."""
    words = ask.words(*PERIOD, "by", "limit", "cursor", *FILTERS)
    answer = await ask.control.ask(
        UsageQuery(
            words.instant("since"),
            words.instant("until"),
            words.choice("by", BY, "model"),
            "none",
            limit=words.limit(ENTRIES, MOST_ENTRIES),
            cursor=words.text("cursor"),
            where=words.where(),
        )
    )
    return Told(
        {
            "since": answer.since,
            "until": answer.until,
            "by": answer.by,
            "total": answer.total,
            "breakdown": answer.breakdown,
            "next_cursor": answer.next_cursor or None,
        }
    )


async def insights(ask: Ask) -> Told:
    """`GET usage/insights`: why requests went where they went."""
    words = ask.words(*PERIOD, "limit")
    answer = await ask.control.ask(
        InsightsQuery(words.instant("since"), words.instant("until"), words.limit(DECISIONS, MOST))
    )
    return Told({"insights": answer})


# Records


async def runs(ask: Ask) -> Told:
    """`GET runs`: the newest first, in pages."""
    words = ask.words("status", "principal", "session", "model", "text", *PERIOD, "limit", "cursor")
    page = await ask.control.ask(
        RunsQuery(
            words.choice("status", tuple(RunState)),
            words.text("principal"),
            words.text("session"),
            words.text("model"),
            words.text("text"),
            words.instant("since"),
            words.instant("until"),
            words.limit(),
            words.text("cursor"),
        )
    )
    return listed("runs", page.runs, page.next_cursor)


async def run(ask: Ask) -> Told:
    """`GET runs/ID`: a run with its attempts and its decision. Raises NotFoundError."""
    ask.words()
    return Told(run_data(await ask.control.ask(RunQuery(ask.identity))))


async def decision(ask: Ask) -> Told:
    """`GET decisions/ID`: a decision, explained. Raises NotFoundError."""
    ask.words()
    return Told(decision_data(await ask.control.ask(DecisionQuery(ask.identity))))


async def approvals(ask: Ask) -> Told:
    """`GET approvals`: in pages."""
    words = ask.words("status", "limit", "cursor")
    status, limit = words.choice("status", ("pending", "resolved")), words.limit()
    page = await ask.control.ask(ApprovalsQuery(status, limit, words.text("cursor")))
    return listed("approvals", page.approvals, page.next_cursor)


async def approval(ask: Ask) -> Told:
    """`GET approvals/ID`: an approval with what it is about. Raises NotFoundError."""
    ask.words()
    return Told(approval_data(await ask.control.ask(ApprovalQuery(ask.identity))))


async def grants(ask: Ask) -> Told:
    """`GET grants`: active ones first, in pages."""
    words = ask.words("status", "limit", "cursor")
    status, limit = words.choice("status", tuple(GrantState)), words.limit()
    shot = await ask.control.snapshot([Topic.APPROVALS])
    found = [grant for grant in shot.grants if status in ("", grant.state)]
    found.sort(key=lambda grant: (grant.state == GrantState.ACTIVE, grant.created_at, grant.grant_id), reverse=True)
    return listed("grants", *page_of(found, lambda grant: grant.grant_id, words.text("cursor"), limit))


async def alerts(ask: Ask) -> Told:
    """Those that are not resolved; with `status=resolved` the newest of those that are."""
    words = ask.words("status", "limit", "cursor")
    status, limit = words.choice("status", tuple(AlertState)), words.limit()
    page = await ask.control.ask(AlertsQuery(status == AlertState.RESOLVED, MOST))
    found = [alert for alert in page.alerts if status in ("", alert.state)]
    return listed("alerts", *page_of(found, lambda alert: alert.alert_id, words.text("cursor"), limit))


async def policies(ask: Ask) -> Told:
    """`GET policies`: budgets with where they stand, in pages."""
    words = ask.words("status", "limit", "cursor")
    status, limit = words.choice("status", ("enabled", "disabled")), words.limit()
    shot = await ask.control.snapshot([Topic.BUDGETS])
    views = [view for view in shot.budgets if status in ("", "enabled" if view.enabled else "disabled")]
    found = sorted(policies_data(views), key=lambda policy: str(policy["policy_id"]))
    return listed("policies", *page_of(found, lambda policy: str(policy["policy_id"]), words.text("cursor"), limit))


async def policy(ask: Ask) -> Told:
    """`GET policies/ID`: a budget, its revision as ETag. Raises NotFoundError."""
    ask.words()
    return await _policy_told(ask)


async def _policy_told(ask: Ask, status: int = 200, **more: Any) -> Told:
    detail = await ask.control.ask(BudgetQuery(ask.identity))
    data = policy_data(detail) | more
    return Told(data, status, (("ETag", f'"{data["revision"]}"'),))


async def models(ask: Ask) -> Told:
    """`GET models`: in pages."""
    words = ask.words("limit", "cursor")
    shot = await ask.control.snapshot([Topic.MODELS])
    return listed("models", *page_of(shot.models, lambda model: model.model_id, words.text("cursor"), words.limit()))


async def providers(ask: Ask) -> Told:
    """`GET providers`: in pages."""
    words = ask.words("limit", "cursor")
    shot = await ask.control.snapshot([])
    found = page_of(shot.providers, lambda provider: provider.provider_id, words.text("cursor"), words.limit())
    return listed("providers", *found)


async def heartbeats(ask: Ask) -> Told:
    """Work of all kinds, by kind and id."""
    words = ask.words("kind", "state", "limit", "cursor")
    query = HeartbeatsQuery(
        words.choice("kind", tuple(WorkHeartbeatKind)),
        words.choice("state", tuple(Verdict)),
        words.limit(),
        words.text("cursor"),
    )
    page = await ask.control.ask(query)
    found = [
        {
            "kind": view.work,
            "id": view.object_id,
            "principal": view.principal or None,
            "summary": view.summary,
            "phase": view.phase or None,
            "progress": view.progress,
            "age_ms": view.age_ms,
            "progress_age_ms": view.progress_age_ms,
            "silent_after_ms": view.silent_ms,
            "stalled_after_ms": view.stalled_ms,
            "state": view.state,
        }
        for view in page.heartbeats
    ]
    return listed("heartbeats", found, page.next_cursor)


# Acts

Record = Callable[[Ask], Awaitable[Mapping[str, Any]]]


async def _do(ask: Ask, command: Command, record: Record) -> CommandResult:
    """Raises RefusedError; a conflict tells the record as it stands."""
    result = await ask.control.send(command)
    if result.ok:
        return result
    told = await _as_it_stands(ask, record) if result.status in ("conflict", "stale") else None
    if result.status == "stale" and isinstance(command, EditPolicy | RemovePolicy):
        raise stale_revision(result.message, told or {})
    raise refusal_for(result, told)


async def _as_it_stands(ask: Ask, record: Record) -> Mapping[str, Any] | None:
    try:
        return await record(ask)
    except NotFoundError:
        return None


async def _run_record(ask: Ask) -> Mapping[str, Any]:
    return run_data(await ask.control.ask(RunQuery(ask.identity)))


async def _approval_record(ask: Ask) -> Mapping[str, Any]:
    return approval_data(await ask.control.ask(ApprovalQuery(ask.identity)))


async def _grant_record(ask: Ask) -> Mapping[str, Any]:
    return {"grant": await _grant(ask)}


async def _grant(ask: Ask) -> GrantView:
    shot = await ask.control.snapshot([Topic.APPROVALS])
    for grant in shot.grants:
        if grant.grant_id == ask.identity:
            return grant
    raise NotFoundError("It ended long ago.")


async def _alert_record(ask: Ask) -> Mapping[str, Any]:
    page = await ask.control.ask(AlertsQuery(True, MOST))
    for alert in page.alerts:
        if alert.alert_id == ask.identity:
            return {"alert": alert}
    raise NotFoundError("It ended long ago.")


async def _policy_record(ask: Ask) -> Mapping[str, Any]:
    return policy_data(await ask.control.ask(BudgetQuery(ask.identity)))


async def cancel(ask: Ask) -> Told:
    """`POST runs/ID/cancel`: asks for its end; 202. Raises RefusedError."""
    ask.words()
    read_nothing(ask.body)
    result = await _do(ask, CancelRun(ask.identity), _run_record)
    return Told({"run_id": ask.identity, "message": result.message}, 202)


async def decide(ask: Ask) -> Told:
    """`POST approvals/ID/decision`: allows or denies, if nobody was faster. Raises RefusedError."""
    ask.words()
    command = read_decision(ask.body, ask.identity)
    if wants_amount(command):
        detail = await ask.control.ask(ApprovalQuery(ask.identity))
        command = read_decision(ask.body, ask.identity, detail.approval)
    result = await _do(ask, command, _approval_record)
    return Told({"message": result.message, **await _approval_record(ask)})


async def revoke(ask: Ask) -> Told:
    """`POST grants/ID/revoke`: nothing more is drawn from it. Raises RefusedError."""
    ask.words()
    read_nothing(ask.body)
    result = await _do(ask, RevokeGrant(ask.identity), _grant_record)
    return Told({"message": result.message, **(await _as_it_stands(ask, _grant_record) or {})})


async def reload(ask: Ask) -> Told:
    """`POST config/reload`: the engine reads its configuration again. Raises RefusedError with every problem."""
    ask.words()
    read_nothing(ask.body)
    result = await ask.control.send(Reload())
    if not result.ok:
        raise refusal_for(result, {"problems": [fault.message for fault in result.faults]} if result.faults else None)
    applied, pending = (names_of(result.data[name]) for name in ("applied", "pending"))
    return Told({"message": result.message, "applied": applied, "pending_restart": pending})


def names_of(text: str) -> list[str]:
    """The names in a list written with commas."""
    return text.split(",") if text else []


async def acknowledge(ask: Ask) -> Told:
    """`POST alerts/ID/acknowledge`: somebody knows. Raises RefusedError."""
    ask.words()
    result = await _do(ask, read_acknowledgement(ask.body, ask.identity), _alert_record)
    return Told({"message": result.message, **(await _as_it_stands(ask, _alert_record) or {})})


async def snooze(ask: Ask) -> Told:
    """`POST alerts/ID/snooze`: it is quiet for a while. Raises RefusedError."""
    ask.words()
    result = await _do(ask, read_snooze(ask.body, ask.identity), _alert_record)
    return Told({"message": result.message, **(await _as_it_stands(ask, _alert_record) or {})})


async def add_policy(ask: Ask) -> Told:
    """`POST policies`: another budget; 201. Raises RefusedError with every fault."""
    ask.words()
    fields = read_policy(ask.body)
    named = Ask(ask.control, fields.get("policy_id", "").strip())
    result = await _do(named, AddPolicy(fields), _policy_record)
    return await _policy_told(named, 201, message=result.message)


async def put_policy(ask: Ask) -> Told:
    """`PUT policies/ID`: the whole budget anew, if it is still of that revision. Raises RefusedError."""
    ask.words()
    revision = read_revision(ask.if_match, required=True)
    fields = whole_policy(ask.identity, read_policy(ask.body))
    result = await _do(ask, EditPolicy(ask.identity, fields, revision), _policy_record)
    return await _policy_told(ask, message=result.message)


async def remove_policy(ask: Ask) -> Told:
    """`DELETE policies/ID`: the budget goes, its history stays. Raises RefusedError."""
    ask.words()
    read_nothing(ask.body)
    revision = read_revision(ask.if_match, required=False)
    result = await _do(ask, RemovePolicy(ask.identity, revision), _policy_record)
    return Told({"message": result.message, **result.data})
