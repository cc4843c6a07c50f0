"""The things an operator can select, and what it means that one of them changed."""

from dataclasses import replace

from palyra.control.audit_queries import AuditEntry
from palyra.control.doctor_queries import RunOfRepairs
from palyra.control.incidents_queries import IncidentView
from palyra.control.jobs_queries import JobView
from palyra.control.notice_queries import DeliveryView, HeartbeatView
from palyra.control.serving import ModelView, ProviderView
from palyra.control.snapshots import AlertView, ApprovalView, BudgetView, GrantView, RunView
from palyra.control.task_queries import TaskView
from palyra.control.usage_queries import UsageEntry, UsageNumbers
from palyra.core.values import value
from palyra.tui.details.diagnosis import PartView
from palyra.tui.details.finding import FindingRow, GroupRow


@value
class AllUsage:
    """Everything that a list of usage breaks down."""

    numbers: UsageNumbers


Subject = (
    ApprovalView
    | GrantView
    | RunView
    | BudgetView
    | AlertView
    | UsageEntry
    | AllUsage
    | ProviderView
    | ModelView
    | JobView
    | TaskView
    | IncidentView
    | HeartbeatView
    | DeliveryView
    | AuditEntry
    | PartView
    | FindingRow
    | GroupRow
    | RunOfRepairs
)


def key_of(subject: Subject) -> str:
    """What stays the same while a thing changes; unique within a list."""
    match subject:
        case ApprovalView():
            return f"approval:{subject.approval_id}"
        case GrantView():
            return f"grant:{subject.grant_id}"
        case RunView():
            return f"run:{subject.run_id}"
        case BudgetView():
            return budget_key(subject.policy_id, subject.scope_value)
        case AlertView():
            return f"alert:{subject.alert_id}"
        case UsageEntry():
            return f"usage:{subject.key}"
        case AllUsage():
            return "all usage"
        case ProviderView():
            return f"provider:{subject.provider_id}"
        case ModelView():
            return f"model:{subject.model_id}"
        case JobView():
            return f"job:{subject.job_id}"
        case TaskView():
            return f"task:{subject.task_id}"
        case IncidentView():
            return f"incident:{subject.incident_id}"
        case HeartbeatView():
            return f"heartbeat:{subject.work}:{subject.principal}/{subject.object_id}"
        case DeliveryView():
            return f"letter:{subject.delivery_id}"
        case AuditEntry():
            return f"audit:{subject.seq}"
        case PartView():
            return subject.name if ":" in subject.name else f"part:{subject.name}"
        case FindingRow():
            return f"finding:{subject.id}"
        case GroupRow():
            return f"checks:{subject.name}"
        case RunOfRepairs():
            return f"repair:{subject.run_id or subject.fault}"


def budget_key(policy_id: str, scope_value: str) -> str:
    """What a budget's row is known by."""
    return f"budget:{policy_id}:{scope_value}"


def content_of(subject: Subject) -> object:
    """What an operator judges it by: all of it but counters that run on their own."""
    match subject:
        case ApprovalView():
            # How many wait comes and goes with their patience; whether anybody does is another matter.
            return replace(subject, park_until=None, run_ids=(), waiting=min(1, subject.waiting))
        case RunView():
            return (subject.state, subject.reason, subject.model, subject.principal, subject.session)
        case BudgetView():
            # Its counters and where they are going move with every request; what it says changes with its revision.
            return (subject.revision, subject.enabled, subject.window_start)
        case GrantView():
            return (subject.state, subject.cap, subject.expires_at)
        case AlertView():
            return (subject.kind, subject.subject, subject.severity, subject.state, subject.version)
        case UsageEntry():
            return subject.key
        case AllUsage():
            return ""
        case ProviderView():
            states = [(one.credential_id, one.state) for one in subject.credentials]
            return (subject.health, subject.breaker.state, tuple(states))
        case ModelView():
            return (subject.provider_id, subject.upstream, subject.enabled)
        case JobView():
            return (subject.version, subject.state, subject.active_fire, subject.review_id)
        case TaskView():
            return (subject.version, subject.state)
        case IncidentView():
            # How often it was seen and how many hang below it moves while a storm lasts.
            return (subject.state, subject.severity, subject.summary, subject.acknowledged_by, subject.assignee)
        case HeartbeatView():
            return (subject.state, subject.phase)
        case DeliveryView():
            return (subject.tries, subject.error)
        case AuditEntry():
            return subject.digest
        case PartView():
            return (subject.node.effective, subject.node.summary)
        case FindingRow():
            return (subject.severity, subject.message, subject.repairs, subject.gone)
        case GroupRow():
            return ""
        case RunOfRepairs():
            return subject.state


def label_of(subject: Subject) -> tuple[str, str]:
    """How the palette calls it: a name, and what tells it from others of that name."""
    match subject:
        case ApprovalView():
            return f"approval {subject.principal}", f"{subject.model} over {', '.join(subject.policy_ids)}"
        case GrantView():
            return f"grant {subject.principal}", f"{subject.kind} over {subject.policy_id}"
        case RunView():
            return f"run {subject.principal}", f"{subject.state} {subject.model} {subject.run_id}"
        case BudgetView():
            return f"budget {subject.policy_id}", f"{subject.scope_kind} {subject.scope_value}"
        case AlertView():
            return f"alert {subject.kind}", subject.summary
        case UsageEntry():
            return subject.key, "usage"
        case AllUsage():
            return "all usage", ""
        case ProviderView():
            return f"provider {subject.provider_id}", subject.health
        case ModelView():
            return f"model {subject.model_id}", subject.role
        case JobView():
            return f"job {subject.name}", f"{subject.schedule} {subject.expression}"
        case TaskView():
            return f"task {subject.task_kind.replace('_', ' ')}", f"{subject.state} {subject.owner} {subject.task_id}"
        case IncidentView():
            return f"incident {subject.severity}", f"{subject.summary} {subject.incident_id}"
        case HeartbeatView():
            return f"heartbeat {subject.object_id}", f"{subject.work} {subject.state}"
        case DeliveryView():
            return f"dead letter {subject.webhook}", subject.summary
        case AuditEntry():
            return f"audit {subject.kind} {subject.verb}".strip(), f"{subject.actor} {subject.subject}"
        case PartView():
            return f"part {subject.name}", subject.node.effective.value
        case FindingRow():
            return f"finding {subject.check}", subject.told
        case GroupRow():
            return f"checks {subject.name}", ""
        case RunOfRepairs():
            return f"run of the doctor {subject.run_id}", subject.state
