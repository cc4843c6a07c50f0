"""Whatever an operator changes is written down with who they are, how that is known, and where they came from."""

import asyncio
from typing import get_args

from palyra.control.access_commands import (
    AddFlag,
    AddKey,
    AddOperator,
    RemoveFlag,
    RemoveOperator,
    RevokeKey,
    SetKey,
    SetOperator,
)
from palyra.control.audit_queries import AUDIT_KINDS, AuditEntry, AuditLogQuery
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
from palyra.control.doctor_commands import ApplyRepairs, RollBack
from palyra.control.doctor_queries import DoctorPreviewQuery, DoctorRunsQuery
from palyra.control.engine_commands import StartEngine
from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
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
from palyra.control.memory_commands import AddNote, ForgetNotes, ForgetScope
from palyra.control.secrets_commands import (
    AbandonVault,
    AddProfile,
    DeleteSecret,
    RemoveProfile,
    RevealSecret,
    RotateVault,
    SetSecret,
)
from palyra.control.snapshots import CommandResult
from palyra.control.task_commands import ActOnTasks, AddTask, EditTask, PrioritiseTask
from palyra.vault.identity import Attestation, Identity
from palyra.vault.records import Role
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises, chat
from tests.end_to_end.test_alerts import the_one
from tests.end_to_end.test_incidents_acting import found, told
from tests.end_to_end.test_notifications import HOOKS, by_path, settled
from tests.healing.webhooks.receiver import receiving
from tests.support.upstream import Reply, Upstream

CHANGES_NOTHING = {
    DiscoverModels: "it asks a provider for its list; what is believed of the answer is not the operator's deed",
    StartEngine: "no engine runs that could write it down; the one that starts notes that it did",
    TryWebhook: "it sends a test, which changes nothing that is kept",
}


class Operator:
    """Ada, who came by SSH, and whose deeds are looked up after each."""

    def __init__(self, here: Premises) -> None:
        self.here = here
        self.control = here.house.control_for(
            Identity("ada", Role.ADMIN, Attestation.SSH_KEY, "shared", address="192.0.2.7")
        )
        self.done: set[type] = set()

    async def entries(self) -> list[AuditEntry]:
        await self.here.written()
        page = await self.control.ask(AuditLogQuery(deeds=True, limit=500))
        assert page.next_before is None
        return list(page.entries)

    async def does(self, command: Command, kind: str, verb: str) -> CommandResult:
        """Carries it out, and finds what was written down of it."""
        known = {one.seq for one in await self.entries()}
        result = await self.control.send(command)
        assert result.ok, (command, result)
        found = [one for one in await self.entries() if one.seq not in known and one.actor == "ada"]
        assert (kind, verb) in {(one.kind, one.verb) for one in found}, (command, found)
        for one in found:
            assert (one.data["attestation"], one.data["address"]) == ("ssh_key", "192.0.2.7")
            assert one.kind in AUDIT_KINDS
        self.done.add(type(command))
        return result


async def budgets(ada: Operator) -> None:
    fields = {"policy_id": "day", "hard_limit": "0", "action": "approval_required"}
    await ada.does(AddPolicy(fields), "policy", "added")
    await ada.does(EditPolicy("day", {"hard_limit": "1"}), "policy", "edited")
    asked = await ada.does(RequestOverride(("day",), amount="2", reason="a long night"), "approval", "opened")
    decided = await ada.does(DecideApproval(asked.data["approval_id"], "allow", scope="session"), "approval", "allow")
    await ada.does(RevokeGrant(decided.data["grant_ids"]), "grant", "revoked")
    await ada.does(RemovePolicy("day"), "policy", "removed")


async def alerts(ada: Operator) -> None:
    here = ada.here
    await here.add_budget("shut", "0")
    assert (await here.ask(chat(max_tokens=10))).status == 402
    alert = await the_one(here)
    await ada.does(SnoozeAlert(alert.alert_id, 3_600), "alert", "snoozed")
    await ada.does(AckAlert(alert.alert_id), "alert", "acknowledged")
    await here.send(RemovePolicy("shut"))


