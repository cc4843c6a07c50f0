"""What an operator does, as commands that consoles send, and what each of them promises once it is accepted."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from palyra.config.rewrite import set_defaults
from palyra.control.access_acts import UNWRITTEN
from palyra.control.access_commands import AddKey, AddOperator, RemoveOperator, RevokeKey, SetKey, SetOperator
from palyra.control.commands import (
    AckAlert,
    AddPolicy,
    CancelRun,
    ClearCredential,
    Command,
    CorrectUsage,
    DecideApproval,
    EditPolicy,
    GrantScope,
    IssueToken,
    Reload,
    RemovePolicy,
    RequestOverride,
    RevokeGrant,
    SetFeature,
    SnoozeAlert,
)
from palyra.control.incidents_acts import LATER
from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SnoozeIncidents,
)
from palyra.control.jobs_commands import AddJob, CancelFire, DeleteJob, EditJob, PauseJob, ResumeJob, TriggerJob
from palyra.control.memory_commands import AddNote, ForgetNotes
from palyra.control.secrets_commands import AddProfile, DeleteSecret, RemoveProfile, RotateVault, SetSecret
from palyra.control.snapshots import CommandResult, Snapshot, Topic
from palyra.control.task_commands import ActOnTasks, AddTask, EditTask, PrioritiseTask
from palyra.core.errors import PalyraError
from palyra.core.instants import spell_exactly
from palyra.vault.registry_shape import FLAGS
from tests.faults.house import House

POLICIES = ("desk", "team", "night")
JOBS = ("report", "digest", "sweep")
KEYS = ("key-a", "key-b", "key-c")
STAFF = ("bea", "cid")
REFS = ("global/one", "global/two", "global/three")
MODELS = ("openai/gpt-4o-mini", "openai/gpt-4o", "openai/gpt-4.1-mini")
GRANTS: tuple[GrantScope, ...] = ("once", "session", "timeboxed", "amount")
GONE = "gone"
TRIES = 6

Promise = tuple[str, Any]
"""What it is about, as `kind:name`, and what is true of it."""


@dataclass(frozen=True, slots=True)
class Errand:
    """`about` is what the command changes: until it is answered nobody knows how that stands. `promise` is made of an
    accepted result."""

    command: Command
    about: str = ""
    promise: Callable[[CommandResult], Promise | None] = lambda _: None


def errand(command: Command, about: str = "", told: Any = None) -> Errand:
    """One whose promise is known before."""
    return Errand(command, about, lambda _: (about, told) if about else None)


class Operator:
    """One person at a console of the house; one thing after the other."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._number = 0
        self.dice = house.dice
        self.tasks: list[str] = []
        self.notes: list[str] = []

    @property
    def now(self) -> int:
        return self._house.clock.now_ms()

    async def act(self) -> None:
        """Something or other there is something to do it to."""
        shot = await self._house.ann.snapshot(list(Topic))
        made: Made = None
        for make, _ in self.dice.choices(ACTS, [weight for _, weight in ACTS], k=TRIES):
            made = make(self, shot) if made is None else made
        if isinstance(made, str):
            self._rewrite(made)
        elif made is not None:
            await self._send(made)

    async def _send(self, made: Errand) -> None:
        teller = self._house.teller
        self._number += 1
        teller.tell(sent_command=self._number, kind=made.command.kind, about=made.about)
        result = await self._house.ann.send(made.command)
        if not result.ok:
            teller.tell(refused=self._number, status=result.status, message=result.message[:200])
            return
        about, value = made.promise(result) or ("", None)
        later = result.fix in (LATER, UNWRITTEN)
        teller.tell(kept=self._number, kind=made.command.kind, about=about, value=value, later=later)

    def _rewrite(self, model: str) -> None:
        """The configuration file, as the command line does it."""
        teller = self._house.teller
        self._number += 1
        teller.tell(sent_command=self._number, kind="set_defaults", about="config:chat")
        try:
            set_defaults(self._house.config_path, {"chat": model}, {})
        except PalyraError as error:
            teller.tell(refused=self._number, status=error.code, message=error.message[:200])
        else:
            teller.tell(kept=self._number, kind="set_defaults", about="config:chat", value=model)


Made = Errand | str | None
Make = Callable[[Operator, Snapshot], Made]


def decide(op: Operator, shot: Snapshot) -> Made:
    pending = [one for one in shot.approvals if one.status == "pending"]
    if not pending:
        return None
    dice, approval = op.dice, op.dice.choice(pending)
    about = f"approval:{approval.approval_id}"
    if dice.random() < 0.3:
        return errand(DecideApproval(approval.approval_id, "deny", reason="not today"), about, "deny")
    scope = dice.choice(GRANTS)
    amount = dice.choice((20_000, 1_500_000_000)) if scope == "amount" else None
    seconds = dice.choice((5, 3600)) if scope == "timeboxed" else None
    command = DecideApproval(approval.approval_id, "allow", None, scope, seconds, amount)
    return errand(command, about, "allow")


