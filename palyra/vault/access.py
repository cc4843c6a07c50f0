"""Who may use this Palyra: the access registry in `access_registry.json`, read at start and kept private.

Keys look like `plk_<key_id>_<43 base64url characters>`, operators' tokens like `plo_<id>_<43 base64url characters>`;
the registry stores their SHA-256. A registry that cannot be
understood gives nobody any right: every key is refused until a person has looked at it.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from palyra.core.clock import Clock
from palyra.core.errors import ConflictError, StateError
from palyra.core.private_files import private_dir, private_lock, read_private, write_private
from palyra.core.reasons import reason_of
from palyra.core.values import value
from palyra.vault.access_edits import add_key, check_operator, owners_admin, set_flag
from palyra.vault.records import (
    GatewayKey,
    Operator,
    RecordError,
    Role,
    operators_in,
    read_key,
    read_operator,
    write_operator,
)
from palyra.vault.registry_shape import (
    FLAGS,
    RegistryFaultError,
    new_document,
    parse_document,
    record_faults,
    render_document,
)

REGISTRY_FILE = "access_registry.json"
FIRST_KEY = "default"
"""The id of the key of the first start."""
FIRST_PRINCIPAL = "local"
"""Whom the key of the first start pays for; it lies in a file that only the state's owner may read."""

KEY_FILE = "gateway-key.txt"
BACKUPS = 5

_MAX_REGISTRY = 8 * 1024 * 1024
STATE_FILES = (REGISTRY_FILE, KEY_FILE, "journal.db", "engine.lock")
_PREFIX = "plk_"
TOKEN_PREFIX = "plo_"  # noqa: S105 no secret
"""What operators' tokens begin with; as long as a key's."""
_SECRET = 43
_LONGEST = len(_PREFIX) + 64 + 1 + _SECRET
_NOBODY = bytes(32)
"""What an unknown key is compared with; no token has this digest."""


T = TypeVar("T")


@value
class _Said:
    """What the registry said last, in one piece: readers are not to see half of a change that another thread makes."""

    unavailable: str = ""
    faults: tuple[str, ...] = ()
    keys: Mapping[str, GatewayKey] = field(default_factory=dict)
    operators: tuple[Operator, ...] = ()
    operators_registered: bool = False
    flags: Mapping[str, bool] = field(default_factory=dict)
    tokens: Mapping[str, Operator] = field(default_factory=dict)


