"""The access registry's data: its shape, what may be missing and is filled in, and what only a person can put right.

Pure: the engine, the doctor and the commands read the same document with it.
"""

import json
from collections.abc import Mapping
from typing import Any

from palyra.core.values import value
from palyra.vault.records import RecordError, read_key, read_operator

VERSION = 1

FLAGS: Mapping[str, bool] = {
    "console_read": True,
    "console_write": False,
    "external_heartbeats": True,
    "mode_override": True,
    "console_repair": True,
}
"""Feature flags and their values in a new registry; one that is missing later counts as false."""

_ARRAYS = ("operators", "gateway_keys")
_OPERATOR_FIELDS: Mapping[str, Any] = {"role": "viewer", "identities": [], "enabled": False, "created_at": 0}
_KEY_FIELDS: Mapping[str, Any] = {
    "enabled": False,
    "tags": [],
    "allowed_models": [],
    "may_act_for": [],
    "may_set_mode": False,
    "created_at": 0,
}


class RegistryFaultError(Exception):
    """The document as a whole cannot be used; the message completes "The access registry …". `newer`: it is of a later
    version of Palyra."""

    def __init__(self, what: str, *, newer: bool = False) -> None:
        super().__init__(what)
        self.newer = newer


def fault_in(data: bytes) -> str:
    """Why these bytes are no registry; empty where they are one."""
    try:
        parse_document(data)
    except RegistryFaultError as error:
        return f"it {error}"
    return ""


@value
class Filled:
    """Something that was missing, and what it was given. `place` is like `gateway_keys[2].tags`."""

    place: str
    given: Any


@value
class RecordFault:
    """A record that only a person can put right. `kind` is operator or gateway key, `number` counts from 1."""

    kind: str
    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.number}: {self.what}"


def new_document() -> dict[str, Any]:
    """The registry of a first start, without keys."""
    return {"version": VERSION, "operators": [], "gateway_keys": [], "feature_flags": dict(FLAGS)}


def parse_document(data: bytes) -> dict[str, Any]:
    """The registry's data, of the right shape down to its lists. Raises RegistryFaultError."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise RegistryFaultError("is no JSON") from None
    if not isinstance(document, dict):
        raise RegistryFaultError("is no object")
    version = document.get("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise RegistryFaultError("has no version this program understands")
    if version > VERSION:
        raise RegistryFaultError(f"has version {version}; this Palyra knows version {VERSION}", newer=True)
    for name, kind in (("gateway_keys", list), ("operators", list), ("feature_flags", dict)):
        if not isinstance(document.get(name, kind()), kind):
            raise RegistryFaultError(f"has a {name} that is not what it should be")
    for name in _ARRAYS:
        if name not in document and (instead := _records_of_another_name(document)):
            # Without operators whoever owns the state is an admin: that is not to come of a name that was spoilt.
            raise RegistryFaultError(f"has no {name}, but {json.dumps(instead[:64])}, which is not known")
    return document


def _records_of_another_name(document: Mapping[str, Any]) -> str:
    """A member that is not known here and holds records; empty where there is none."""
    for name, inner in document.items():
        if name not in _ARRAYS and isinstance(inner, list) and any(isinstance(one, dict) for one in inner):
            return str(name)
    return ""


def render_document(document: Mapping[str, Any]) -> bytes:
    """The registry as its file has it."""
    return json.dumps(document, indent=2).encode() + b"\n"


def backfilled(document: Mapping[str, Any], now_ms: int) -> tuple[dict[str, Any], tuple[Filled, ...]]:
    """A parsed document with exactly what is missing: flags as false, lists empty, fields at their narrowest.

    Whatever is there stays as it is, also what is not known here. Where nothing is missing the document is the same;
    else it also says when it was filled (`backfilled_at`, UTC unix ms).
    """
    filled: list[Filled] = []
    made: dict[str, Any] = dict(document)
    _fill(made, {"version": VERSION, **{name: [] for name in _ARRAYS}, "feature_flags": {}}, "", filled)
    made["feature_flags"] = dict(made["feature_flags"])
    _fill(made["feature_flags"], dict.fromkeys(FLAGS, False), "feature_flags.", filled)
    for name, fields, naming in (("operators", _OPERATOR_FIELDS, "id"), ("gateway_keys", _KEY_FIELDS, "key_id")):
        made[name] = [
            _filled_record(record, fields, naming, f"{name}[{number}].", filled)
            for number, record in enumerate(made[name])
        ]
    if not filled:
        return dict(document), ()
    made["backfilled_at"] = now_ms
    return made, tuple(filled)


def _filled_record(record: Any, fields: Mapping[str, Any], naming: str, place: str, filled: list[Filled]) -> Any:
    if not isinstance(record, dict):
        return record
    named = {"name": record[naming]} if isinstance(record.get(naming), str) else {}
    made = dict(record)
    _fill(made, {**named, **fields}, place, filled)
    return made


def _fill(fields: dict[str, Any], missing: Mapping[str, Any], place: str, filled: list[Filled]) -> None:
    for name, given in missing.items():
        if name not in fields:
            fields[name] = given.copy() if isinstance(given, list | dict) else given
            filled.append(Filled(f"{place}{name}", fields[name]))


def record_faults(document: Mapping[str, Any]) -> tuple[RecordFault, ...]:
    """Records of a parsed document that cannot be used, duplicates, and operators nobody can be known by."""
    faults: list[RecordFault] = []
    seen: set[str] = set()
    for number, record in enumerate(document.get("operators", []), start=1):
        try:
            operator = read_operator(record)
        except RecordError as error:
            faults.append(RecordFault("operator", number, str(error)))
            continue
        if operator.operator_id in seen:
            faults.append(RecordFault("operator", number, f"id {operator.operator_id} is taken by an earlier one"))
        elif not operator.identities and operator.digest is None:
            faults.append(RecordFault("operator", number, f"{operator.operator_id} has neither identity nor token"))
        seen.add(operator.operator_id)
    keys: set[str] = set()
    for number, record in enumerate(document.get("gateway_keys", []), start=1):
        try:
            key = read_key(record, mode_override=True)
        except RecordError as error:
            faults.append(RecordFault("gateway key", number, str(error)))
            continue
        if key.key_id in keys:
            faults.append(RecordFault("gateway key", number, f"key_id {key.key_id} is taken by an earlier one"))
        keys.add(key.key_id)
    return tuple(faults)
