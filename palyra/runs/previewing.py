"""How a request would be planned, without sending it."""

from palyra.config.model import LoadedConfig
from palyra.core.clock import Clock
from palyra.core.ids import IdSource
from palyra.governance.approvals import ApprovalDesk
from palyra.governance.ledger import Ledger
from palyra.pricing.book import PriceBook
from palyra.providers.registry import Registry
from palyra.providers.translate.table import Crossings
from palyra.providers.ways import Obstacle
from palyra.runs.attempts import worked_out
from palyra.runs.experience import Experience
from palyra.runs.planning import Planner, Preview, complexity_of
from palyra.runs.request import RunRequest
from palyra.runs.settings import run_settings


async def preview(planner: Planner, request: RunRequest, at: int, *, failover: bool) -> Preview:
    """The plan that would be made at an instant that has not passed; holds and keeps nothing. `failover`: where the
    model that is asked for cannot be reached another one may answer.

    Raises ModelNotFoundError.
    """
    demanding = await worked_out(request, lambda: complexity_of(request.parsed))
    return planner.preview(request, demanding, Crossings(request.parsed), at, failover=failover)


class _NobodyAsked:
    """Where no engine runs, nobody knows what keeps a provider from being asked."""

    def obstacle(self, provider: str) -> Obstacle | None:
        return None

    def healthy(self, provider: str) -> bool:
        return True


def planner_at_rest(
    config: LoadedConfig,
    registry: Registry,
    book: PriceBook,
    ledger: Ledger,
    desk: ApprovalDesk,
    experience: Experience,
    clock: Clock,
) -> Planner:
    """A planner for previews where no engine runs: as an engine's, but that every provider is taken to be well."""
    return Planner(
        registry=registry,
        book=book,
        ledger=ledger,
        desk=desk,
        learner=experience.learner,
        earlier=experience.earlier,
        ids=IdSource(clock),
        boot_id="",
        settings=run_settings(config),
        routing=config.smart_routing,
        reach=_NobodyAsked(),
    )