class AccessRegistry:
    """Keys, operators and feature flags of one state directory. Made by `AccessRegistry.open`.

    `first_start` is whether this process made the registry. Changes wait for disks and locks, so they belong on a
    thread of their own; whatever else there is may be asked from any other meanwhile.
    """

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self.path = state_dir / REGISTRY_FILE
        self._place = str(self.path)
        self.key_file = state_dir / KEY_FILE
        self.first_start = False
        self._clock = clock
        self._said = _Said()
        self._seen: tuple[int, int, int] | None = None

    @classmethod
    def open(
        cls, state_dir: Path, clock: Clock, entropy: Callable[[int], str] = secrets.token_urlsafe
    ) -> "AccessRegistry":
        """Reads the registry; the first start makes it, with the key `default` in `gateway-key.txt`.

        `entropy` gives base64url text of that many random bytes. Raises StateError when the directory or a file is
        not private or cannot be written.
        """
        registry = cls(private_dir(state_dir, ours=STATE_FILES), clock)
        with private_lock(state_dir):
            data = read_private(registry.path, _MAX_REGISTRY)
            if data is None:
                registry._create(entropy)
            else:
                registry._read(data)
        # Also a key file that was copied around is looked at, so that it does not stay readable by others.
        read_private(registry.key_file, _MAX_REGISTRY)
        return registry

    @classmethod
    def look(cls, state_dir: Path, clock: Clock) -> "AccessRegistry":
        """Reads the registry as it lies and writes nothing; where there is none, nobody is let in."""
        registry = cls(state_dir, clock)
        try:
            data = read_private(registry.path, _MAX_REGISTRY, tighten=False)
        except StateError as error:
            registry._said = _Said(str(error))
            return registry
        if data is None:
            registry._said = _Said("There is no access registry yet: the first start makes it.")
        else:
            registry._read(data)
        return registry

    @property
    def unavailable(self) -> str:
        """Why nobody can be let in; empty where the registry is sound."""
        return self._said.unavailable

    @property
    def faults(self) -> tuple[str, ...]:
        """Records that cannot be used."""
        return self._said.faults

    @property
    def keys(self) -> Mapping[str, GatewayKey]:
        """The gateway keys by their id."""
        return self._said.keys

    @property
    def operators(self) -> tuple[Operator, ...]:
        """Everybody who is registered; of several records with one id the first, so that none gains by being added."""
        return self._said.operators

    @property
    def operators_registered(self) -> bool:
        """Whether anybody is registered, also by records that cannot be used."""
        return self._said.operators_registered

    def authenticate(self, token: str) -> GatewayKey | None:
        """The key a token opens; None for one that is unknown, disabled, expired or revoked.

        All of these take the same time: one hash, one comparison in constant time.
        """
        token = _bounded(token)
        key = self.keys.get(_id_in(token))
        same = _is_digest_of(token, None if key is None else key.digest)
        return key if same and key is not None and key.opens_at(self._clock.now_ms()) else None

    def authenticate_operator(self, token: str) -> Operator | None:
        """The operator whose token this is, at the same cost; None for one that is unknown or disabled."""
        token = _bounded(token)
        operator = self._said.tokens.get(_id_in(token))
        same = _is_digest_of(token, None if operator is None else operator.digest)
        return operator if same and operator is not None and operator.enabled else None

    def flag(self, name: str) -> bool:
        """A feature flag; one the registry does not have is off."""
        return self._said.flags.get(name, False)

    def edit(self, change: Callable[[dict[str, Any]], T]) -> T:
        """Applies a change to the document, writes it, and takes it over at once; nothing where it raises.

        Raises StateError when the registry is unavailable or cannot be written.
        """
        with private_lock(self.path.parent):
            data = read_private(self.path, _MAX_REGISTRY)
            if data is None:
                raise _broken("is gone")
            document = _parse(data)
            answer = change(document)
            self._store(document)
        return answer

    def add_key(
        self, key_id: str, principal: str, entropy: Callable[[int], str] = secrets.token_urlsafe, **fields: Any
    ) -> str:
        """Makes a key, stores it and returns its token, which is never shown again.

        `fields` are further fields of GatewayKey. Raises ConflictError for an id that is taken, ValueError for a field
        that is not what it should be, StateError when the registry is unavailable or cannot be written.
        """
        return self.edit(lambda document: self._append_key(document, entropy, key_id, principal, fields))

    def issue_token(
        self,
        operator_id: str,
        *,
        owner: str,
        role: Role | None = None,
        name: str = "",
        entropy: Callable[[int], str] = secrets.token_urlsafe,
    ) -> str:
        """Gives an operator a new token, which is never shown again, in place of any they had.

        One who is not registered is, with `role` (viewer). `owner` is the account the state directory belongs to: with
        the first operator it is registered as an admin too, since from then on only who is registered has rights.
        Raises ConflictError for a role other than the registered one, ValueError for an id that is none, StateError.
        """
        token = f"{TOKEN_PREFIX}{operator_id}_{entropy(32)}"
        digest = hashlib.sha256(token.encode()).digest()

        def give(document: dict[str, Any]) -> None:
            records = document.setdefault("operators", [])
            record = next((one for one in records if isinstance(one, dict) and one.get("id") == operator_id), None)
            if record is None:
                records += self._newcomers(operator_id, name, role or Role.VIEWER, owner, first=not records)
                record = records[-1]
            elif role is not None and read_operator(record).role is not role:
                raise ConflictError(
                    f'The operator "{operator_id}" is registered as {read_operator(record).role}.',
                    fix="Leave the role out, or choose another name.",
                )
            record["token_hash"] = digest.hex()
            check_operator(record)

        self.edit(give)
        return token

    def set_flag(self, name: str, on: bool) -> bool:
        """Switches a feature on or off; whether it was on. Raises NotFoundError for one there is not, StateError."""
        return self.edit(lambda document: set_flag(document, name, on))

    def refresh(self) -> None:
        """Takes over what another process wrote since; what is no registry, or not private any more, lets nobody in.

        What has not changed since costs a look at the file's facts.
        """
        try:
            facts = os.lstat(self._place)
        except OSError as error:
            self._seen = None
            self._refuse(_broken(f"cannot be read ({reason_of(error)})"))
            return
        seen = facts.st_ctime_ns, facts.st_ino, facts.st_size
        if seen == self._seen:
            return
        try:
            data = read_private(self.path, _MAX_REGISTRY)
        except StateError as error:
            self._refuse(error)
        else:
            if data is None:
                self._refuse(_broken("is gone"))
            else:
                self._read(data)
        self._seen = seen

    def _newcomers(
        self, operator_id: str, name: str, role: Role, owner: str, *, first: bool
    ) -> list[dict[str, object]]:
        """The records of a new operator and, before it, of the state's owner where nobody is registered yet."""
        now = self._clock.now_ms()
        own = (f"unix:{owner}",) if operator_id == owner else ()
        operator = Operator(operator_id, name or operator_id, role, own, True, None, now)
        return [*(owners_admin(owner, operator, now) if first else ()), _sound(operator)]

    def _create(self, entropy: Callable[[int], str]) -> None:
        document = new_document()
        token = self._append_key(document, entropy, FIRST_KEY, FIRST_PRINCIPAL, {})
        # The key file comes first: a crash between the two makes another key at the next start instead of losing it.
        write_private(self.key_file, f"{token}\n".encode())
        self._store(document)
        self.first_start = True

    def _append_key(
        self,
        document: dict[str, Any],
        entropy: Callable[[int], str],
        key_id: str,
        principal: str,
        fields: Mapping[str, Any],
    ) -> str:
        token = f"{_PREFIX}{key_id}_{entropy(32)}"
        key = GatewayKey(
            key_id=key_id,
            principal=principal,
            digest=hashlib.sha256(token.encode()).digest(),
            created_at=self._clock.now_ms(),
            **{"name": key_id, "enabled": True, **fields},
        )
        add_key(document, key)
        return token

    def _store(self, document: dict[str, Any]) -> None:
        data = render_document(document)
        write_private(self.path, data, backups=BACKUPS)
        self._read(data)

    def _read(self, data: bytes) -> None:
        """Takes over what the registry says; one that cannot be understood lets nobody in."""
        try:
            document = _parse(data)
        except StateError as error:
            self._refuse(error)
            return
        given = document.get("feature_flags", {})
        flags = {name: given.get(name) is True for name in FLAGS}
        keys: dict[str, GatewayKey] = {}
        for record in document.get("gateway_keys", []):
            with suppress(RecordError):
                key = read_key(record, mode_override=flags["mode_override"])
                keys.setdefault(key.key_id, key)
        records = document.get("operators", [])
        operators = operators_in(records)
        self._said = _Said(
            faults=tuple(map(str, record_faults(document))),
            keys=keys,
            operators=tuple(operators.values()),
            operators_registered=bool(records),
            flags=flags,
            tokens=operators,
        )

    def _refuse(self, error: StateError) -> None:
        # Whether operators are registered cannot be known, so nobody may act as if none were.
        self._said = _Said(str(error), operators_registered=True)


def _sound(operator: Operator) -> dict[str, object]:
    """Raises RecordError for an operator the registry could not be read with."""
    record = write_operator(operator)
    read_operator(record)
    return record


def _bounded(token: str) -> str:
    return token if len(token) <= _LONGEST else ""


def _id_in(token: str) -> str:
    return token[len(_PREFIX) : -_SECRET - 1]


def _is_digest_of(token: str, digest: bytes | None) -> bool:
    own = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return hmac.compare_digest(own, _NOBODY if digest is None else digest)


def _parse(data: bytes) -> dict[str, Any]:
    """Raises StateError, code `access_unavailable`, for what is no registry."""
    try:
        return parse_document(data)
    except RegistryFaultError as error:
        if error.newer:
            raise StateError(
                f"The access registry {error}.", fix="Upgrade Palyra.", code="access_unavailable"
            ) from None
        raise _broken(str(error)) from None


def _broken(what: str) -> StateError:
    return StateError(
        f"The access registry {what}.",
        fix=f"Restore {REGISTRY_FILE} from one of its backups.",
        code="access_unavailable",
    )


__all__ = ["AccessRegistry", "GatewayKey", "Operator"]
