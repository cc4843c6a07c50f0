"""Operators' tools beside a house: HTTP clients with a token each, and a house that has something of everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from palyra.vault.records import Role
from tests.end_to_end.asking import ask
from tests.end_to_end.premises import Premises

OWNER = "keeper"
NOBODY = "01J00000000000000000000000"
ROOT = "/console/v1/"
WHY = "the release waits for it"
ROLES = {"viewer": Role.VIEWER, "approver": Role.APPROVER, "admin": Role.ADMIN}


class Tool:
    """One client with one credential on a house's gateway."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self.token = token

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """`body` bytes go as they are, anything else as JSON; `path` is below the console's root."""
        fields = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        if isinstance(body, bytes):
            fields["Content-Type"] = "application/json"
        return await self._client.request(method, ROOT + path, headers=fields | (headers or {}), **content)

    async def data(self, path: str) -> dict[str, Any]:
        """What a look tells."""
        answer = await self("GET", path)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


def issue(here: Premises, name: str, role: Role) -> str:
    return here.engine.access.issue_token(name, owner=OWNER, role=role)


def write_on(here: Premises) -> None:
    here.engine.access.set_flag("console_write", True)


@asynccontextmanager
async def tools(here: Premises, **tokens: str) -> AsyncIterator[dict[str, Tool]]:
    """A tool for each name; an operator of each role where nothing else is said."""
    if not tokens:
        write_on(here)
        tokens = {name: issue(here, name, role) for name, role in ROLES.items()}
    # One connection each would be kept for nothing: a thousand requests one after the other fit on one.
    async with httpx.AsyncClient(base_url=here.url, trust_env=False, timeout=30) as client:
        yield {name: Tool(client, token) for name, token in tokens.items()}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


async def pending_approval(here: Premises) -> str:
    """A budget that lets nothing through without a person, and a request it refused."""
    await here.add_budget("desk", "0", action="approval_required")
    await ask(here, park="0")
    return (await here.pending()).approval_id
