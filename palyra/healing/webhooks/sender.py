"""One try of one delivery over HTTP: to an address that may be reached, without redirects, within five seconds."""

import logging
import ssl
from urllib.parse import SplitResult, urlsplit

import httpx

from palyra.config.urls import reach_of, refusal
from palyra.core.clock import Clock
from palyra.core.pinned_http import PinnedHttp, port_of, told
from palyra.core.redact import Secret
from palyra.core.resolving import Address, Resolve, system_addresses
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


class Sender:
    """Sends letters, each over a connection of its own."""

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
        self._http = PinnedHttp(trust)

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
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Outcome(error=told(error))

    async def close(self) -> None:
        """Drops what is under way."""
        await self._http.close()

    async def _try(self, webhook: Webhook, sent: Letter) -> Outcome:
        parts = urlsplit(webhook.url + sent.path)
        host = parts.hostname or ""
        refused: Outcome | None = None
        failed: Outcome | None = None
        for address in await self._addresses(host, port_of(parts)):
            why = refusal(parts.scheme, reach_of(address), allow_private=webhook.allow_private)
            if why:
                refused = Outcome(error=f"{host} resolves to {address}; {why}", final=True)
                continue
            try:
                return await self._post(parts, address, sent)
            except httpx.ConnectError as error:
                failed = Outcome(error=told(error))
        return failed or refused or Outcome(error=f"{host} has no address")

    async def _post(self, parts: SplitResult, address: Address, sent: Letter) -> Outcome:
        response = await self._http.ask("POST", parts, address, headers=sent.headers, body=sent.body)
        try:
            words = "" if response.is_success else await _beginning(response)
            wait_ms = retry_after_ms(response.headers, self._clock.now_ms())
            return answered(response.status_code, words, None if wait_ms is None else wait_ms / 1000)
        finally:
            await response.aclose()


async def _beginning(response: httpx.Response) -> str:
    """The first words of an answer, as they may be shown."""
    read = b""
    async for piece in response.aiter_raw():
        read += piece
        if len(read) >= MOST_READ:
            break
    return told(read[:MOST_READ].decode("utf-8", "replace").strip())
