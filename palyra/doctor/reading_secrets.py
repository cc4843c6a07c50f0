"""Reading what is secret, or says who may do what: the vault, auth profiles, the access registry."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from palyra.doctor.installation import (
    AccessRead,
    Input,
    NothingToReadError,
    StateTree,
    VaultCondition,
    VaultRead,
)

if TYPE_CHECKING:
    from palyra.config.model import LoadedConfig
    from palyra.providers.auth_profiles import AuthProfiles
    from palyra.vault.sealing import VaultFile

VAULT_FILE = "vault/vault.json"
PROFILES_FILE = "auth_profiles.toml"
REGISTRY_FILE = "access_registry.json"
_OTHERS = 0o077


def read_vault(tree: StateTree, config: "LoadedConfig", environ: Mapping[str, str]) -> VaultRead:
    """Opens the vault's bytes with the key there is. Nothing that is opened is kept."""
    from palyra.vault.sealing import DamagedError, NewerError, VaultFile

    found = tree.at(VAULT_FILE)
    if found.facts is None and not found.problem:
        return VaultRead(VaultCondition.ABSENT)
    if found.data is None:
        return VaultRead(VaultCondition.DAMAGED, found.problem or "it is no regular file")
    try:
        file = VaultFile.parse(found.data)
    except NewerError as error:
        return VaultRead(VaultCondition.NEWER, f"it has version {error}")
    except DamagedError as error:
        return VaultRead(VaultCondition.DAMAGED, str(error))
    return _open(file, tree, config, environ)


def _open(file: "VaultFile", tree: StateTree, config: "LoadedConfig", environ: Mapping[str, str]) -> VaultRead:
    from palyra.core.errors import StateError
    from palyra.vault.sealing import key_id_of

    try:
        key = _key(tree, config, environ)
    except StateError as error:
        return VaultRead(VaultCondition.LOCKED, error.message, file.refs, expects=file.key_id)
    if key is None:
        return VaultRead(VaultCondition.LOCKED, "there is no key for it", file.refs, expects=file.key_id)
    if not file.opens_with(key):
        return VaultRead(VaultCondition.WRONG_KEY, refs=file.refs, expects=file.key_id, offered=key_id_of(key))
    tampered, empty = _look_into(file, key)
    return VaultRead(VaultCondition.OK, "", file.refs, tampered, empty, file.key_id, key_id_of(key))


def _look_into(file: "VaultFile", key: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entries that do not authenticate, and empty ones."""
    from palyra.vault.sealing import TamperedError

    tampered, empty = [], []
    for ref in file.refs:
        try:
            if not file.get(key, ref):
                empty.append(ref)
        except TamperedError:
            tampered.append(ref)
    return tuple(tampered), tuple(empty)


def _key(tree: StateTree, config: "LoadedConfig", environ: Mapping[str, str]) -> bytes | None:
    """The key of the configured source; None where there is none. Raises KeyFaultError."""
    from palyra.vault.key_holders import FileKey, holder_of, key_in

    source = config.vault.key_source.value
    holder = holder_of(source, tree.root.path, environ, config.vault.key_file)
    if not isinstance(holder, FileKey):
        return holder.read()
    found = key_file(tree, config)
    if found.facts is None:
        return None
    if found.facts.mode & _OTHERS:
        raise _refused(f"{found.path.name} can be read by other accounts (mode {found.facts.mode:04o})")
    if found.data is None:
        raise _refused(f"{found.path.name} cannot be read: {found.problem or 'it is no regular file'}")
    return key_in(found.data.decode("ascii", "replace"))


def _refused(message: str) -> Exception:
    from palyra.vault.key_holders import KeyFaultError

    return KeyFaultError(message)


def key_file(tree: StateTree, config: "LoadedConfig") -> Input:
    """The file the vault's key is in, or would be, which may lie outside the state directory."""
    from palyra.doctor.files import Files

    path = tree.root.path / config.vault.key_file
    try:
        return tree.at(path.relative_to(tree.root.path).as_posix())
    except ValueError:
        return Files().look(path)


class _Everything(Collection[str]):
    """Stands for provider ids where the configuration cannot be had."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read_profiles_of(tree: StateTree, config: "LoadedConfig | None") -> "AuthProfiles":
    """Raises NothingToReadError where there is no file."""
    from palyra.providers.auth_profiles import read_profiles, unreadable_profiles

    found = tree.at(PROFILES_FILE)
    if found.facts is None and not found.problem:
        raise NothingToReadError("there are no auth profiles")
    if found.data is None:
        return unreadable_profiles(found.problem or "is no regular file")
    return read_profiles(found.data, _Everything() if config is None else config.providers)


def read_access(tree: StateTree) -> AccessRead:
    """Raises NothingToReadError where there is no file."""
    found = tree.at(REGISTRY_FILE)
    if found.facts is None and not found.problem:
        raise NothingToReadError("there is no access registry")
    if found.data is None:
        return AccessRead(fault=found.problem or "it is no regular file")
    return parse_access(found.data)


def parse_access(data: bytes) -> AccessRead:
    """The registry's object, of the right shape down to its lists, or what is wrong with it."""
    from palyra.vault.access import VERSION

    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        return AccessRead(fault="it is no JSON")
    if not isinstance(document, dict):
        return AccessRead(fault="it is no object")
    version = document.get("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        return AccessRead(fault="it has no version this program understands")
    if version > VERSION:
        return AccessRead(fault=f"it has version {version}; this Palyra knows {VERSION}", newer=True)
    for name, kind in (("gateway_keys", list), ("operators", list), ("feature_flags", dict)):
        if not isinstance(document.get(name, kind()), kind):
            return AccessRead(fault=f"its {name} are not what they should be")
    return AccessRead(document)
