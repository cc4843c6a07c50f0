"""Providers that fail as a script says: one mock server, told apart by the key each is asked with.

A script's replies are used in order; after the last one answers are good again.
"""

import json
from collections import deque

from tests.support.upstream import Reply, Seen, Upstream

FIRST_KEY, SECOND_KEY, SPARE_KEY = (
    f"sk-{name}-0123456789abcdefghijklmnopqrst" for name in ("first", "second", "spare")
)
FIRST, SECOND = "front/gpt-4o-mini", "backup/gpt-4o-mini"
"""Two models of the same price at two providers; no other of that price comes before the second by name."""

PROVIDERS = """
[providers.{name}]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key = "{key}"
pricing_provider = "openai"
probe = false
discover = false

[[models]]
provider = "{name}"
upstream = "gpt-4o-mini"
"""


def two_providers(base_url: str, first: str = "", second: str = "") -> str:
    """Both; each may have further keys of its model."""
    rows = (("front", FIRST_KEY, first), ("backup", SECOND_KEY, second))
    return "".join(PROVIDERS.format(name=name, base=base_url, key=key) + extra for name, key, extra in rows)


def says(text: str = "no", code: str = "x") -> bytes:
    return json.dumps({"error": {"message": text, "type": code, "code": code}}).encode()


def status(number: int, body: bytes | None = None, **headers: str) -> Reply:
    """An error answer; `retry_after="7"` becomes a header."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status=number, error_body=body if body is not None else says(), headers=named)


OVERLOADED = status(503)
DROPS = Reply(break_at=0)
"""Reads the request and breaks the connection."""
HALF = Reply(break_at=2)
"""A stream that breaks in its middle."""
MALFORMED = Reply(raw=b"<html>bad gateway</html>", frames=(b"data: <html>bad gateway</html>\n\n",))
ERROR_EVENT = Reply(frames=(b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n',))
"""A stream that begins well and tells of an error as its first event."""
GOOD = Reply()


class Faults:
    """Scripts by key; what was asked of each provider is counted."""

    def __init__(self, upstream: Upstream) -> None:
        self._scripts: dict[str, deque[Reply]] = {}
        self._always: dict[str, Reply] = {}
        self.asked: list[str] = []
        """The keys, in the order of requests."""
        upstream.choose = self._choose

    def script(self, key: str, *replies: Reply) -> None:
        self._scripts[key] = deque(replies)

    def always(self, key: str, reply: Reply) -> None:
        """What a provider answers whenever its script is over."""
        self._always[key] = reply

    def _choose(self, seen: Seen) -> Reply:
        key = seen.headers["authorization"].removeprefix("Bearer ")
        self.asked.append(key)
        script = self._scripts.get(key)
        return script.popleft() if script else self._always.get(key, GOOD)
