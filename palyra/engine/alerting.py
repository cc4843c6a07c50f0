"""What alerts are judged by: the engine's own parts as the watch sees them."""

from typing import TYPE_CHECKING

from palyra.config.choices import ProviderModelRole
from palyra.engine.settings import alert_settings
from palyra.governance.alert_book import AlertBook
from palyra.governance.alert_record import AlertRecord
from palyra.governance.alerts import ProviderState
from palyra.pricing.drift import estimate_drift
from palyra.runs.durable import Durable
from palyra.runs.watch import AlertWatch, Surroundings

if TYPE_CHECKING:
    from palyra.engine.engine import Engine


async def alert_watch(engine: "Engine", durable: Durable) -> AlertWatch:
    """Alerts as they were, and what is to be judged from now on."""
    registry, readers = engine.registry, engine.journal.readers
    settings = alert_settings(engine.config)
    ended = await readers.resolved_alerts(engine.clock.now_ms() - settings.cooldown_ms, limit=500)
    records = [AlertRecord.from_row(row) for row in [*reversed(ended), *await readers.live_alerts()]]
    around = Surroundings(
        providers=lambda: tuple(
            ProviderState(
                one.id,
                engine.breakers.of(one.id).state.value,
                engine.care.state(one.id).value,
                engine.credentials.ending_of(one.id, engine.clock.now_ms()),
            )
            for one in registry.providers.values()
            if one.enabled and not engine.credentials.missing(one.id, engine.clock.now_ms())
        ),
        chat_models=lambda: frozenset(entry.id for entry in registry.routed if entry.role is ProviderModelRole.CHAT),
        default_model=lambda: "" if registry.default_chat is None else registry.default_chat.id,
        priced=lambda provider, model, at: (
            (entry := registry.known(model)) is None or engine.book.card(provider, entry.upstream, at) is not None
        ),
        drift=lambda provider, model: (
            estimate_drift(provider, model, ())
            if registry.known(model) is None
            else engine.experience.drift(provider, model)
        ),
    )
    book = AlertBook(engine.ids.new, settings.cooldown_ms, records)
    return AlertWatch(book, settings, engine.ledger, readers, durable, engine.events, engine.clock, around)
