"""What operators can do about providers: give a credential another chance, and ask for the list of models now."""

from palyra.control.commands import ClearCredential, DiscoverModels
from palyra.control.snapshots import CommandResult
from palyra.core.errors import BadInputError, NotFoundError
from palyra.core.events import Event
from palyra.core.plural import plural
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AuditAdded
from palyra.providers.entries import ProviderEntry


def clear_credential(engine: Engine, command: ClearCredential, by: Decider) -> CommandResult:
    """Ends what keeps a credential from being used. Raises NotFoundError."""
    provider, credential = _provider(engine, command.provider_id), command.credential_id
    now = engine.clock.now_ms()
    before = {one.id: one.state for one in engine.credentials.standings(provider.id, now)}
    if not engine.credentials.clear(provider.id, credential):
        known = ", ".join(before) or "none"
        raise NotFoundError(f"{provider.id} has no credential {credential!r}.", fix=f"It has: {known}.")
    noted = {"verb": "credential_cleared", "was": before[credential]}
    engine.write([AuditAdded(now, "access", f"{provider.id}/{credential}", by.name, noted)])
    engine.leases.serve(provider.id)
    engine.events.publish(Event("provider.credential", now, provider.id))
    (state,) = [one.state for one in engine.credentials.standings(provider.id, now) if one.id == credential]
    return CommandResult("accepted", f"Credential {credential} of {provider.id} is {state}.", data={"state": state})


async def discover_models(engine: Engine, command: DiscoverModels) -> CommandResult:
    """Asks a provider for its models. Raises NotFoundError, BadInputError where there is nobody to ask."""
    provider = _provider(engine, command.provider_id)
    if not provider.on_network or not provider.enabled:
        why = "is switched off" if provider.on_network else "is built in"
        raise BadInputError(f"{provider.id} {why}: it is not asked for models.", fix="Name another provider.")
    error = await engine.care.upkeep.ask(provider)
    listing = engine.care.discovery.of(provider.id)
    data = {"models": str(len(listing.models)), "stale": str(listing.stale).lower()}
    if error is not None:
        kept = f" The {plural(len(listing.models), 'model')} it listed before stay known." if listing.models else ""
        return CommandResult("conflict", f"{error.message}{kept}", error.fix, data | {"class": error.error_class.value})
    return CommandResult("accepted", f"{provider.id} lists {plural(len(listing.models), 'model')}.", data=data)


def _provider(engine: Engine, provider_id: str) -> ProviderEntry:
    provider = engine.registry.providers.get(provider_id)
    if provider is None:
        known = ", ".join(engine.registry.providers)
        raise NotFoundError(f"There is no provider {provider_id!r}.", fix=f"There are: {known}.")
    return provider
