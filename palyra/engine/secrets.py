"""Where the engine's secrets come from: its vault and the auth profiles that name entries of it."""

from typing import TYPE_CHECKING

from palyra.core.events import Event
from palyra.providers.credential_sources import CredentialSources, credential_sources
from palyra.providers.credentials import Credentials
from palyra.providers.fingerprints import Fingerprints
from palyra.vault.secrets import SecretSource
from palyra.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palyra.engine.engine import Engine


class Keeping:
    """What is looked up by reference, and what providers are shown of it. `vault` is what was opened, or given."""

    def __init__(self, engine: "Engine", environ: "Mapping[str, str]", vault: SecretSource | None) -> None:
        self._engine = engine
        self._environ = environ
        settings = engine.config.vault
        self.vault: SecretSource = vault or Vault.open(
            engine.state_dir, settings.key_source.value, environ, settings.key_file
        )
        self.sources = self._read()

    @property
    def opened(self) -> Vault | None:
        """The vault of the state directory; None where secrets come from elsewhere."""
        return self.vault if isinstance(self.vault, Vault) else None

    def reload(self) -> None:
        """Reads the vault and the profiles again and shows providers what they say now. Notes of credentials go by
        their fingerprints, so that only one that is another starts afresh."""
        if self.opened is not None:
            self.opened.reload()
        self.apply()

    def apply(self) -> None:
        """As the vault in memory, the profiles and the configuration are now."""
        engine = self._engine
        self.sources = self._read()
        engine.credentials.configure(self.sources.pools(engine.config))
        now = engine.clock.now_ms()
        for provider_id in engine.config.providers:
            engine.leases.serve(provider_id)
            engine.events.publish(Event("provider.credential", now, provider_id))

    def problems(self) -> list[str]:
        """What keeps secrets from being used, in words."""
        told = self.opened.problem() if self.opened is not None else ""
        return [*([told] if told else []), *map(str, self.sources.profiles.problems)]

    def _read(self) -> CredentialSources:
        engine = self._engine
        return credential_sources(engine.state_dir, engine.config, self._environ, self.vault)


async def secrets_room(engine: "Engine", environ: "Mapping[str, str]", vault: SecretSource | None) -> Keeping:
    """The providers' credentials, with what an earlier engine learned of them."""
    room = Keeping(engine, environ, vault)
    engine.credentials = Credentials(engine.clock, engine.write, Fingerprints.open(engine.state_dir).of)
    engine.credentials.restore(await engine.journal.readers.credentials())
    engine.credentials.configure(room.sources.pools(engine.config))
    return room
