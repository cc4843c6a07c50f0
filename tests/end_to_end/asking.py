"""Requests that may have to wait for a person, and grants they come to, in few words."""

import asyncio
from typing import Any

from palyra.control.snapshots import Topic
from tests.end_to_end.premises import Premises, chat
from tests.gateway.stand_in import RawAnswer

ASKED = chat(max_tokens=100)


def asking(here: Premises, body: dict[str, Any] = ASKED, **headers: str) -> asyncio.Task[RawAnswer]:
    """A request on its way; `session="s"` becomes X-Palyra-Session."""
    named = {f"X-Palyra-{name.title()}": value for name, value in headers.items()}
    return asyncio.create_task(here.ask(body, named))


async def ask(here: Premises, body: dict[str, Any] = ASKED, **headers: str) -> RawAnswer:
    return await asking(here, body, **headers)


async def closed(here: Premises, **fields: str) -> None:
    """A budget that lets nothing through without a person."""
    await here.add_budget("desk", "0", action="approval_required", **fields)


async def granted(here: Premises, **ruling: Any) -> str:
    """Refuses once, allows, and gives the grant's id."""
    await ask(here, park="0")
    approval = await here.pending()
    return (await here.allow(approval.approval_id, **ruling)).data["grant_ids"]


async def state_of(here: Premises, grant_id: str) -> str:
    grants = (await here.control.snapshot([Topic.APPROVALS])).grants
    return next(grant.state for grant in grants if grant.grant_id == grant_id)
