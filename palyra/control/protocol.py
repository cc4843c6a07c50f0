"""The one face the engine shows to consoles, in this process or over the socket."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import overload

from palyra.control.access_queries import AccessAnswer, AccessQuery
from palyra.control.audit_queries import AuditLogPage, AuditLogQuery, AuditProgress, AuditProgressQuery
from palyra.control.commands import Command
from palyra.control.config_queries import ConfigAnswer, ConfigQuery
from palyra.control.diagnostics_queries import Diagnosis, DiagnosticsQuery
from palyra.control.doctor_queries import (
    DoctorPreview,
    DoctorPreviewQuery,
    DoctorReport,
    DoctorReportQuery,
    DoctorRuns,
    DoctorRunsQuery,
    JournalExamination,
    JournalExaminationQuery,
)
from palyra.control.incidents_queries import (
    IncidentDetail,
    IncidentQuery,
    IncidentsPage,
    IncidentsQuery,
    IncidentStats,
    IncidentStatsQuery,
)
from palyra.control.jobs_queries import (
    FiresPage,
    FiresQuery,
    JobDetail,
    JobQuery,
    JobsPage,
    JobsQuery,
    ScheduleAnswer,
    ScheduleQuery,
)
from palyra.control.memory_queries import (
    MemoryStats,
    MemoryStatsQuery,
    NoteSearchAnswer,
    NoteSearchQuery,
    NotesPage,
    NotesQuery,
)
from palyra.control.notice_queries import DeadLettersPage, DeadLettersQuery, HeartbeatsPage, HeartbeatsQuery
from palyra.control.prices import CostAnswer, CostQuery, PriceAnswer, PriceCheckAnswer, PriceCheckQuery, PriceQuery
from palyra.control.queries import (
    AlertsPage,
    AlertsQuery,
    Answer,
    ApprovalDetail,
    ApprovalQuery,
    ApprovalsPage,
    ApprovalsQuery,
    AuditAnswer,
    AuditQuery,
    BudgetDetail,
    BudgetQuery,
    DecisionDetail,
    DecisionQuery,
    LedgerAnswer,
    LedgerQuery,
    Query,
    RunDetail,
    RunQuery,
    RunsPage,
    RunsQuery,
)
from palyra.control.replays import ReplayAsk, ReplayProgress
from palyra.control.secrets_queries import AuthAnswer, AuthQuery, VaultAnswer, VaultQuery
from palyra.control.serving_queries import (
    ConnectionAnswer,
    ConnectionQuery,
    SelectionAnswer,
    SelectionQuery,
    ServingAnswer,
    ServingQuery,
)
from palyra.control.snapshots import CommandResult, Snapshot, Topic
from palyra.control.task_queries import (
    TaskDetail,
    TaskQuery,
    TasksPage,
    TasksQuery,
    TaskStats,
    TaskStatsQuery,
)
from palyra.control.text_queries import RunTexts, RunTextsQuery
from palyra.control.usage_queries import (
    InsightsAnswer,
    InsightsQuery,
    UsageAnswer,
    UsageQuery,
    UsageRowsPage,
    UsageRowsQuery,
    UsageRunsQuery,
)


class Control(ABC):
    """Snapshots out, commands in.

    Errors: NotFoundError for an unknown id, BadInputError for a malformed query, EngineGoneError when an attached
    engine has gone away.
    """

    @property
    @abstractmethod
    def attached(self) -> bool:
        """Whether the engine lives in another process."""

    @abstractmethod
    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        """What the screens of these topics show."""

    @abstractmethod
    async def send(self, command: Command) -> CommandResult:
        """What came of a command."""

    @overload
    async def ask(self, query: RunsQuery) -> RunsPage: ...
    @overload
    async def ask(self, query: RunQuery) -> RunDetail: ...
    @overload
    async def ask(self, query: RunTextsQuery) -> RunTexts: ...
    @overload
    async def ask(self, query: DecisionQuery) -> DecisionDetail: ...
    @overload
    async def ask(self, query: ApprovalQuery) -> ApprovalDetail: ...
    @overload
    async def ask(self, query: ApprovalsQuery) -> ApprovalsPage: ...
    @overload
    async def ask(self, query: BudgetQuery) -> BudgetDetail: ...
    @overload
    async def ask(self, query: AlertsQuery) -> AlertsPage: ...
    @overload
    async def ask(self, query: UsageQuery) -> UsageAnswer: ...
    @overload
    async def ask(self, query: UsageRunsQuery) -> RunsPage: ...
    @overload
    async def ask(self, query: UsageRowsQuery) -> UsageRowsPage: ...
    @overload
    async def ask(self, query: InsightsQuery) -> InsightsAnswer: ...
    @overload
    async def ask(self, query: LedgerQuery) -> LedgerAnswer: ...
    @overload
    async def ask(self, query: AuditQuery) -> AuditAnswer: ...
    @overload
    async def ask(self, query: AuditLogQuery) -> AuditLogPage: ...
    @overload
    async def ask(self, query: AuditProgressQuery) -> AuditProgress: ...
    @overload
    async def ask(self, query: ReplayAsk) -> ReplayProgress: ...
    @overload
    async def ask(self, query: PriceQuery) -> PriceAnswer: ...
    @overload
    async def ask(self, query: CostQuery) -> CostAnswer: ...
    @overload
    async def ask(self, query: PriceCheckQuery) -> PriceCheckAnswer: ...
    @overload
    async def ask(self, query: ServingQuery) -> ServingAnswer: ...
    @overload
    async def ask(self, query: SelectionQuery) -> SelectionAnswer: ...
    @overload
    async def ask(self, query: ConnectionQuery) -> ConnectionAnswer: ...
    @overload
    async def ask(self, query: DeadLettersQuery) -> DeadLettersPage: ...
    @overload
    async def ask(self, query: HeartbeatsQuery) -> HeartbeatsPage: ...
    @overload
    async def ask(self, query: IncidentsQuery) -> IncidentsPage: ...
    @overload
    async def ask(self, query: IncidentQuery) -> IncidentDetail: ...
    @overload
    async def ask(self, query: IncidentStatsQuery) -> IncidentStats: ...
    @overload
    async def ask(self, query: TasksQuery) -> TasksPage: ...
    @overload
    async def ask(self, query: TaskQuery) -> TaskDetail: ...
    @overload
    async def ask(self, query: TaskStatsQuery) -> TaskStats: ...
    @overload
    async def ask(self, query: NotesQuery) -> NotesPage: ...
    @overload
    async def ask(self, query: NoteSearchQuery) -> NoteSearchAnswer: ...
    @overload
    async def ask(self, query: MemoryStatsQuery) -> MemoryStats: ...
    @overload
    async def ask(self, query: AccessQuery) -> AccessAnswer: ...
    @overload
    async def ask(self, query: VaultQuery) -> VaultAnswer: ...
    @overload
    async def ask(self, query: AuthQuery) -> AuthAnswer: ...
    @overload
    async def ask(self, query: JobsQuery) -> JobsPage: ...
    @overload
    async def ask(self, query: JobQuery) -> JobDetail: ...
    @overload
    async def ask(self, query: FiresQuery) -> FiresPage: ...
    @overload
    async def ask(self, query: ScheduleQuery) -> ScheduleAnswer: ...
    @overload
    async def ask(self, query: DiagnosticsQuery) -> Diagnosis: ...
    @overload
    async def ask(self, query: ConfigQuery) -> ConfigAnswer: ...
    @overload
    async def ask(self, query: JournalExaminationQuery) -> JournalExamination: ...
    @overload
    async def ask(self, query: DoctorReportQuery) -> DoctorReport: ...
    @overload
    async def ask(self, query: DoctorPreviewQuery) -> DoctorPreview: ...
    @overload
    async def ask(self, query: DoctorRunsQuery) -> DoctorRuns: ...
    async def ask(self, query: Query) -> Answer:
        """The answer to a question; its type follows from the question's."""
        return await self.answer(query)

    @abstractmethod
    async def answer(self, query: Query) -> Answer:
        """What `ask` hands over: the answer that belongs to the question."""

    @abstractmethod
    async def close(self) -> None:
        """Lets go of what is its own."""
