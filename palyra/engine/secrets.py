"""Where the engine's secrets come from: its vault and the auth profiles that name entries of it.

Disks, locks and key rings are waited for on threads; the loop is given what they said.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from palyra.core.events import Event
from palyra.providers.credential_sources import CredentialSources, credential_sources
from palyra.providers.credentials import Credentials, Pool
from palyra.providers.fingerprints import Fingerprints
from palyra.vault.secrets import SecretSource
from palyra.vault.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palyra.engine.engine import Engine

T = TypeVar("T")


class Keeping:
    """What is looked up by reference, and what providers are shown of it. `vault` is what was opened, or given."""

    def __init__(self, engine: "Engine", environ: "Mapping[str, str]", vault: SecretSource) -> None:
        self._engine = engine
        self._environ = environ
        self._one_at_a_time = asyncio.Lock()
        self.vault = vault
        self.sources = CredentialSources(environ, vault)

    @property
    def opened(self) -> Vault | None:
        """The vault of the state directory; None where secrets come from elsewhere."""
        return self.vault if isinstance(self.vault, Vault) else None

    async def change(self, act: Callable[[], T]) -> T:
        """Carries out a change of the vault or the profiles, one at a time, and shows providers what they say then.
        Raises what `act` does."""
        async with self._one_at_a_time:
            done = await asyncio.to_thread(act)
            await self._show()
            return done

    async def reload(self) -> None:
        """Reads the vault and the profiles again and shows providers what they say now. Notes of credentials go by
        their fingerprints, so that only one that is another starts afresh."""
        opened = self.opened
        await self.change(opened.reload if opened is not None else lambda: None)

    async def read(self) -> None:
        """Looks up what the configuration names, and lets providers have it."""
        engine, config = self._engine, self._engine.config

        def look_up() -> "tuple[CredentialSources, dict[str, Pool]]":
            sources = credential_sources(engine.state_dir, config, self._environ, self.vault)
            return sources, sources.pools(config)

        self.sources, pools = await asyncio.to_thread(look_up)
        engine.credentials.configure(pools)

    async def _show(self) -> None:
        await self.read()
        engine = self._engine
        now = engine.clock.now_ms()
        for provider_id in engine.config.providers:
            engine.leases.serve(provider_id)
            engine.events.publish(Event("provider.credential", now, provider_id))

    def problems(self) -> list[str]:
        """What keeps secrets from being used, in words."""
        told = self.opened.problem() if self.opened is not None else ""
        return [*([told] if told else []), *map(str, self.sources.profiles.problems)]


async def secrets_room(engine: "Engine", environ: "Mapping[str, str]", vault: SecretSource | None) -> Keeping:
    """The providers' credentials, with what an earlier engine learned of them."""
    settings, state_dir = engine.config.vault, engine.state_dir
    if vault is None:
        vault = await asyncio.to_thread(Vault.open, state_dir, settings.key_source.value, environ, settings.key_file)
    fingerprints = await asyncio.to_thread(Fingerprints.open, state_dir)
    room = Keeping(engine, environ, vault)
    engine.credentials = Credentials(engine.clock, engine.write, fingerprints.of)
    engine.credentials.restore(await engine.journal.readers.credentials())
    await room.read()
    return room
