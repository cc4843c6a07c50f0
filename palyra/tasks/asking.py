"""What somebody asks to be done as a task: checked whole, every field at once, before anything of it is kept."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from palyra.config.amounts import HOUR, KIB, SECOND
from palyra.config.kinds import Choice, Flag, Kind, Listing, Text, Whole
from palyra.config.names import LABEL, MODEL_CHOICE, PERSON, TAG
from palyra.config.operations import TaskKind
from palyra.config.problem import Fault, either
from palyra.core.errors import BadInputError, PalyraError
from palyra.core.instants import LATEST_MS
from palyra.core.values import value
from palyra.governance.explain import instant_text
from palyra.governance.policy_input import FieldFault
from palyra.journal.task_rows import KEEP, REMEMBER, TaskInput, TaskRow, TaskState
from palyra.tasks.kinds import KINDS

MAX_OPEN = 10_000
MAX_PAYLOAD = 64 * KIB
MAX_DEPTH = 3
MAX_DELEGATIONS = 8
MAX_IMAGES = 16


class TaskInputError(BadInputError):
    """A task that cannot be accepted; `faults` has every field at fault."""

    code = "bad_task"

    def __init__(self, faults: Iterable[FieldFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(" ".join(str(fault) for fault in self.faults))


class QueueFullError(PalyraError):
    """There are as many open tasks as there may be."""

    code = "queue_full"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} tasks are open, and no more may be.", fix="Wait until some have ended, or cancel some."
        )
        self.count = count


@value
class TaskAsk:
    """One task as somebody asks for it. Instants are UTC unix ms; None takes the default.

    `owner` pays. `parent` is the id of a run or a task it hangs below; `keep`: it goes on when that is cancelled.
    `payload` is JSON data that follows the text; of a vision task its `images` are URLs. `dedupe_key`: while a task of
    the same owner and key is open, that one is meant.
    """

    kind: str = TaskKind.BACKGROUND_PROMPT.value
    text: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    session: str = ""
    channel: str = ""
    agent: str = ""
    tags: tuple[str, ...] = ()
    job: str = ""
    source: str = "cli"
    fire_id: str = ""
    dedupe_key: str = ""
    parent: str = ""
    keep: bool = False
    model: str = "auto"
    token_budget: int | None = None
    remember: bool = False
    priority: int = 0
    not_before: int | None = None
    expires_at: int | None = None
    timeout_ms: int = 600 * SECOND
    max_attempts: int = 3
    backoff_ms: int = SECOND


_INSTANT = Whole(0, LATEST_MS)
_FIELDS: Mapping[str, tuple[Kind, bool]] = {
    "kind": (Choice(TaskKind), False),
    "text": (Text(high=64 * KIB, in_bytes=True), False),
    "owner": (PERSON, False),
    "session": (Text(high=256, in_bytes=True), True),
    "channel": (LABEL, True),
    "agent": (LABEL, True),
    "tags": (Listing(TAG, most=16), False),
    "dedupe_key": (Text(high=128), True),
    "keep": (Flag(), False),
    "model": (MODEL_CHOICE, False),
    "token_budget": (Whole(1, 32_768), True),
    "remember": (Flag(), False),
    "priority": (Whole(-10, 10), False),
    "not_before": (_INSTANT, True),
    "expires_at": (_INSTANT, True),
    "timeout_ms": (Whole(SECOND, 6 * HOUR), False),
    "max_attempts": (Whole(1, 16), False),
    "backoff_ms": (Whole(1, 60_000), False),
}
"""How each field is read, and whether it may be left out."""


@value
class Family:
    """Where a task is to hang: below a run, a task, or both. `depth` counts from 1; `fault` says why it cannot."""

    run_id: str = ""
    task_id: str = ""
    depth: int = 0
    delegations: int = 0
    fault: FieldFault | None = None


ALONE = Family()


def check(
    ask: TaskAsk, now: int, family: Family = ALONE, unknown_model: Callable[[str], str] = lambda _name: ""
) -> None:
    """Raises TaskInputError with every fault."""
    faults: list[FieldFault] = []
    sound: set[str] = set()
    for name, (kind, optional) in _FIELDS.items():
        given = getattr(ask, name)
        if optional and given in (None, ""):
            sound.add(name)
            continue
        try:
            kind.read(list(given) if isinstance(given, tuple) else given)
        except Fault as fault:
            fix = f"Did you mean {either(fault.suggestions)}?" if fault.suggestions else fault.fix
            faults.append(FieldFault(name, fault.message, _sentence(fix)))
        else:
            sound.add(name)
    faults += _payload_faults(ask)
    if "model" in sound and ask.model != "auto" and (told := unknown_model(ask.model)):
        faults.append(FieldFault("model", told))
    if {"not_before", "expires_at"} <= sound and ask.expires_at is not None:
        faults += expiry_faults(now if ask.not_before is None else ask.not_before, ask.expires_at)
    if "kind" in sound:
        faults += _family_faults(ask, family)
    if faults:
        raise TaskInputError(faults)


def instant_faults(instants: Mapping[str, int | None]) -> list[FieldFault]:
    """What is wrong with instants by the names of their fields; None is none of them."""
    faults: list[FieldFault] = []
    for name, given in instants.items():
        try:
            if given is not None:
                _INSTANT.read(given)
        except Fault as fault:
            faults.append(FieldFault(name, fault.message, _sentence(fault.fix)))
    return faults


def expiry_faults(not_before: int, expires_at: int) -> list[FieldFault]:
    """A task that would expire before it may start is refused."""
    if not_before < expires_at:
        return []
    told = f"it would expire at {instant_text(expires_at)}, and may not start before {instant_text(not_before)}"
    return [FieldFault("expires_at", told, "Choose a later one.")]


def _sentence(fix: str) -> str:
    return fix if not fix or fix.endswith((".", "?")) else f"{fix}."


def _payload_faults(ask: TaskAsk) -> list[FieldFault]:
    try:
        size = len(json.dumps(ask.payload, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
    except (TypeError, ValueError, RecursionError):
        return [FieldFault("payload", "this is no JSON data", "Send an object of JSON.")]
    if size > MAX_PAYLOAD:
        return [FieldFault("payload", f"{size} bytes of JSON are more than {MAX_PAYLOAD}", "Send less.")]
    images = ask.payload.get("images")
    if ask.kind == TaskKind.VISION.value and images is not None:
        good = isinstance(images, list) and len(images) <= MAX_IMAGES and all(isinstance(one, str) for one in images)
        if not good:
            return [FieldFault("payload.images", "a list of URLs was expected", f"Send at most {MAX_IMAGES}.")]
    return []


def _family_faults(ask: TaskAsk, family: Family) -> list[FieldFault]:
    if family.fault is not None:
        return [family.fault]
    delegated = ask.kind == TaskKind.DELEGATION_PROMPT.value
    if delegated and not ask.parent:
        return [FieldFault("parent", "a delegation needs a parent", "Name the run or the task it is for.")]
    if family.depth > MAX_DEPTH:
        return [FieldFault("parent", f"tasks hang at most {MAX_DEPTH} deep", "Hang it below one further up.")]
    if delegated and family.delegations >= MAX_DELEGATIONS:
        return [FieldFault("parent", f"{MAX_DELEGATIONS} delegations of it are open", "Wait until one has ended.")]
    return []


def new_task(ask: TaskAsk, task_id: str, now: int, family: Family = ALONE) -> tuple[TaskRow, TaskInput]:
    """The rows of a task that was checked."""
    labels: dict[str, Any] = {}
    if ask.channel:
        labels["channel"] = ask.channel
    if ask.agent:
        labels["agent"] = ask.agent
    if ask.tags:
        labels["tags"] = dict(tag.split("=", 1) for tag in ask.tags)
    marks = [mark for mark, given in ((KEEP, ask.keep), (REMEMBER, ask.remember)) if given]
    row = TaskRow(
        task_id=task_id,
        version=1,
        kind=ask.kind,
        source=ask.source,
        state=TaskState.QUEUED,
        owner=ask.owner,
        session=ask.session or f"task:{task_id}",
        created_at=now,
        updated_at=now,
        dedupe_key=ask.dedupe_key,
        job=ask.job,
        labels=labels,
        fire_id=ask.fire_id,
        parent_run_id=family.run_id,
        parent_task_id=family.task_id,
        marks=tuple(marks),
        model=ask.model,
        token_budget=KINDS[TaskKind(ask.kind)].token_budget if ask.token_budget is None else ask.token_budget,
        priority=ask.priority,
        not_before=now if ask.not_before is None else ask.not_before,
        expires_at=ask.expires_at,
        timeout_ms=ask.timeout_ms,
        max_attempts=ask.max_attempts,
        backoff_ms=ask.backoff_ms,
    )
    return row, TaskInput(task_id, ask.text, dict(ask.payload))


def copied(row: TaskRow, given: TaskInput) -> TaskAsk:
    """What asks for the same once more, now and without its parent."""
    labels = row.labels
    return TaskAsk(
        kind=row.kind,
        text=given.text,
        payload=given.payload,
        owner=row.owner,
        session="" if row.session == f"task:{row.task_id}" else row.session,
        channel=labels.get("channel", ""),
        agent=labels.get("agent", ""),
        tags=tuple(f"{name}={text}" for name, text in labels.get("tags", {}).items()),
        job=row.job,
        model=row.model,
        token_budget=row.token_budget,
        remember=row.remember,
        priority=row.priority,
        timeout_ms=row.timeout_ms,
        max_attempts=row.max_attempts,
        backoff_ms=row.backoff_ms,
    )
