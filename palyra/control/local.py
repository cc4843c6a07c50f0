"""The engine seen from its own process: snapshots without a query, questions to reader threads, commands done."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from palyra import __version__
from palyra.config.model import LoadedConfig
from palyra.control.access_queries import AccessQuery
from palyra.control.access_views import access_answer
from palyra.control.acting import Acting
from palyra.control.alerts import SHOWN_MOST, AlertViews, alerts_page
from palyra.control.barring import with_bars
from palyra.control.budgets import budget_detail
from palyra.control.commands import Command
from palyra.control.config_acts import config_answer
from palyra.control.config_queries import ConfigQuery
from palyra.control.connections import Connections
from palyra.control.diagnostics_answers import diagnostics_answer
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.doctor_acts import engine_desk
from palyra.control.doctor_answers import examined_journal
from palyra.control.doctor_queries import DoctorAsked, JournalExaminationQuery
from palyra.control.folding import Fold
from palyra.control.incidents_queries import (
    IncidentAsked,
)
from palyra.control.incidents_views import IncidentViews
from palyra.control.jobs_queries import (
    FiresQuery,
    JobAsked,
    JobQuery,
)
from palyra.control.jobs_views import JobViews
from palyra.control.ledger_check import check_ledger
from palyra.control.memory_answers import memory_answer
from palyra.control.memory_queries import (
    MemoryAsked,
)
from palyra.control.notice_answers import dead_letters, heartbeats_page, notice_views
from palyra.control.notice_queries import DeadLettersQuery, HeartbeatsQuery
from palyra.control.price_answers import PriceAnswers
from palyra.control.prices import (
    PriceAsk,
)
from palyra.control.protocol import Control
from palyra.control.queries import (
    AlertsPage,
    AlertsQuery,
    Answer,
    AuditAnswer,
    BudgetDetail,
    BudgetQuery,
    LedgerQuery,
    Query,
)
from palyra.control.records import Records
from palyra.control.replaying import ReplayDesk
from palyra.control.replays import ReplayAsk
from palyra.control.secrets_queries import SecretsAsked
from palyra.control.secrets_views import secrets_answer
from palyra.control.selection import explain_selection
from palyra.control.serving_answers import serving_answer
from palyra.control.serving_queries import (
    ConnectionQuery,
    SelectionQuery,
    ServingAsk,
    ServingQuery,
    ServingTold,
)
from palyra.control.serving_views import Present, ServingViews
from palyra.control.snapshots import (
    ApprovalView,
    BudgetView,
    CommandResult,
    EngineView,
    OperatorView,
    RunView,
    Snapshot,
    Topic,
)
from palyra.control.task_fold import TaskFold
from palyra.control.task_queries import (
    TaskAsked,
)
from palyra.control.task_views import TaskViews
from palyra.control.text_queries import RunTexts
from palyra.control.usage import with_present
from palyra.control.usage_queries import (
    InsightsQuery,
)
from palyra.control.views import approval_view, budget_view, grant_view, run_view
from palyra.core.errors import JournalUnavailableError
from palyra.core.pulse import WorkHeartbeatKind
from palyra.core.values import altered, value
from palyra.engine import Engine
from palyra.engine.settings import policy_defaults
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.standing import each_standing, forecast_of
from palyra.journal.rows import GrantRow, RunRow
from palyra.pricing.drift import EstimateDrift

SLICE_S = 0.004
"""Seconds of work on views after which everybody else gets a turn."""
PENDING_SHOWN, DECIDED_SHOWN = 200, 50
"""How many approvals a snapshot has at most; the others are asked for with a query."""


@value
class Doors:
    """Where the engine can be reached; empty while a door is closed."""

    gateway_url: str = ""
    socket: str = ""


class EngineFace:
    """What all consoles of one engine share. One per engine."""

    def __init__(self, engine: Engine, doors: Callable[[], Doors]) -> None:
        self.engine = engine
        self.doors = doors
        self.fold = Fold(engine.clock, engine.events, engine.config.governance.timezone)
        self.replays = ReplayDesk(engine.state_dir, policy_defaults(engine.config), engine.clock)
        self.records = Records(engine.journal.readers, engine.state_dir, engine.clock, self)
        self.tasks = TaskViews(engine.journal.readers, engine.clock, engine)
        self.jobs = JobViews(
            engine.journal.readers, engine.clock, engine.config.scheduler.timezone, engine.jobs.scheduler
        )
        self.incidents = IncidentViews(engine.journal.readers, engine.clock, lambda: engine.healing, self.caught_up)
        self._tasks_listed = TaskFold(engine, self.tasks)
        self.prices = PriceAnswers(engine.config, engine.registry, engine.clock, self._drifts)
        present = Present(engine.care, engine.leases, engine.breakers)
        self._serving = ServingViews(engine.registry, engine.credentials, engine.book, engine.clock, present)
        self._connections = Connections(engine)
        self._alert_views = AlertViews()
        self._budgets: tuple[tuple[int, int, int], tuple[BudgetView, ...]] | None = None
        """Views, with the versions and the second they were made of."""
        self.doctor = engine_desk(engine)
        self._looking = asyncio.Lock()
        self._shown: dict[str, _Shown] = {}
        self._runs_shown: dict[str, tuple[RunRow, int | None, RunView]] = {}
        """Views with what they were made from."""
        engine.reloading.listen(self._reloaded)

    async def _reloaded(self, config: LoadedConfig) -> None:
        """What consoles are shown follows the configuration in force."""
        engine = self.engine
        self.prices = PriceAnswers(config, engine.registry, engine.clock, self._drifts)
        self.replays.configure(policy_defaults(config))
        await self.fold.move_to(config.governance.timezone, engine.journal.fence)

    async def begin(self) -> None:
        """Takes in what was before this engine."""
        await self.fold.begin(self.engine.journal.readers)
        await self._tasks_listed.begin(self.engine.journal.readers)

    async def snapshot(self, topics: Collection[Topic], operator: OperatorView) -> Snapshot:
        """The newest state of these topics, for that operator."""
        engine = self.engine
        budgets = await self._budget_views(engine.clock.now_ms())
        now = engine.clock.now_ms()
        limited = [view for view in budgets if view.enabled and view.hard_limit is not None]
        pending = engine.desk.pending()
        incidents, incidents_open = self.incidents.of_snapshot(engine.healing.book)
        shot = Snapshot(
            version=self.fold.version
            + engine.ledger.version
            + engine.desk.version
            + engine.watch.book.version
            + engine.notices.version
            + engine.healing.book.version,
            at=now,
            engine=self._engine_view(),
            operator=operator,
            spend_today_nano_usd=self.fold.spent_today(),
            tightest=max(limited, key=lambda view: view.used_ratio, default=None),
            approvals_pending=len(pending),
            incidents_open=incidents_open,
            incidents=incidents,
            runs_live=len(engine.runner.live),
            requests_total=self.fold.requests_total,
            providers=self._serving.providers(),
            alerts=self._alert_views.of(engine.watch.book.live()[:SHOWN_MOST], now),
            notices=notice_views(engine.notices.desk.said()),
        )
        parts: dict[str, Any] = {}
        if Topic.APPROVALS in topics:
            parts["approvals"] = self._approvals(pending)
            parts["grants"] = tuple(grant_view(grant, now) for grant in engine.ledger.grants)
        if Topic.RUNS in topics:
            parts["runs"] = self._runs()
        if Topic.BUDGETS in topics:
            parts["budgets"] = budgets
        if Topic.MODELS in topics:
            parts["models"] = self._serving.models()
        if Topic.JOBS in topics:
            parts["jobs"] = self.jobs.listed()
            parts["tasks"] = self._tasks_listed.listed()
        return replace(shot, **parts) if parts else shot

    async def _budget_views(self, now: int) -> tuple[BudgetView, ...]:
        """The same for all who look within a second in which no counter moved. Of many budgets a slice at a time:
        requests are served in between."""
        engine, clock = self.engine, self.engine.clock
        async with self._looking:
            told = (engine.ledger.version, engine.desk.version, now // 1000)
            if self._budgets is None or self._budgets[0] != told:
                views: list[BudgetView] = []
                since = clock.monotonic()
                for line in each_standing(engine.ledger, now):
                    views.append(budget_view(line, self._mode, forecast_of(engine.ledger, line, now)))
                    if clock.monotonic() - since >= SLICE_S:
                        await asyncio.sleep(0)
                        since = clock.monotonic()
                self._budgets = (told, tuple(views))
            return self._budgets[1]

    async def _drifts(self) -> tuple[EstimateDrift, ...]:
        return self.engine.experience.drifts()

    async def caught_up(self) -> None:
        """Waits until what snapshots tell of is in the journal too, or cannot be: how runs end is told before it is
        written."""
        with contextlib.suppress(JournalUnavailableError):
            await self.engine.journal.submit(())

    async def budget(self, policy_id: str) -> BudgetDetail:
        """One policy in full. Raises NotFoundError."""
        engine = self.engine
        now = engine.clock.now_ms()
        pending = [
            approval_view(record, *self.waiting(record.approval_id))
            for record in engine.desk.pending()
            if policy_id in record.policy_ids
        ]
        return await budget_detail(policy_id, engine.ledger, engine.journal.readers, pending, now, self._mode)

    async def serving(self, query: ServingAsk, operator: OperatorView) -> ServingTold:
        """About providers and models. Raises BadInputError, NotFoundError."""
        engine = self.engine
        match query:
            case ServingQuery():
                shown = self._serving.providers(), self._serving.models()
                return serving_answer(engine.config, engine.registry, *shown, live=True, kept=engine.kept)
            case SelectionQuery():
                return await explain_selection(
                    engine.runner.planner,
                    query,
                    engine.clock.now_ms(),
                    live=True,
                    failover=engine.config.failover.enabled,
                )
            case ConnectionQuery():
                return await self._connections.test(query, operator)

    async def alerts(self, query: AlertsQuery) -> AlertsPage:
        """A page of alerts."""
        engine = self.engine
        return await alerts_page(query, engine.watch.book.live(), engine.journal.readers, engine.clock.now_ms())

    def waiting(self, approval_id: str) -> tuple[int, int | None]:
        """How many requests wait for an approval, and until when at the latest, UTC unix ms."""
        return self.engine.desk.waiting(approval_id), self.engine.parking.parked_until(approval_id)

    def counter(self, policy_id: str, scope_value: str) -> tuple[int, int] | None:
        """The counters of a budget, as consoles see them."""
        budget = self.engine.ledger.budget(policy_id)
        if budget is None:
            return None
        found = budget.at(scope_value, self.engine.clock.now_ms())
        return (0, 0) if found is None else (found.settled, found.held)

    async def keep_head(self) -> bool:
        """A journal that cannot be written has no newer rows either."""
        with contextlib.suppress(JournalUnavailableError):
            await self.engine.journal.keep_head()
        return True

    def drawn(self, row: GrantRow) -> tuple[int, str] | None:
        """What was drawn from a grant and where it stands; None where it is in force no more."""
        grant = self.engine.ledger.grants.get(row.grant_id)
        return None if grant is None else (grant.drawn, grant.state(self.engine.clock.now_ms()).value)

    @property
    def _mode(self) -> str:
        return self.engine.config.smart_routing.default_mode.value

    def _engine_view(self) -> EngineView:
        engine, doors = self.engine, self.doors()
        installation = engine.installation
        return EngineView(
            phase=engine.phase,
            mode=self._mode,
            version=__version__,
            boot_id=engine.boot_id,
            pid=engine.pid,
            started_at=engine.started_at,
            timezone=engine.config.governance.timezone,
            gateway_url=doors.gateway_url,
            socket=doors.socket,
            key_file=str(engine.access.key_file),
            state_dir=str(engine.state_dir),
            config_path=engine.reloading.state.path,
            log_file=str(engine.state_dir / engine.config.logging.file),
            demo=installation.demo,
            journal_ok=engine.journal.healthy,
            lag_ms=round(engine.lag.latest_ms, 1),
            problems=tuple(engine.problems()),
            bell=engine.config.notifications.bell,
            osc9=engine.config.notifications.osc9,
            configured_at=engine.reloading.state.applied_at,
        )

    def _approvals(self, pending: Sequence[ApprovalRecord]) -> tuple[ApprovalView, ...]:
        """Pending ones with the most clients waiting, then the oldest, then those decided last. A view serves all
        snapshots that tell the same of it."""
        waits = {record.approval_id: self.waiting(record.approval_id) for record in pending}
        urgent = sorted(pending, key=lambda record: -waits[record.approval_id][0])[:PENDING_SHOWN]
        shown: dict[str, _Shown] = {}
        for record in [*urgent, *self.engine.desk.decided()[:DECIDED_SHOWN]]:
            waiting, park_until = waits.get(record.approval_id) or self.waiting(record.approval_id)
            before = self._shown.get(record.approval_id)
            if before is None or before.record is not record or before.waiting != (waiting, park_until):
                before = _Shown(record, (waiting, park_until), approval_view(record, waiting, park_until))
            shown[record.approval_id] = before
        self._shown = shown
        return tuple(one.view for one in shown.values())

    def _runs(self) -> tuple[RunView, ...]:
        """Recent runs; most have ended, and are what they were a moment ago."""
        shown: dict[str, tuple[RunRow, int | None, RunView]] = {}
        beats = self.engine.healing.heartbeats
        ahead = self.engine.clock.now_ms() - beats.now()
        for row, held in self.fold.runs():
            before = self._runs_shown.get(row.run_id)
            if before is None or before[0] is not row or before[1] != held:
                before = (row, held, run_view(row, held))
            if before[2].live:
                beat = beats.instants(WorkHeartbeatKind.RUN, row.run_id)
                before = (row, held, _beating(before[2], beat, ahead))
            shown[row.run_id] = before
        self._runs_shown = shown
        return tuple(view for _, _, view in shown.values())


def _beating(run: RunView, beat: tuple[int, int] | None, ahead: int) -> RunView:
    """With its last heartbeat, told by the clock of the wall, which is that much ahead."""
    if beat is None:
        return run
    at, progress_at = (round(each + ahead, -2) for each in beat)
    if (at, progress_at) == (run.beat_at, run.progress_at):
        return run
    return altered(run, {"beat_at": at, "progress_at": progress_at})


@value
class _Shown:
    """A view, and all that it was made from."""

    record: ApprovalRecord
    waiting: tuple[int, int | None]
    view: ApprovalView


class LocalControl(Control):
    """One operator's control of the engine in this process."""

    def __init__(self, face: EngineFace, operator: OperatorView | Callable[[], OperatorView]) -> None:
        self._face = face
        self._present = operator
        self._acting = Acting(face.engine, face.doctor)

    @property
    def attached(self) -> bool:
        """The engine is in this process."""
        return False

    @property
    def _operator(self) -> OperatorView:
        return self._present if isinstance(self._present, OperatorView) else self._present()

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        """The newest state of these topics; nothing is read from the disk."""
        return with_bars(await self._face.snapshot(topics, self._operator), self._face.engine)

    async def send(self, command: Command) -> CommandResult:
        """Carries a command out in the operator's name, or says why not."""
        return await self._acting.carry_out(command, self._operator)

    async def answer(self, query: Query) -> Answer:
        """Answers a question. Raises PalyraError."""
        if isinstance(query, ServingAsk):
            return await self._face.serving(query, self._operator)
        if isinstance(query, ConfigQuery):
            return await config_answer(self._face.engine)
        if isinstance(query, MemoryAsked):
            return await memory_answer(self._face.engine.memory, query)
        if isinstance(query, JobAsked):
            if isinstance(query, FiresQuery | JobQuery):
                await self._face.caught_up()
            return await self._face.jobs.answer(query)
        if isinstance(query, TaskAsked):
            return await self._face.tasks.answer(query)
        if isinstance(query, IncidentAsked):
            return await self._face.incidents.answer(query)
        if isinstance(query, AccessQuery):
            return access_answer(self._face.engine.access, self._face.engine.clock.now_ms())
        if isinstance(query, SecretsAsked):
            return await secrets_answer(self._face.engine, query)
        if isinstance(query, DeadLettersQuery):
            return dead_letters(self._face.engine, query)
        if isinstance(query, HeartbeatsQuery):
            return heartbeats_page(self._face.engine.healing, query)
        if isinstance(query, DiagnosticsQuery):
            return await diagnostics_answer(self._face.engine, query)
        if isinstance(query, DoctorAsked):
            return await self._face.doctor.answer(query)
        if isinstance(query, JournalExaminationQuery):
            return await examined_journal(self._face.engine, query)
        if isinstance(query, LedgerQuery):
            books = await check_ledger(self._face.engine, query)
            if query.part != "sums":
                self._face.engine.noted.ledger_differs = bool(books.differences)
            return books
        if isinstance(query, PriceAsk):
            return await self._face.prices.answer(query)
        await self._face.caught_up()
        if isinstance(query, ReplayAsk):
            return await self._face.replays.ask(query)
        if isinstance(query, AlertsQuery):
            return await self._face.alerts(query)
        if isinstance(query, BudgetQuery):
            return await self._face.budget(query.policy_id)
        answer = await self._face.records.answer(query)
        if isinstance(answer, RunTexts):
            return answer if self._operator.may_approve else answer.for_viewers()
        if isinstance(answer, AuditAnswer):
            engine = self._face.engine
            engine.noted.audit_at, engine.noted.audit_ok = engine.clock.now_ms(), answer.ok
        if isinstance(query, InsightsQuery):
            return with_present(answer, await self._face.snapshot([Topic.BUDGETS], self._operator))
        return answer

    async def close(self) -> None:
        """Nothing of its own to let go of; the engine is closed by who opened it."""
