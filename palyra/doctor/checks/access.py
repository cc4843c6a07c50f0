"""The access registry: there, understood, complete, with somebody who may administrate and a key that opens."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Installation, NothingToReadError
from palyra.doctor.reading_secrets import REGISTRY_FILE
from palyra.vault.records import GatewayKey, RecordError, Role, read_key, read_operator

T = TypeVar("T")

KEY_FILE = "gateway-key.txt"
JOURNAL = "journal.db"


def registry(found: Installation) -> Iterator[Finding]:
    """The registry of keys and operators can be read."""
    tree = found.state.get()
    if found.access.absent:
        if tree.at(JOURNAL).exists:
            message = f"There is no {REGISTRY_FILE}, though there is a journal: nobody can be let in as before."
            manual = "Or start the engine, which makes a new registry with one new key and no operators."
            yield Finding("access.registry", Severity.BLOCKING, REGISTRY_FILE, message, (), _ways_back(found), manual)
        return
    access = found.access.get()
    if not access.fault:
        return
    repairs = () if access.newer or tree.at(REGISTRY_FILE).data is None else _ways_back(found)
    manual = "Upgrade Palyra." if access.newer else f"Correct {REGISTRY_FILE}. Until then every key is refused."
    message = f"The access registry cannot be used: {access.fault}."
    yield Finding("access.registry", Severity.BLOCKING, REGISTRY_FILE, message, (), repairs, manual)


def _ways_back(found: Installation) -> tuple[str, ...]:
    from palyra.vault.registry_shape import fault_in

    backups = (one.data for name, one in found.state.get().entries.items() if name.startswith(f"{REGISTRY_FILE}.bak."))
    good = any(data is not None and not fault_in(data) for data in backups)
    return ("access.restore_backup",) if good else ("access.reinitialize",)


def _data(found: Installation) -> Mapping[str, Any]:
    """The registry's object. Raises as a Reading does."""
    data = found.access.get().data
    if data is None:
        raise NothingToReadError("the access registry cannot be used (access.registry)")
    return data


def flags(found: Installation) -> Iterator[Finding]:
    """Every feature is said to be on or off."""
    from palyra.vault.registry_shape import backfilled

    _, filled = backfilled(_data(found), found.now_ms)
    for one in filled:
        yield Finding(
            "access.flags",
            Severity.WARNING,
            one.place,
            f"The access registry has no {one.place}; it counts as {one.given!r}, its narrowest value.",
            repairs=("access.backfill",),
        )


def records(found: Installation) -> Iterator[Finding]:
    """Every record of the registry is one."""
    from palyra.vault.registry_shape import record_faults

    for fault in record_faults(_data(found)):
        name = f"{fault.kind} {fault.number}"
        message = f"The {name} of the access registry cannot be used: {fault.what}."
        manual = f"Correct or remove that record in {REGISTRY_FILE}; a person has to decide."
        yield Finding("access.records", Severity.WARNING, name, message, manual=manual)


def admin(found: Installation) -> Iterator[Finding]:
    """Somebody may administer."""
    operators = _data(found).get("operators", [])
    if not operators:
        return
    read = [_read(read_operator, record) for record in operators]
    if not any(one is not None and one.enabled and one.role is Role.ADMIN for one in read):
        yield Finding(
            "access.admin",
            Severity.BLOCKING,
            "operators",
            "Operators are registered, but no enabled one is an admin: nobody can change that any more.",
            repairs=("access.owner_admin",),
        )


def keys(found: Installation) -> Iterator[Finding]:
    """Some key opens the gateway."""
    read = [_read(_key, record) for record in _data(found).get("gateway_keys", [])]
    if not any(key is not None and key.opens_at(found.now_ms) for key in read):
        yield Finding(
            "access.keys",
            Severity.WARNING,
            "gateway_keys",
            "No gateway key is in force: every request is refused.",
            manual="Make one: palyra keys add",
        )


def _key(record: object) -> GatewayKey:
    return read_key(record, mode_override=False)


def _read(read: Callable[[object], T], record: object) -> T | None:
    try:
        return read(record)
    except RecordError:
        return None


def key_file(found: Installation) -> Iterator[Finding]:
    """The file with the first key is there and is right."""
    one = found.state.get().at(KEY_FILE)
    if one.exists:
        yield Finding(
            "access.key_file",
            Severity.INFO,
            KEY_FILE,
            f"The key of the first start still lies in {one.path}.",
            manual="Copy it to where it is needed, then remove the file.",
        )


CHECKS = (
    Check("access.registry", Severity.BLOCKING, registry),
    Check("access.flags", Severity.WARNING, flags),
    Check("access.records", Severity.WARNING, records),
    Check("access.admin", Severity.BLOCKING, admin),
    Check("access.keys", Severity.WARNING, keys),
    Check("access.key_file", Severity.INFO, key_file),
)
