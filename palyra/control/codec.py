"""What passes over the operators' socket, the same on both ends: addresses, headers, and control's values as JSON."""

import json
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json

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
from palyra.control.replays import CancelReplay, ReplayProgress, ReplayProgressQuery, ReplayQuery
from palyra.control.secrets_queries import AuthAnswer, AuthQuery, VaultAnswer, VaultQuery
from palyra.control.serving_queries import (
    ConnectionAnswer,
    ConnectionQuery,
    SelectionAnswer,
    SelectionQuery,
    ServingAnswer,
    ServingQuery,
)
from palyra.control.snapshots import CommandResult, Snapshot
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
from palyra.core.errors import BadInputError

SNAPSHOT = "/console/v1/snapshot"
QUERY = "/console/v1/query"
COMMANDS = "/console/v1/commands"

OPERATOR_HEADER = "X-Palyra-Operator"
SSH_HEADER = "X-Palyra-Ssh-Connection"
SSH_AUTH_HEADER = "X-Palyra-Ssh-User-Auth"

ANSWERS: dict[type, type] = {
    RunsQuery: RunsPage,
    RunQuery: RunDetail,
    RunTextsQuery: RunTexts,
    DecisionQuery: DecisionDetail,
    ApprovalQuery: ApprovalDetail,
    ApprovalsQuery: ApprovalsPage,
    BudgetQuery: BudgetDetail,
    AlertsQuery: AlertsPage,
    UsageQuery: UsageAnswer,
    UsageRunsQuery: RunsPage,
    UsageRowsQuery: UsageRowsPage,
    InsightsQuery: InsightsAnswer,
    LedgerQuery: LedgerAnswer,
    AuditQuery: AuditAnswer,
    AuditLogQuery: AuditLogPage,
    AuditProgressQuery: AuditProgress,
    ReplayQuery: ReplayProgress,
    ReplayProgressQuery: ReplayProgress,
    CancelReplay: ReplayProgress,
    PriceQuery: PriceAnswer,
    CostQuery: CostAnswer,
    PriceCheckQuery: PriceCheckAnswer,
    ServingQuery: ServingAnswer,
    SelectionQuery: SelectionAnswer,
    ConnectionQuery: ConnectionAnswer,
    DeadLettersQuery: DeadLettersPage,
    HeartbeatsQuery: HeartbeatsPage,
    JobsQuery: JobsPage,
    JobQuery: JobDetail,
    FiresQuery: FiresPage,
    ScheduleQuery: ScheduleAnswer,
    IncidentsQuery: IncidentsPage,
    IncidentQuery: IncidentDetail,
    IncidentStatsQuery: IncidentStats,
    TasksQuery: TasksPage,
    TaskQuery: TaskDetail,
    TaskStatsQuery: TaskStats,
    NotesQuery: NotesPage,
    NoteSearchQuery: NoteSearchAnswer,
    MemoryStatsQuery: MemoryStats,
    AccessQuery: AccessAnswer,
    VaultQuery: VaultAnswer,
    AuthQuery: AuthAnswer,
    DiagnosticsQuery: Diagnosis,
    ConfigQuery: ConfigAnswer,
    JournalExaminationQuery: JournalExamination,
    DoctorReportQuery: DoctorReport,
    DoctorPreviewQuery: DoctorPreview,
    DoctorRunsQuery: DoctorRuns,
}
"""Which answer belongs to which query."""

_BY_NAME: dict[str, type] = {kind.__name__: kind for kind in get_args(Answer)}


class GarbledError(BadInputError):
    """What came over the socket is not what both ends agreed on."""

    code = "garbled"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def encode(kind: Any, value: object) -> bytes:
    """A value of `kind` as JSON. Text that no encoding knows (lone surrogates) arrives as question marks."""
    adapter = _adapter(kind)
    try:
        return adapter.dump_json(value)
    except PydanticSerializationError:
        tree = adapter.dump_python(value, mode="json")
        return json.dumps(tree, ensure_ascii=False).encode("utf-8", "replace")


def decode(kind: Any, data: bytes | str) -> Any:
    """The value of `kind` in this JSON. Raises GarbledError naming the first member at fault."""
    try:
        return _adapter(kind).validate_json(data)
    except ValidationError as error:
        raise _garbled(error) from None


def encode_command(command: Command) -> bytes:
    """A command as it travels: JSON."""
    return encode(Command, command)


def decode_command(data: bytes) -> Command:
    """Reads what `encode_command` made. Raises BadInputError."""
    command: Command = decode(Command, data)
    return command


def encode_query(query: Query) -> bytes:
    """A question as it travels: JSON."""
    return encode(Query, query)


def decode_query(data: bytes) -> Query:
    """Reads what `encode_query` made. Raises BadInputError."""
    query: Query = decode(Query, data)
    return query


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as it travels: JSON."""
    return encode(Snapshot, snapshot)


def decode_snapshot(data: bytes) -> Snapshot:
    """Reads what `encode_snapshot` made. Raises BadInputError."""
    snapshot: Snapshot = decode(Snapshot, data)
    return snapshot


def encode_result(result: CommandResult) -> bytes:
    """What became of a command, as it travels: JSON."""
    return encode(CommandResult, result)


def decode_result(data: bytes) -> CommandResult:
    """Reads what `encode_result` made. Raises BadInputError."""
    result: CommandResult = decode(CommandResult, data)
    return result


def encode_answer(answer: Answer) -> bytes:
    """`{"type": "RunsPage", "answer": {…}}`."""
    kind = type(answer)
    return b'{"type":"%b","answer":%b}' % (kind.__name__.encode("ascii"), encode(kind, answer))


def decode_answer(data: bytes) -> Answer:
    """Reads what `encode_answer` made, by the name of its type. Raises BadInputError."""
    try:
        tree = from_json(data)
        answer: Answer = _adapter(_BY_NAME[tree["type"]]).validate_python(tree["answer"])
    except ValidationError as error:
        raise _garbled(error) from None
    except (KeyError, TypeError, ValueError):
        raise GarbledError("The answer is none that is known here.", fix="Run the same version on both ends.") from None
    return answer


def _garbled(error: ValidationError) -> GarbledError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    return GarbledError(f"{place}: {first['msg']}.", fix="Run the same version on both ends.")
