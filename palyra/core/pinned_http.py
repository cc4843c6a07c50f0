"""HTTP to an address that was judged, in the name of its host: nobody resolves it a second time.

Each request goes over a connection of its own: they are rare, and none must ride on another's. Redirects are not
followed, and no proxy is used. How long a request may take is for whoever makes it to say.
"""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult

import httpx

from palyra.core.redact import redact_error
from palyra.core.resolving import Address
from palyra.core.safe_text import safe

MOST_TOLD = 200


def port_of(parts: SplitResult) -> int:
    """The port an http or https address names, or the usual one of its scheme."""
    return parts.port or (443 if parts.scheme == "https" else 80)


class PinnedHttp:
    """Asks. Certificates are looked up in a thread at the first request, not before."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        """`trust` is whose certificates are believed; None: whom the machine believes."""
        self._trust = trust
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self, method: str, parts: SplitResult, address: Address, *, headers: Mapping[str, str], body: bytes = b""
    ) -> httpx.Response:
        """The answer's head; its body is not read, and whoever asked closes it. Raises httpx.HTTPError, OSError."""
        at = f"[{address}]" if address.version == 6 else str(address)
        client = self._client or await self._open()
        request = client.build_request(
            method,
            f"{parts.scheme}://{at}:{port_of(parts)}{parts.path or '/'}",
            content=body,
            headers={**headers, "Host": parts.netloc},
            extensions={"sni_hostname": parts.hostname or ""} if parts.scheme == "https" else {},
        )
        return await client.send(request, stream=True)

    async def close(self) -> None:
        """Drops what is under way."""
        if self._client is not None:
            await self._client.aclose()

    async def _open(self) -> httpx.AsyncClient:
        trust = await asyncio.to_thread(ssl.create_default_context) if self._trust is None else self._trust
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=trust,
                trust_env=False,
                follow_redirects=False,
                timeout=None,  # noqa: S113 whoever asks has a time-out around it
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._client


def told(error: object) -> str:
    """What went wrong in words that may be shown, at most MOST_TOLD characters; never empty."""
    text = str(safe(redact_error(error))) or type(error).__name__
    return text if len(text) <= MOST_TOLD else f"{text[: MOST_TOLD - 1]}…"
