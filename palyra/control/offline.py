"""Consoles without an engine: what the journal and the configuration tell, read only."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from palyra import __version__
from palyra.config.model import LoadedConfig
from palyra.control.access_queries import AccessQuery
from palyra.control.access_views import access_answer
from palyra.control.alerts import SHOWN_MOST, alert_view, alerts_page, recorded_alerts
from palyra.control.budgets import budget_detail
from palyra.control.commands import Command
from palyra.control.config_queries import ConfigAnswer, ConfigQuery
from palyra.control.diagnostics_answers import no_diagnostics
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.doctor import who
from palyra.control.doctor_acts import repaired
from palyra.control.doctor_commands import DoctorCommand
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.doctor_queries import DoctorAsked, JournalExamination, JournalExaminationQuery
from palyra.control.incidents_queries import (
    IncidentQuery,
    IncidentsQuery,
    IncidentStatsQuery,
)
from palyra.control.incidents_views import SHOWN_MOST as INCIDENTS_MOST
from palyra.control.incidents_views import IncidentViews, recorded_incidents
from palyra.control.jobs_queries import (
    FiresQuery,
    JobQuery,
    JobsQuery,
    ScheduleQuery,
)
from palyra.control.jobs_views import JobViews
from palyra.control.ledger_check import check_rows, check_sums
from palyra.control.memory_answers import recorded_memory
from palyra.control.memory_queries import (
    MemoryStatsQuery,
    NoteSearchQuery,
    NotesQuery,
)
from palyra.control.notice_answers import recorded_dead_letters
from palyra.control.notice_queries import DeadLettersQuery, HeartbeatsQuery
from palyra.control.price_answers import PriceAnswers, recorded_drifts
from palyra.control.prices import (
    PriceAsk,
)
from palyra.control.protocol import Control
from palyra.control.queries import (
    AlertsQuery,
    Answer,
    ApprovalQuery,
    ApprovalsQuery,
    AuditQuery,
    BudgetDetail,
    BudgetQuery,
    LedgerQuery,
    Query,
)
from palyra.control.records import Records
from palyra.control.replaying import ReplayDesk
from palyra.control.replays import ReplayAsk
from palyra.control.secrets_queries import AuthAnswer, AuthQuery, VaultQuery
from palyra.control.secrets_views import auth_answer, references, vault_answer
from palyra.control.selection import explain_selection
from palyra.control.serving_answers import serving_answer
from palyra.control.serving_queries import (
    ConnectionQuery,
    SelectionQuery,
    ServingQuery,
)
from palyra.control.serving_views import ServingViews
from palyra.control.snapshots import CommandResult, EngineView, OperatorView, Snapshot, Topic
from palyra.control.task_queries import (
    TaskQuery,
    TasksQuery,
    TaskStatsQuery,
)
from palyra.control.task_views import TaskViews
from palyra.control.usage import with_present
from palyra.control.usage_queries import (
    InsightsQuery,
)
from palyra.control.views import approval_view, budget_views
from palyra.core.clock import Clock
from palyra.core.errors import EngineGoneError, StateError
from palyra.core.ids import IdSource
from palyra.core.values import value
from palyra.doctor.reading import Where
from palyra.engine.settings import approval_settings, policy_defaults
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.approvals import ApprovalDesk
from palyra.governance.grants import Grant, GrantBook, GrantState, drawing_since
from palyra.governance.ledger import Ledger
from palyra.governance.policy_input import PolicyDefaults, from_config
from palyra.governance.policy_set import PolicySet
from palyra.healing.webhooks.target import webhooks
from palyra.journal.changes import Change
from palyra.journal.examination import Asking, examine
from palyra.journal.journal import NO_JOURNAL, empty_readers, open_readers
from palyra.journal.readers import Readers
from palyra.journal.rows import GrantRow, HoldRow
from palyra.pricing.book import PriceBook
from palyra.pricing.drift import EstimateDrift
from palyra.pricing.learn import Learner
from palyra.providers.credential_sources import CredentialSources, credential_sources
from palyra.providers.credentials import Credentials
from palyra.providers.fingerprints import Fingerprints
from palyra.providers.registry import Registry
from palyra.runs.experience import Experience, recall_all
from palyra.runs.planning import Planner
from palyra.runs.policies import operator_policies
from palyra.runs.previewing import planner_at_rest
from palyra.runs.price_book import price_book
from palyra.vault.access import KEY_FILE, AccessRegistry
from palyra.vault.vault import Vault

NO_ENGINE = "No engine runs on this state directory; this is what its journal tells."
NEVER_RAN = "No engine has run on this state directory yet; this is what a first start would find."


class _Absent:
    """What a running engine would know: nobody waits, and grants stand as the holds that drew from them say."""

    def __init__(self, grants: Iterable[GrantRow], now: int) -> None:
        self._grants = {row.grant_id: Grant(row) for row in grants}
        self._now = now

    @classmethod
    async def of(cls, grants: Collection[GrantRow], readers: Readers, now: int) -> Self:
        absent = cls(grants, now)
        since = drawing_since(grants)
        if since is not None:
            async for rows in readers.holds_for_rebuild(since):
                for row in rows:
                    absent._draw(row)
        return absent

    def _draw(self, row: HoldRow) -> None:
        for move in row.moves:
            for grant_id, share in move.drawn:
                grant = self._grants.get(grant_id)
                if grant is not None:
                    grant.move(row.run_id, share)

    def waiting(self, approval_id: str) -> tuple[int, int | None]:
        return 0, None

    def counter(self, policy_id: str, scope_value: str) -> tuple[int, int] | None:
        return None

    async def keep_head(self) -> bool:
        return False

    def drawn(self, row: GrantRow) -> tuple[int, str] | None:
        grant = self._grants.get(row.grant_id)
        return None if grant is None else (grant.drawn, grant.state(self._now).value)


@value
class _Serving:
    """Providers and models as they are configured."""

    registry: Registry
    book: PriceBook
    views: ServingViews


class OfflineControl(Control):
    """Answers from the journal as it lies. Commands are denied: they need an engine.

    With a journal that cannot be read only what the configuration tells (prices) is answered; `readers` is the reason
    then, and raised for everything else. Where there is none yet, `absent` says so: `readers` find nothing, and what
    proves something of a journal raises it.
    """

    def __init__(
        self,
        readers: Readers | StateError,
        config: LoadedConfig,
        state_dir: Path,
        config_path: Path | None,
        clock: Clock,
        absent: StateError | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._opened = readers
        self._environ = environ or {}
        self._absent = absent
        self._config = config
        self._state_dir = state_dir
        self._config_path = config_path
        self._clock = clock
        self._replays = ReplayDesk(state_dir, self._defaults, clock)
        self._doctor = DoctorDesk(Where(config_path, state_dir, self._environ), clock)

    @property
    def _defaults(self) -> PolicyDefaults:
        return policy_defaults(self._config)

    @property
    def attached(self) -> bool:
        """No engine is there at all."""
        return False

    @property
    def _readers(self) -> Readers:
        if isinstance(self._opened, StateError):
            raise self._opened
        return self._opened

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        """What the journal tells of these topics."""
        now = self._clock.now_ms()
        config = self._config
        mode = config.smart_routing.default_mode
        spent_today = await self._readers.spent_on_day(now, config.governance.timezone)
        ledger = await self._ledger(now)
        budgets = budget_views(ledger, now, mode.value)
        limited = [view for view in budgets if view.enabled and view.hard_limit is not None]
        engine = EngineView(
            phase="stopped",
            mode=mode.value,
            version=__version__,
            boot_id="",
            pid=0,
            started_at=0,
            timezone=config.governance.timezone,
            gateway_url="",
            socket="",
            key_file=str(self._state_dir / KEY_FILE),
            state_dir=str(self._state_dir),
            config_path=str(self._config_path or ""),
            demo=False,
            journal_ok=True,
            lag_ms=0.0,
            problems=(NO_ENGINE if self._absent is None else NEVER_RAN,),
        )
        parts: dict[str, Any] = {"budgets": budgets} if Topic.BUDGETS in topics else {}
        serving = await self._serving()
        if Topic.MODELS in topics:
            parts["models"] = serving.views.models()
        alerts = (await recorded_alerts(self._readers))[:SHOWN_MOST]
        incidents = await recorded_incidents(self._readers, self._clock.now_ms())
        return Snapshot(
            version=0,
            at=now,
            engine=engine,
            operator=OperatorView("", "viewer", "uid"),
            spend_today_nano_usd=spent_today,
            tightest=max(limited, key=lambda view: view.used_ratio, default=None),
            approvals_pending=sum(row.expires_at > now for row in await self._readers.pending_approvals()),
            incidents_open=sum(one.snoozed_until is None or one.snoozed_until <= now for one in incidents),
            incidents=incidents[:INCIDENTS_MOST],
            runs_live=0,
            requests_total=0,
            providers=serving.views.providers(),
            alerts=tuple(alert_view(record, now) for record in alerts),
            **parts,
        )

    async def _serving(self) -> _Serving:
        """Providers and models as they are configured, with what was noted of credentials."""
        registry = Registry.from_config(self._config)
        book = price_book(self._config, registry)
        registry.consult(book.context_window)
        credentials = await self._credentials(self._sources(self._vault()))
        return _Serving(registry, book, ServingViews(registry, credentials, book, self._clock, None))

    async def _credentials(self, sources: CredentialSources) -> Credentials:
        credentials = Credentials(self._clock, _unwritten, Fingerprints.read(self._state_dir).of)
        credentials.restore(await self._readers.credentials())
        credentials.configure(sources.pools(self._config))
        return credentials

    async def _auth(self) -> AuthAnswer:
        sources = self._sources(self._vault())
        credentials = await self._credentials(sources)
        return auth_answer(self._config, sources, credentials, str(self._state_dir), self._clock.now_ms())

    def _sources(self, vault: Vault) -> CredentialSources:
        return credential_sources(self._state_dir, self._config, self._environ, vault)

    def _vault(self) -> Vault:
        settings = self._config.vault
        return Vault.open(self._state_dir, settings.key_source.value, self._environ, settings.key_file, settle=False)

    async def _planner(self, serving: _Serving) -> Planner:
        """What an engine would plan with, had one been started a moment ago."""
        config, clock, readers = self._config, self._clock, self._readers
        ledger = await self._ledger(clock.now_ms())
        settings = approval_settings(config)
        decided = [ApprovalRecord.from_row(row) for row in reversed(await readers.approvals("resolved", limit=100))]
        desk = ApprovalDesk(IdSource(clock).new, ledger.grants, settings, decided)
        experience = Experience(Learner())
        await recall_all(experience, readers, serving.registry)
        return planner_at_rest(config, serving.registry, serving.book, ledger, desk, experience, clock)

    async def _ledger(self, now: int) -> Ledger:
        """As a start would rebuild it."""
        grants = GrantBook(await self._readers.grants(state=GrantState.ACTIVE))
        ledger = Ledger(default_mode=self._config.smart_routing.default_mode, grants=grants)
        recount = ledger.begin(await self._policies(), now, restoring=True)
        async for rows in self._readers.holds_for_rebuild(recount.since):
            for row in rows:
                recount.add(row)
        ledger.apply(recount, now)
        return ledger

    async def _budget(self, policy_id: str) -> BudgetDetail:
        now = self._clock.now_ms()
        pending = [
            approval_view(ApprovalRecord.from_row(row))
            for row in await self._readers.pending_approvals()
            if now < row.expires_at and policy_id in row.policy_ids
        ]
        mode = self._config.smart_routing.default_mode.value
        return await budget_detail(policy_id, await self._ledger(now), self._readers, pending, now, mode)

    async def _policies(self) -> PolicySet:
        made = operator_policies(await self._readers.policies(), self._defaults)
        return PolicySet([*(from_config(row) for row in self._config.budgets), *made])

    async def send(self, command: Command) -> CommandResult:
        """Only the doctor's commands are carried out without an engine."""
        if isinstance(command, DoctorCommand):
            return await self._repair(command)
        return CommandResult("denied", NO_ENGINE, "Start palyra-tui or `palyra serve` first.")

    async def _repair(self, command: DoctorCommand) -> CommandResult:
        by = who(await self._doctor.look(), self._environ)
        return await repaired(self._doctor, command, by)

    async def answer(self, query: Query) -> Answer:
        """Answers from the journal. Raises PalyraError, also where only an engine knows."""
        if isinstance(query, DoctorAsked):
            return await self._doctor.answer(query)
        match query:
            case ServingQuery():
                rest = await self._serving()
                shown = rest.views.providers(), rest.views.models()
                return serving_answer(self._config, rest.registry, *shown, live=False)
            case SelectionQuery():
                planner = await self._planner(await self._serving())
                return await explain_selection(planner, query, self._clock.now_ms(), live=False, failover=False)
            case ConfigQuery():
                return ConfigAnswer(False, str(self._config_path or ""), self._config.version)
            case ConnectionQuery():
                raise EngineGoneError(NO_ENGINE, fix="Connections are tested by an engine; start one.")
            case HeartbeatsQuery():
                raise EngineGoneError(NO_ENGINE, fix="Heartbeats are in an engine's memory; start one.")
            case JournalExaminationQuery():
                asking = Asking(query.deep, query.limit_s)
                return JournalExamination("", await examine(self._state_dir, self._clock, asking))
            case DiagnosticsQuery():
                raise no_diagnostics(query)
            case JobsQuery() | JobQuery() | FiresQuery() | ScheduleQuery():
                return await JobViews(self._readers, self._clock, self._config.scheduler.timezone).answer(query)
            case IncidentsQuery() | IncidentQuery() | IncidentStatsQuery():
                return await IncidentViews(self._readers, self._clock).answer(query)
            case TasksQuery() | TaskQuery() | TaskStatsQuery():
                return await TaskViews(self._readers, self._clock).answer(query)
            case NotesQuery() | NoteSearchQuery() | MemoryStatsQuery():
                return await recorded_memory(self._readers, self._config, self._clock, query)
            case AccessQuery():
                return access_answer(AccessRegistry.look(self._state_dir, self._clock), self._clock.now_ms())
            case VaultQuery():
                vault = self._vault()
                return vault_answer(vault, references(self._config, self._sources(vault)))
            case AuthQuery():
                return await self._auth()
            case DeadLettersQuery():
                configured = webhooks(self._config.notifications.webhook).values()
                return await recorded_dead_letters(self._readers, query, configured)
        if isinstance(query, PriceAsk):
            registry = Registry.from_config(self._config)
            return await PriceAnswers(self._config, registry, self._clock, self._drifts).answer(query)
        if isinstance(query, ReplayAsk):
            return await self._replays.ask(query)
        if self._absent is not None and isinstance(query, LedgerQuery | AuditQuery):
            raise self._absent
        if isinstance(query, LedgerQuery):
            if query.part == "sums":
                return await check_sums(self._readers, query.cursor)
            sums = query.part == "all"
            return await check_rows(self._readers, await self._policies(), self._clock.now_ms(), sums=sums)
        if isinstance(query, AlertsQuery):
            now = self._clock.now_ms()
            return await alerts_page(query, await recorded_alerts(self._readers), self._readers, now)
        if isinstance(query, BudgetQuery):
            return await self._budget(query.policy_id)
        grants: tuple[GrantRow, ...] = ()
        if isinstance(query, ApprovalQuery):
            grants = await self._readers.grants(approval_id=query.approval_id)
        elif isinstance(query, ApprovalsQuery):
            grants = await self._readers.grants(state=GrantState.ACTIVE)
        absent = await _Absent.of(grants, self._readers, self._clock.now_ms())
        answer = await Records(self._readers, self._state_dir, self._clock, absent).answer(query)
        return (
            with_present(answer, await self.snapshot([Topic.BUDGETS])) if isinstance(query, InsightsQuery) else answer
        )

    async def _drifts(self) -> tuple[EstimateDrift, ...]:
        return () if isinstance(self._opened, StateError) else await recorded_drifts(self._opened)

    async def close(self) -> None:
        """Ends replays; whoever opened the readers closes them."""
        await self._replays.close()


def _unwritten(changes: Sequence[Change]) -> None:
    """Nothing is learned of credentials here, so there is nothing to write."""


@asynccontextmanager
async def offline_control(
    config: LoadedConfig,
    state_dir: Path,
    config_path: Path | None,
    clock: Clock,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[OfflineControl]:
    """Reads a state directory that no engine holds. What needs a journal raises StateError when that cannot be read.

    `environ` has the variables that credentials may be in.
    """
    async with AsyncExitStack() as stack:
        readers: Readers | StateError
        absent: StateError | None = None
        try:
            readers = await stack.enter_async_context(open_readers(state_dir))
        except StateError as error:
            readers = error
            if error.code == NO_JOURNAL:
                absent, readers = error, await stack.enter_async_context(empty_readers(clock))
        control = OfflineControl(readers, config, state_dir, config_path, clock, absent, environ)
        stack.push_async_callback(control.close)
        yield control
