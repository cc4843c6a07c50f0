"""An engine made of values: what a console sees and may do, in memory, the same on every run."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any, get_args

from palyra.control.audit_queries import AuditLogQuery, AuditProgressQuery
from palyra.control.commands import (
    AckAlert,
    AddPolicy,
    CancelRun,
    ClearCredential,
    Command,
    CorrectUsage,
    DecideApproval,
    DiscardDeadLetters,
    DiscoverModels,
    EditPolicy,
    RemovePolicy,
    RequestOverride,
    RetryDeadLetters,
    RevokeGrant,
    SnoozeAlert,
)
from palyra.control.config_queries import ConfigQuery
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.doctor_commands import DoctorCommand
from palyra.control.doctor_queries import DoctorPreviewQuery, DoctorReportQuery, DoctorRunsQuery
from palyra.control.incidents_commands import IncidentCommand
from palyra.control.incidents_queries import IncidentQuery, IncidentsQuery, IncidentStatsQuery
from palyra.control.jobs_commands import JobCommand
from palyra.control.jobs_queries import JobQuery, ScheduleQuery
from palyra.control.notice_queries import DeadLettersQuery, HeartbeatsQuery
from palyra.control.protocol import Control
from palyra.control.queries import (
    AlertsPage,
    AlertsQuery,
    ApprovalDetail,
    ApprovalQuery,
    ApprovalsPage,
    ApprovalsQuery,
    AttemptView,
    AuditAnswer,
    AuditQuery,
    BudgetQuery,
    CounterNow,
    DecisionQuery,
    LedgerAnswer,
    LedgerQuery,
    NoteView,
    RunDetail,
    RunQuery,
    RunsQuery,
)
from palyra.control.replays import CancelReplay, ReplayProgressQuery, ReplayQuery
from palyra.control.serving_queries import ConnectionQuery, SelectionQuery
from palyra.control.snapshots import (
    ApprovalView,
    CommandResult,
    Snapshot,
    Topic,
)
from palyra.control.task_commands import ActOnTasks
from palyra.control.task_queries import TaskQuery
from palyra.control.usage_queries import (
    InsightsQuery,
    UsageQuery,
    UsageRowsQuery,
    UsageRunsQuery,
)
from palyra.core.clock import Clock
from palyra.core.errors import NotFoundError, PalyraError
from palyra.tui.details.incident import away
from tests.tui.fake_alerts import answered
from tests.tui.fake_audit import audit_page
from tests.tui.fake_budgets import detail_of_budget, last_override, opened
from tests.tui.fake_configuration import configuration
from tests.tui.fake_doctor import doctor_done, doctor_told
from tests.tui.fake_incidents import incident_done, incidents_told
from tests.tui.fake_jobs import job_done, jobs_told, task_done
from tests.tui.fake_pages import paged, runs_page
from tests.tui.fake_replay import FakeReplays
from tests.tui.fake_serving import serving_done, serving_told
from tests.tui.fake_usage import usage_answer
from tests.tui.fake_views import (
    CENT,
    NOW,
    USD,
    budget,
    detail_of,
    ident,
)
from tests.tui.fake_worlds import World

MOST_INCIDENTS = 200
"""As many as a snapshot carries."""


class FakeControl(Control):
    """Control over a `World`. Commands act on it; `sent` and `asked` remember what came.

    `trouble`, when set, is raised by every snapshot and query; `gate`, `snapshot_gate` and
    `command_gate`, when set, hold queries, snapshots and commands until they open.
    """

    def __init__(self, world: World, clock: Clock, *, attached: bool = False) -> None:
        self.world = world
        self.clock = clock
        self.sent: list[Command] = []
        self.asked: list[Any] = []
        self.pulls: list[frozenset[Topic]] = []
        self.trouble: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.snapshot_gate: asyncio.Event | None = None
        self.command_gate: asyncio.Event | None = None
        self.in_flight = 0
        self.most_in_flight = 0
        self.results: list[CommandResult] = []
        self.version = 1
        self._attached = attached
        self.closed = False
        self.replays = FakeReplays()
        self.present: tuple[CounterNow, ...] = ()
        """Where the budgets of approvals stand by now."""

    @property
    def attached(self) -> bool:
        return self._attached

    def change(self, **changes: Any) -> None:
        """Moves the world on."""
        self.world = replace(self.world, **changes)
        self.version += 1

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        self.pulls.append(frozenset(topics))
        if self.snapshot_gate is not None:
            await self.snapshot_gate.wait()
        if self.trouble is not None:
            raise self.trouble
        world = self.world
        return Snapshot(
            version=self.version,
            at=self.clock.now_ms(),
            engine=world.engine,
            operator=world.operator,
            spend_today_nano_usd=world.spend_today,
            tightest=world.tightest,
            approvals_pending=sum(item.status == "pending" for item in world.approvals),
            incidents_open=sum(not away(one, self.clock.now_ms()) for one in world.trouble.incidents),
            incidents=world.trouble.incidents[:MOST_INCIDENTS],
            runs_live=sum(item.live for item in world.runs),
            requests_total=world.requests_total,
            providers=world.providers,
            approvals=world.approvals if Topic.APPROVALS in topics else (),
            grants=world.grants if Topic.APPROVALS in topics else (),
            alerts=world.alerts if Topic.APPROVALS in topics or Topic.USAGE in topics else (),
            runs=world.runs if Topic.RUNS in topics else (),
            models=world.models if Topic.MODELS in topics else (),
            budgets=world.budgets if Topic.BUDGETS in topics else (),
            jobs=world.jobs if Topic.JOBS in topics else (),
            tasks=world.tasks if Topic.JOBS in topics else (),
        )

    async def answer(self, query: Any) -> Any:
        self.asked.append(query)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
            if self.trouble is not None:
                raise self.trouble
            return self._answer(query)
        finally:
            self.in_flight -= 1

    def _answer(self, query: Any) -> Any:
        match query:
            case RunsQuery() | UsageRunsQuery():
                return runs_page((*self.world.runs, *self.world.older_runs), query)
            case RunQuery(run_id=run_id):
                return self._run(run_id)
            case DecisionQuery(decision_id=decision_id):
                detail = detail_of(ident(2000), decision_id)
                return replace(detail, sentences=(self.world.text,)) if self.world.text else detail
            case ApprovalQuery(approval_id=approval_id):
                return ApprovalDetail(
                    approval=self._approval(approval_id),
                    grants=tuple(item for item in self.world.grants if item.approval_id == approval_id),
                    last_override=last_override(NOW, self.world.grants),
                    requester_runs=88,
                    requester_cost_nano_usd=3_120 * CENT,
                    requester_overrides=2,
                    daily_cost=(110 * CENT, 240 * CENT, 230 * CENT, 610 * CENT, 400 * CENT, 900 * CENT, 630 * CENT),
                    present=self.present,
                )
            case BudgetQuery(policy_id=policy_id):
                world = self.world
                return detail_of_budget(
                    policy_id, world.budgets, world.grants, world.approvals, (*world.runs, *world.older_runs), NOW
                )
            case ApprovalsQuery(cursor=cursor, limit=limit, upward=upward):
                decided = [one for one in (*self.world.approvals, *self.world.decided) if one.status != "pending"]
                decided.sort(key=lambda one: -one.requested_at)
                page, older, newer = paged(decided, cursor, limit, upward=upward)
                return ApprovalsPage(page, self.world.grants, older, newer)
            case AlertsQuery():
                return AlertsPage(self.world.alerts)
            case UsageQuery() | InsightsQuery() | UsageRowsQuery():
                return usage_answer(query, self.clock.now_ms(), used=self.world.usage, text=self.world.text)
            case ReplayQuery() | ReplayProgressQuery() | CancelReplay():
                return self.replays.answer(query)
            case ConnectionQuery() | SelectionQuery():
                world = self.world
                return serving_told(query, world.providers, world.models, self.clock.now_ms(), world.text)
            case IncidentsQuery() | IncidentQuery() | IncidentStatsQuery() | HeartbeatsQuery() | DeadLettersQuery():
                return incidents_told(self.world.trouble, query)
            case JobQuery() | TaskQuery() | ScheduleQuery():
                return jobs_told(query, self.world.jobs, self.world.tasks, self.world.text)
            case LedgerQuery():
                return LedgerAnswer(True, True, 10, 5, 1, (), (), ())
            case AuditQuery():
                return AuditAnswer(True, 42, "c0ffee", None, "the chain holds")
            case AuditProgressQuery():
                return self.world.followed
            case DiagnosticsQuery():
                if isinstance(self.world.diagnosis, PalyraError):
                    raise self.world.diagnosis
                return self.world.diagnosis
            case DoctorReportQuery() | DoctorPreviewQuery() | DoctorRunsQuery():
                return doctor_told(self.world.clinic, query)
            case ConfigQuery():
                return configuration()
            case AuditLogQuery():
                return audit_page(self.world.audit, query)
            case _:
                raise AssertionError(f"an unknown query: {query!r}")

    def _run(self, run_id: str) -> RunDetail:
        for item in (*self.world.runs, *self.world.older_runs):
            if item.run_id == run_id:
                break
        else:
            raise NotFoundError(f"There is no run {run_id}.")
        state = "held" if item.live else "settled"
        decision = detail_of(run_id, item.decision_id)
        if self.world.text:
            decision = replace(decision, sentences=(self.world.text,), reason_codes=(self.world.text,))
        return RunDetail(
            run=item,
            attempts=(
                AttemptView(
                    1,
                    ident(6000),
                    item.provider,
                    item.model,
                    state,
                    item.accepted_at,
                    item.finished_at,
                    151 * CENT,
                    item.cost_nano_usd,
                    "reported" if state == "settled" else "",
                    "known",
                    False,
                ),
            ),
            notes=(
                NoteView(item.accepted_at, "accepted", {"wire": item.wire}),
                NoteView(item.accepted_at + 4, "planned", {"model": item.model, "text": self.world.text}),
            ),
            decision=decision,
        )

    def _approval(self, approval_id: str) -> ApprovalView:
        for item in self.world.approvals:
            if item.approval_id == approval_id:
                return item
        raise NotFoundError(f"There is no approval {approval_id}.")

    async def send(self, command: Command) -> CommandResult:
        self.sent.append(command)
        await asyncio.sleep(0)
        if self.command_gate is not None:
            await self.command_gate.wait()
        if self.trouble is not None:
            raise self.trouble
        if self.results:
            return self.results.pop(0)
        match command:
            case DecideApproval():
                return self._decide(command)
            case RequestOverride():
                return opened(command)
            case RevokeGrant(grant_id=grant_id):
                self.change(grants=tuple(item for item in self.world.grants if item.grant_id != grant_id))
                return CommandResult("accepted", "The grant is revoked; $0.90 of $20.00 had been drawn.")
            case CancelRun(run_id=run_id):
                runs = tuple(
                    replace(item, state="cancelled", finished_at=NOW) if item.run_id == run_id else item
                    for item in self.world.runs
                )
                self.change(runs=runs)
                return CommandResult("accepted", "The run is cancelled; $0.0312 were metered.")
            case AckAlert() | SnoozeAlert():
                alerts, result = answered(self.world.alerts, command, self.clock.now_ms(), self.world.operator.name)
                self.change(alerts=alerts)
                return result
            case AddPolicy(fields=fields):
                new = budget(fields.get("policy_id", "new"), 0, 0, 10 * USD)
                self.change(budgets=(*self.world.budgets, new))
                return CommandResult("accepted", f"Budget {new.policy_id} is in force.")
            case EditPolicy(policy_id=policy_id):
                return CommandResult("accepted", f"Budget {policy_id} is changed.")
            case RemovePolicy(policy_id=policy_id):
                self.change(budgets=tuple(item for item in self.world.budgets if item.policy_id != policy_id))
                return CommandResult("accepted", f"Budget {policy_id} is removed.")
            case CorrectUsage(what=what):
                return CommandResult("accepted", f"{what} is corrected.")
            case ActOnTasks():
                tasks, result = task_done(command, self.world.tasks)
                self.change(tasks=tasks)
                return result
            case ClearCredential() | DiscoverModels():
                changed, result = serving_done(command, self.world.providers)
                self.change(providers=changed)
                return result
            case _:
                return self._operated(command)

    def _operated(self, command: Command) -> CommandResult:
        if isinstance(command, get_args(JobCommand)):
            jobs, result = job_done(command, self.world.jobs)
            self.change(jobs=jobs)
            return result
        if isinstance(command, DoctorCommand):
            clinic, result = doctor_done(self.world.clinic, command)
            self.change(clinic=clinic)
            return result
        known = (*get_args(IncidentCommand), RetryDeadLetters, DiscardDeadLetters)
        assert isinstance(command, known), f"an unknown command: {command!r}"
        trouble, result = incident_done(self.world.trouble, command, self.clock.now_ms(), self.world.operator.name)
        self.change(trouble=trouble)
        return result

    def _decide(self, command: DecideApproval) -> CommandResult:
        item = self._approval(command.approval_id)
        if item.status != "pending" or command.version not in (None, item.version):
            return CommandResult("stale", f"Meanwhile {item.decided_by or 'someone'} decided: {item.decision}.")
        decided = replace(
            item,
            status="resolved",
            decision=command.decision,
            decided_by=self.world.operator.name,
            reason=command.reason,
            resolved_at=self.clock.now_ms(),
            version=item.version + 1,
            waiting=0,
        )
        self.change(
            approvals=tuple(
                decided if other.approval_id == item.approval_id else other for other in self.world.approvals
            )
        )
        word = "Allowed once" if command.decision == "allow" and command.scope == "once" else command.decision
        return CommandResult("accepted", f"{word}: {item.principal} may go on.")

    async def close(self) -> None:
        self.closed = True
