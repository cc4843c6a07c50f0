"""Rules of `[[jobs]]`, `[memory]`, `[[notifications.webhook]]` and `[[probes]]`."""

from urllib.parse import urlsplit

from palyra.config.choices import ProviderModelRole
from palyra.config.findings import Findings
from palyra.config.operations import JobAction, JobConfig, ProbeConfig, ProbeKind, TaskKind, WebhookFormat
from palyra.config.problem import Code, Fault
from palyra.config.references import check_model
from palyra.config.rules_upstream import check_reach
from palyra.config.shape import Path
from palyra.config.urls import HostPort, Reach, reach_of_host, split_url

_RESERVED = "system."
_SCHEDULES = ("cron", "every", "at")
_MAX_SOCKET = 107
_ADDRESS = HostPort(low=1, secret=True)


def check_jobs(found: Findings) -> None:
    """What is wrong with jobs beyond each key for itself."""
    jobs = found.config.jobs
    found.unique(((("jobs", i, "name"), row.name.casefold()) for i, row in enumerate(jobs)), "the name")
    for i, row in enumerate(jobs):
        table: Path = ("jobs", i)
        if row.name.casefold().startswith(_RESERVED) and found.sound((*table, "name")):
            found.add(Code.CONFLICT, (*table, "name"), f'names in "{_RESERVED}" are Palyra\'s own', "Choose another")
        _check_schedule(found, table, row)
        _check_action(found, table, row)
        if row.model != "auto" and found.sound((*table, "model")):
            check_model(found, (*table, "model"), row.model, ProviderModelRole.CHAT)


def _check_schedule(found: Findings, table: Path, row: JobConfig) -> None:
    if not found.sound(*((*table, key) for key in _SCHEDULES)):
        return
    given = [key for key in _SCHEDULES if getattr(row, key) is not None]
    if not given:
        found.add(Code.MISSING, table, "the job has no schedule", "Set one of cron, every and at")
    for key in given[1:]:
        found.add(Code.CONFLICT, (*table, key), f"the job already has {given[0]}", "Keep one of cron, every and at")


def _check_action(found: Findings, table: Path, row: JobConfig) -> None:
    if not found.sound((*table, "action")):
        return
    for action in JobAction:
        key = (*table, action.value)
        given = getattr(row, action.value) is not None
        if action is row.action and not given and found.sound(key):
            found.add(Code.MISSING, key, f"a job of action {action} needs it", f"Set {action}")
        if action is not row.action and given:
            found.add(Code.CONFLICT, key, f"the job's action is {row.action}", "Remove it, or change the action")
    if row.action is JobAction.TASK:
        if row.task is TaskKind.DELEGATION_PROMPT:
            text = "a delegation needs a parent, and a job has none"
            found.add(Code.CONFLICT, (*table, "task"), text, "Choose another kind")
        if row.input is None and row.task is not None and found.sound((*table, "input")):
            found.add(Code.MISSING, (*table, "input"), "a job of action task needs it", "Set input")


def check_memory(found: Findings) -> None:
    """What is wrong with the memory beyond each key for itself."""
    name, path = found.config.memory.embeddings_model, ("memory", "embeddings_model")
    if name is not None and found.sound(path):
        check_model(found, path, name, ProviderModelRole.EMBEDDINGS)


def check_webhooks(found: Findings) -> None:
    """What is wrong with webhooks beyond each key for itself."""
    hooks = found.config.notifications.webhook
    table: Path = ("notifications", "webhook")
    found.unique((((*table, i, "name"), row.name) for i, row in enumerate(hooks)), "the name")
    for i, row in enumerate(hooks):
        check_reach(found, (*table, i, "url"), row.url, allow_private=row.allow_private)
        if row.format is WebhookFormat.PAGERDUTY and row.secret_ref is None and found.sound((*table, i, "secret_ref")):
            text = "pagerduty needs a routing key"
            found.add(Code.MISSING, (*table, i, "secret_ref"), text, "Name where the vault keeps the integration's key")


def check_probes(found: Findings) -> None:
    """What is wrong with probes beyond each key for itself."""
    probes = found.config.probes
    found.unique(((("probes", i, "id"), row.id) for i, row in enumerate(probes)), "the id")
    for i, row in enumerate(probes):
        table: Path = ("probes", i)
        interval, timeout = (*table, "interval"), (*table, "timeout")
        if found.sound(interval, timeout) and row.timeout >= row.interval:
            found.add(Code.CONFLICT, timeout, "timeout must be below interval", "Change one of the two")
        if found.sound((*table, "target"), (*table, "kind")):
            _check_target(found, table, row)


def _check_target(found: Findings, table: Path, row: ProbeConfig) -> None:
    target = (*table, "target")
    try:
        match row.kind:
            case ProbeKind.HTTP:
                split_url(row.target)
            case ProbeKind.TCP:
                _ADDRESS.read(row.target)
            case ProbeKind.UNIX:
                if not row.target.startswith("/") or "\0" in row.target or len(row.target.encode()) > _MAX_SOCKET:
                    raise Fault(Code.WRONG_TYPE, "this is no socket path", "Write an absolute path of ≤ 107 bytes")
    except Fault as fault:
        found.add(fault.code, target, fault.message, fault.fix)
        return
    if row.secret_ref is not None and not _is_confidential(row):
        found.add(
            Code.BAD_URL, target, "a secret is sent only by https or to loopback", "Use https, or remove secret_ref"
        )


def _is_confidential(row: ProbeConfig) -> bool:
    if row.kind is not ProbeKind.HTTP:
        return True
    parts = urlsplit(row.target)
    return parts.scheme == "https" or reach_of_host(parts.hostname or "") is Reach.LOOPBACK
