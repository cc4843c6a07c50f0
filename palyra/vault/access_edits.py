"""Changes of the access registry's document: operators, keys, features. Pure: each takes a parsed document and changes
it in place, keeping what is not known here; whoever calls writes it, or nothing if an error is raised.

The last enabled admin can neither be demoted nor switched off nor removed, nor lose the last account they are known
by: somebody has to be able to let others in, and access is given at a keyboard alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.vault.records import (
    GatewayKey,
    Operator,
    RecordError,
    Role,
    operators_in,
    read_key,
    read_operator,
    write_key,
    write_operator,
)
from palyra.vault.registry_shape import FLAGS

_IDENTITY = re.compile(r"unix:[^\s:]{1,64}|ssh_key:SHA256:[A-Za-z0-9+/]{43}")
MAX_IDENTITIES = 32
MAX_TEXT = 256
"""Characters of a name, a pattern or a tag."""
MAX_LIST = 256
_TEXT = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_TEXT}}}")


def add_operator(document: dict[str, Any], operator: Operator, *, owner: str, now_ms: int) -> list[str]:
    """Registers an operator. With the first, `owner` (the state directory's account) becomes an admin too, since from
    then on only who is registered has rights. Returns the ids that were added. Raises ConflictError, BadInputError."""
    records = document.setdefault("operators", [])
    if _record(records, "id", operator.operator_id) is not None:
        raise ConflictError(f'The operator "{operator.operator_id}" exists already.', fix="Choose another id.")
    _check_identities(operator.identities)
    _check_texts({"name": operator.name})
    made = [] if records else owners_admin(owner, operator, now_ms)
    made.append(_sound(write_operator(operator), read_operator, "operator"))
    records += made
    return [str(one["id"]) for one in made]


def owners_admin(owner: str, first: Operator, now_ms: int) -> list[dict[str, Any]]:
    """The record of the state's owner, to go before the first operator's; none where that one is the owner."""
    identity = (f"unix:{owner}",)
    if first.operator_id == owner or (first.role is Role.ADMIN and first.enabled and identity[0] in first.identities):
        return []
    try:
        return [_sound(write_operator(Operator(owner, owner, Role.ADMIN, identity, True, None, now_ms)), read_operator)]
    except RecordError:
        named = Operator("owner", owner, Role.ADMIN, identity, True, None, now_ms)
        return [_sound(write_operator(named), read_operator)]


def set_operator(document: dict[str, Any], operator_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes fields of an operator: name, role, identities, enabled. Returns what they were. Raises NotFoundError,
    BadInputError, ConflictError for the last enabled admin."""
    record = _operator(document, operator_id)
    if "identities" in changes:
        _check_identities(changes["identities"])
    _check_texts(changes)
    before = {name: record.get(name) for name in changes}
    admins = _enabled_admins(document)
    _check_sound({**record, **changes}, read_operator, operator_id)
    record.update(changes)
    _keep_an_admin(document, admins, operator_id)
    return before


def identities_with(document: dict[str, Any], operator_id: str, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """An operator's identities once some are added and some taken away. Raises NotFoundError."""
    held = _operator(document, operator_id).get("identities")
    kept = [one for one in held if isinstance(one, str) and one not in remove] if isinstance(held, list) else []
    return [*kept, *(one for one in dict.fromkeys(add) if one not in kept)]


def remove_operator(document: dict[str, Any], operator_id: str) -> None:
    """Raises NotFoundError, ConflictError for the last enabled admin."""
    record = _operator(document, operator_id)
    admins = _enabled_admins(document)
    document["operators"] = [one for one in document["operators"] if one is not record]
    _keep_an_admin(document, admins, operator_id)


def add_key(document: dict[str, Any], key: GatewayKey) -> None:
    """Raises ConflictError, RecordError, BadInputError."""
    _check_texts(write_key(key))
    record = _sound(write_key(key), lambda one: read_key(one, mode_override=True))
    keys = document.setdefault("gateway_keys", [])
    if _record(keys, "key_id", key.key_id) is not None:
        raise ConflictError(f'A key "{key.key_id}" exists already.', fix="Choose another id.")
    keys.append(record)


def set_key(document: dict[str, Any], key_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes fields of a key, as the registry stores them. Returns what they were. Raises NotFoundError,
    BadInputError, ConflictError for a key that was revoked."""
    record = _key(document, key_id)
    if record.get("revoked_at") is not None:
        raise ConflictError(f'The key "{key_id}" is revoked.', fix="Make a new one with `palyra keys add`.")
    _check_texts(changes)
    before = {name: record.get(name) for name in changes}
    _check_sound({**record, **changes}, lambda one: read_key(one, mode_override=True), key_id)
    record.update(changes)
    return before


def revoke_key(document: dict[str, Any], key_id: str, now_ms: int) -> None:
    """Ends a key for good. Raises NotFoundError, ConflictError where it is revoked already."""
    record = _key(document, key_id)
    if record.get("revoked_at") is not None:
        raise ConflictError(f'The key "{key_id}" is revoked already.')
    record["revoked_at"] = now_ms
    record["enabled"] = False


def set_flag(document: dict[str, Any], name: str, on: bool) -> bool:
    """Switches a feature; whether it was on. Raises NotFoundError for a feature there is not."""
    if name not in FLAGS:
        raise NotFoundError(f"There is no feature {name!r}.", fix=f"The known ones are {', '.join(FLAGS)}.")
    flags = document.setdefault("feature_flags", {})
    was = flags.get(name) is True
    flags[name] = on
    return was


def add_flag(document: dict[str, Any], name: str) -> None:
    """Writes a feature that the registry lacks, off. Raises NotFoundError, ConflictError where it is there."""
    if name in document.get("feature_flags", {}):
        raise ConflictError(f"The registry has {name} already.", fix="Switch it with `palyra access flags set`.")
    set_flag(document, name, False)


def remove_flag(document: dict[str, Any], name: str) -> None:
    """Takes a feature out of the registry, so that it counts as off. Raises NotFoundError."""
    flags = document.get("feature_flags", {})
    if name not in flags:
        raise NotFoundError(f"The registry has no feature {name!r}.", fix="See `palyra access flags list`.")
    del flags[name]


def check_operator(record: dict[str, Any]) -> None:
    """Raises BadInputError for a record that could not be read as an operator's."""
    _check_sound(record, read_operator, str(record.get("id")))


def _enabled_admins(document: Mapping[str, Any]) -> set[str]:
    return {
        name
        for name, one in operators_in(document.get("operators", [])).items()
        if one.enabled and one.role is Role.ADMIN and any(text.startswith("unix:") for text in one.identities)
    }


def _keep_an_admin(document: Mapping[str, Any], before: set[str], operator_id: str) -> None:
    if before and not _enabled_admins(document):
        raise ConflictError(
            f"{operator_id} is the last enabled admin.", fix="Make another operator an admin first.", code="last_admin"
        )


def _operator(document: dict[str, Any], operator_id: str) -> dict[str, Any]:
    record = _record(document.get("operators", []), "id", operator_id)
    if record is None:
        raise NotFoundError(f"There is no operator {operator_id!r}.", fix="See `palyra access operators list`.")
    return record


def _key(document: dict[str, Any], key_id: str) -> dict[str, Any]:
    record = _record(document.get("gateway_keys", []), "key_id", key_id)
    if record is None:
        raise NotFoundError(f"There is no gateway key {key_id!r}.", fix="See `palyra keys list`.")
    return record


def _record(records: list[Any], naming: str, name: str) -> dict[str, Any] | None:
    return next((one for one in records if isinstance(one, dict) and one.get(naming) == name), None)


def _check_identities(identities: Any) -> None:
    for one in identities:
        if _IDENTITY.fullmatch(one) is None:
            raise BadInputError(f"{one!r} is no identity.", fix="Write unix:<account> or ssh_key:SHA256:<fingerprint>.")
    if len(identities) > MAX_IDENTITIES:
        raise BadInputError(f"An operator has at most {MAX_IDENTITIES} identities.")


def _check_texts(fields: Mapping[str, Any]) -> None:
    """Raises BadInputError for a text that is too long, or that no terminal or file should hold."""
    for name in ("name", "tags", "allowed_models", "may_act_for"):
        given = fields.get(name, ())
        texts = [given] if isinstance(given, str) else given
        if len(texts) > MAX_LIST:
            raise BadInputError(f"{name} has more than {MAX_LIST} entries.")
        if not all(_TEXT.fullmatch(text) for text in texts):
            raise BadInputError(
                f"{name} is not what it should be.", fix=f"Write 1 to {MAX_TEXT} characters without control characters."
            )


def _check_sound(record: dict[str, Any], read: Callable[[object], object], name: str) -> None:
    try:
        read(record)
    except RecordError as error:
        raise BadInputError(f"{name}: {error}.") from None


def _sound(record: dict[str, Any], read: Callable[[object], object], what: str = "") -> dict[str, Any]:
    """A record the registry can be read with. Raises RecordError, or BadInputError where `what` names it."""
    try:
        read(record)
    except RecordError as error:
        if not what:
            raise
        raise BadInputError(f"The {what} cannot be registered: {error}.") from None
    return record
