"""What a console may ask about heartbeats and notifications, and the answers. Times UTC unix ms."""

from typing import Literal

from palyra.core.values import value


@value
class NoticeView:
    """Something people were told. `number` grows with each notice of a boot; `urgent` ones are worth a bell.

    `subject` names what it is about (`incident:<id>`, `approval:<id>`, `alert:<id>`).
    """

    number: int
    at: int
    event: str
    severity: str
    subject: str
    summary: str
    urgent: bool = False


@value
class WebhookView:
    """How a webhook does. `place` is its address without what may be secret in it; `failing`: it has dead letters, and
    nothing arrived since. `dropped` dead letters were more than are kept."""

    name: str
    place: str
    format: str
    failing: bool
    pending: int
    dead: int
    delivered: int
    died: int
    dropped: int
    delivered_at: int | None = None
    failed_at: int | None = None
    error: str = ""


@value
class DeliveryView:
    """A notification that a webhook did not take. `tries` were made; `status` is the HTTP status of the last, None
    where there was no answer."""

    delivery_id: str
    webhook: str
    event: str
    severity: str
    subject: str
    summary: str
    at: int
    tries: int
    status: int | None
    error: str
    ended_at: int | None


@value
class DeadLettersQuery:
    """The dead letters, newest first, of one webhook where one is named, and how the webhooks do. `cursor` is the last
    page's."""

    webhook: str = ""
    limit: int = 200
    cursor: str = ""
    kind: Literal["dead_letters"] = "dead_letters"


@value
class DeadLettersPage:
    """`total` counts those that match; `webhooks` are those that are configured."""

    letters: tuple[DeliveryView, ...]
    total: int
    webhooks: tuple[WebhookView, ...]
    next_cursor: str = ""


@value
class HeartbeatsQuery:
    """Heartbeats by kind and id, `cursor` being the last page's. `work` is one kind (run, background_task, …), `state`
    one state; empty means all. Raises BadInputError; without an engine there are none, which is EngineGoneError."""

    work: str = ""
    state: str = ""
    limit: int = 200
    cursor: str = ""
    kind: Literal["heartbeats"] = "heartbeats"


@value
class HeartbeatView:
    """A piece of work. `state`: healthy, silent, stalled, failing. Durations in ms: `age_ms` since the last beat,
    `progress_age_ms` since it last advanced; `silent_ms` and `stalled_ms` are how long these may be, None: for ever.

    `principal` is whose external work it is, empty for all other.
    """

    work: str
    object_id: str
    principal: str
    summary: str
    phase: str
    progress: int | None
    age_ms: int
    progress_age_ms: int
    silent_ms: int
    stalled_ms: int | None
    state: str


@value
class HeartbeatsPage:
    """Signs of life, `total` of them; an empty cursor: the last page."""

    heartbeats: tuple[HeartbeatView, ...]
    total: int
    next_cursor: str = ""


NoticeAsk = DeadLettersQuery | HeartbeatsQuery
NoticeTold = DeadLettersPage | HeartbeatsPage
