"""Worlds a console can look at: empty, normal, a storm, and one of hostile text."""

from dataclasses import dataclass, field, replace

from palyra.control.audit_queries import AuditEntry, AuditProgress
from palyra.control.diagnostics_queries import Diagnosis
from palyra.control.jobs_queries import JobView
from palyra.control.serving import ModelView, ProviderView
from palyra.control.snapshots import (
    AlertView,
    ApprovalView,
    BudgetView,
    EngineView,
    GrantView,
    OperatorView,
    RunView,
)
from palyra.control.task_queries import TaskView
from palyra.core.errors import PalyraError
from tests.tui.fake_alerts import reaching
from tests.tui.fake_audit import evil_audit, long_audit, morning_audit
from tests.tui.fake_diagnosis import all_well, disk_is_full, evil_diagnosis, some_trouble
from tests.tui.fake_doctor import Clinic, evil_clinic, ill, ward
from tests.tui.fake_incidents import Trouble, evil, morning, storm_of
from tests.tui.fake_jobs import evil_jobs, evil_tasks, many_jobs, morning_jobs, morning_tasks
from tests.tui.fake_serving import evil_model, evil_provider, many_models, many_providers, models, providers
from tests.tui.fake_views import (
    CENT,
    DAY,
    HOSTILE,
    HOUR,
    MIDNIGHT,
    MINUTE,
    NOW,
    SECOND,
    USD,
    approval,
    budget,
    engine,
    grant,
    ident,
    operator,
    run,
)


@dataclass
class World:
    """The state a fake engine shows."""

    engine: EngineView = field(default_factory=engine)
    operator: OperatorView = field(default_factory=operator)
    spend_today: int = 0
    tightest: BudgetView | None = None
    trouble: Trouble = field(default_factory=Trouble)
    jobs: tuple[JobView, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    requests_total: int = 0
    providers: tuple[ProviderView, ...] = ()
    approvals: tuple[ApprovalView, ...] = ()
    decided: tuple[ApprovalView, ...] = ()
    """Older than what a snapshot carries."""
    grants: tuple[GrantView, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    models: tuple[ModelView, ...] = ()
    runs: tuple[RunView, ...] = ()
    older_runs: tuple[RunView, ...] = ()
    budgets: tuple[BudgetView, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    followed: AuditProgress = field(default_factory=AuditProgress)
    """How far a check of the chain has come."""
    diagnosis: Diagnosis | PalyraError = field(default_factory=all_well)
    """What is told of its parts, or why nothing is."""
    clinic: Clinic = field(default_factory=Clinic)
    usage: bool = False
    text: str = ""
    """Stands in every name that comes from outside, when not empty."""


def empty() -> World:
    """A first start: nothing has happened yet."""
    echo = ModelView("deterministic/echo", "deterministic", "echo", "chat", "built_in", json=True, free=True)
    return World(providers=(ProviderView("deterministic", "deterministic", "ok", 1),), models=(echo,))


def normal() -> World:
    """An ordinary morning: three approvals, some incidents, one alert, some runs, jobs and tasks."""
    team = budget("team-day", 4_121 * CENT, 31 * CENT, 45 * USD, status="soft_limit")
    return World(
        spend_today=4_127 * CENT,
        tightest=team,
        requests_total=3_102,
        providers=providers(),
        models=models(),
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
        trouble=morning(),
        jobs=morning_jobs(),
        tasks=morning_tasks(),
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
        audit=morning_audit(),
        diagnosis=some_trouble(),
        clinic=ill(),
    )


def storm() -> World:
    """200 approvals and 500 incidents at once, 500 jobs, 300 runs, twelve alerts, a lagging loop."""
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
        providers=(*world.providers, *many_providers()),
        models=(*world.models, *many_models()),
        engine=engine(lag_ms=84.0),
        spend_today=123_456 * CENT,
        requests_total=98_765,
        tightest=budget("team-day", 4_490 * CENT, 9 * CENT, 45 * USD, status="soft_limit"),
        trouble=storm_of(),
        jobs=many_jobs(),
        tasks=(),
        audit=long_audit(),
        diagnosis=disk_is_full(),
        clinic=ward(),
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
    text = HOSTILE
    return replace(
        base,
        engine=engine(problems=(f"config: {text}",), gateway_url="http://127.0.0.1:8787"),
        tightest=budget(text, 44 * USD, 0, 45 * USD),
        providers=(evil_provider(text),),
        audit=evil_audit(),
        diagnosis=evil_diagnosis(text),
        clinic=evil_clinic(text),
        models=(evil_model(text),),
        approvals=tuple(
            replace(
                item,
                principal=text,
                key_id=text,
                session=text,
                model=text,
                policy_ids=(text,),
                reason=text,
                decided_by=text,
                risk=text,
                evaluations=tuple(
                    replace(value, policy_id=text, scope_value=text, message=text) for value in item.evaluations
                ),
                counterfactual=tuple(
                    replace(value, value=text, policy_id=text, target=text) for value in item.counterfactual
                ),
            )
            for item in base.approvals
        ),
        grants=tuple(
            replace(item, principal=text, session=text, policy_id=text, scope_value=text, granted_by=text)
            for item in base.grants
        ),
        alerts=tuple(
            replace(item, kind=text, summary=text, subject=text, subject_kind=text, sentences=(text,), acted_by=text)
            for item in base.alerts
        ),
        runs=tuple(
            replace(
                item,
                principal=text,
                session=text,
                model=text,
                model_asked=text,
                reason=text,
                message=text,
                phase=text,
                key_id=text,
                flags=(text,),
            )
            for item in base.runs
        ),
        older_runs=(),
        budgets=tuple(
            replace(item, policy_id=f"{text}{number}", name=text, scope_value=text)
            for number, item in enumerate(base.budgets)
        ),
        trouble=evil(text),
        jobs=evil_jobs(text),
        tasks=evil_tasks(text),
        text=text,
    )
