"""The self-healing loop of an engine: incidents as they were, and the parts of the house it works with."""

from typing import TYPE_CHECKING

from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import PalyraError
from palyra.core.events import Event
from palyra.core.pulse import WorkHeartbeatKind
from palyra.engine.conditions import checks
from palyra.engine.remedies import cancel_run, job_remedies, probe_provider, task_remedies
from palyra.governance.approval_record import Applicant, ApprovalDecision
from palyra.governance.approvals import Petition
from palyra.healing.checks import Check
from palyra.healing.healing import Healing, HealingMeans
from palyra.healing.heartbeats import WorkHeartbeat
from palyra.healing.record import IncidentEvent, IncidentEventKind
from palyra.healing.remedier import Escalation, read_subject, subject_of
from palyra.healing.remedies import BY_NAME
from palyra.runs.beating import longest_silence_ms
from palyra.runs.durable import Durable

if TYPE_CHECKING:
    from palyra.engine.engine import Engine
    from palyra.engine.jobs import Jobs

PALYRA = "palyra"
EPISODE = "episode"
"""What an approval of a remedy keeps of the incident that it was asked about."""
INCIDENT_ENDED = "incident_ended"


async def self_healing(engine: "Engine", durable: Durable) -> Healing:
    """Nothing is watched so far. Runs are recovered before, since the incidents of those that ended so end too."""
    means = HealingMeans(
        clock=engine.clock,
        new_id=engine.ids.new,
        boot_id=engine.boot_id,
        lag=engine.lag,
        write=durable.write,
        write_and_wait=durable.wait,
        ask=lambda escalation: _ask(engine, durable, escalation),
        relate=lambda heartbeat: _related(engine, heartbeat),
    )
    healing = Healing(means, engine.config.healing)
    for check in checks(engine):
        healing.add_check(check)
    for name, act in {
        "cancel_run": cancel_run(engine, healing),
        "probe_provider": probe_provider(engine),
        **task_remedies(engine, healing),
    }.items():
        healing.chest.add(name, act)
    live = engine.runner.live
    live.pulse = healing.heartbeats
    live.silence = lambda provider, streaming: longest_silence_ms(
        engine.registry.providers[provider].timeouts, streaming=streaming, most_s=engine.config.runs.max_duration / 1000
    )
    engine.events.subscribe(lambda event: _decided(engine, healing, event), "approval.ended")
    healing.on_event(lambda event: _withdrawn(engine, durable, event))
    await healing.restore(engine.journal.readers)
    return healing


def heal_jobs(healing: Healing, jobs: "Jobs") -> None:
    """Watches over a scheduler too."""
    for name, act in job_remedies(jobs).items():
        healing.chest.add(name, act)

    def overdue(now: int) -> list[Condition]:
        found: list[Condition] = []
        for job_id, slot in jobs.scheduler.overdue(now):
            lane = jobs.roster.get(job_id)
            name = job_id if lane is None else lane.job.name
            found.append(
                Condition(
                    Domain.SCHEDULER,
                    f"job:{job_id}:overdue",
                    Severity.HIGH,
                    f"A slot of the job {name} was not fired",
                    "It was due more than 60 s ago.",
                    job_id,
                    since=slot,
                    related={"job": job_id},
                )
            )
        return found

    healing.add_check(Check("overdue slots", overdue))


def _related(engine: "Engine", heartbeat: WorkHeartbeat) -> dict[str, str]:
    """What else a piece of work is about."""
    related = {heartbeat.kind.value: heartbeat.object_id}
    run_id = heartbeat.object_id if heartbeat.kind is WorkHeartbeatKind.RUN else ""
    if heartbeat.kind is WorkHeartbeatKind.BACKGROUND_TASK:
        task = engine.tasks.desk.book.get(heartbeat.object_id)
        run_id = task.target_run_id if task is not None else ""
        related = {"task": heartbeat.object_id}
    if heartbeat.kind is WorkHeartbeatKind.CRON_JOB:
        related = {"job": heartbeat.object_id}
    run = engine.runner.live.get(run_id)
    if run is None:
        return related
    row = run.row
    facts = {
        "run": row.run_id,
        "provider": row.provider,
        "model": row.model,
        "principal": row.scope.principal,
        "session": row.scope.session,
        "job": row.scope.job,
        "decision": row.decision_id,
    }
    return {**related, **{name: text for name, text in facts.items() if text}}


def _ask(engine: "Engine", durable: Durable, escalation: Escalation) -> str:
    """Asks people for their word about a remedy."""
    record, remedy, now = escalation.record, escalation.remedy, engine.clock.now_ms()
    words = " ".join([f"{record.summary}.", escalation.reason, *escalation.preview])
    petition = Petition(
        principal=PALYRA,
        session=escalation.subject,
        run_id="",
        evaluations=(),
        applicant=Applicant(PALYRA, reason=words[:500]),
        subject=escalation.subject,
        risk=remedy.risk.value,
        facts={EPISODE: record.episode},
    )
    opened = engine.desk.open(petition, now)
    if opened is None:
        return ""
    if opened.changes:
        durable.write(opened.changes)
    if opened.fresh:
        engine.events.publish(Event("approval.opened", now, opened.record.approval_id))
    return opened.record.approval_id


def _withdrawn(engine: "Engine", durable: Durable, event: IncidentEvent) -> None:
    """An episode is over: nobody has to decide about its remedies any more."""
    if event.kind not in (IncidentEventKind.RESOLVED, IncidentEventKind.STABLE) or event.record.live:
        return
    now = engine.clock.now_ms()
    subjects = {subject_of(event.record.incident_id, remedy) for remedy in BY_NAME}
    ended, changes = engine.desk.withdraw(subjects, now, INCIDENT_ENDED)
    if changes:
        durable.write(changes)
    for approval in ended:
        engine.events.publish(Event("approval.ended", now, approval.approval_id))


def _decided(engine: "Engine", healing: Healing, event: Event) -> None:
    """Somebody allowed a remedy: it is begun, if the episode that was shown still lasts. Otherwise its incident tells
    how it came out."""
    approval = engine.desk.find(event.subject)
    asked = None if approval is None else read_subject(approval.subject)
    if approval is None or asked is None or approval.reason == INCIDENT_ENDED:
        return
    now, by = engine.clock.now_ms(), approval.decided_by or PALYRA
    remedier = healing.remedier
    if approval.decision is ApprovalDecision.ALLOW:
        try:
            remedier.run(*asked, by, now, episode=approval.facts.get(EPISODE), approval_id=approval.approval_id)
        except PalyraError as error:
            remedier.leave(*asked, by, now, approval_id=approval.approval_id, detail=error.message)
    else:
        words = "nobody decided in time" if approval.decision is ApprovalDecision.TIMEOUT else "denied"
        told = f"{words}: {approval.reason}" if approval.reason else words
        remedier.leave(*asked, by, now, approval_id=approval.approval_id, detail=told)
    healing.settle()
