"""Numbers and texts that no row and no calendar has: a question or a command with one is refused in words, with an
engine and without one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from palyra.control.codec import ANSWERS
from palyra.control.commands import IssueToken
from palyra.control.offline import offline_control
from palyra.control.protocol import Control
from palyra.control.queries import RunQuery
from palyra.control.replays import ReplayQuery
from palyra.control.serving_queries import ConnectionQuery
from palyra.control.task_commands import AddTask, EditTask
from palyra.control.task_queries import TaskQuery
from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError, PalyraError
from palyra.core.instants import LATEST_MS
from tests.config.loading import sound
from tests.control.test_local import a_house, control_of

BEYOND = (LATEST_MS + 1, 2**63, 2**70, -(2**70))
ASKING_OTHERS = {ConnectionQuery, ReplayQuery, TaskQuery}
"""They ask providers, start a process, or wait for a task."""
QUERIES = sorted(set(ANSWERS) - ASKING_OTHERS, key=lambda kind: kind.__name__)


def questions() -> Iterator[Any]:
    """Each kind of question with each of its numbers beyond what there is; texts that have to be there are `x`."""
    for kind in QUERIES:
        hints = get_type_hints(kind)
        needed = [one for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
        plain = kind(**{one.name: 0 if hints[one.name] is int else "x" for one in needed})
        for one in fields(kind):
            if int in (get_args(hints[one.name]) or (hints[one.name],)):
                yield from (replace(plain, **{one.name: beyond}) for beyond in (LATEST_MS, *BEYOND))


async def ask_all(control: Control) -> int:
    asked = 0
    for question in questions():
        asked += 1
        with suppress(PalyraError):
            await control.answer(question)
    return asked


async def test_questions_are_answered_or_refused_in_words(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        asked = await ask_all(control_of(house))
    async with offline_control(sound(""), tmp_path / "state", None, ManualClock()) as control:
        assert await ask_all(control) == asked
    assert asked > 100


async def test_a_text_that_no_encoding_knows_is_refused_in_words(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        with pytest.raises(BadInputError, match="no UTF-8"):
            await control_of(house).ask(RunQuery("\udcff"))
        refused = await control_of(house).send(IssueToken("\udcff"))
        assert (refused.status, "no UTF-8" in refused.message) == ("invalid", True)


async def test_a_task_moved_beyond_every_calendar_stays_where_it_was(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = control_of(house)
        task_id = (await control.send(AddTask(text="x", not_before=house.engine.clock.now_ms() + 60_000))).data[
            "task_id"
        ]
        before = await control.ask(TaskQuery(task_id))
        for beyond in BEYOND:
            for command in (EditTask(task_id, not_before=beyond), EditTask(task_id, expires_at=beyond)):
                assert (await control.send(command)).status == "invalid"
        assert await control.ask(TaskQuery(task_id)) == before
