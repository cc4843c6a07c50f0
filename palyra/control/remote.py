"""A console's view of an engine in another process, over the operators' socket."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar, get_args

import httpx

from palyra.control.codec import (
    ANSWERS,
    COMMANDS,
    OPERATOR_HEADER,
    QUERY,
    SNAPSHOT,
    SSH_AUTH_HEADER,
    SSH_HEADER,
    GarbledError,
    decode_answer,
    decode_result,
    decode_snapshot,
    encode_command,
    encode_query,
)
from palyra.control.commands import Command
from palyra.control.doctor_commands import DoctorCommand
from palyra.control.doctor_queries import DoctorAsked, JournalExaminationQuery
from palyra.control.protocol import Control
from palyra.control.queries import Answer, AuditQuery, LedgerQuery, Query
from palyra.control.snapshots import CommandResult, Snapshot, Topic
from palyra.control.sockets import find_socket
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
WHOLE_JOURNAL = httpx.Timeout(None, connect=5.0)
"""For what reads or repairs all of a journal, however long that takes; an engine that dies meanwhile is noticed."""
_LONG = (AuditQuery, LedgerQuery, JournalExaminationQuery, *get_args(DoctorAsked), *get_args(DoctorCommand))
JSON = {"Content-Type": "application/json"}

_BY_STATUS: Mapping[int, type[PalyraError]] = {400: BadInputError, 404: NotFoundError, 409: ConflictError}


class RemoteControl(Control):
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
        if told := environ.get("SSH_USER_AUTH", ""):
            # The engine reads the file itself: what a client says it holds proves nothing.
            headers[SSH_AUTH_HEADER] = told
        try:
            self._client = httpx.AsyncClient(
                # A socket of this machine: there is nothing to verify, and to load what would verify it takes long.
                transport=httpx.AsyncHTTPTransport(uds=str(find_socket(state_dir)), verify=False),
                base_url="http://engine",
                headers=headers,
            )
        except UnicodeEncodeError:
            raise BadInputError("An operator's name is ASCII.", fix="Check --operator.") from None

    @property
    def attached(self) -> bool:
        """The engine is another process's."""
        return True

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        """Asks the engine for the newest state. Raises EngineGoneError."""
        response = await self._exchange("GET", SNAPSHOT, params={"topics": ",".join(sorted(topics))})
        return self._understood(decode_snapshot, response)

    async def send(self, command: Command) -> CommandResult:
        """Hands a command to the engine. Raises EngineGoneError."""
        response = await self._exchange("POST", COMMANDS, content=encode_command(command), patience=_patience(command))
        return self._understood(decode_result, response)

    async def answer(self, query: Query) -> Answer:
        """Asks the engine a question. Raises PalyraError, EngineGoneError among them."""
        response = await self._exchange("POST", QUERY, content=encode_query(query), patience=_patience(query))
        answer = self._understood(decode_answer, response)
        if not isinstance(answer, ANSWERS[type(query)]):
            raise self._other_version()
        return answer

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.aclose()

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        patience: httpx.Timeout = PATIENCE,
    ) -> bytes:
        headers = JSON if content is not None else None
        try:
            response = await self._client.request(
                method, path, params=params, content=content, headers=headers, timeout=patience
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


def _patience(asked: Query | Command) -> httpx.Timeout:
    return WHOLE_JOURNAL if isinstance(asked, _LONG) else PATIENCE


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
