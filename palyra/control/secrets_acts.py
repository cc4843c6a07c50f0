"""What admins do about the vault and the auth profiles. The audit chain tells of each, and never of a value."""

from pathlib import Path

from palyra.control.access_acts import noted
from palyra.control.secrets_commands import (
    AbandonVault,
    AddProfile,
    DeleteSecret,
    RemoveProfile,
    RevealSecret,
    RotateVault,
    SecretsCommand,
    SetSecret,
)
from palyra.control.snapshots import CommandResult
from palyra.core.errors import BadInputError, ConflictError, PalyraError, StateError
from palyra.core.plural import plural
from palyra.core.private_files import private_lock, read_private, replace_file, write_private
from palyra.core.vault_refs import split_ref
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.providers.auth_profiles import MAX_FILE, PROFILES_FILE, AuthProfile, ProfilesFaultError, ProfileType
from palyra.providers.profile_rewriting import BACKUPS, with_profile, without_profile
from palyra.vault.key_holders import VARIABLE
from palyra.vault.secrets import SecretState
from palyra.vault.vault import Vault

_UNTOLD = {
    SecretState.INVALID_REF: "is no vault reference",
    SecretState.MISSING: "is not in the vault",
    SecretState.LOCKED: "cannot be read: the vault is locked",
    SecretState.WRONG_KEY: "cannot be read: the vault is sealed with another key",
    SecretState.TAMPERED: "was changed outside Palyra",
}


async def act_on_secrets(engine: Engine, command: SecretsCommand, by: Decider) -> CommandResult:
    """Raises BadInputError, ConflictError, NotFoundError, StateError."""
    match command:
        case AddProfile() | RemoveProfile():
            return await _change_profiles(engine, command, by)
    vault = _vault(engine)
    match command:
        case SetSecret():
            now = engine.clock.now_ms()
            is_new = await engine.secrets.change(lambda: vault.set(command.ref, command.text, now))
            text = f"{command.ref} is kept." if is_new else f"{command.ref} is replaced."
            return await _told(engine, by, command.ref, {"verb": "secret_set", "new": is_new}, text)
        case DeleteSecret():
            await engine.secrets.change(lambda: vault.delete(command.ref))
            return await _told(engine, by, command.ref, {"verb": "secret_deleted"}, f"{command.ref} is deleted.")
        case RevealSecret():
            return await _reveal(engine, vault, command.ref, by)
        case RotateVault():
            return await _rotate(engine, vault, by, cancel=command.cancel)
        case AbandonVault():
            before, mark = vault.state.value, engine.ids.new()
            moved = await engine.secrets.change(lambda: vault.abandon(command.secrets, mark))
            told = {"verb": "vault_abandoned", "secrets": command.secrets, "state": before}
            names = ", ".join(path.name for path in moved)
            text = f"The vault is given up with {plural(command.secrets, 'secret')}: {names}."
            return await _told(engine, by, "vault", told, text)


async def _reveal(engine: Engine, vault: Vault, ref: str, by: Decider) -> CommandResult:
    """Told only once it is written down who was told."""
    found = vault.resolve(ref)
    if found.secret is None:
        raise PalyraError(f"{ref} {_UNTOLD[found.state]}.", fix="See `palyra vault list`.", code=found.state.value)
    unwritten = await noted(engine, by, ref, {"verb": "secret_revealed"}, "vault")
    if unwritten:
        raise StateError("The journal cannot be written, so nothing is revealed.")
    return CommandResult("accepted", f"{ref} was revealed.", data={"text": found.secret.reveal()})


async def _rotate(engine: Engine, vault: Vault, by: Decider, *, cancel: bool) -> CommandResult:
    if cancel:
        if not await engine.secrets.change(vault.take_back):
            raise ConflictError("No new key waits.")
        return await _told(engine, by, "vault", {"verb": "rotation_cancelled"}, "The new key is taken back.")
    done = await engine.secrets.change(vault.rotate)
    entries = plural(done.entries, "secret")
    told = {"verb": "vault_rotated", "key_id": done.key_id, "secrets": done.entries, "waits": done.new_key is not None}
    if done.new_key is None:
        return await _told(engine, by, "vault", told, f"{entries} sealed with the new key {done.key_id}.")
    text = f"{entries} to be sealed with the key {done.key_id} once {VARIABLE} holds it. It is not shown again."
    result = await _told(engine, by, "vault", told, text)
    return CommandResult(result.status, result.message, result.fix, {"key": done.new_key.reveal()})


async def _change_profiles(engine: Engine, command: AddProfile | RemoveProfile, by: Decider) -> CommandResult:
    profile = _checked(engine, command) if isinstance(command, AddProfile) else None
    await engine.secrets.change(lambda: _rewrite_profiles(engine.state_dir, profile, command.profile_id))
    name = command.profile_id
    if isinstance(command, RemoveProfile):
        unwritten = await noted(engine, by, name, {"verb": "profile_removed"})
        return CommandResult("accepted", f"The auth profile {name} is removed.", unwritten)
    told: dict[str, object] = {"verb": "profile_added", "provider": command.provider, "vault_ref": command.vault_ref}
    result = CommandResult("accepted", f"The auth profile {name} is kept.", await noted(engine, by, name, told))
    if name in engine.config.providers[command.provider].auth_profiles:
        return result
    hint = f'It serves once auth_profiles of [providers.{command.provider}] lists "{name}".'
    return CommandResult(result.status, result.message, f"{result.fix} {hint}".strip(), result.data)


def _rewrite_profiles(state_dir: Path, added: AuthProfile | None, profile_id: str) -> None:
    """With a profile added, or without the one of an id."""
    path = state_dir / PROFILES_FILE
    with private_lock(state_dir):
        data = read_private(path, MAX_FILE)
        text = _text(data)
        try:
            after = without_profile(text, profile_id) if added is None else with_profile(text, added)
        except ProfilesFaultError as error:
            raise StateError(f"{PROFILES_FILE} {error}.", fix="Run `palyra doctor`.") from None
        _write(path, after.encode(), there=data is not None)


def _checked(engine: Engine, command: AddProfile) -> AuthProfile:
    if command.provider not in engine.config.providers:
        known = ", ".join(engine.config.providers)
        raise BadInputError(f"There is no provider {command.provider!r}.", fix=f"There are: {known}.")
    if split_ref(command.vault_ref) is None:
        raise BadInputError("The vault reference is not written as one.", fix="Write one like global/openai-key.")
    kind = ProfileType(command.type)
    return AuthProfile(
        command.profile_id, command.provider, kind, command.vault_ref, command.expires_at, command.enabled
    )


def _text(data: bytes | None) -> str:
    try:
        return (data or b"").decode()
    except UnicodeDecodeError:
        raise StateError(f"{PROFILES_FILE} is not UTF-8.", fix="Run `palyra doctor`.") from None


def _write(path: Path, data: bytes, *, there: bool) -> None:
    if there:
        replace_file(path, data, backups=BACKUPS)
    else:
        write_private(path, data)


def _vault(engine: Engine) -> Vault:
    vault = engine.secrets.opened
    if vault is None:
        raise StateError("This engine keeps no vault of its own.")
    return vault


async def _told(engine: Engine, by: Decider, subject: str, what: dict[str, object], text: str) -> CommandResult:
    return CommandResult("accepted", text, await noted(engine, by, subject, what, "vault"))