def override(op: Operator, shot: Snapshot) -> Made:
    budgets = [one for one in shot.budgets if one.hard_limit is not None and "*" not in one.scope_value]
    if not budgets:
        return None
    return Errand(
        RequestOverride((op.dice.choice(budgets).policy_id,), session="s1", reason="a long night"),
        "",
        lambda result: (f"approval:{result.data['approval_id']}", "asked") if "approval_id" in result.data else None,
    )


def revoke(op: Operator, shot: Snapshot) -> Made:
    if not shot.grants:
        return None
    grant = op.dice.choice(shot.grants).grant_id
    return errand(RevokeGrant(grant), f"grant:{grant}", GONE)


def govern(op: Operator, shot: Snapshot) -> Made:
    dice, name = op.dice, op.dice.choice(POLICIES)
    limit = dice.choice(("0.01", "0.4", "3"))
    there = any(one.policy_id == name for one in shot.budgets)
    if there and dice.random() < 0.25:
        return errand(RemovePolicy(name), f"policy:{name}", GONE)
    if there:
        return errand(EditPolicy(name, {"hard_limit": limit}), f"policy:{name}", limit)
    fields = {
        "policy_id": name,
        "scope_kind": dice.choice(("global", "user", "session")),
        "interval_kind": dice.choice(("daily", "rolling_24h", "lifetime")),
        "hard_limit": limit,
        "action": dice.choice(("block", "approval_required", "advise")),
    }
    return errand(AddPolicy(fields), f"policy:{name}", limit)


def cancel_run(op: Operator, shot: Snapshot) -> Made:
    live = [run.run_id for run in shot.runs if run.live]
    return errand(CancelRun(op.dice.choice(live), "not now")) if live else None


def correct(op: Operator, shot: Snapshot) -> Made:
    done = [run for run in shot.runs if run.state == "completed" and run.cost_nano_usd]
    if not done:
        return None
    run = op.dice.choice(done)
    cost = op.dice.choice((1_000, 5_000_000))
    command = CorrectUsage(run.run_id, "the invoice says so", cost_nano_usd=cost)
    return errand(command, f"correction:{run.run_id}", cost)


def add_task(op: Operator, shot: Snapshot) -> Made:
    dice = op.dice

    def made(result: CommandResult) -> Promise:
        op.tasks.append(result.data["task_id"])
        return f"task:{result.data['task_id']}", "made"

    command = AddTask(
        text="Say hello.",
        priority=dice.randint(-3, 3),
        not_before=dice.choice((None, None, op.now + dice.randint(1, 20_000))),
        expires_at=dice.choice((None, None, op.now + dice.randint(21_000, 40_000))),
        max_attempts=dice.randint(1, 3),
        dedupe_key=dice.choice(("", "", "same")),
        parent=dice.choice(op.tasks) if op.tasks and dice.random() < 0.2 else "",
        model=dice.choice(("", "local/echo")),
        remember=dice.random() < 0.2,
    )
    return Errand(command, "", made)


def act_on_task(op: Operator, shot: Snapshot) -> Made:
    dice = op.dice
    if not op.tasks:
        return None
    task = dice.choice(op.tasks)
    verb = dice.choice(("cancel", "retry", "priority", "edit"))
    if verb == "priority":
        return errand(PrioritiseTask(task, dice.randint(-10, 10)))
    if verb == "edit":
        return errand(EditTask(task, not_before=op.now + dice.randint(1, 9_000)))
    if verb == "retry":
        return errand(ActOnTasks("retry", (task,)), f"cancelled:{task}", "no")
    return errand(ActOnTasks("cancel", (task,), reason="not now"), f"cancelled:{task}", "yes")


def keep_job(op: Operator, shot: Snapshot) -> Made:
    dice, name = op.dice, op.dice.choice(JOBS)
    about = f"job:{name}"
    job = next((one for one in shot.jobs if one.name == name), None)
    if job is None:
        when = {"at": spell_exactly(op.now + dice.randint(1_000, 20_000))}
        when = when if dice.random() < 0.6 else {"every": dice.choice(("10m", "1h"))}
        work = dice.choice(({"prompt": "Say hello."}, {"task": "background_prompt", "input": "Say hello."}))
        return errand(AddJob({"name": name, "max_attempts": str(dice.randint(1, 3)), **work, **when}), about, "there")
    act = dice.choice(("delete", "pause", "resume", "edit", "stop"))
    match act:
        case "delete":
            return errand(DeleteJob(name), about, GONE)
        case "pause":
            return errand(PauseJob(name, "a holiday"), about, "paused")
        case "resume":
            return errand(ResumeJob(name), about, "there")
        case "edit":
            return errand(EditJob(name, {"max_attempts": str(dice.randint(1, 3))}), about, "there")
        case _:
            return errand(CancelFire(name))


def trigger(op: Operator, shot: Snapshot) -> Made:
    there = [one.name for one in shot.jobs if one.name in JOBS]
    if not there:
        return None
    name, key = op.dice.choice(there), op.dice.choice(("", "k1", "k2"))
    return Errand(
        TriggerJob(name, key),
        f"key:{name}:{key}",
        lambda result: (f"fire:{result.data['fire_id']}", "there"),
    )


