"""Carrying out commands: each is checked against the operator's role and the state they saw, done, and read back."""

import asyncio
from dataclasses import replace
from typing import Any, cast, get_args

from palyra.config.choices import MetricKind
from palyra.control.access_acts import act_on_access, issue_token, set_feature
from palyra.control.access_commands import AccessCommand
from palyra.control.alerts import answer_alert
from palyra.control.commands import (
    AckAlert,
    AddPolicy,
    CancelRun,
    ClearCredential,
    Command,
    CorrectUsage,
    DecideApproval,
    DiscardDeadLetters,
    DiscoverModels,
    EditPolicy,
    IssueToken,
    Reload,
    RemovePolicy,
    RequestOverride,
    RetryDeadLetters,
    RevokeGrant,
    SetFeature,
    SnoozeAlert,
    TryWebhook,
)
from palyra.control.config_acts import reload_configuration
from palyra.control.doctor_acts import act_on_doctor
from palyra.control.doctor_commands import DoctorCommand
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.engine_commands import StartEngine
from palyra.control.incidents_acts import act_on_incident
from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
from palyra.control.jobs_acts import act_on_job
from palyra.control.jobs_commands import (
    AddJob,
    CancelFire,
    DeleteJob,
    EditJob,
    PauseJob,
    ResetJob,
    ResumeJob,
    ReviewFire,
    TriggerJob,
)
from palyra.control.memory_answers import act_on_notes
from palyra.control.memory_commands import AddNote, ForgetNotes, ForgetScope
from palyra.control.notice_answers import discard_dead_letters, retry_dead_letters, try_webhook
from palyra.control.provider_acts import clear_credential, discover_models
from palyra.control.secrets_acts import act_on_secrets
from palyra.control.secrets_commands import SecretsCommand
from palyra.control.snapshots import CommandResult, FaultView, OperatorView
from palyra.control.task_acts import act_on_task
from palyra.control.task_commands import ActOnTasks, AddTask, EditTask, PrioritiseTask
from palyra.core.errors import (
    BadInputError,
    ConflictError,
    JournalUnavailableError,
    NotFoundError,
    PalyraError,
    UnwrittenError,
)
from palyra.core.events import Event
from palyra.core.redact import redact
from palyra.core.scope import Scope
from palyra.core.signed_name import SignedName
from palyra.engine import Engine
from palyra.governance.approval_record import ApprovalDecision, ApprovalRecord
from palyra.governance.approvals import Opened, Resolved, Ruling
from palyra.governance.explain import amount_text
from palyra.governance.four_eyes import KEY, Decider
from palyra.governance.grants import GrantKind
from palyra.governance.overrides import OverrideInputError, OverrideRequest, Requester
from palyra.governance.policy_input import PolicyInputError
from palyra.journal.changes import AuditAdded
from palyra.journal.rows import GrantRow
from palyra.memory.note import NoteFaultError
from palyra.runs.corrections import Correction, usage_text
from palyra.scheduler.job_input import JobInputError
from palyra.tasks.asking import TaskInputError
from palyra.vault.access import FIRST_PRINCIPAL

ADMINS = (
    AddPolicy,
    EditPolicy,
    RemovePolicy,
    CorrectUsage,
    ClearCredential,
    IssueToken,
    SetFeature,
    Reload,
    AddJob,
    EditJob,
    DeleteJob,
    ResetJob,
    SetHealingMode,
    *get_args(AccessCommand),
    *get_args(SecretsCommand),
    *get_args(DoctorCommand),
)
"""Commands that take an admin; the others take an approver."""


