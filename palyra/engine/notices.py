"""Who tells people what needs them, and who listens to work elsewhere, built of an engine's own parts."""

from typing import TYPE_CHECKING

from palyra.healing.healing import Healing
from palyra.healing.notices.room import Notices
from palyra.healing.webhooks.sender import Sender
from palyra.healing.webhooks.target import webhooks
from palyra.runs.durable import Durable
from palyra.vault.secrets import SecretSource

if TYPE_CHECKING:
    from palyra.engine.engine import Engine


async def notices(engine: "Engine", durable: Durable, healing: Healing, vault: SecretSource) -> Notices:
    """With what an earlier engine had not told; incidents and approvals are restored before."""
    room = Notices(
        healing,
        engine.desk,
        webhooks(engine.config.notifications.webhook),
        Sender(vault, engine.clock),
        durable,
        engine.events,
        engine.ids,
        engine.clock,
    )
    await room.restore(engine.journal.readers, engine.desk.pending())
    return room
