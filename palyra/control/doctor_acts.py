"""What admins have the doctor do beside a running engine. The audit chain tells of each run, and so does an event."""

import os

from palyra.control.codec import encode
from palyra.control.doctor_commands import DoctorCommand, RollBack
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.doctor_queries import RepairsDone
from palyra.control.doctor_views import OUTCOME
from palyra.control.snapshots import CommandResult
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.doctor.reading import Where
from palyra.doctor.runs import Who
from palyra.engine import Engine
from palyra.engine.repairing import after_repairs
from palyra.governance.four_eyes import Decider
from palyra.journal.examination import Asking, Examined, examine
from palyra.vault.identity import account_of

FLAG = "console_repair"


def engine_desk(engine: Engine) -> DoctorDesk:
    """The doctor of the installation an engine runs on."""
    sources = engine.installation.sources
    environ = os.environ if sources is None else sources.environ
    named = engine.installation.config_path if sources is None else sources.named

    async def ask(asking: Asking) -> tuple[str, Examined]:
        await engine.journal.submit(())
        return engine.boot_id, await examine(engine.state_dir, engine.clock, asking)

    return DoctorDesk(Where(named, engine.state_dir, environ), engine.clock, ask)


async def act_on_doctor(engine: Engine, desk: DoctorDesk, command: DoctorCommand, by: Decider) -> CommandResult:
    """Raises ConflictError, NotFoundError, BadInputError, StateError; PalyraError where repairs are not to be had."""
    owner = account_of(engine.state_dir.stat().st_uid)
    if by.account != owner and not engine.access.flag(FLAG):
        raise PalyraError(
            f"Repairs from a console are for {owner} alone.",
            fix=f"An admin may open them to others: palyra access flags set {FLAG} on",
            code="feature_off",
        )
    who = Who(str(by.name), by.attestation, getattr(by.name, "address", ""))
    done = await desk.do(command, who)
    if done.run_id:
        await after_repairs(engine, by, done.run_id)
    return told(done, undone=isinstance(command, RollBack))


def told(done: RepairsDone, *, undone: bool) -> CommandResult:
    """What came of it. What was not done as a whole is no success, though part of it may be done."""
    data = {"run_id": done.run_id, OUTCOME: encode(RepairsDone, done).decode()}
    if done.complete:
        what = "The run is taken back." if undone else f"{plural(len(done.steps), 'step')} applied."
        fix = f"Take it back: palyra doctor --rollback {done.run_id}" if done.run_id and not undone else ""
        return CommandResult("accepted", what, fix, data)
    outcomes = ", ".join(f"{step.repair_id} {step.outcome}" for step in done.steps)
    return CommandResult(
        "conflict", f"Not everything was done: {outcomes}. {done.trouble}".strip(), "", data, "partial"
    )