class Acting:
    """Carries out what operators ask for."""

    def __init__(self, engine: Engine, doctor: DoctorDesk) -> None:
        self._engine = engine
        self._doctor = doctor
        self._under_way: set[asyncio.Task[CommandResult]] = set()

    async def carry_out(self, command: Command, operator: OperatorView) -> CommandResult:
        """Never raises for what an operator can do wrong: the result says it.

        A command that was begun is brought to its end, also when the console that sent it goes away.
        """
        work = asyncio.create_task(self._carry_out(command, operator))
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return await asyncio.shield(work)

    async def _carry_out(self, command: Command, operator: OperatorView) -> CommandResult:
        needs_admin = isinstance(command, ADMINS)
        may = operator.may_administer if needs_admin else operator.may_approve
        if not (may or (isinstance(command, DoctorCommand) and operator.may_repair)):
            role = "admin" if needs_admin else "approver"
            text = f"{operator.name} is {operator.role}; this needs the role {role}."
            return CommandResult("denied", text, code="role_missing")
        name = SignedName(operator.name, operator.attestation, operator.address)
        by = Decider(name, operator.attestation, operator.account)
        command = _without_secrets(command)
        try:
            return await self._do(command, by)
        except PalyraError as error:
            return await self._refused(error, command)

    async def _refused(self, error: PalyraError, command: Command) -> CommandResult:
        text, fix, code = error.message, error.fix, error.code
        match error:
            case NotFoundError():
                return CommandResult("not_found", text, fix, code=code)
            case ConflictError():
                status = "stale" if code == "stale_version" else "conflict"
                return CommandResult(status, text, fix, data=await self._as_it_stands(command), code=code)
            case BadInputError():
                return CommandResult("invalid", text, fix, code=code, faults=_faults(error))
            case UnwrittenError():
                return CommandResult("denied", text, fix, code=code)
            case JournalUnavailableError():
                return CommandResult("denied", f"Nothing was done: {text}", fix, code=code)
        return CommandResult("denied", text, fix, code=code)

    async def _do(self, command: Command, by: Decider) -> CommandResult:
        if isinstance(command, AccessCommand):
            return await act_on_access(self._engine, command, by)
        if isinstance(command, SecretsCommand):
            return await act_on_secrets(self._engine, command, by)
        if isinstance(command, DoctorCommand):
            return await act_on_doctor(self._engine, self._doctor, command, by)
        match command:
            case DecideApproval():
                return await self._decide(command, by)
            case RequestOverride():
                return await self._request(command, by)
            case RevokeGrant():
                return await self._revoke(command, by)
            case CancelRun():
                return await self._cancel(command, by)
            case IssueToken():
                return await issue_token(self._engine, command, by)
            case SetFeature():
                return await set_feature(self._engine, command, by)
            case CorrectUsage():
                return await self._correct(command, by)
            case AckAlert() | SnoozeAlert():
                return await answer_alert(self._engine, command, by)
            case ClearCredential():
                return clear_credential(self._engine, command, by)
            case DiscoverModels():
                return await discover_models(self._engine, command)
            case RetryDeadLetters():
                return retry_dead_letters(self._engine, command, by)
            case DiscardDeadLetters():
                return discard_dead_letters(self._engine, command, by)
            case TryWebhook():
                return await try_webhook(self._engine, command)
            case Reload():
                return await reload_configuration(self._engine, by)
            case StartEngine():
                raise ConflictError("The engine runs.", code="running")
            case AddNote() | ForgetNotes() | ForgetScope():
                return await act_on_notes(self._engine.memory, command, by)
            case (
                AddJob()
                | EditJob()
                | PauseJob()
                | ResumeJob()
                | ResetJob()
                | DeleteJob()
                | TriggerJob()
                | CancelFire()
                | ReviewFire()
            ):
                return await act_on_job(self._engine, command, by)
            case (
                AckIncidents()
                | AssignIncidents()
                | SnoozeIncidents()
                | NoteIncident()
                | ResolveIncidents()
                | RunRemedy()
                | SetHealingMode()
            ):
                return await act_on_incident(self._engine, command, by)
            case AddTask() | ActOnTasks() | PrioritiseTask() | EditTask():
                return await act_on_task(self._engine, command, by)
            case AddPolicy():
                edited = await self._engine.policies.add(command.fields, by)
                verb = "is in force" if edited.policy.enabled else "is kept, switched off"
            case EditPolicy():
                edited = await self._engine.policies.edit(
                    command.policy_id, command.fields, by, revision=command.revision
                )
                standing = "in force" if edited.policy.enabled else "switched off"
                verb = f"is {standing} at revision {edited.policy.revision}"
            case RemovePolicy():
                edited = await self._engine.policies.remove(command.policy_id, by, revision=command.revision)
                verb = "is removed"
        self._engine.parking.decided(edited.ended)
        self._tell("policy.edited", edited.policy.policy_id)
        data = {"policy_id": edited.policy.policy_id, "revision": str(edited.policy.revision)}
        text = f"Budget {edited.policy.policy_id} {verb}."
        if edited.doubt:
            text, data["doubt"] = f"{text} But {edited.doubt}", edited.doubt
        return CommandResult("accepted", text, data=data)

    async def _decide(self, command: DecideApproval, by: Decider) -> CommandResult:
        engine = self._engine
        ruling = Ruling(
            decision=ApprovalDecision(command.decision),
            by=by,
            scope=GrantKind(command.scope),
            duration_ms=None if command.duration_seconds is None else command.duration_seconds * 1000,
            amount=command.amount,
            reason=command.reason,
        )
        now = engine.clock.now_ms()
        if engine.desk.find(command.approval_id) is None:
            found = await engine.overrides.look_up(command.approval_id)
            if found is not None:
                state = found.record.state()
                raise ConflictError(f"Approval {command.approval_id} is already {state}.", code="already_decided")
        resolved = engine.desk.decide(
            command.approval_id, ruling, now, policies=engine.ledger.policies, version=command.version
        )
        try:
            await engine.journal.submit(resolved.changes)
        except BaseException:
            # Whatever went wrong: what is not surely durable must not be in force.
            engine.write(engine.desk.take_back(resolved, engine.clock.now_ms()))
            raise
        # Only what is durable is acted on: a decision that was shown must survive a kill.
        engine.parking.decided([resolved.record])
        self._tell("approval.ended", command.approval_id)
        data = {"approval_id": command.approval_id, "grant_ids": ",".join(resolved.record.grant_ids)}
        return CommandResult("accepted", _decided_text(resolved), data=data)

    async def _cancel(self, command: CancelRun, by: Decider) -> CommandResult:
        """What an operator ends of others' work is audited; what its own client ends is told by the run alone."""
        client = by.attestation == KEY
        await self._engine.runner.cancel(command.run_id, by, "by_client" if client else "by_operator", command.reason)
        if not client:
            told = {"verb": "cancel_asked"} | ({"reason": command.reason} if command.reason else {})
            self._engine.write([AuditAdded(self._engine.clock.now_ms(), "run", command.run_id, by.name, told)])
        return CommandResult("accepted", f"Run {command.run_id} is being cancelled.")

    async def _correct(self, command: CorrectUsage, by: Decider) -> CommandResult:
        asked = Correction(
            command.what,
            command.reason,
            command.input_tokens,
            command.output_tokens,
            command.cached_tokens,
            command.cost_nano_usd,
        )
        done = await self._engine.corrections.correct(asked, by)
        after, before = done.after, done.before
        data = {"correction_id": done.correction_id, "hold_id": before.hold_id, "run_id": before.run_id}
        text = f"The attempt {before.hold_id} now says {usage_text(after)}, instead of {usage_text(before)}."
        return CommandResult("accepted", text, data=data)

    async def _as_it_stands(self, command: Command) -> dict[str, str]:
        """What a decision that came too late meets."""
        if not isinstance(command, DecideApproval):
            return {}
        found = await self._engine.overrides.look_up(command.approval_id)
        return {} if found is None else _state_data(found.record)

    async def _request(self, command: RequestOverride, by: Decider) -> CommandResult:
        principal = command.principal or FIRST_PRINCIPAL
        asked = OverrideRequest(command.policy_ids, principal, command.session, command.amount, command.reason)
        opened = await self._engine.overrides.request(asked, Requester(by, Scope(principal, command.session)))
        record = opened.record
        wanted = "" if record.wanted is None else _in_words(record.wanted, record)
        data = {"fresh": "true" if opened.fresh else "false", "amount": wanted, **_state_data(record)}
        text = _requested_text(opened)
        if opened.not_taken is None:
            return CommandResult("accepted", text, data=data)
        data["amount_not_taken"] = _in_words(opened.not_taken, record)
        stands = f"{text} It stands with that amount; {data['amount_not_taken']} was not taken."
        return CommandResult("conflict", stands, "Let it be decided, or have it denied and ask again.", data=data)

    async def _revoke(self, command: RevokeGrant, by: Decider) -> CommandResult:
        engine = self._engine
        if engine.ledger.grants.get(command.grant_id) is None:
            row = await engine.journal.readers.grant(command.grant_id)
            if row is not None:
                raise ConflictError(f"Grant {command.grant_id} is already {row.state}.", code="already_decided")
        changes = engine.desk.revoke(command.grant_id, by, engine.clock.now_ms())
        self._tell("grant.revoked", command.grant_id)
        try:
            # It has ended in memory whatever comes: a grant somebody wanted gone must not go on serving.
            await engine.write_and_wait(changes)
        except JournalUnavailableError:
            written = "The journal cannot be written now; Palyra keeps trying."
            return CommandResult("accepted", f"Grant {command.grant_id} is revoked.", written)
        return CommandResult("accepted", f"Grant {command.grant_id} is revoked.")

    def _tell(self, kind: str, subject: str) -> None:
        self._engine.events.publish(Event(kind, self._engine.clock.now_ms(), subject))


