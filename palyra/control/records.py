"""Answers read from the journal alone: they are the same whether an engine runs or not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from palyra.control.attempts import other_notes, retries_in, traced, traces_of
from palyra.control.audit_check import AuditCheck
from palyra.control.audit_log import audit_log
from palyra.control.audit_queries import AuditLogQuery, AuditProgress, AuditProgressQuery
from palyra.control.queries import (
    Answer,
    ApprovalDetail,
    ApprovalQuery,
    ApprovalsPage,
    ApprovalsQuery,
    AuditAnswer,
    AuditQuery,
    CounterNow,
    DecisionDetail,
    DecisionQuery,
    OverrideView,
    Query,
    RunDetail,
    RunQuery,
    RunsPage,
    RunsQuery,
)
from palyra.control.snapshots import ApprovalView, GrantView
from palyra.control.text_queries import RunTexts, RunTextsQuery, RunTextView
from palyra.control.usage import UsageRecords
from palyra.control.usage_queries import (
    InsightsQuery,
    UsageQuery,
    UsageRowsQuery,
    UsageRunsQuery,
)
from palyra.control.views import (
    approval_view,
    attempt_view,
    decision_detail,
    grant_row_view,
    run_view,
)
from palyra.core.clock import Clock
from palyra.core.errors import BadInputError, NotFoundError
from palyra.governance.approval_record import ApprovalDecision, ApprovalRecord, ApprovalStatus
from palyra.journal.audit import HEAD_FILE
from palyra.journal.corrections import attempts_of
from palyra.journal.journal import JOURNAL_FILE
from palyra.journal.readers import Readers
from palyra.journal.rows import ApprovalRow, GrantRow, RunFilter

HISTORY_DAYS = 7
DAY_MS = 86_400_000


class Present(Protocol):
    """What only a running engine knows about approvals and grants."""

    def waiting(self, approval_id: str) -> tuple[int, int | None]:
        """How many connections are open for it, and until when the last of them waits (unix ms)."""
        ...

    def drawn(self, row: GrantRow) -> tuple[int, str] | None:
        """How much of a grant is drawn, and its state; None for one that ended long ago."""
        ...

    def counter(self, policy_id: str, scope_value: str) -> tuple[int, int] | None:
        """What a counter has settled and held now; None where nobody counts."""
        ...

    async def keep_head(self) -> bool:
        """Has the head of the audit chain written as far as the chain goes; False without an engine that could."""
        ...


class Records:
    """Reads what is durable. Errors: NotFoundError, BadInputError, JournalUnavailableError."""

    def __init__(self, readers: Readers, state_dir: Path, clock: Clock, present: Present) -> None:
        self._readers = readers
        self._state_dir = state_dir
        self._clock = clock
        self._present = present
        self._usage = UsageRecords(readers, clock)
        self._check = AuditCheck()

    async def answer(self, query: Query) -> Answer:
        """Anything but the ledger's check, which needs more than the journal."""
        match query:
            case RunsQuery():
                return await self.runs(query)
            case RunQuery():
                return await self.run(query.run_id)
            case RunTextsQuery():
                return await self.texts(query.run_id)
            case DecisionQuery():
                return await self.decision(query.decision_id)
            case ApprovalQuery():
                return await self.approval(query.approval_id)
            case ApprovalsQuery():
                return await self.approvals(query)
            case UsageQuery():
                return await self._usage.usage(query)
            case UsageRunsQuery():
                return await self._usage.runs(query)
            case UsageRowsQuery():
                return await self._usage.rows(query)
            case InsightsQuery():
                return await self._usage.insights(query)
            case AuditQuery():
                return await self.audit()
            case AuditProgressQuery():
                return AuditProgress(self._check.done, self._check.total)
            case AuditLogQuery():
                return await audit_log(self._readers, query)
            case _:
                raise BadInputError("This is answered by the engine or by whoever stands in for it.")

    async def approvals(self, query: ApprovalsQuery) -> ApprovalsPage:
        """A page of approvals, those that nobody swept yet included."""
        now, limit = self._clock.now_ms(), max(1, query.limit)
        over, before = read_place(query.cursor)
        unswept = sorted(await self._readers.pending_approvals(), key=place_of, reverse=True)
        if query.upward:
            return await self._newer_approvals(query, [row for row in unswept if now >= row.expires_at], before)
        rows: list[ApprovalRow] = []
        if query.status in ("", "pending") and not over:
            rows += [row for row in unswept if now < row.expires_at and (before is None or place_of(row) < before)]
        pending = len(rows)
        if query.status in ("", "resolved") and pending <= limit:
            since = before if over else None
            ended = [row for row in unswept if now >= row.expires_at and (since is None or place_of(row) < since)]
            ended += await self._readers.approvals("resolved", limit=limit + 1 - pending, before=since)
            rows += sorted(ended, key=place_of, reverse=True)
        page = rows[:limit]
        following = written_place(page[-1], over=len(page) > pending) if len(rows) > limit else ""
        newer = written_place(page[0], over=True) if over and page else ""
        return ApprovalsPage(tuple(self._view(row) for row in page), await self._in_force(), following, newer)

    async def _newer_approvals(
        self, query: ApprovalsQuery, ended: Sequence[ApprovalRow], after: tuple[int, str] | None
    ) -> ApprovalsPage:
        if query.status != "resolved":
            raise BadInputError("Pages go upward among decided approvals alone.", fix="Ask for the status resolved.")
        limit, beyond = max(1, query.limit), after or (-1, "")
        rows = [row for row in ended if place_of(row) > beyond]
        rows += await self._readers.approvals("resolved", limit=limit + 1, after=beyond)
        rows.sort(key=place_of)
        page = rows[:limit][::-1]
        newer = written_place(page[0], over=True) if len(rows) > limit else ""
        older = written_place(page[-1], over=True) if after is not None and page else ""
        return ApprovalsPage(tuple(self._view(row) for row in page), await self._in_force(), older, newer)

    async def _in_force(self) -> tuple[GrantView, ...]:
        """One for a single run is written down as active until its time is over, since a run that is not sent has not
        used it; once used it serves nobody."""
        active = [await self._grant(grant) for grant in await self._readers.grants(state="active")]
        return tuple(grant for grant in active if grant.state == "active")

    async def approval(self, approval_id: str) -> ApprovalDetail:
        """An approval with what it is about. Raises NotFoundError."""
        row = await self._readers.approval(approval_id)
        if row is None:
            raise NotFoundError(f"No approval {approval_id!r} is known.", fix="List them with `palyra approvals list`.")
        now = self._clock.now_ms()
        since = now - HISTORY_DAYS * DAY_MS
        grants = await self._readers.grants(approval_id=approval_id)
        totals = await self._readers.usage_totals(since, now + 1, principal=row.principal)
        days = await self._readers.usage_timeline(since, now + 1, bucket="day", principal=row.principal)
        asked = await self._readers.approvals("resolved", principal=row.principal, limit=100)
        overrides = sum(one.decision == "allow" and one.requested_at >= since for one in asked)
        return ApprovalDetail(
            approval=self._view(row),
            grants=tuple([await self._grant(grant) for grant in grants]),
            requester_runs=totals.runs,
            requester_cost_nano_usd=totals.cost,
            requester_overrides=overrides,
            daily_cost=tuple(sum(series.cost for series in day.series.values()) for day in days),
            last_override=await self._last_override(asked, row),
            present=self._counters(row),
        )

    def _counters(self, row: ApprovalRow) -> tuple[CounterNow, ...]:
        """Where the budgets of a pending one stand by now."""
        record = ApprovalRecord.from_row(row)
        if not record.pending:
            return ()
        places = [(item.policy_id, item.scope_value) for item in record.evaluations]
        found = [(place, self._present.counter(*place)) for place in places]
        return tuple(CounterNow(*place, *amounts) for place, amounts in found if amounts is not None)

    async def _last_override(self, asked: Sequence[ApprovalRow], shown: ApprovalRow) -> OverrideView | None:
        """What the same person was allowed last, before they asked for what is shown."""
        allowed = [
            row
            for row in asked
            if row.decision == ApprovalDecision.ALLOW
            and row.approval_id != shown.approval_id
            and (row.resolved_at or 0) <= (shown.resolved_at or self._clock.now_ms())
        ]
        last = max(allowed, key=lambda row: row.resolved_at or 0, default=None)
        if last is None:
            return None
        grants = await self._readers.grants(approval_id=last.approval_id)
        if not grants:
            return None
        grant = await self._grant(grants[0])
        return OverrideView(
            last.approval_id,
            last.resolved_at or 0,
            last.decided_by,
            grant.kind,
            grant.metric_kind,
            grant.cap,
            grant.drawn,
        )

    def _view(self, row: ApprovalRow) -> ApprovalView:
        record = ApprovalRecord.from_row(row)
        if record.pending and self._clock.now_ms() >= record.expires_at:
            # Nobody has written it down yet, but its time is over: it cannot be decided any more.
            record = replace(
                record,
                status=ApprovalStatus.RESOLVED,
                decision=ApprovalDecision.TIMEOUT,
                resolved_at=record.expires_at,
            )
        return approval_view(record, *self._present.waiting(row.approval_id))

    async def _grant(self, row: GrantRow) -> GrantView:
        drawn, state = self._present.drawn(row) or (await self._readers.drawn_from(row), row.state)
        return grant_row_view(row, drawn, state)

    async def runs(self, query: RunsQuery) -> RunsPage:
        """A page of runs. Raises BadInputError."""
        wanted = RunFilter(
            states=tuple(part for part in query.state.split(",") if part),
            principal=query.principal,
            session=query.session,
            job=query.job,
            model=query.model,
            text=query.text,
            since=query.since,
            until=query.until,
            terms=query.terms,
        )
        page = await self._readers.runs(wanted, cursor=query.cursor, limit=query.limit, upward=query.upward)
        total = await self._readers.count_runs(wanted) if query.counted else None
        return RunsPage(tuple(run_view(row) for row in page.runs), page.cursor, page.newer, total)

    async def run(self, run_id: str) -> RunDetail:
        """A run with everything that is known of it, at one moment. Raises NotFoundError."""
        async with self._readers.at_one_moment() as readers:
            row = await readers.run(run_id)
            if row is None:
                raise _unknown(run_id)
            holds = await readers.holds_of_run(run_id)
            usage = attempts_of(await readers.usage_of_run(run_id))
            notes = await readers.run_notes(run_id)
            decision = await readers.decision(row.decision_id) if row.decision_id else None
        held = [hold.bound_usd for hold in holds if hold.state == "held"]
        traces = traces_of(notes)
        return RunDetail(
            run=run_view(row, sum(amount or 0 for amount in held)),
            attempts=tuple(
                traced(attempt_view(hold, usage.get(hold.hold_id)), traces.get(hold.hold_id)) for hold in holds
            ),
            notes=other_notes(notes),
            decision=None if decision is None else decision_detail(decision, row, tuple(traces.values())),
            retry_count=retries_in(traces.values()),
        )

    async def texts(self, run_id: str) -> RunTexts:
        """Raises NotFoundError for a run that nobody knows."""
        kept = await self._readers.run_texts(run_id)
        if not kept and await self._readers.run(run_id) is None:
            raise _unknown(run_id)
        return RunTexts(
            run_id,
            tuple(RunTextView(one.part, one.redacted, one.cut, one.text, one.size) for one in kept),
        )

    async def decision(self, identity: str) -> DecisionDetail:
        """By its own id, or the newest decision of a run by the run's id."""
        row = await self._readers.decision(identity)
        if row is None:
            of_run = await self._readers.decisions_of_run(identity)
            if not of_run:
                raise NotFoundError(f"No decision {identity!r} is known.", fix="Give the id of a decision or of a run.")
            row = of_run[-1]
        traces = traces_of(await self._readers.run_notes(row.run_id))
        return decision_detail(row, await self._readers.run(row.run_id), tuple(traces.values()))

    async def audit(self) -> AuditAnswer:
        """Follows the audit's chain to its head outside the database."""
        live = await self._present.keep_head()
        journal, head = self._state_dir / JOURNAL_FILE, self._state_dir / HEAD_FILE
        check = self._check = AuditCheck()
        report = await check.follow(journal, head, live=live)
        return AuditAnswer(
            ok=report.ok,
            rows=report.count,
            head=report.head_status.value,
            first_bad=report.first_bad,
            message=report.message,
        )


def _unknown(run_id: str) -> NotFoundError:
    return NotFoundError(f"No run {run_id!r} is known.", fix="See `palyra runs list`.")


def place_of(row: ApprovalRow) -> tuple[int, str]:
    """Where an approval stands among others: by when it was asked for, then by its id."""
    return row.requested_at, row.approval_id


def written_place(row: ApprovalRow, *, over: bool) -> str:
    """The cursor of what comes after an approval; `over`: among those that are decided."""
    return f"{'r' if over else 'p'}.{row.requested_at}.{row.approval_id}"


def read_place(cursor: str) -> tuple[bool, tuple[int, str] | None]:
    """Whether a page begins among decided ones, and before what. Raises BadInputError."""
    if not cursor:
        return False, None
    part, _, place = cursor.partition(".")
    at, _, approval_id = place.partition(".")
    if part not in ("p", "r") or not (at.isascii() and at.isdigit() and len(at) < 16) or not approval_id:
        raise BadInputError(f"{cursor[:64]!r} is no cursor of a page of approvals.", fix="Start again without one.")
    return part == "r", (int(at), approval_id)
