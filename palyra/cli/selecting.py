"""Acting on several things at once: which ones, and whether that is meant."""

from collections.abc import Sequence

import typer

from palyra.cli.output import complain
from palyra.control.protocol import Control
from palyra.control.task_queries import TasksQuery
from palyra.core.errors import BadInputError, NotFoundError

PAGE = 500
MOST = 10_000


async def selected_ids(control: Control, ids: Sequence[str] | None, state: str) -> tuple[str, ...]:
    """The tasks named, or all in a state. Raises BadInputError, NotFoundError where there is none."""
    if bool(ids) is bool(state):
        raise BadInputError("Name tasks by their ids, or all of a state.", fix="Give TASK… or --state S.")
    if ids:
        return tuple(ids)
    found: list[str] = []
    cursor = ""
    while len(found) < MOST:
        page = await control.ask(TasksQuery(state=state, limit=PAGE, cursor=cursor))
        found += [task.task_id for task in page.tasks]
        cursor = page.next_cursor
        if not cursor:
            break
    if not found:
        raise NotFoundError(f"No task is {state}.")
    return tuple(found[:MOST])


def sure(question: str, *, yes: bool, count: int) -> bool:
    """Asks on standard error, unless somebody said yes already or there is nothing to ask about. No answer is a no."""
    if yes or not count:
        return True
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        complain("Nothing was done: nobody answered. Give --yes to skip the question.")
        return False