async def runs(ada: Operator, upstream: Upstream) -> None:
    here = ada.here
    gate = asyncio.Event()
    upstream.replies.append(Reply(gate=gate))
    waiting = await here.call(chat(max_tokens=10))
    await upstream.wait_for_requests(1)
    (run,) = here.engine.runner.live
    await ada.does(CancelRun(run.run_id, "it hangs"), "run", "cancel_asked")
    await waiting.answer()
    gate.set()
    upstream.replies.append(Reply(input_tokens=10, output_tokens=5))
    answer = await here.ask(chat(max_tokens=10))
    await here.rest()
    await ada.does(CorrectUsage(answer.headers["x-palyra-run"], "the invoice", output_tokens=4), "usage", "corrected")


async def access(ada: Operator) -> None:
    await ada.does(AddOperator("bob", "viewer", identities=("unix:bob",)), "access", "operator_added")
    await ada.does(SetOperator("bob", "approver"), "access", "operator_set")
    await ada.does(IssueToken("bob"), "access", "token_issued")
    await ada.does(RemoveOperator("bob"), "access", "operator_removed")
    await ada.does(AddKey("second", "batch"), "access", "key_added")
    await ada.does(SetKey("second", name="The second"), "access", "key_set")
    await ada.does(RevokeKey("second"), "access", "key_revoked")
    await ada.does(SetFeature("console_write", True), "access", "feature_set")
    await ada.does(RemoveFlag("console_write"), "access", "feature_removed")
    await ada.does(AddFlag("console_write"), "access", "feature_added")


async def secrets(ada: Operator) -> None:
    await ada.does(SetSecret("global/spare", "a-spare-secret"), "vault", "secret_set")
    await ada.does(RevealSecret("global/spare"), "vault", "secret_revealed")
    await ada.does(RotateVault(), "vault", "vault_rotated")
    await ada.does(AddProfile("first", "openai", "global/spare"), "access", "profile_added")
    await ada.does(RemoveProfile("first"), "access", "profile_removed")
    await ada.does(DeleteSecret("global/spare"), "vault", "secret_deleted")
    await ada.control.send(SetSecret("global/lost", "a-lost-secret"))
    (ada.here.state_dir / "vault" / "vault.key").unlink()
    await ada.here.engine.secrets.reload()
    await ada.does(AbandonVault(1), "vault", "vault_abandoned")
    (credential,) = [one.id for one in ada.here.engine.credentials.standings("openai", ada.here.clock.now_ms())]
    await ada.does(ClearCredential("openai", credential), "access", "credential_cleared")


async def jobs(ada: Operator, upstream: Upstream) -> None:
    here = ada.here
    fields = {"name": "hello", "every": "1h", "action": "prompt", "prompt": "Hi.", "model": MINI, "misfire": "catch_up"}
    await ada.does(AddJob(fields), "job", "job_added")
    await ada.does(EditJob("hello", {"prompt": "Hello."}), "job", "job_edited")
    await ada.does(PauseJob("hello"), "job", "job_paused")
    await ada.does(ResumeJob("hello"), "job", "job_resumed")
    before = len(upstream.seen)
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate)
    await ada.does(TriggerJob("hello"), "job", "job_triggered")
    await upstream.wait_for_requests(before + 1)
    await ada.does(CancelFire("hello"), "job", "fire_cancelled")
    gate.set()
    upstream.default = Reply()
    lane = here.engine.jobs.roster.find("hello")
    assert lane is not None
    while lane.fires:
        await here.written()
    here.set_wall(here.clock.now_ms() + 72 * 3_600_000)
    await here.advance(5)
    while lane.review is None:
        await here.written()
    await ada.does(ReviewFire(lane.review.fire_id, "skip"), "job", "job_review_skip")
    scheduler = here.engine.jobs.scheduler
    scheduler.write(lane.job.job_id, [scheduler.roster.fault(lane, "its zone is gone", here.clock.now_ms())])
    await ada.does(ResetJob("hello"), "job", "job_reset")
    await ada.does(DeleteJob("hello"), "job", "job_deleted")


