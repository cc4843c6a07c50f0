"""Remedies that tell: reminding who may decide, and sending again what a webhook did not take."""

from collections.abc import Sequence

from palyra.core.errors import NotFoundError
from palyra.core.plural import plural
from palyra.healing.notices.desk import FindApproval, NoticeDesk
from palyra.healing.notices.notice import WEBHOOK_KEY
from palyra.healing.record import Attempt, IncidentRecord
from palyra.healing.remedies import Checked, RemedyAct, helped
from palyra.healing.webhooks.courier import Courier


def retry_deliveries(courier: Courier) -> RemedyAct:
    """Sends a webhook's dead letters again; it helped once something arrived."""

    def name_of(incident: IncidentRecord) -> str:
        return incident.key.removeprefix(WEBHOOK_KEY)

    async def act(incident: IncidentRecord, attempt: Attempt) -> str:
        count = courier.retry_webhook(name_of(incident), attempt.asked_by)
        return f"{plural(count, 'dead letter')} sent again"

    def check(incident: IncidentRecord, attempt: Attempt) -> Checked:
        arrived = courier.state(name_of(incident)).row.delivered_at
        since = attempt.started_at
        return helped(arrived is not None and since is not None and arrived >= since, attempt)

    def preview(incident: IncidentRecord) -> Sequence[str]:
        state = courier.state(name_of(incident))
        return (f"{plural(state.dead, 'dead letter')} would be sent to {state.place} again, each under its id.",)

    def applies(incident: IncidentRecord) -> bool:
        name = name_of(incident)
        return name in courier.webhooks and courier.state(name).dead > 0

    return RemedyAct(act, check, preview, applies)


def remind_approvers(desk: NoticeDesk, approval: FindApproval) -> RemedyAct:
    """Tells once more that somebody waits for a person's word; it helped once that was given."""

    async def act(incident: IncidentRecord, attempt: Attempt) -> str:
        if not desk.remind_of_approval(incident.subject):
            raise NotFoundError(f"No approval {incident.subject} is pending any more.")
        return "those who may decide were told again"

    def check(incident: IncidentRecord, attempt: Attempt) -> Checked:
        record = approval(incident.subject)
        return helped(record is None or not record.pending, attempt)

    def preview(incident: IncidentRecord) -> Sequence[str]:
        return ("Everybody who is told of approvals would be told of this one again.",)

    return RemedyAct(act, check, preview)