def _without_secrets(command: Command) -> Command:
    """Why somebody did something is kept and shown for long: what they should not have pasted there is left out."""
    reason = getattr(command, "reason", "")
    if not reason:
        return command
    spoken: Command = replace(cast(Any, command), reason=redact(reason))
    return spoken


def _faults(error: BadInputError) -> tuple[FaultView, ...]:
    if isinstance(error, PolicyInputError | OverrideInputError | TaskInputError | JobInputError):
        return tuple(FaultView(fault.field, fault.message, fault.fix) for fault in error.faults)
    if isinstance(error, NoteFaultError):
        return (FaultView(error.field, error.fault, error.fix),)
    return ()


def _state_data(record: ApprovalRecord) -> dict[str, str]:
    return {
        "approval_id": record.approval_id,
        "version": str(record.version),
        "status": record.status.value,
        "decision": "" if record.decision is None else record.decision.value,
        "decided_by": record.decided_by,
        "resolved_at": "" if record.resolved_at is None else str(record.resolved_at),
        "reason": record.reason,
        "expires_at": str(record.expires_at),
    }


def _requested_text(opened: Opened) -> str:
    record = opened.record
    room = "room" if record.wanted is None else _in_words(record.wanted, record)
    what = f"{room} in {', '.join(record.policy_ids)} for {record.principal}"
    if opened.fresh:
        return f"Approval {record.approval_id} is open: {what}."
    return f"Approval {record.approval_id} is pending already: {what}."


def _in_words(amount: int, record: ApprovalRecord) -> str:
    return amount_text(amount, record.leading.metric_kind)


def _decided_text(resolved: Resolved) -> str:
    record = resolved.record
    if record.decision is ApprovalDecision.DENY:
        return f"Denied {record.principal}: {record.reason or 'no reason given'}."
    if record.subject:
        return f"Allowed: {record.subject}."
    caps = ", ".join(f"{grant.policy_id} up to {_cap(grant)}" for grant in resolved.grants)
    kind = resolved.grants[0].kind if resolved.grants else "once"
    return f"Allowed {record.principal} ({kind}): {caps}."


def _cap(grant: GrantRow) -> str:
    return amount_text(grant.cap, MetricKind(grant.metric))