async def tasks(ada: Operator) -> None:
    later = ada.here.clock.now_ms() + 3_600_000
    made = await ada.does(AddTask("summary", text="A long text.", not_before=later), "task", "added")
    task_id = made.data["task_id"]
    await ada.does(PrioritiseTask(task_id, 9), "task", "prioritised")
    await ada.does(EditTask(task_id, not_before=later + 1), "task", "edited")
    await ada.does(ActOnTasks("pause", (task_id,)), "task", "paused")
    await ada.does(ActOnTasks("resume", (task_id,)), "task", "resumed")
    await ada.does(ActOnTasks("cancel", (task_id,)), "task", "cancelled")
    await ada.does(ActOnTasks("retry", (task_id,)), "task", "retried")


async def notes(ada: Operator) -> None:
    made = await ada.does(AddNote("The first.", "global"), "memory", "kept")
    await ada.does(ForgetNotes((made.data["note_id"],)), "memory", "forgotten")
    await ada.control.send(AddNote("The second.", "global"))
    await ada.does(ForgetScope("global"), "memory", "forgotten")


async def incidents(ada: Operator) -> None:
    here = ada.here
    told(here)
    incident_id = await found(here)
    ref = IncidentRef(incident_id)
    await ada.does(AckIncidents((ref,)), "incident", "acknowledged")
    await ada.does(AssignIncidents((ref,), "bob"), "incident", "assigned to bob")
    await ada.does(NoteIncident(ref, "It is the disk."), "incident", "noted")
    await ada.does(SnoozeIncidents((ref,), 3_600, "known"), "incident", "snoozed for 1h00m")
    await ada.does(RunRemedy(ref), "incident", "asked for pause_job")
    await ada.does(ResolveIncidents((ref,), force=True), "incident", "resolved")
    await ada.does(SetHealingMode("storage", "observe_only"), "engine", "healing_mode")


async def letters(ada: Operator) -> None:
    """The remedy that waits for somebody's word was not taken by a webhook."""
    await settled(ada.here, "picky", dead=1)
    await ada.does(RetryDeadLetters(webhook="picky"), "notification", "retried")
    await settled(ada.here, "picky", dead=1)
    await ada.does(DiscardDeadLetters(webhook="picky"), "notification", "discarded")


async def installation(ada: Operator) -> None:
    await ada.does(Reload(), "config", "reloaded")
    config = ada.here.engine.installation.config_path
    assert config is not None
    config.chmod(0o644)
    plan = await ada.control.ask(DoctorPreviewQuery())
    await ada.does(ApplyRepairs(plan.digest), "repair", "applied")
    run = (await ada.control.ask(DoctorRunsQuery())).runs[0]
    await ada.does(RollBack(run.run_id), "repair", "rolled_back")


async def test_every_command_that_changes_something_leaves_who_did_it(opened: Opener, upstream: Upstream) -> None:
    async with receiving() as receiver:
        receiver.choose = by_path
        here = await opened(HOOKS.format(url=receiver.url) + "[scheduler]\nenabled = true\n")
        ada = Operator(here)
        await incidents(ada)
        await letters(ada)
        await budgets(ada)
        await alerts(ada)
        await runs(ada, upstream)
        await access(ada)
        await secrets(ada)
        await jobs(ada, upstream)
        await tasks(ada)
        await notes(ada)
        await installation(ada)
    commands = set(get_args(get_args(Command)[0]))
    assert ada.done | set(CHANGES_NOTHING) == commands, commands - ada.done
