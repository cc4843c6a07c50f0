"""A console's view of an engine in another process, over the operators' socket."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar, overload

import httpx

from palyra.control.codec import (
    ANSWERS,
    COMMANDS,
    OPERATOR_HEADER,
    QUERY,
    SNAPSHOT,
    SSH_HEADER,
    GarbledError,
    decode_answer,
    decode_result,
    decode_snapshot,
    encode_command,
    encode_query,
)
from palyra.control.commands import Command
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
from palyra.control.serving_queries import (
    ConnectionAnswer,
    ConnectionQuery,
    SelectionAnswer,
    SelectionQuery,
    ServingAnswer,
    ServingQuery,
)
from palyra.control.snapshots import CommandResult, Snapshot, Topic
from palyra.control.sockets import find_socket
from palyra.control.task_queries import (
    TaskDetail,
    TaskQuery,
    TasksPage,
    TasksQuery,
    TaskStats,
    TaskStatsQuery,
)
from palyra.control.usage_queries import (
    InsightsAnswer,
    InsightsQuery,
    UsageAnswer,
    UsageQuery,
    UsageRowsPage,
    UsageRowsQuery,
    UsageRunsQuery,
)
from palyra.core.errors import (
    BadInputError,
    ConflictError,
    EngineGoneError,
    JournalUnavailableError,
    NotFoundError,
    PalyraError,
)

T = TypeVar("T")

PATIENCE = httpx.Timeout(60.0, connect=5.0)
JSON = {"Content-Type": "application/json"}

_BY_STATUS: Mapping[int, type[PalyraError]] = {400: BadInputError, 404: NotFoundError, 409: ConflictError}


class RemoteControl:
    """Speaks to the engine that holds a state directory.

    `operator` is whom the person claims to be where several share an account, else `environ` says it. Every method
    raises EngineGoneError once nobody answers.
    """

    def __init__(self, state_dir: Path, *, operator: str = "", environ: Mapping[str, str] | None = None) -> None:
        self._state_dir = state_dir
        environ = environ or {}
        headers = {}
        if claimed := operator or environ.get("PALYRA_OPERATOR", "").strip():
            headers[OPERATOR_HEADER] = claimed
        if connection := environ.get("SSH_CONNECTION", ""):
            headers[SSH_HEADER] = connection
        try:
            self._client = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(find_socket(state_dir))),
                base_url="http://engine",
                headers=headers,
                timeout=PATIENCE,
            )
        except UnicodeEncodeError:
            raise BadInputError("An operator's name is ASCII.", fix="Check --operator.") from None

    @property
    def attached(self) -> bool:
        return True

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        response = await self._exchange("GET", SNAPSHOT, params={"topics": ",".join(sorted(topics))})
        return self._understood(decode_snapshot, response)

    async def send(self, command: Command) -> CommandResult:
        response = await self._exchange("POST", COMMANDS, content=encode_command(command))
        return self._understood(decode_result, response)

    @overload
    async def ask(self, query: RunsQuery) -> RunsPage: ...
    @overload
    async def ask(self, query: RunQuery) -> RunDetail: ...
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
    async def ask(self, query: JobsQuery) -> JobsPage: ...
    @overload
    async def ask(self, query: JobQuery) -> JobDetail: ...
    @overload
    async def ask(self, query: FiresQuery) -> FiresPage: ...
    @overload
    async def ask(self, query: ScheduleQuery) -> ScheduleAnswer: ...
    async def ask(self, query: Query) -> Answer:
        response = await self._exchange("POST", QUERY, content=encode_query(query))
        answer = self._understood(decode_answer, response)
        if not isinstance(answer, ANSWERS[type(query)]):
            raise self._other_version()
        return answer

    async def close(self) -> None:
        await self._client.aclose()

    async def _exchange(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> bytes:
        try:
            response = await self._client.request(
                method, path, params=params, content=content, headers=JSON if content is not None else None
            )
        except httpx.TimeoutException:
            raise EngineGoneError(
                f"The engine of {self._state_dir} does not answer.", fix="Look at its log, or stop it and take over."
            ) from None
        except httpx.TransportError:
            raise EngineGoneError(
                f"No engine of {self._state_dir} is running.", fix="Start palyra-tui or palyra serve."
            ) from None
        if response.status_code != 200:
            raise told(response)
        return response.content

    def _understood(self, decode: Callable[[bytes], T], data: bytes) -> T:
        try:
            return decode(data)
        except GarbledError:
            raise self._other_version() from None

    def _other_version(self) -> PalyraError:
        return PalyraError(
            f"The engine of {self._state_dir} speaks another version.",
            fix="Restart it with this version.",
            code="version_mismatch",
        )


def told(response: httpx.Response) -> PalyraError:
    """The engine's refusal as the error it was raised as."""
    try:
        error = response.json()["error"]
        code, message, fix = str(error["code"]), str(error["message"]), str(error["fix"])
    except (ValueError, KeyError, TypeError):
        return PalyraError("The engine answered with something unknown.", fix="Run the same version on both ends.")
    kind = _BY_STATUS.get(response.status_code, PalyraError)
    if response.status_code == 503:
        kind = JournalUnavailableError if code == JournalUnavailableError.code else EngineGoneError
    return kind(message, fix=fix, code=code)
