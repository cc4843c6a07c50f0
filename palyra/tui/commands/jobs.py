"""Acting on jobs, on their fires and on background tasks."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import Command
from palyra.control.jobs_commands import (
    CancelFire,
    DeleteJob,
    PauseJob,
    ResetJob,
    ResumeJob,
    ReviewFire,
    TriggerJob,
)
from palyra.control.jobs_queries import JobDetail, JobQuery, JobView
from palyra.control.snapshots import CommandResult
from palyra.control.task_commands import ActOnTasks
from palyra.control.task_queries import TaskView
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.dialogs.confirm import ConfirmDialog, Consequence
from palyra.tui.dialogs.job import JobDialog
from palyra.tui.dialogs.review import ReviewDialog
from palyra.tui.themes import Tone

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen

RETRIED = frozenset({"failed", "cancelled", "expired"})


class Trigger(Action["ListScreen"]):
    id = "job.trigger"
    keys = ("t",)
    title = "Fire it now"
    help = "beside its schedule, which stays as it is; budgets apply"
    footer = "trigger"
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if not isinstance(subject, JobView):
            return HIDDEN
        return dimmed("it is faulted: edit or reset it first") if subject.state == "faulted" else READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return screen.send(TriggerJob(subject.job_id)) if isinstance(subject, JobView) else None


class PauseOrResume(Action["ListScreen"]):
    id = "job.pause"
    keys = ("p",)
    title = "Pause or resume"
    help = "a paused job fires no slot; what is under way goes on"
    footer = "pause/resume"
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if isinstance(subject, JobView | TaskView):
            return READY if _switch(subject) is not None else dimmed(f"it is {subject.state}", told=False)
        return HIDDEN

    def footer_of(self, screen: "ListScreen") -> str:
        subject = screen.subject
        return "resume" if isinstance(subject, JobView | TaskView) and subject.state == "paused" else "pause"

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        command = _switch(subject) if isinstance(subject, JobView | TaskView) else None
        return None if command is None else screen.send(command)


def _switch(subject: JobView | TaskView) -> Command | None:
    """What pauses it, or lets it go on; None where neither applies."""
    if isinstance(subject, JobView):
        if subject.state == "active":
            return PauseJob(subject.job_id, version=subject.version)
        return ResumeJob(subject.job_id, version=subject.version) if subject.state == "paused" else None
    if subject.state == "queued":
        return ActOnTasks("pause", (subject.task_id,), seen=subject.state)
    return ActOnTasks("resume", (subject.task_id,), seen=subject.state) if subject.state == "paused" else None


class NewJob(Action["ListScreen"]):
    id = "job.new"
    keys = ("n",)
    title = "New job…"
    help = "a prompt on a schedule; its next fires show while you type"
    footer = "new…"
    on_selection = False
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "ListScreen") -> None:
        palyra, made = screen.palyra, ""

        async def send(command: Command) -> CommandResult | None:
            nonlocal made
            result = await palyra.send(command)
            made = "" if result is None else result.data.get("job_id", "")
            return result

        dialog = JobDialog(palyra.control, send, palyra.spawn, palyra.clock, None, zone=screen.house_zone)
        if await palyra.ask(dialog) and made:
            screen.find(f"job:{made}")


class EditJob(Action["ListScreen"]):
    id = "job.edit"
    keys = ("e",)
    title = "Edit the job…"
    help = "planned anew from then on; its next fires show while you type"
    footer = "edit…"
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if not isinstance(subject, JobView):
            return HIDDEN
        return dimmed("declared in palyra.toml, change it there") if subject.source == "config" else READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, JobView) else None

    async def _ask(self, screen: "ListScreen", job: JobView) -> None:
        palyra = screen.palyra
        try:
            detail: JobDetail = await palyra.control.ask(JobQuery(job.job_id))
        except PalyraError as error:
            screen.flash(f"The job could not be read: {error}", Tone.WARN)
            return
        await palyra.ask(
            JobDialog(palyra.control, palyra.send, palyra.spawn, palyra.clock, detail, zone=screen.house_zone)
        )


class CancelWork(Action["ListScreen"]):
    id = "job.cancel"
    keys = ("c",)
    title = "Stop what runs…"
    help = "a task, or the active fire of a job; what was metered is charged"
    footer = "cancel…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if isinstance(subject, TaskView):
            return READY if subject.live else dimmed(f"it is {subject.state}", told=False)
        if isinstance(subject, JobView):
            return READY if subject.active_fire else dimmed("nothing of it runs", told=False)
        return HIDDEN

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        if isinstance(subject, TaskView):
            below = "Whatever hangs below it stops too, except what is to go on. "
            began = "It never started: nothing is charged." if not subject.attempt else "What was metered is charged."
            consequence = Consequence(
                title=f"Cancel the task of {subject.owner}?",
                text=f"{subject.task_kind.replace('_', ' ')}, {subject.state}. {below}{began}",
                keep="Leave it",
                act="Cancel the task",
            )
            return self._ask(screen, consequence, ActOnTasks("cancel", (subject.task_id,), seen=subject.state))
        if isinstance(subject, JobView):
            behind = f" {plural(subject.waiting, 'fire')} behind it may then start." if subject.waiting else ""
            consequence = Consequence(
                title=f"Stop the active fire of {subject.name}?",
                text=f"It is {subject.active}. It is not tried again; what was metered is charged.{behind} "
                "The schedule goes on.",
                keep="Let it run",
                act="Stop the fire",
            )
            return self._ask(screen, consequence, CancelFire(subject.job_id))
        return None

    async def _ask(self, screen: "ListScreen", consequence: Consequence, command: Command) -> None:
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            await screen.send(command)


class Again(Action["ListScreen"]):
    id = "job.retry"
    keys = ("r",)
    title = "Retry, or reset"
    help = "a task that failed, expired or was cancelled begins anew; a faulted job is planned again"
    footer = "retry"
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if isinstance(subject, TaskView):
            return READY if subject.state in RETRIED else HIDDEN
        if not isinstance(subject, JobView) or subject.state != "faulted":
            return HIDDEN
        return dimmed(reason) if (reason := screen.palyra.refusal(Right.ADMINISTER)) else READY

    def footer_of(self, screen: "ListScreen") -> str:
        return "retry" if isinstance(screen.subject, TaskView) else "reset"

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        if isinstance(subject, TaskView):
            return screen.send(ActOnTasks("retry", (subject.task_id,), seen=subject.state))
        return screen.send(ResetJob(subject.job_id, subject.version)) if isinstance(subject, JobView) else None


class Review(Action["ListScreen"]):
    id = "job.review"
    keys = ("R",)
    title = "Decide missed slots…"
    help = "one fire for all, one for each in order, or none"
    footer = "review…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        return READY if isinstance(subject, JobView) and subject.review_id else HIDDEN

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, JobView) else None

    async def _ask(self, screen: "ListScreen", job: JobView) -> None:
        decision = await screen.palyra.ask(ReviewDialog(job))
        if decision is not None:
            await screen.send(ReviewFire(job.review_id, decision))


class Delete(Action["ListScreen"]):
    id = "job.delete"
    keys = ("delete",)
    title = "Delete the job…"
    help = "it fires no more; what it did stays"
    footer = "delete…"
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if not isinstance(subject, JobView) or subject.source == "system":
            return HIDDEN
        if subject.source == "config":
            return dimmed("declared in palyra.toml, remove it there", told=False)
        return dimmed("it is running: stop its fire first", told=False) if subject.active_fire else READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, JobView) else None

    async def _ask(self, screen: "ListScreen", job: JobView) -> None:
        consequence = Consequence(
            title=f"Delete the job {job.name}?",
            text="It fires no more. Its fires and their runs stay in the journal. To keep it for later, pause it.",
            keep="Keep it",
            act="Delete it",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            await screen.send(DeleteJob(job.job_id, job.version))


JOBS: tuple[Action["ListScreen"], ...] = (
    Trigger(),
    PauseOrResume(),
    Review(),
    Again(),
    CancelWork(),
    NewJob(),
    EditJob(),
    Delete(),
)
