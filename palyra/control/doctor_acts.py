"""What admins have the doctor do beside a running engine. The audit chain tells of each run, and so does an event."""

import os

from palyra.control.codec import encode
from palyra.control.doctor_commands import DoctorCommand, RollBack
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.doctor_queries import RepairsDone
from palyra.control.doctor_views import OUTCOME
from palyra.control.snapshots import CommandResult, OperatorView
from palyra.core.errors import BadInputError, NotFoundError, PalyraError
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
    installation = engine.installation
    sources = installation.sources
    environ = os.environ if sources is None else sources.environ
    where = Where(installation.config_path if sources is None else sources.named, engine.state_dir, environ)
    if installation.demo:
        # Its configuration is made up: one of somebody's own that lies where configurations do is none of its business.
        where = Where(
            None, engine.state_dir, {"XDG_CONFIG_HOME": str(engine.state_dir)}, engine.state_dir / "palyra.toml"
        )

    async def ask(asking: Asking) -> tuple[str, Examined]:
        await engine.journal.submit(())
        return engine.boot_id, await examine(engine.state_dir, engine.clock, asking)

    return DoctorDesk(where, engine.clock, ask)


async def act_on_doctor(engine: Engine, desk: DoctorDesk, command: DoctorCommand, by: Decider) -> CommandResult:
    """Raises ConflictError, NotFoundError, BadInputError, StateError; PalyraError where repairs are not to be had."""
    owner = account_of(engine.state_dir.stat().st_uid)
    if by.account != owner and not engine.access.flag(FLAG):
        raise _owners_alone(owner)
    who = Who(str(by.name), by.attestation, getattr(by.name, "address", ""))
    done = await desk.do(command, who)
    if done.run_id:
        await after_repairs(engine, by, done.run_id)
    return told(done, undone=isinstance(command, RollBack))


def repairs_reserved(operator: OperatorView, owner: str) -> str:
    """Why an operator may not repair where repairs are not open to others than the owner; empty for the owner."""
    return "" if operator.account == owner else f"repairs from a console are for {owner} alone ({FLAG} is off)"


def _owners_alone(owner: str) -> PalyraError:
    return PalyraError(
        f"Repairs from a console are for {owner} alone.",
        fix=f"An admin may open them to others: palyra access flags set {FLAG} on",
        code="feature_off",
    )


def repairs_refused(operator: OperatorView, owner: str, *, open_to_others: bool) -> CommandResult | None:
    """Why an operator may not repair here, by the rule that an engine goes by; None where they may. `owner` is the
    account the state directory belongs to, `open_to_others` what the registry's flag says."""
    if not operator.may_repair:
        text = f"{operator.name} is {operator.role}; this needs the role admin."
        return CommandResult("denied", text, code="role_missing")
    if operator.account != owner and not open_to_others:
        refusal = _owners_alone(owner)
        return CommandResult("denied", refusal.message, refusal.fix, code=refusal.code)
    return None


async def repaired(desk: DoctorDesk, command: DoctorCommand, by: Who) -> CommandResult:
    """What came of a command where no engine runs; the doctor's own lock keeps engines away meanwhile."""
    try:
        return told(await desk.do(command, by), undone=isinstance(command, RollBack))
    except PalyraError as error:
        return not_done(error)


def not_done(error: PalyraError) -> CommandResult:
    """Why nothing was repaired."""
    match error:
        case NotFoundError():
            status = "not_found"
        case BadInputError():
            status = "invalid"
        case _:
            status = "conflict"
    return CommandResult(status, error.message, error.fix, code=error.code)


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
