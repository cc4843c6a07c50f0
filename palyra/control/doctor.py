"""The doctor as a console has it: who repairs, how a running engine is asked, and how its findings are told."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from palyra.core.clock import Clock
from palyra.doctor.command import Asked, Hands, Tell, exit_code_of, run_doctor
from palyra.doctor.installation import Installation, Online
from palyra.doctor.reading import Means, Where
from palyra.doctor.report import Mode, Report, report_json, report_text
from palyra.doctor.surroundings import own_terminal

if TYPE_CHECKING:
    from palyra.control.doctor_commands import DoctorCommand
    from palyra.doctor.applying import RunResult
    from palyra.doctor.runs import Who
    from palyra.journal.examination import Asking, Examined

__all__ = ["Asked", "Mode", "Report", "Where", "doctor", "exit_code_of", "report_json", "report_text"]

ANSWERS_S = 5.0
"""An engine that says nothing for so long does not answer."""


async def doctor(asked: Asked, where: Where, clock: Clock, tell: Tell) -> tuple[Report, int]:
    """Does what was asked for; the report and the exit code. `tell` hears what is known so far. Raises PalyraError."""
    engine = _Engine(where, clock)
    means = Means(
        clock,
        ask_engine=engine.examine,
        ask_network=(lambda found: _network(found, clock)) if asked.online else None,
        terminal=own_terminal(),
        deep=asked.deep,
    )
    return await run_doctor(
        asked, where, means, Hands(clock, lambda found: who(found, where.environ), tell=tell, engine=engine)
    )


def who(found: Installation, environ: Mapping[str, str]) -> "Who":
    """Who repairs: the operator behind this account; the account itself where the registry names none for it."""
    from palyra.doctor.runs import Who
    from palyra.vault.identity import SSH_USER_AUTH, IdentityError, account_of, identify
    from palyra.vault.records import Operator, RecordError, read_operator
    from palyra.vault.ssh_keys import session_keys

    access = found.access.found
    data = {} if access is None or access.data is None else access.data
    operators: list[Operator] = []
    for record in data.get("operators", []):
        try:
            operators.append(read_operator(record))
        except RecordError:
            continue
    account = account_of(os.geteuid())
    root = found.state.found.root.facts if found.state.found is not None else None
    try:
        identity = identify(
            account,
            operators,
            registered=bool(data.get("operators")),
            owns_state=root is None or root.uid == os.geteuid(),
            environ=environ,
            keys=session_keys(environ.get(SSH_USER_AUTH, ""), os.geteuid()),
        )
    except IdentityError:
        return Who(f"unix:{account}", "uid")
    return Who(identity.operator, identity.attestation.value, identity.address)


class _Engine:
    """The engine that holds the state directory, over its operators' socket."""

    def __init__(self, where: Where, clock: Clock) -> None:
        self._where = where
        self._clock = clock

    async def examine(self, asking: "Asking") -> "tuple[str, Examined]":
        """Raises EngineGoneError and TimeoutError where it does not answer, PalyraError where it refuses."""
        from palyra.config.paths import state_dir
        from palyra.control.doctor_queries import JournalExaminationQuery
        from palyra.control.remote import RemoteControl

        remote = RemoteControl(state_dir(self._where.state_dir, self._where.environ), environ=self._where.environ)
        try:
            async with self._clock.timeout(ANSWERS_S):
                await remote.snapshot([])
            told = await remote.ask(JournalExaminationQuery(asking.deep, asking.limit_s))
        finally:
            await remote.close()
        return told.boot_id, told.examined

    async def apply(self, asked: Asked, digest: str) -> "RunResult":
        """Raises PalyraError where the engine refuses or does not answer."""
        from palyra.control.doctor_commands import ApplyRepairs

        return await self._send(ApplyRepairs(digest, None, asked.force, asked.only, asked.skip))

    async def roll_back(self, asked: Asked) -> "RunResult":
        """As `apply`."""
        from palyra.control.doctor_commands import RollBack

        return await self._send(RollBack(asked.rollback, asked.force))

    async def _send(self, command: "DoctorCommand") -> "RunResult":
        from palyra.config.paths import state_dir
        from palyra.control.doctor_views import run_result
        from palyra.control.remote import RemoteControl

        remote = RemoteControl(state_dir(self._where.state_dir, self._where.environ), environ=self._where.environ)
        try:
            return run_result(await remote.send(command))
        finally:
            await remote.close()


async def _network(found: Installation, clock: Clock) -> Online:
    from palyra.config.operations import ProbeConfig
    from palyra.diagnostics.probe_checks import ProbeChecks
    from palyra.doctor.reaching import ask_network
    from palyra.doctor.reading_secrets import secrets_of

    checks = ProbeChecks(secrets_of(found), clock)

    async def look(probe: ProbeConfig) -> str:
        return (await checks.check(probe)).error

    try:
        return await ask_network(found, clock, look)
    finally:
        await checks.close()
