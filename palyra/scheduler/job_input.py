"""Reading jobs from what people write: an operator's fields, the rows of a configuration file.

Each field is read by the kind that reads it in the configuration file, so both obey one set of rules; schedules have
a grammar of their own. Bad input is refused whole, with every field at fault.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from palyra.config.amounts import spell_duration
from palyra.config.kinds import Kind
from palyra.config.operations import JobAction, JobConfig, TaskKind
from palyra.config.problem import Fault, either
from palyra.config.suggest import nearest
from palyra.core.errors import BadInputError
from palyra.core.instants import parse_instant_ms, spell_exactly
from palyra.core.values import value
from palyra.governance.policy_input import FieldFault
from palyra.journal.job_rows import JobRow
from palyra.scheduler.schedule import Schedule, ScheduleError, ScheduleKind, parse_schedule

RESERVED = "system."
SCHEDULES = tuple(kind.value for kind in ScheduleKind)
_SPELLED = {"json": "json_mode"}
_KINDS: dict[str, Kind] = {
    name: next(kind for kind in info.metadata if isinstance(kind, Kind))
    for name, info in JobConfig.model_fields.items()
    if name not in (*SCHEDULES, "timezone", "enabled")
}
FIELDS = ("name", *SCHEDULES, "timezone", "anchor", *(name for name in _KINDS if name != "name"), "json")
RULES = (
    "jitter_ms",
    "misfire",
    "max_lateness",
    "concurrency",
    "max_attempts",
    "backoff_ms",
    "max_duration",
    "max_runs",
    "remember",
    "recall",
)
_DURATIONS = frozenset({"max_lateness", "max_duration"})
_ACTION_FIELDS: dict[str, tuple[str, ...]] = {
    JobAction.PROMPT: ("prompt", "model", "max_tokens", "json_mode"),
    JobAction.TASK: ("task", "input"),
    JobAction.MAINTENANCE: ("maintenance",),
}


class JobInputError(BadInputError):
    """A job that cannot be accepted; `faults` has every field at fault."""

    code = "bad_job"

    def __init__(self, faults: Iterable[FieldFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{one.field}: {one.message}{f'. {one.fix}' if one.fix else ''}" for one in faults))


@value
class JobDraft:
    """What a job is to be. `anchor` None: from when it is saved."""

    name: str
    schedule: Schedule
    fields: dict[str, Any]
    anchor: int | None = None


def parse_job(
    data: Mapping[str, str],
    *,
    timezone: str,
    owner: str,
    now: int,
    unknown_model: Callable[[str], str] = lambda _name: "",
) -> JobDraft:
    """A job from its fields as text; an absent or blank one is its default. `unknown_model` says why a model cannot be
    asked for, or nothing. Raises JobInputError."""
    values, faults = _read(data)
    schedule, found = _schedule(data, timezone, now)
    faults += found
    anchor, found = _anchor(data)
    faults += found
    name = str(values.get("name", ""))
    if not name and not any(fault.field == "name" for fault in faults):
        faults.append(FieldFault("name", "a job needs a name", "Write one like nightly-report."))
    elif name.casefold().startswith(RESERVED):
        faults.append(FieldFault("name", f'names in "{RESERVED}" are Palyra\'s own', "Choose another."))
    action, found = _action(data, values)
    faults += found
    model = str(values.get("model", "auto"))
    if model != "auto" and (told := unknown_model(model)):
        faults.append(FieldFault("model", told))
    if faults or schedule is None:
        raise JobInputError(faults)
    row = JobConfig.model_construct(**{"owner": owner, **values, "action": action})
    return JobDraft(name, schedule, row_fields(row), anchor)


def from_config(row: JobConfig) -> JobDraft:
    """The job of a loaded `[[jobs]]` row."""
    if row.cron is not None:
        schedule = Schedule(ScheduleKind.CRON, row.cron, row.timezone)
    elif row.every is not None:
        schedule = Schedule(ScheduleKind.EVERY, spell_duration(row.every), row.timezone)
    else:
        schedule = Schedule(ScheduleKind.AT, spell_exactly(row.at or 0), row.timezone)
    return JobDraft(row.name, schedule, row_fields(row))


def row_fields(row: JobConfig) -> dict[str, Any]:
    """The columns of a job but for its schedule. Only rules that are not the default are kept."""
    defaults = JobConfig.model_construct(name=row.name, action=row.action)
    work = {name: getattr(row, name) for name in _ACTION_FIELDS[row.action]}
    labels: dict[str, Any] = {name: text for name in ("channel", "agent") if (text := getattr(row, name))}
    if row.tags:
        labels["tags"] = dict(tag.split("=", 1) for tag in row.tags)
    rules = {name: _plain(getattr(row, name)) for name in RULES if getattr(row, name) != getattr(defaults, name)}
    return {
        "action": row.action.value,
        "work": {name: _plain(given) for name, given in work.items() if given is not None},
        "owner": row.owner,
        "session": row.session or f"job:{row.name}",
        "labels": labels,
        "rules": rules,
    }


def fields_of(job: JobRow) -> dict[str, str]:
    """A job's fields as `parse_job` reads them; those at their default are left out."""
    told: dict[str, Any] = {"name": job.name, job.schedule: job.expression, "timezone": job.timezone}
    told |= job.work | job.rules | {"owner": job.owner, "session": job.session}
    told |= {name: text for name, text in job.labels.items() if name != "tags"}
    if tags := job.labels.get("tags"):
        told["tags"] = ",".join(f"{name}={text}" for name, text in tags.items())
    for name in _DURATIONS & set(told):
        told[name] = spell_duration(told[name])
    if "json_mode" in told:
        told["json"] = told.pop("json_mode")
    return {name: str(text).lower() if isinstance(text, bool) else str(text) for name, text in told.items()}


