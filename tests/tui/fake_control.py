"""An engine made of values: what a console sees and may do, in memory, the same on every run."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from palyra.control.commands import (
    AckAlert,
    AddPolicy,
    CancelRun,
    Command,
    DecideApproval,
    EditPolicy,
    RemovePolicy,
    RequestOverride,
    RevokeGrant,
    SnoozeAlert,
)
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
    DecisionDetail,
    DecisionQuery,
    InsightsQuery,
    LedgerAnswer,
    LedgerQuery,
    NoteView,
    RunDetail,
    RunQuery,
    RunsPage,
    RunsQuery,
    UsageQuery,
    UsageRowsQuery,
    UsageRunsQuery,
)
from palyra.control.replays import CancelReplay, ReplayProgressQuery, ReplayQuery
from palyra.control.serving import ProviderView
from palyra.control.snapshots import (
    AlertView,
    ApprovalView,
    BudgetView,
    CommandResult,
    CounterfactualView,
    EngineView,
    EvaluationView,
    GrantView,
    OperatorView,
    RunView,
    Snapshot,
    Topic,
)
from palyra.core.clock import Clock
from palyra.core.errors import NotFoundError
from tests.tui.fake_alerts import answered, reaching
from tests.tui.fake_budgets import detail_of_budget, last_override, opened
from tests.tui.fake_replay import FakeReplays
from tests.tui.fake_usage import usage_answer

NOW = 1_795_344_120_000
"""2026-11-22 10:42:00 UTC, a Sunday."""
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIDNIGHT = NOW - (NOW % DAY)
USD = 1_000_000_000
CENT = USD // 100

HOSTILE = (
    "\x1b[31m\x1b]52;c;cGF5bG9hZA==\x07ev\x9b2Jil\u202egnp.[b]x[/b]\u200b\u0301\u0301\u0301\u0301\u0301\u0301日本\n2"
)
"""Escape sequence, clipboard write, C1, bidi, markup, zero width, stacked marks, wide letters, a line break."""


def ident(number: int) -> str:
    """An id like a ULID of the fake's morning."""
    return f"01KANEXAMP{number:014d}7F"


def engine(**changes: Any) -> EngineView:
    fields: dict[str, Any] = {
        "phase": "ready",
        "mode": "enforced",
        "version": "0.1.0",
        "boot_id": ident(1),
        "pid": 4711,
        "started_at": NOW - 3 * HOUR,
        "timezone": "UTC",
        "gateway_url": "http://127.0.0.1:8787",
        "socket": "/run/user/1000/palyra/engine.sock",
        "key_file": "/home/ops/.local/state/palyra/gateway-key.txt",
        "state_dir": "/home/ops/.local/state/palyra",
        "config_path": "/home/ops/.config/palyra/palyra.toml",
        "demo": False,
        "journal_ok": True,
        "lag_ms": 0.8,
    }
    return EngineView(**{**fields, **changes})


def operator(role: str = "admin", name: str = "pavel") -> OperatorView:
    return OperatorView(name=name, role=role, attestation="uid")


def budget(policy_id: str, settled: int, held: int, hard: int | None, **changes: Any) -> BudgetView:
    fields: dict[str, Any] = {
        "policy_id": policy_id,
        "name": policy_id,
        "revision": 3,
        "source": "operator",
        "enabled": True,
        "scope_kind": "global",
        "scope_value": "*",
        "metric_kind": "estimated_cost_usd",
        "interval_kind": "daily",
        "timezone": "Europe/Prague",
        "action": "approval_required",
        "mode": "enforced",
        "window_start": MIDNIGHT - HOUR,
        "window_end": MIDNIGHT + 23 * HOUR,
        "settled": settled,
        "held": held,
        "soft_limit": None if hard is None else hard * 8 // 10,
        "hard_limit": hard,
        "granted": 0,
        "status": "ok",
    }
    return BudgetView(**{**fields, **changes})


