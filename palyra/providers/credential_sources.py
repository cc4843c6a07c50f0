"""Where each provider's credentials come from: auth profiles, a vault reference, a variable, or the configuration."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from palyra.config.choices import ModelProviderKind
from palyra.config.model import LoadedConfig
from palyra.config.providers import DEFAULT_BASE_URLS, ProviderConfig
from palyra.core.errors import StateError
from palyra.core.private_files import read_private
from palyra.core.redact import Secret
from palyra.core.values import value
from palyra.core.vault_refs import split_ref
from palyra.providers.auth_profiles import (
    MAX_FILE,
    NONE,
    PROFILES_FILE,
    AuthProfile,
    AuthProfiles,
    read_profiles,
    unreadable_profiles,
)
from palyra.providers.credentials import CredentialHealth, CredentialStanding, Offer, Pool
from palyra.vault.secrets import Resolution, SecretSource, SecretState


@value
class CredentialSources:
    """Where credentials are looked up: variables, the vault, and the profiles that name entries of it."""

    environ: Mapping[str, str]
    vault: SecretSource | None = None
    profiles: AuthProfiles = NONE

    def pools(self, config: LoadedConfig) -> dict[str, Pool]:
        """The credentials of every configured provider."""
        return {provider_id: self.pool(provider_id, row) for provider_id, row in config.providers.items()}

    def pool(self, provider_id: str, config: ProviderConfig) -> Pool:
        """A provider's credentials; one that is not in the file but in a variable is a pool of one, as any other."""
        if config.kind is ModelProviderKind.DETERMINISTIC:
            return Pool(required=False)
        if config.auth_profiles:
            if self.profiles.unusable:
                return Pool(detail=self.profiles.unusable)
            return Pool(tuple(self._profile(provider_id, name) for name in config.auth_profiles))
        if config.api_key_vault_ref is not None:
            ref = config.api_key_vault_ref
            return Pool((self._resolved(f"vault:{ref}", ref),))
        if config.api_key_env is not None:
            name = config.api_key_env
            return Pool((_given(f"env:{name}", self.environ.get(name, ""), f"the environment variable {name}"),))
        if config.api_key is not None:
            return Pool((_given("api_key", config.api_key.reveal(), "api_key"),))
        vendor = urlsplit(DEFAULT_BASE_URLS[config.kind]).hostname
        if config.base_url is None or urlsplit(config.base_url).hostname == vendor:
            return Pool(detail="no credential is set; name the variable that holds the key with api_key_env")
        return Pool(required=False)

    def unused(self, profile: AuthProfile, now_ms: int) -> CredentialStanding:
        """How a profile stands that no provider lists. `now_ms` is UTC unix ms."""
        offer = self._profile(profile.provider, profile.id)
        health = offer.health(now_ms)
        state = "eligible" if health.usable else health.value
        return CredentialStanding(profile.id, state, health, expires_at=profile.expires_at, detail=offer.detail)

    def _profile(self, provider_id: str, name: str) -> Offer:
        profile = self.profiles.profiles.get(name)
        if profile is None:
            return Offer(name, None, CredentialHealth.MISSING, f'there is no usable auth profile "{name}"')
        if profile.provider != provider_id:
            told = f'auth profile "{name}" is for the provider "{profile.provider}"'
            return Offer(name, None, CredentialHealth.MISSING, told)
        if not profile.enabled:
            return Offer(name, None, CredentialHealth.DISABLED, f'auth profile "{name}" is switched off')
        offer = self._resolved(name, profile.vault_ref)
        return Offer(name, offer.secret, offer.flaw, offer.detail, profile.expires_at)

    def _resolved(self, identity: str, ref: str) -> Offer:
        resolution = Resolution(SecretState.INVALID_REF)
        if split_ref(ref) is not None:
            none = Resolution(SecretState.MISSING)
            resolution = none if self.vault is None else self.vault.resolve(ref)
        if resolution.secret is not None:
            return _given(identity, resolution.secret.reveal(), f"the vault's entry for {identity}")
        flaw = CredentialHealth.UNREADABLE if resolution.state.unreadable else CredentialHealth.MISSING
        return Offer(identity, None, flaw, _TOLD[resolution.state].format(identity=identity))


def credential_sources(
    state_dir: Path, config: LoadedConfig, environ: Mapping[str, str], vault: SecretSource
) -> CredentialSources:
    """The sources of an installation, with the profiles of its state directory. Never raises: a file that cannot be
    read gives no profile and says so."""
    try:
        data = read_private(state_dir / PROFILES_FILE, MAX_FILE)
    except StateError as error:
        return CredentialSources(environ, vault, unreadable_profiles(f"cannot be read: {error}"))
    profiles = NONE if data is None else read_profiles(data, config.providers.keys())
    return CredentialSources(environ, vault, profiles)


_TOLD: Mapping[SecretState, str] = {
    SecretState.RESOLVED: "the vault's entry for {identity} is empty",
    SecretState.INVALID_REF: "the vault reference of {identity} is not written as one",
    SecretState.MISSING: "the vault has no entry for {identity}",
    SecretState.LOCKED: "the vault is locked, so {identity} cannot be read",
    SecretState.WRONG_KEY: "the vault was closed with another key, so {identity} cannot be read",
    SecretState.TAMPERED: "the vault's entry for {identity} was changed outside Palyra",
}


def _given(identity: str, key: str, where: str) -> Offer:
    key = key.strip()
    if not key:
        return Offer(identity, None, CredentialHealth.MISSING, f"{where} is empty or not set")
    if not key.isascii() or not key.isprintable():
        return Offer(identity, None, CredentialHealth.MISSING, f"{where} holds characters that no key has")
    return Offer(identity, Secret(key))
