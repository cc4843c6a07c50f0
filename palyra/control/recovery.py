"""A console without an engine to show: why there is none, and the doctor. Everything else is refused."""

import asyncio
import os
from collections.abc import Callable, Collection
from dataclasses import replace

from palyra import __version__
from palyra.config.load import LoadResult
from palyra.control.commands import Command
from palyra.control.config_acts import file_answer
from palyra.control.config_queries import ConfigQuery
from palyra.control.diagnostics_answers import check_sections
from palyra.control.diagnostics_queries import Diagnosis, DiagnosticsQuery
from palyra.control.doctor_acts import repaired, repairs_refused, repairs_reserved
from palyra.control.doctor_commands import DoctorCommand
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.doctor_queries import DoctorAsked
from palyra.control.protocol import Control
from palyra.control.queries import Answer, Query
from palyra.control.snapshots import CommandResult, OperatorView, Snapshot, Topic
from palyra.control.standstill import RECOVERY, Premises, Standstill, standing
from palyra.core.clock import Clock
from palyra.core.errors import EngineGoneError
from palyra.core.values import value
from palyra.diagnostics.snapshot import EngineData, only
from palyra.diagnostics.stopped import stopped_diagnosis
from palyra.doctor.runs import Who

THE_DOCTOR = "The doctor is on the Diagnostics screen."


@value
class AtDesk:
    """Who is at the keyboard: their view, the account the state belongs to, whether others may repair from consoles."""

    operator: OperatorView
    owner: str
    open_to_others: bool

    @property
    def who(self) -> Who:
        """Who repairs, as runs of the doctor keep it."""
        return Who(self.operator.name, self.operator.attestation, self.operator.address)


class RecoveryControl(Control):
    """`present` tells who is there, looked up each time; `read` is the configuration as it is now."""

    def __init__(
        self,
        desk: DoctorDesk,
        clock: Clock,
        premises: Premises,
        standstill: Standstill,
        present: Callable[[], AtDesk],
        read: Callable[[], LoadResult],
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._premises = premises
        self.standstill = standstill
        self._present = present
        self._read = read

    @property
    def attached(self) -> bool:
        """There is no engine to be attached to."""
        return False

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        """That no engine runs, and why."""
        premises, why, there = self._premises, self.standstill, self._present()
        barred = "" if there.open_to_others else repairs_reserved(there.operator, there.owner)
        return standing(why, premises, replace(there.operator, repairs_barred=barred), self._clock.now_ms())

    async def send(self, command: Command) -> CommandResult:
        """Only the doctor's commands are carried out."""
        if not isinstance(command, DoctorCommand):
            return CommandResult("denied", self._stopped, THE_DOCTOR, code=RECOVERY)
        there = self._present()
        refused = repairs_refused(there.operator, there.owner, open_to_others=there.open_to_others)
        return refused or await repaired(self._desk, command, there.who)

    async def answer(self, query: Query) -> Answer:
        """Answers what the doctor knows. Raises PalyraError for the rest."""
        if isinstance(query, DoctorAsked):
            return await self._desk.answer(query)
        if isinstance(query, DiagnosticsQuery):
            return self._diagnosis(query)
        if isinstance(query, ConfigQuery):
            return file_answer(await asyncio.to_thread(self._read))
        raise EngineGoneError(self._stopped, fix=THE_DOCTOR, code=RECOVERY)

    @property
    def _stopped(self) -> str:
        return f"No engine runs: {self.standstill.trouble}."

    def _diagnosis(self, query: DiagnosticsQuery) -> Diagnosis:
        check_sections(query)
        premises, now = self._premises, self._clock.now_ms()
        told = stopped_diagnosis(
            EngineData(
                version=__version__,
                boot_id="",
                pid=os.getpid(),
                started_at=premises.since,
                uptime_ms=max(0, now - premises.since),
                phase=self.standstill.phase,
                config_path=premises.config_path or None,
            ),
            now,
        )
        return only(told, query.sections) if query.sections else told

    async def close(self) -> None:
        """Nothing is held."""
