"""The vault and the auth profiles as consoles see them: every entry's state and no entry's value."""

import asyncio
from collections.abc import Iterable

from palyra.config.model import LoadedConfig
from palyra.control.secrets_queries import (
    AuthAnswer,
    AuthQuery,
    ProfileRow,
    SecretsAsked,
    SecretsTold,
    VaultAnswer,
    VaultEntry,
)
from palyra.core.errors import StateError
from palyra.engine import Engine
from palyra.providers.auth_profiles import PROFILES_FILE, AuthProfile
from palyra.providers.credential_sources import CredentialSources
from palyra.providers.credentials import Credentials, CredentialStanding
from palyra.providers.expiry import expiry_bucket, expiry_counts
from palyra.vault.secrets import SecretState
from palyra.vault.vault import Vault


async def secrets_answer(engine: Engine, query: SecretsAsked) -> SecretsTold:
    """Raises StateError where the engine keeps no vault of its own."""
    config, sources, now = engine.config, engine.sources, engine.clock.now_ms()
    if isinstance(query, AuthQuery):
        return auth_answer(config, sources, engine.credentials, str(engine.state_dir), now)
    if engine.secrets.opened is None:
        raise StateError("This engine keeps no vault of its own.")
    return await asyncio.to_thread(vault_answer, engine.secrets.opened, references(config, sources))


def vault_answer(vault: Vault, references: Iterable[str]) -> VaultAnswer:
    """`references` are what the configuration and the profiles name."""
    entries = tuple(
        VaultEntry(one.ref, vault.state_of(one.ref).value, one.created_at, one.updated_at) for one in vault.entries()
    )
    lacking = (SecretState.MISSING, SecretState.INVALID_REF)
    return VaultAnswer(
        state=vault.state.value,
        problem=vault.problem(),
        key_source=vault.key_source,
        key_id=vault.key_id,
        offered_key_id=vault.offered_key_id,
        path=str(vault.path),
        pending=vault.pending,
        entries=entries,
        missing=tuple(ref for ref in sorted(set(references)) if vault.state_of(ref) in lacking),
    )


def references(config: LoadedConfig, sources: CredentialSources) -> set[str]:
    """Every vault reference that something names."""
    found = {one.api_key_vault_ref for one in config.providers.values()}
    found |= {one.secret_ref for one in config.notifications.webhook} | {one.secret_ref for one in config.probes}
    return {ref for ref in found if ref} | {one.vault_ref for one in sources.profiles.profiles.values()}


def auth_answer(
    config: LoadedConfig, sources: CredentialSources, credentials: Credentials, state_dir: str, now_ms: int
) -> AuthAnswer:
    """Every profile that can be read, whether a provider uses it or not."""
    standings = {
        (provider, standing.id): standing
        for provider, row in config.providers.items()
        if row.auth_profiles
        for standing in credentials.standings(provider, now_ms)
    }
    rows = []
    for one in sources.profiles.profiles.values():
        used = standings.get((one.provider, one.id))
        rows.append(_row(one, used or sources.unused(one, now_ms), used is not None, now_ms))
    return AuthAnswer(
        profiles=tuple(rows),
        buckets={name: sum(row.bucket == name for row in rows) for name in expiry_counts(())},
        problems=tuple(map(str, sources.profiles.problems)),
        unusable=sources.profiles.unusable,
        path=f"{state_dir}/{PROFILES_FILE}",
    )


def _row(one: AuthProfile, standing: CredentialStanding, used: bool, now_ms: int) -> ProfileRow:
    return ProfileRow(
        profile_id=one.id,
        provider=one.provider,
        type=one.type.value,
        vault_ref=one.vault_ref,
        enabled=one.enabled,
        provider_uses=used,
        state=standing.state,
        health=standing.health.value,
        bucket=expiry_bucket(standing, now_ms).value,
        until=standing.until,
        expires_at=standing.expires_at,
        last_used=standing.last_used,
        last_error=standing.last_error,
        last_error_at=standing.last_error_at,
        detail=standing.detail,
    )
