"""The self-healing loop of an engine: incidents as they were, and the parts of the house it works with."""

from typing import TYPE_CHECKING

from palyra.healing.healing import Healing, HealingMeans
from palyra.healing.heartbeats import WorkHeartbeat
from palyra.runs.durable import Durable

if TYPE_CHECKING:
    from palyra.engine.engine import Engine


async def self_healing(engine: "Engine", durable: Durable) -> Healing:
    """Nothing is watched so far. Runs are recovered before, since the incidents of those that ended so end too."""
    means = HealingMeans(
        clock=engine.clock,
        new_id=engine.ids.new,
        boot_id=engine.boot_id,
        lag=engine.lag,
        write=durable.write,
        write_and_wait=durable.wait,
        ask=lambda escalation: "",
        relate=_related,
    )
    healing = Healing(means, engine.config.healing)
    await healing.restore(engine.journal.readers)
    return healing


def _related(heartbeat: WorkHeartbeat) -> dict[str, str]:
    """What an incident about a piece of work leads to."""
    return {heartbeat.kind.value: heartbeat.object_id}
