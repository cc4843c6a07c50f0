"""The audit chain is verified while the engine goes on writing it."""

import json

from palyra.control.queries import AuditQuery
from palyra.journal.audit import HEAD_FILE
from tests.end_to_end.premises import Premises, chat


async def test_a_chain_that_grows_is_whole_up_to_its_head(here: Premises) -> None:
    """The clock stands still, so that no head is written by itself."""
    rows = 0
    for _ in range(2):
        await here.ask(chat(max_tokens=10))
        told = await here.control.ask(AuditQuery())
        assert (told.ok, told.head, told.message) == (True, "ok", "the chain is whole up to its head")
        assert told.rows > rows
        rows = told.rows
        assert json.loads((here.state_dir / HEAD_FILE).read_text())["seq"] == rows