def evaluation(policy_id: str, settled: int, held: int, bound: int, hard: int, **changes: Any) -> EvaluationView:
    over = settled + held + bound > hard
    fields: dict[str, Any] = {
        "policy_id": policy_id,
        "scope_value": "*",
        "metric_kind": "estimated_cost_usd",
        "settled": settled,
        "held": held,
        "bound": bound,
        "projected": settled + held + bound,
        "soft_limit": hard * 8 // 10,
        "hard_limit": hard,
        "granted": 0,
        "window_start": MIDNIGHT - HOUR,
        "window_end": MIDNIGHT + 23 * HOUR,
        "timezone": "Europe/Prague",
        "mode": "enforced",
        "status": "approval_required" if over else "ok",
        "message": "over its limit" if over else "fits",
        "once_cap": max(0, settled + held + bound - hard) * 11 // 10,
        "session_cap": hard,
    }
    return EvaluationView(**{**fields, **changes})


def approval(number: int, principal: str, model: str, policy: str, excess: int, **changes: Any) -> ApprovalView:
    bound = excess + 67 * CENT
    fields: dict[str, Any] = {
        "approval_id": ident(1000 + number),
        "version": 1,
        "status": "pending",
        "decision": "",
        "principal": principal,
        "key_id": "ci-runner",
        "session": "build-771",
        "model": model,
        "policy_ids": (policy,),
        "excess": excess,
        "excess_metric": "estimated_cost_usd",
        "risk": "low",
        "risk_percent": 4.2,
        "waiting": 0,
        "requested_at": NOW - 41 * SECOND,
        "expires_at": NOW - 41 * SECOND + 900 * SECOND,
        "park_until": NOW + 19 * SECOND,
        "resolved_at": None,
        "decided_by": "",
        "reason": "",
        "run_ids": (ident(2000 + number),),
        "prompt_bytes": 18_400,
        "expected_input": 4_600,
        "max_tokens": 4_096,
        "complexity": 0.71,
        "expected_nano_usd": 42 * CENT,
        "bound_nano_usd": bound,
        "evaluations": (
            evaluation(policy, 1_902 * CENT, 31 * CENT, bound, 1_933 * CENT + bound - excess),
            evaluation(
                "ci-month",
                21_240 * CENT,
                31 * CENT,
                bound,
                400 * USD,
                window_start=MIDNIGHT - 21 * DAY,
                window_end=MIDNIGHT + 9 * DAY - HOUR,
            ),
        ),
        "counterfactual": (
            CounterfactualView("max_tokens", "max_tokens 212", target=212),
            CounterfactualView("model", "the model openai/gpt-5.4-mini", target="openai/gpt-5.4-mini"),
            CounterfactualView("time", "a start at 2026-11-22T23:00:00Z or later", target=MIDNIGHT + 23 * HOUR),
            CounterfactualView("grant", f"a grant of ${excess / USD:.2f} on {policy}", policy, excess),
        ),
        "once_cap": excess * 11 // 10,
        "decision_id": ident(3000 + number),
        "tools": 6,
    }
    return ApprovalView(**{**fields, **changes})


def grant(number: int, kind: str, cap: int, drawn: int, **changes: Any) -> GrantView:
    fields: dict[str, Any] = {
        "grant_id": ident(4000 + number),
        "approval_id": ident(1000 + number),
        "kind": kind,
        "policy_id": "research-day",
        "scope_value": "*",
        "principal": "agent-ci",
        "session": "build-771",
        "metric_kind": "estimated_cost_usd",
        "cap": cap,
        "drawn": drawn,
        "created_at": NOW - 2 * HOUR,
        "expires_at": NOW + 22 * HOUR,
        "state": "active",
        "granted_by": "pavel",
    }
    return GrantView(**{**fields, **changes})


def run(number: int, state: str, principal: str, model: str, cost: int | None, **changes: Any) -> RunView:
    live = state in ("pending", "parked", "running")
    accepted = NOW - number * 37 * SECOND - 5 * SECOND
    provider, _, _ = model.partition("/")
    fields: dict[str, Any] = {
        "run_id": ident(2000 + number),
        "version": 4,
        "state": state,
        "phase": "stream" if state == "running" else "park" if state == "parked" else "",
        "reason": "stop" if state == "completed" else "" if live else "budget_approval_required",
        "message": "",
        "principal": principal,
        "session": "build-771",
        "key_id": "ci-runner",
        "wire": "openai_chat",
        "streaming": number % 2 == 0,
        "model_asked": model,
        "provider": provider,
        "model": model,
        "input_tokens": 4_600 + number,
        "output_tokens": 0 if state == "parked" else 812 + number * 3,
        "cost_nano_usd": cost,
        "held_nano_usd": 31 * CENT if live else None,
        "accepted_at": accepted,
        "first_byte_at": None if state in ("pending", "parked") else accepted + 900,
        "finished_at": None if live else accepted + 2_900,
        "attempts": 0 if state in ("parked", "refused") else 1,
        "approval_id": "",
        "decision_id": ident(3000 + number),
    }
    return RunView(**{**fields, **changes})


