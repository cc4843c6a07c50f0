"""Reading what is secret, or says who may do what: the vault, auth profiles, credentials, the access registry."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from palyra.core.redact import Secret
from palyra.doctor.installation import (
    AccessRead,
    Input,
    Installation,
    NothingToReadError,
    StateTree,
    VaultCondition,
    VaultRead,
)

if TYPE_CHECKING:
    from palyra.config.model import LoadedConfig
    from palyra.providers.auth_profiles import AuthProfiles
    from palyra.providers.credentials import Credentials
    from palyra.vault.sealing import VaultFile
    from palyra.vault.secrets import Resolution, SecretSource

VAULT_FILE = "vault/vault.json"
PROFILES_FILE = "auth_profiles.toml"
REGISTRY_FILE = "access_registry.json"
_OTHERS = 0o077
OPEN_TO_OTHERS = "can be read by other accounts"


def read_vault(
    tree: StateTree, config: "LoadedConfig", environ: Mapping[str, str], wanted: Collection[str]
) -> VaultRead:
    """Opens the vault's bytes with the key there is. Of what is opened, only the `wanted` references are kept."""
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
    return _open(file, tree, config, environ, wanted)


def _open(
    file: "VaultFile",
    tree: StateTree,
    config: "LoadedConfig",
    environ: Mapping[str, str],
    wanted: Collection[str],
) -> VaultRead:
    from palyra.core.errors import StateError
    from palyra.vault.sealing import TamperedError, key_id_of

    try:
        key = _key(tree, config, environ)
    except StateError as error:
        return VaultRead(VaultCondition.LOCKED, error.message, file.refs, expects=file.key_id)
    if key is None:
        return VaultRead(VaultCondition.LOCKED, "there is no key for it", file.refs, expects=file.key_id)
    if not file.opens_with(key):
        return VaultRead(VaultCondition.WRONG_KEY, refs=file.refs, expects=file.key_id, offered=key_id_of(key))
    tampered, empty, secrets = [], [], {}
    for ref in file.refs:
        try:
            text = file.get(key, ref)
        except TamperedError:
            tampered.append(ref)
            continue
        if not text:
            empty.append(ref)
        elif ref in wanted:
            secrets[ref] = Secret(text)
    return VaultRead(
        VaultCondition.OK, "", file.refs, tuple(tampered), tuple(empty), file.key_id, key_id_of(key), secrets
    )


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
        raise _refused(f"{found.path.name} {OPEN_TO_OTHERS} (mode {found.facts.mode:04o})")
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


def references_in(config: "LoadedConfig | None", profiles: "AuthProfiles | None") -> frozenset[str]:
    """What of the vault providers need, themselves or through auth profiles, and probes."""
    wanted = set() if profiles is None else {profile.vault_ref for profile in profiles.profiles.values()}
    if config is not None:
        wanted |= {row.api_key_vault_ref for row in config.providers.values() if row.api_key_vault_ref is not None}
        wanted |= {probe.secret_ref for probe in config.probes if probe.secret_ref is not None}
    return frozenset(wanted)


class _ReadVault:
    """The vault as it was read, for whoever looks references up."""

    def __init__(self, vault: VaultRead) -> None:
        self._vault = vault

    def resolve(self, ref: str) -> "Resolution":
        from palyra.vault.secrets import Resolution, SecretState

        vault = self._vault
        if ref in vault.secrets:
            return Resolution(SecretState.RESOLVED, vault.secrets[ref])
        if ref in vault.tampered:
            return Resolution(SecretState.TAMPERED)
        match vault.condition:
            case VaultCondition.OK | VaultCondition.ABSENT:
                return Resolution(SecretState.MISSING)
            case VaultCondition.WRONG_KEY:
                return Resolution(SecretState.WRONG_KEY)
            case _:
                return Resolution(SecretState.LOCKED)


def secrets_of(found: Installation) -> "SecretSource":
    """The vault as it was read. Raises NotReadError where it could not be."""
    return _ReadVault(found.vault.get())


def credentials_of(found: Installation, config: "LoadedConfig") -> "Credentials":
    """Every provider's credentials as they stand, with what the journal has noted of them.

    Raises NotReadError where vault or profiles could not be read.
    """
    from palyra.core.clock import ManualClock
    from palyra.providers.auth_profiles import NONE
    from palyra.providers.credential_sources import CredentialSources
    from palyra.providers.credentials import Credentials
    from palyra.providers.fingerprints import KEY_FILE, Fingerprints

    profiles = NONE if found.profiles.absent else found.profiles.get()
    sources = CredentialSources(found.environ, secrets_of(found), profiles)
    fingerprints = Fingerprints.given(found.state.get().at(KEY_FILE).data)
    credentials = Credentials(ManualClock(found.now_ms), lambda changes: None, fingerprints.of)
    examined = found.journal.found.examined if found.journal.found is not None else None
    credentials.restore(() if examined is None else examined.credentials)
    credentials.configure(sources.pools(config))
    return credentials


def read_access(tree: StateTree) -> AccessRead:
    """Raises NothingToReadError where there is no file."""
    from palyra.vault.registry_shape import RegistryFaultError, parse_document

    found = tree.at(REGISTRY_FILE)
    if found.facts is None and not found.problem:
        raise NothingToReadError("there is no access registry")
    if found.data is None:
        return AccessRead(fault=found.problem or "it is no regular file")
    try:
        return AccessRead(parse_document(found.data))
    except RegistryFaultError as error:
        return AccessRead(fault=f"it {error}", newer=error.newer)
