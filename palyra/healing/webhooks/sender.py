"""One try of one delivery over HTTP: to an address that may be reached, without redirects, within five seconds."""

import asyncio
import logging
import ssl
from urllib.parse import SplitResult, urlsplit

import httpx

from palyra.config.urls import reach_of, refusal
from palyra.core.clock import Clock
from palyra.core.redact import Secret, redact_error
from palyra.core.resolving import Address, Resolve, system_addresses
from palyra.core.safe_text import safe
from palyra.healing.webhooks.body import Letter, letter
from palyra.healing.webhooks.rules import Outcome, answered
from palyra.healing.webhooks.target import Webhook
from palyra.journal.delivery_rows import DeliveryRow
from palyra.providers.errors import retry_after_ms
from palyra.vault.secrets import SecretSource

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
MOST_READ = 512
"""Bytes of an answer that are looked at: they may say what was wrong."""
MOST_TOLD = 200


class Sender:
    """Sends letters. Each goes over a connection of its own: they are rare, and none must ride on another's."""

    def __init__(
        self,
        vault: SecretSource,
        clock: Clock,
        *,
        addresses: Resolve = system_addresses,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`trust` is whose certificates are believed; None: whom the machine believes."""
        self._vault = vault
        self._clock = clock
        self._addresses = addresses
        self._trust = trust
        self._client: httpx.AsyncClient | None = None

    async def send(self, webhook: Webhook, row: DeliveryRow) -> Outcome:
        """Never raises but CancelledError."""
        secret: Secret | None = None
        if webhook.secret_ref is not None:
            found = self._vault.resolve(webhook.secret_ref)
            if found.secret is None:
                return Outcome(error=f"the vault has no {webhook.secret_ref}: {found.state.value}")
            secret = found.secret
        sent = letter(webhook, row, secret, self._clock.now_ms())
        try:
            async with self._clock.timeout(TIMEOUT_S):
                return await self._try(webhook, sent)
        except TimeoutError:
            return Outcome(error=f"did not answer within {TIMEOUT_S:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Outcome(error=_told(error))

    async def close(self) -> None:
        """Closes the connections it keeps."""
        if self._client is not None:
            await self._client.aclose()

    async def _try(self, webhook: Webhook, sent: Letter) -> Outcome:
        parts = urlsplit(webhook.url + sent.path)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        client = self._client or await self._open()
        refused: Outcome | None = None
        failed: Outcome | None = None
        for address in await self._addresses(host, port):
            why = refusal(parts.scheme, reach_of(address), allow_private=webhook.allow_private)
            if why:
                refused = Outcome(error=f"{host} resolves to {address}; {why}", final=True)
                continue
            try:
                return await self._post(client, parts, address, port, sent)
            except httpx.ConnectError as error:
                failed = Outcome(error=_told(error))
        return failed or refused or Outcome(error=f"{host} has no address")

    async def _post(
        self, client: httpx.AsyncClient, parts: SplitResult, address: Address, port: int, sent: Letter
    ) -> Outcome:
        """To the address that was judged, in the name of the host: nobody resolves it a second time."""
        at = f"[{address}]" if address.version == 6 else str(address)
        host = parts.hostname or ""
        request = client.build_request(
            "POST",
            f"{parts.scheme}://{at}:{port}{parts.path or '/'}",
            content=sent.body,
            headers={**sent.headers, "Host": parts.netloc},
            extensions={"sni_hostname": host} if parts.scheme == "https" else {},
        )
        response = await client.send(request, stream=True)
        try:
            words = "" if response.is_success else await _beginning(response)
            wait_ms = retry_after_ms(response.headers, self._clock.now_ms())
            return answered(response.status_code, words, None if wait_ms is None else wait_ms / 1000)
        finally:
            await response.aclose()

    async def _open(self) -> httpx.AsyncClient:
        trust = await asyncio.to_thread(ssl.create_default_context) if self._trust is None else self._trust
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=trust,
                trust_env=False,
                follow_redirects=False,
                timeout=None,  # noqa: S113 the clock's time-out is around every try
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._client


async def _beginning(response: httpx.Response) -> str:
    """The first words of an answer, as they may be shown."""
    read = b""
    async for piece in response.aiter_raw():
        read += piece
        if len(read) >= MOST_READ:
            break
    return _told(read[:MOST_READ].decode("utf-8", "replace").strip())


def _told(error: object) -> str:
    text = str(safe(redact_error(error))) or type(error).__name__
    return text if len(text) <= MOST_TOLD else f"{text[: MOST_TOLD - 1]}…"