def providers() -> tuple[ProviderView, ...]:
    return (
        ProviderView("openai", "openai_compatible", "ok", 6, "https://api.openai.com/v1"),
        ProviderView("anthropic", "anthropic", "ok", 4, "https://api.anthropic.com"),
        ProviderView("local", "deterministic", "degraded", 1, "", "error rate 14 %"),
    )


def detail_of(run_id: str, decision_id: str) -> DecisionDetail:
    return DecisionDetail(
        decision_id=decision_id,
        run_id=run_id,
        at=NOW - 41 * SECOND,
        outcome="approval_required",
        mode="enforced",
        sentences=(
            "The request names openai/gpt-5.4, which stays as asked.",
            "research-day stands at $19.33 of $20.00; with this request it would reach $20.84.",
            "A person has to let it pass, because research-day asks for approval over its limit.",
        ),
        reason_codes=("budget_approval_required", "explicit_model"),
        body={"decision_id": decision_id, "mode": "enforced", "estimate": {"bound_nano_usd": 1_510_000_000}},
    )


@dataclass
class World:
    """The state a fake engine shows."""

    engine: EngineView = field(default_factory=engine)
    operator: OperatorView = field(default_factory=operator)
    spend_today: int = 0
    tightest: BudgetView | None = None
    incidents: int = 0
    requests_total: int = 0
    providers: tuple[ProviderView, ...] = ()
    approvals: tuple[ApprovalView, ...] = ()
    grants: tuple[GrantView, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    runs: tuple[RunView, ...] = ()
    older_runs: tuple[RunView, ...] = ()
    budgets: tuple[BudgetView, ...] = ()
    usage: bool = False
    text: str = ""
    """Stands in every name that comes from outside, when not empty."""


def empty() -> World:
    """A first start: nothing has happened yet."""
    return World(providers=(ProviderView("deterministic", "deterministic", "ok", 1),))


def normal() -> World:
    """An ordinary morning: three approvals, one alert, some runs."""
    team = budget("team-day", 4_121 * CENT, 31 * CENT, 45 * USD, status="soft_limit")
    return World(
        spend_today=4_127 * CENT,
        tightest=team,
        requests_total=3_102,
        providers=providers(),
        approvals=(
            approval(1, "agent-ci", "openai/gpt-5.4", "research-day", 84 * CENT, waiting=2),
            approval(
                2,
                "maria",
                "anthropic/claude-opus-5",
                "maria-month",
                210 * CENT,
                waiting=1,
                session="thesis",
                requested_at=NOW - 192 * SECOND,
                expires_at=NOW + 708 * SECOND,
                risk="medium",
                risk_percent=21.0,
            ),
            approval(
                3,
                "nightly",
                "openai/gpt-5.4",
                "jobs-day",
                12 * CENT,
                session="default:jobs",
                requested_at=NOW - 710 * SECOND,
                expires_at=NOW + 190 * SECOND,
                park_until=None,
            ),
            approval(
                4,
                "agent-ci",
                "openai/gpt-5.4",
                "research-day",
                90 * CENT,
                status="resolved",
                decision="allow",
                decided_by="pavel",
                requested_at=NOW - 3 * HOUR,
                resolved_at=NOW - 3 * HOUR + 20 * SECOND,
                grant_ids=(ident(4001),),
            ),
            approval(
                5,
                "maria",
                "anthropic/claude-opus-5",
                "maria-month",
                340 * CENT,
                status="resolved",
                decision="deny",
                decided_by="pavel",
                reason="use the smaller model",
                requested_at=NOW - 5 * HOUR,
                resolved_at=NOW - 5 * HOUR + 44 * SECOND,
            ),
        ),
        grants=(grant(1, "session", 20 * USD, 90 * CENT),),
        alerts=(reaching(ident(5001), NOW),),
        runs=(
            run(0, "running", "agent-ci", "openai/gpt-5.4", None),
            run(1, "parked", "agent-ci", "openai/gpt-5.4", None, approval_id=ident(1001)),
            run(2, "completed", "maria", "anthropic/claude-haiku-5", 312 * USD // 10_000),
            run(3, "completed", "agent-ci", "openai/gpt-5.4-mini", 45 * USD // 1_000_000),
            run(4, "refused", "nightly", "openai/gpt-5.4", None, reason="budget_blocked"),
            run(5, "failed", "maria", "anthropic/claude-opus-5", 0, reason="provider_timeout"),
            run(6, "completed", "agent-ci", "openai/gpt-5.4", 1_208 * USD // 10_000),
        ),
        older_runs=tuple(
            run(number, "completed", "agent-ci", "openai/gpt-5.4", number * CENT) for number in range(7, 60)
        ),
        budgets=(
            team,
            budget("research-day", 1_902 * CENT, 31 * CENT, 20 * USD, status="soft_limit"),
            budget(
                "ci-month",
                21_240 * CENT,
                31 * CENT,
                400 * USD,
                interval_kind="monthly",
                window_end=MIDNIGHT + 9 * DAY - HOUR,
            ),
            budget(
                "maria-month",
                9_700 * CENT,
                0,
                100 * USD,
                scope_kind="user",
                scope_value="maria",
                interval_kind="monthly",
                window_end=MIDNIGHT + 9 * DAY - HOUR,
                source="config",
                counters=4,
                status="soft_limit",
            ),
            budget(
                "tokens-hour",
                412_000,
                8_192,
                2_000_000,
                metric_kind="total_tokens",
                interval_kind="hourly",
                action="advise",
                window_end=NOW + 18 * MINUTE,
            ),
            budget(
                "trial",
                37,
                1,
                500,
                metric_kind="requests",
                interval_kind="lifetime",
                action="block",
                window_end=None,
                enabled=False,
            ),
        ),
        usage=True,
    )


def storm() -> World:
    """200 approvals at once, 300 runs, twelve alerts, a lagging loop."""
    world = normal()
    asking = tuple(
        approval(
            100 + number,
            f"agent-{number:03d}",
            ("openai/gpt-5.4", "anthropic/claude-opus-5", "openai/gpt-5.4-mini")[number % 3],
            ("research-day", "team-day", "jobs-day")[number % 3],
            (12 + number * 7) * CENT,
            waiting=number % 4,
            session=f"batch-{number // 10}",
            requested_at=NOW - number * 3 * SECOND,
            expires_at=NOW - number * 3 * SECOND + 900 * SECOND,
            risk=("low", "medium", "high", "critical")[number % 4],
        )
        for number in range(200)
    )
    return replace(
        world,
        engine=engine(lag_ms=84.0),
        spend_today=123_456 * CENT,
        requests_total=98_765,
        tightest=budget("team-day", 4_490 * CENT, 9 * CENT, 45 * USD, status="soft_limit"),
        incidents=17,
        approvals=asking,
        alerts=tuple(
            AlertView(
                ident(5100 + number),
                "budget_alert",
                "danger",
                f"budget-{number} is over its limit",
                NOW - number * MINUTE,
            )
            for number in range(12)
        ),
        runs=tuple(
            run(
                number,
                ("running", "parked", "completed", "completed", "refused")[number % 5],
                f"agent-{number:03d}",
                "openai/gpt-5.4",
                None if number % 5 < 2 else number * CENT // 3,
            )
            for number in range(300)
        ),
        budgets=tuple(
            budget(f"team-{number:03d}-day", number * 90 * CENT, 31 * CENT, 45 * USD) for number in range(60)
        ),
    )


def hostile() -> World:
    """Whatever outsiders can name carries what a terminal would obey or mistake."""
    base = normal()
    evil = HOSTILE
    return replace(
        base,
        engine=engine(problems=(f"config: {evil}",), gateway_url="http://127.0.0.1:8787"),
        tightest=budget(evil, 44 * USD, 0, 45 * USD),
        providers=(ProviderView(evil, "openai_compatible", "down", 1, evil, evil),),
        approvals=tuple(
            replace(
                item,
                principal=evil,
                key_id=evil,
                session=evil,
                model=evil,
                policy_ids=(evil,),
                reason=evil,
                decided_by=evil,
                risk=evil,
                evaluations=tuple(
                    replace(value, policy_id=evil, scope_value=evil, message=evil) for value in item.evaluations
                ),
                counterfactual=tuple(
                    replace(value, value=evil, policy_id=evil, target=evil) for value in item.counterfactual
                ),
            )
            for item in base.approvals
        ),
        grants=tuple(
            replace(item, principal=evil, session=evil, policy_id=evil, scope_value=evil, granted_by=evil)
            for item in base.grants
        ),
        alerts=tuple(
            replace(item, kind=evil, summary=evil, subject=evil, subject_kind=evil, sentences=(evil,), acted_by=evil)
            for item in base.alerts
        ),
        runs=tuple(
            replace(
                item,
                principal=evil,
                session=evil,
                model=evil,
                model_asked=evil,
                reason=evil,
                message=evil,
                phase=evil,
                key_id=evil,
                flags=(evil,),
            )
            for item in base.runs
        ),
        older_runs=(),
        budgets=tuple(
            replace(item, policy_id=f"{evil}{number}", name=evil, scope_value=evil)
            for number, item in enumerate(base.budgets)
        ),
        text=evil,
    )


class FakeControl:
    """Control over a `World`. Commands act on it; `sent` and `asked` remember what came.

    `trouble`, when set, is raised by every snapshot and query; `gate` and `snapshot_gate`,
    when set, hold queries and snapshots until they open.
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
        self.in_flight = 0
        self.most_in_flight = 0
        self.results: list[CommandResult] = []
        self.version = 1
        self._attached = attached
        self.closed = False
        self.replays = FakeReplays()

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
            incidents_open=world.incidents,
            runs_live=sum(item.live for item in world.runs),
            requests_total=world.requests_total,
            providers=world.providers,
            approvals=world.approvals if Topic.APPROVALS in topics else (),
            grants=world.grants if Topic.APPROVALS in topics else (),
            alerts=world.alerts if Topic.APPROVALS in topics or Topic.USAGE in topics else (),
            runs=world.runs if Topic.RUNS in topics else (),
            budgets=world.budgets if Topic.BUDGETS in topics else (),
        )

    async def ask(self, query: Any) -> Any:
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
            case RunsQuery():
                return self._runs(query)
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
                )
            case BudgetQuery(policy_id=policy_id):
                world = self.world
                return detail_of_budget(
                    policy_id, world.budgets, world.grants, world.approvals, (*world.runs, *world.older_runs), NOW
                )
            case ApprovalsQuery():
                return ApprovalsPage(self.world.approvals, self.world.grants)
            case AlertsQuery():
                return AlertsPage(self.world.alerts)
            case UsageQuery() | InsightsQuery() | UsageRowsQuery():
                return usage_answer(query, self.clock.now_ms(), used=self.world.usage, text=self.world.text)
            case ReplayQuery() | ReplayProgressQuery() | CancelReplay():
                return self.replays.answer(query)
            case UsageRunsQuery():
                return self._runs_that_ended(query)
            case LedgerQuery():
                return LedgerAnswer(True, True, 10, 5, 1, (), (), ())
            case AuditQuery():
                return AuditAnswer(True, 42, "c0ffee", None, "the chain holds")
            case _:
                raise AssertionError(f"an unknown query: {query!r}")

    def _runs(self, query: RunsQuery) -> RunsPage:
        found = [
            item
            for item in (*self.world.runs, *self.world.older_runs)
            if (query.since is None or item.accepted_at >= query.since)
            and (query.until is None or item.accepted_at < query.until)
            and query.model in (item.model, "")
            and query.principal in (item.principal, "")
            and query.session in (item.session, "")
        ]
        found.sort(key=lambda item: -item.accepted_at)
        start = int(query.cursor or 0)
        page = tuple(found[start : start + query.limit])
        more = start + query.limit < len(found)
        return RunsPage(page, str(start + query.limit) if more else "")

    def _runs_that_ended(self, query: UsageRunsQuery) -> RunsPage:
        wanted = RunsQuery(
            model=query.where.model or "",
            principal=query.where.user or "",
            session=query.where.session or "",
            since=query.since,
            until=query.until,
            limit=query.limit,
            cursor=query.cursor,
        )
        return self._runs(wanted)

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
