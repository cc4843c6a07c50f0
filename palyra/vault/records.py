"""Records of the access registry: gateway keys and operators, read from data nobody guarantees for.

A field that is missing takes its narrowest value; a field of the wrong type makes its record unusable, so that no
mistake ever widens what somebody may do.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, TypeVar

from palyra.core.values import value

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PRINCIPAL = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_LABEL = re.compile(r"[A-Za-z0-9._:@/-]{1,128}")
_TAG = re.compile(r"([a-z0-9_.-]{1,32})=(.{1,64})")
_MAX_TAGS = 16


class Role(StrEnum):
    """What an operator may do; each role includes the former."""

    VIEWER = "viewer"
    APPROVER = "approver"
    ADMIN = "admin"


@value
class GatewayKey:
    """A key of the gateway and whom it speaks for. Times are UTC unix ms.

    Empty `channel` and `agent` are not pinned. `allowed_models` and `may_act_for` are patterns: empty means all models
    and nobody. `may_set_mode` is what holds now, with the feature flag counted in.
    """

    key_id: str
    name: str
    digest: bytes = field(repr=False)
    principal: str
    enabled: bool
    channel: str = ""
    agent: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    allowed_models: tuple[str, ...] = ()
    may_act_for: tuple[str, ...] = ()
    may_set_mode: bool = False
    created_at: int = 0
    expires_at: int | None = None
    revoked_at: int | None = None

    def opens_at(self, now_ms: int) -> bool:
        """Whether the key is in force: enabled, not revoked, and `now_ms` before its expiry."""
        return self.enabled and self.revoked_at is None and (self.expires_at is None or now_ms < self.expires_at)


@value
class Operator:
    """Somebody who may be at a keyboard. `identities` are like `unix:<account>`; `digest` is of their token, None for
    one who has none. `created_at` is UTC unix ms."""

    operator_id: str
    name: str
    role: Role
    identities: tuple[str, ...]
    enabled: bool
    digest: bytes | None = field(default=None, repr=False)
    created_at: int = 0


class RecordError(ValueError):
    """A record that cannot be used; the message names the field."""


T = TypeVar("T")


def read_key(record: object, *, mode_override: bool) -> GatewayKey:
    """A gateway key from the registry's data. Raises RecordError."""
    fields = _table(record)
    key_id = _field(fields, "key_id", _matching(_ID))
    return GatewayKey(
        key_id=key_id,
        name=_field(fields, "name", _text, key_id),
        digest=bytes.fromhex(_field(fields, "hash", _matching(_DIGEST))),
        principal=_field(fields, "principal", _matching(_PRINCIPAL)),
        enabled=_field(fields, "enabled", _flag, False),
        channel=_field(fields, "channel", _matching(_LABEL), ""),
        agent=_field(fields, "agent", _matching(_LABEL), ""),
        tags=_field(fields, "tags", read_tags, {}),
        allowed_models=_field(fields, "allowed_models", _texts, ()),
        may_act_for=_field(fields, "may_act_for", _texts, ()),
        may_set_mode=_field(fields, "may_set_mode", _flag, False) and mode_override,
        created_at=_field(fields, "created_at", _time, 0),
        expires_at=_field(fields, "expires_at", _time, None),
        revoked_at=_field(fields, "revoked_at", _time, None),
    )


def write_key(key: GatewayKey) -> dict[str, object]:
    """A gateway key as the registry stores it."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "hash": key.digest.hex(),
        "principal": key.principal,
        "enabled": key.enabled,
        "channel": key.channel or None,
        "agent": key.agent or None,
        "tags": [f"{name}={value}" for name, value in key.tags.items()],
        "allowed_models": list(key.allowed_models),
        "may_act_for": list(key.may_act_for),
        "may_set_mode": key.may_set_mode,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def read_operator(record: object) -> Operator:
    """An operator from the registry's data. Raises RecordError."""
    fields = _table(record)
    operator_id = _field(fields, "id", _matching(_ID))
    token_hash = _field(fields, "token_hash", _matching(_DIGEST), "")
    return Operator(
        operator_id=operator_id,
        name=_field(fields, "name", _text, operator_id),
        role=_field(fields, "role", Role, Role.VIEWER),
        identities=_field(fields, "identities", _texts, ()),
        enabled=_field(fields, "enabled", _flag, False),
        digest=bytes.fromhex(token_hash) if token_hash else None,
        created_at=_field(fields, "created_at", _time, 0),
    )


def operators_in(records: Iterable[object]) -> dict[str, Operator]:
    """The operators that can be used, by id; where several have one, the first, so that none gains by being added."""
    found: dict[str, Operator] = {}
    for record in records:
        try:
            operator = read_operator(record)
        except RecordError:
            continue
        found.setdefault(operator.operator_id, operator)
    return found


def write_operator(operator: Operator) -> dict[str, object]:
    """An operator as the registry stores them."""
    return {
        "id": operator.operator_id,
        "name": operator.name,
        "role": operator.role.value,
        "identities": list(operator.identities),
        "token_hash": None if operator.digest is None else operator.digest.hex(),
        "enabled": operator.enabled,
        "created_at": operator.created_at,
    }


_REQUIRED: Any = object()


def _field(fields: Mapping[str, object], name: str, read: Callable[[Any], T], absent: T = _REQUIRED) -> T:
    """One field; null is absent. Raises RecordError for one that is required and absent, or not what it should be."""
    value = fields.get(name)
    if value is None:
        if absent is _REQUIRED:
            raise RecordError(f"{name} is missing")
        return absent
    try:
        return read(value)
    except (TypeError, ValueError):
        raise RecordError(f"{name} is not what it should be") from None


def _table(record: object) -> Mapping[str, object]:
    if not isinstance(record, dict):
        raise RecordError("it is no object")
    return record


def _matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = _text(value)
        if pattern.fullmatch(text) is None:
            raise ValueError
        return text

    return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _time(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_text(entry) for entry in value)


def read_tags(value: object) -> dict[str, str]:
    """Tags by name, of a list of `name=value`. Raises ValueError, TypeError."""
    tags: dict[str, str] = {}
    for text in _texts(value):
        match = _TAG.fullmatch(text)
        if match is None or match[1] in tags:
            raise ValueError
        tags[match[1]] = match[2]
    if len(tags) > _MAX_TAGS:
        raise ValueError
    return tags