def _plain(given: Any) -> Any:
    return str(given) if isinstance(given, str) else given


def _read(data: Mapping[str, str]) -> tuple[dict[str, Any], list[FieldFault]]:
    values: dict[str, Any] = {}
    faults: list[FieldFault] = []
    for name in data:
        if name not in FIELDS:
            near = nearest(name, FIELDS)
            hint = f"Did you mean {either(near)}?" if near else ""
            faults.append(FieldFault(name, "a job has no such field", hint))
    for name, kind in _KINDS.items():
        typed = next((short for short, long in _SPELLED.items() if long == name), name)
        text = data.get(typed, "")
        if not text.strip():
            continue
        try:
            values[name] = kind.read(kind.from_text(text if name in ("prompt", "input") else text.strip()))
        except Fault as fault:
            near = tuple(word for word in fault.suggestions if word != text)
            faults.append(
                FieldFault(typed, fault.message, f"Did you mean {either(near)}?" if near else f"{fault.fix}.")
            )
    return values, faults


def _schedule(data: Mapping[str, str], timezone: str, now: int) -> tuple[Schedule | None, list[FieldFault]]:
    given = [name for name in SCHEDULES if data.get(name, "").strip()]
    if len(given) != 1:
        message = "a job has one of cron, every and at" if given else "the job has no schedule"
        return None, [FieldFault("schedule", message, "Give one of cron, every and at.")]
    kind = ScheduleKind(given[0])
    try:
        zone = data.get("timezone", "").strip() or timezone
        return parse_schedule(kind, data[kind.value], zone, now), []
    except ScheduleError as error:
        return None, [FieldFault(*problem.split(": ", 1)) for problem in error.problems]


def _anchor(data: Mapping[str, str]) -> tuple[int | None, list[FieldFault]]:
    text = data.get("anchor", "").strip()
    if not text:
        return None, []
    if not data.get("every", "").strip():
        return None, [FieldFault("anchor", "only intervals count from an anchor", "Give it with every.")]
    try:
        return parse_instant_ms(text), []
    except ValueError as error:
        return None, [FieldFault("anchor", str(error))]


def _action(data: Mapping[str, str], values: Mapping[str, Any]) -> tuple[JobAction, list[FieldFault]]:
    """The action, named or told by what is given for it."""
    given = [action for action in JobAction if data.get(action.value, "").strip()]
    action = values.get("action") or (given[0] if given else JobAction.PROMPT)
    faults = []
    if action not in given:
        faults.append(FieldFault(action.value, f"a job of action {action} needs it", f"Give {action}."))
    for other in given:
        if other is not action:
            message = f"the job's action is {action}"
            faults.append(FieldFault(other.value, message, "Remove it, or change the action."))
    if action is JobAction.TASK:
        if values.get("task") is TaskKind.DELEGATION_PROMPT:
            faults.append(FieldFault("task", "a delegation needs a parent, and a job has none", "Choose another kind."))
        if not data.get("input", "").strip():
            faults.append(FieldFault("input", "a job of action task needs it", "Give input."))
    return action, faults
