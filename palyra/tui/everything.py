"""Every object that the palette finds by name, with the screen that lists it."""

from palyra.control.protocol import Control
from palyra.control.snapshots import Topic
from palyra.core.errors import PalyraError
from palyra.tui.screens.approvals import ApprovalsScreen
from palyra.tui.screens.budgets import BudgetsScreen
from palyra.tui.screens.incidents import IncidentsScreen
from palyra.tui.screens.jobs import JobsScreen
from palyra.tui.screens.models import ModelsScreen
from palyra.tui.screens.runs import RunsScreen
from palyra.tui.subjects import Subject


async def everything(control: Control) -> list[tuple[str, Subject]]:
    """Pairs of a screen's name and an object; none while the engine cannot be asked."""
    try:
        snapshot = await control.snapshot(tuple(Topic))
    except PalyraError:
        return []
    return [
        *((ApprovalsScreen.NAME, item) for item in snapshot.approvals if item.status == "pending"),
        *((ApprovalsScreen.NAME, item) for item in snapshot.grants),
        *((IncidentsScreen.NAME, item) for item in snapshot.incidents),
        *((BudgetsScreen.NAME, item) for item in snapshot.budgets),
        *((ModelsScreen.NAME, item) for item in snapshot.providers),
        *((ModelsScreen.NAME, item) for item in snapshot.models),
        *((JobsScreen.NAME, item) for item in snapshot.jobs),
        *((JobsScreen.NAME, item) for item in snapshot.tasks),
        *((RunsScreen.NAME, item) for item in snapshot.runs),
    ]