def note(op: Operator, shot: Snapshot) -> Made:
    if op.notes and op.dice.random() < 0.3:
        gone = op.notes.pop()
        return errand(ForgetNotes((gone,)), f"note:{gone}", GONE)
    text = f"remember {op.dice.randint(1, 6)}"

    def kept(result: CommandResult) -> Promise:
        op.notes.append(result.data["note_id"])
        return f"note:{result.data['note_id']}", text

    return Errand(AddNote(text, "global", ttl_ms=0), "", kept)


def keep_key(op: Operator, shot: Snapshot) -> Made:
    name, dice = op.dice.choice(KEYS), op.dice
    about = f"gateway_key:{name}"

    def given(result: CommandResult) -> Promise:
        return about, sha256(result.data["token"].encode()).hexdigest()

    act = dice.choice(("add", "add", "set", "revoke"))
    if act == "add":
        return Errand(AddKey(name, principal="ann", tags=("team=red",)), about, given)
    if act == "set":
        return errand(SetKey(name, name="another"), f"key_name:{name}", "another")
    return errand(RevokeKey(name), about, GONE)


def staff(op: Operator, shot: Snapshot) -> Made:
    name, dice = op.dice.choice(STAFF), op.dice
    about = f"operator:{name}"
    act = dice.choice(("add", "set", "token", "remove"))
    if act == "add":
        return errand(AddOperator(name, "viewer", identities=(f"unix:{name}",)), about, "viewer")
    if act == "set":
        return errand(SetOperator(name, role="approver"), about, "approver")
    if act == "token":
        return errand(IssueToken(name, "approver"), about, "there")
    return errand(RemoveOperator(name), about, GONE)


def feature(op: Operator, shot: Snapshot) -> Made:
    name, on = op.dice.choice(list(FLAGS)), op.dice.random() < 0.5
    return errand(SetFeature(name, on), f"feature:{name}", on)


def secret(op: Operator, shot: Snapshot) -> Made:
    ref, act = op.dice.choice(REFS), op.dice.choice(("set", "set", "set", "delete", "rotate"))
    if act == "rotate":
        return errand(RotateVault())
    if act == "delete":
        return errand(DeleteSecret(ref), f"secret:{ref}", GONE)
    text = f"sk-faults-{op.dice.getrandbits(64):016x}"
    return errand(SetSecret(ref, text), f"secret:{ref}", sha256(text.encode()).hexdigest())


def profile(op: Operator, shot: Snapshot) -> Made:
    name = op.dice.choice(("spare", "other"))
    if op.dice.random() < 0.4:
        return errand(RemoveProfile(name), f"profile:{name}", GONE)
    return errand(AddProfile(name, "openai", op.dice.choice(REFS)), f"profile:{name}", "there")


def alert(op: Operator, shot: Snapshot) -> Made:
    if not shot.alerts:
        return None
    one = op.dice.choice(shot.alerts).alert_id
    if op.dice.random() < 0.5:
        return errand(AckAlert(one), f"alert:{one}", "acknowledged")
    return errand(SnoozeAlert(one, 600), f"alert:{one}", "snoozed")


def incident(op: Operator, shot: Snapshot) -> Made:
    if not shot.incidents:
        return None
    dice, one = op.dice, op.dice.choice(shot.incidents)
    ref = IncidentRef(one.incident_id)
    text = f"seen {dice.randint(1, 9999)}"
    about = f"incident_note:{one.incident_id}"
    return dice.choice(
        (
            errand(AckIncidents((ref,)), f"incident:{one.incident_id}", "acknowledged"),
            errand(AssignIncidents((ref,), "ann")),
            errand(SnoozeIncidents((ref,), 60, "later")),
            Errand(NoteIncident(ref, text), "", lambda _: (about, text)),
            errand(ResolveIncidents((ref,), force=dice.random() < 0.5)),
            errand(RunRemedy(ref)),
        )
    )


def credential(op: Operator, shot: Snapshot) -> Made:
    for provider in shot.providers:
        for one in provider.credentials:
            if one.state != "ok":
                return errand(ClearCredential(provider.provider_id, one.credential_id))
    return None


def rewrite(op: Operator, shot: Snapshot) -> Made:
    return op.dice.choice(MODELS)


def reload(op: Operator, shot: Snapshot) -> Made:
    return errand(Reload())


ACTS: tuple[tuple[Make, int], ...] = (
    (decide, 8),
    (override, 1),
    (revoke, 1),
    (govern, 3),
    (cancel_run, 1),
    (correct, 2),
    (add_task, 4),
    (act_on_task, 3),
    (keep_job, 5),
    (trigger, 3),
    (note, 3),
    (keep_key, 2),
    (staff, 2),
    (feature, 1),
    (secret, 3),
    (profile, 1),
    (alert, 2),
    (incident, 3),
    (credential, 1),
    (rewrite, 2),
    (reload, 1),
)
"""And how often each is done."""
