"""Heartbeats and notifications as consoles see them, and what operators do about dead letters."""

from collections.abc import Iterable, Sequence

from palyra.control.commands import DiscardDeadLetters, RetryDeadLetters, TryWebhook
from palyra.control.notice_queries import (
    DeadLettersPage,
    DeadLettersQuery,
    DeliveryView,
    HeartbeatsPage,
    HeartbeatsQuery,
    HeartbeatView,
    NoticeView,
    WebhookView,
)
from palyra.control.paging import page
from palyra.control.snapshots import CommandResult
from palyra.core.errors import BadInputError, NotFoundError
from palyra.core.plural import plural
from palyra.core.pulse import WorkHeartbeatKind
from palyra.core.safe_text import safe
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.healing.healing import Healing
from palyra.healing.heartbeats import WorkHeartbeat
from palyra.healing.notices.desk import Said
from palyra.healing.verdicts import Verdict
from palyra.healing.webhooks.courier import WebhookState
from palyra.healing.webhooks.target import Webhook
from palyra.journal.delivery_rows import DeliveryRow, WebhookRow
from palyra.journal.readers import Readers

MOST = 1_000


def notice_views(said: Iterable[Said]) -> tuple[NoticeView, ...]:
    """Notices that were said, as consoles see them."""
    return tuple(
        NoticeView(
            one.number,
            one.notice.at,
            one.notice.event,
            one.notice.severity.value,
            one.notice.subject,
            one.notice.summary,
            one.notice.urgent,
        )
        for one in said
    )


def dead_letters(engine: Engine, query: DeadLettersQuery) -> DeadLettersPage:
    """What an engine holds of them."""
    courier = engine.notices.courier
    return _page(query, courier.dead(), [_webhook_view(state) for state in courier.states()])


async def recorded_dead_letters(
    readers: Readers, query: DeadLettersQuery, configured: Iterable[Webhook]
) -> DeadLettersPage:
    """What the journal tells of them, and of the webhooks that are configured."""
    rows = await readers.deliveries()
    dead = sorted((row for row in rows if row.ended_at is not None), key=lambda row: row.ended_at or 0, reverse=True)
    known = {row.name: row for row in await readers.webhooks()}
    states = [
        WebhookState(
            known.get(hook.name, WebhookRow(hook.name, 0)),
            hook.place,
            hook.format.value,
            sum(row.webhook == hook.name and row.ended_at is None for row in rows),
            sum(row.webhook == hook.name for row in dead),
        )
        for hook in configured
    ]
    return _page(query, dead, [_webhook_view(state) for state in states])


def heartbeats_page(healing: Healing, query: HeartbeatsQuery) -> HeartbeatsPage:
    """Raises BadInputError for a kind or a state that nothing has."""
    kinds, states = [kind.value for kind in WorkHeartbeatKind], [state.value for state in Verdict]
    if query.work not in ("", *kinds):
        raise BadInputError(f"No work is of the kind {query.work!r}.", fix=f"There are: {', '.join(kinds)}.")
    if query.state not in ("", *states):
        raise BadInputError(f"No work is {query.state!r}.", fix=f"Work is {', '.join(states)}.")
    views = [
        view
        for view in (_heartbeat_view(healing, beat) for beat in healing.heartbeats)
        if query.work in ("", view.work) and query.state in ("", view.state)
    ]
    views.sort(key=_place)
    after = [view for view in views if _place(view) > query.cursor] if query.cursor else views
    page = after[: max(1, min(query.limit, MOST))]
    return HeartbeatsPage(tuple(page), len(views), _place(page[-1]) if len(page) < len(after) else "")


def retry_dead_letters(engine: Engine, command: RetryDeadLetters, by: Decider) -> CommandResult:
    """Raises NotFoundError, ConflictError."""
    ids = _chosen(engine, command.delivery_ids, command.webhook)
    engine.notices.courier.retry(ids, by.name)
    return CommandResult("accepted", f"{plural(len(ids), 'dead letter')} will be sent again.", data=_counted(ids))


def discard_dead_letters(engine: Engine, command: DiscardDeadLetters, by: Decider) -> CommandResult:
    """Raises NotFoundError."""
    ids = _chosen(engine, command.delivery_ids, command.webhook)
    engine.notices.courier.discard(ids, by.name)
    return CommandResult("accepted", f"{plural(len(ids), 'dead letter')} discarded.", data=_counted(ids))


async def try_webhook(engine: Engine, command: TryWebhook) -> CommandResult:
    """Sends a test, once. Raises NotFoundError."""
    outcome = await engine.notices.courier.test(command.name)
    data = {"status": "" if outcome.status is None else str(outcome.status)}
    if outcome.error:
        return CommandResult(
            "conflict", f"The webhook {command.name} did not take it: {safe(outcome.error)}.", data=data
        )
    return CommandResult("accepted", f"The webhook {command.name} answered {outcome.status}.", data=data)


def _chosen(engine: Engine, delivery_ids: Sequence[str], webhook: str) -> list[str]:
    """Those that are named, or all of a webhook."""
    if not webhook:
        return list(dict.fromkeys(delivery_ids))
    ids = [row.delivery_id for row in engine.notices.courier.dead() if row.webhook == webhook]
    if not ids:
        raise NotFoundError(f"There is no dead letter for the webhook {webhook!r}.")
    return ids


def _counted(ids: Sequence[str]) -> dict[str, str]:
    return {"count": str(len(ids))}


def _page(query: DeadLettersQuery, rows: Iterable[DeliveryRow], webhooks: Sequence[WebhookView]) -> DeadLettersPage:
    found = [row for row in rows if query.webhook in ("", row.webhook)]
    shown, following, total = page(
        found, lambda row: ((-(row.ended_at or 0),), row.delivery_id), query.cursor, max(1, min(query.limit, MOST))
    )
    return DeadLettersPage(tuple(map(_delivery_view, shown)), total, tuple(webhooks), following)


def _delivery_view(row: DeliveryRow) -> DeliveryView:
    return DeliveryView(
        row.delivery_id,
        row.webhook,
        row.event,
        row.severity,
        row.subject,
        row.summary,
        row.at,
        row.tries,
        row.status,
        row.error,
        row.ended_at,
    )


def _webhook_view(state: WebhookState) -> WebhookView:
    row = state.row
    return WebhookView(
        row.name,
        state.place,
        state.format,
        state.failing,
        state.pending,
        state.dead,
        row.delivered,
        row.died,
        row.dropped,
        row.delivered_at,
        row.failed_at,
        row.error,
    )


def _heartbeat_view(healing: Healing, beat: WorkHeartbeat) -> HeartbeatView:
    limits = healing.heartbeats.limits_for(beat)
    now = healing.heartbeats.now()
    principal, _, name = beat.object_id.rpartition("/") if beat.kind is WorkHeartbeatKind.EXTERNAL else ("", "", "")
    return HeartbeatView(
        work=beat.kind.value,
        object_id=name or beat.object_id,
        principal=principal,
        summary=beat.summary,
        phase=beat.phase,
        progress=beat.progress,
        age_ms=now - beat.last_beat,
        progress_age_ms=now - beat.last_progress,
        silent_ms=limits.silent_ms,
        stalled_ms=limits.stalled_ms,
        state=healing.watch.state(beat).value,
    )


def _place(view: HeartbeatView) -> str:
    return f"{view.work}:{view.principal}/{view.object_id}"
