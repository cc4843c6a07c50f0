"""One check of a service outside: an HTTP status, a TCP connection or a Unix socket, within the probe's own limit."""

import asyncio
import contextlib
import ssl
from urllib.parse import urlsplit

import httpx

from palyra.config.operations import ProbeConfig, ProbeKind
from palyra.config.urls import Reach, reach_of, split_host_port
from palyra.core.clock import Clock
from palyra.core.redact import Secret, redact_error
from palyra.core.resolving import Address, Resolve, system_addresses
from palyra.core.safe_text import safe
from palyra.diagnostics.failure import BAD_STATUS, REFUSED_ADDRESS, TIMED_OUT, UNREACHABLE
from palyra.diagnostics.probe_state import Checked
from palyra.vault.secrets import SecretSource

MOST_TOLD = 200


class CheckFailedError(Exception):
    """A check that came to `code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ProbeChecks:
    """Makes checks. Nothing of an answer is read but its status; redirects are not followed."""

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

    async def check(self, probe: ProbeConfig) -> Checked:
        """Never raises but CancelledError."""
        began = self._clock.monotonic()
        code, error = "", ""
        try:
            async with self._clock.timeout(probe.timeout / 1000):
                await self._look(probe)
        except TimeoutError:
            code, error = TIMED_OUT, f"did not answer within {probe.timeout} ms"
        except CheckFailedError as failed:
            code, error = failed.code, str(failed)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as failed:
            code, error = UNREACHABLE, _told(failed)
        return Checked(round((self._clock.monotonic() - began) * 1000), code, error)

    async def close(self) -> None:
        """Closes the connections it keeps."""
        if self._client is not None:
            await self._client.aclose()

    async def _look(self, probe: ProbeConfig) -> None:
        match probe.kind:
            case ProbeKind.HTTP:
                await self._ask(probe)
            case ProbeKind.TCP:
                await self._connect(*split_host_port(probe.target))
            case ProbeKind.UNIX:
                _, writer = await asyncio.open_unix_connection(probe.target)
                await _leave(writer)

    async def _connect(self, host: str, port: int) -> None:
        failed: Exception = CheckFailedError(UNREACHABLE, f"{host} has no address")
        for address in await self._addresses(host, port):
            try:
                _, writer = await asyncio.open_connection(str(address), port)
            except OSError as error:
                failed = error
                continue
            await _leave(writer)
            return
        raise failed

    async def _ask(self, probe: ProbeConfig) -> None:
        secret = self._secret(probe)
        parts = urlsplit(probe.target)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        failed: Exception = CheckFailedError(UNREACHABLE, f"{host} has no address")
        for address in await self._addresses(host, port):
            if secret is not None and parts.scheme != "https" and reach_of(address) is not Reach.LOOPBACK:
                told = f"{host} resolves to {address}; a secret goes by http to loopback alone"
                failed = CheckFailedError(REFUSED_ADDRESS, told)
                continue
            try:
                status = await self._status(probe, address, port, secret)
            except httpx.ConnectError as error:
                failed = error
                continue
            if status not in probe.expect_status:
                raise CheckFailedError(BAD_STATUS, f"it answered {status}")
            return
        raise failed

    def _secret(self, probe: ProbeConfig) -> Secret | None:
        if probe.secret_ref is None:
            return None
        found = self._vault.resolve(probe.secret_ref)
        if found.secret is None:
            raise CheckFailedError(found.state.value, f"the vault has no {probe.secret_ref}: {found.state.value}")
        return found.secret

    async def _status(self, probe: ProbeConfig, address: Address, port: int, secret: Secret | None) -> int:
        """Asks the address that was judged, in the name of the host: nobody resolves it a second time."""
        parts = urlsplit(probe.target)
        at = f"[{address}]" if address.version == 6 else str(address)
        client = self._client or await self._open()
        headers = {"Host": parts.netloc, "User-Agent": "palyra-probe"}
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret.reveal()}"
        request = client.build_request(
            "GET",
            f"{parts.scheme}://{at}:{port}{parts.path or '/'}",
            headers=headers,
            extensions={"sni_hostname": parts.hostname or ""} if parts.scheme == "https" else {},
        )
        response = await client.send(request, stream=True)
        await response.aclose()
        return response.status_code

    async def _open(self) -> httpx.AsyncClient:
        trust = await asyncio.to_thread(ssl.create_default_context) if self._trust is None else self._trust
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=trust,
                trust_env=False,
                follow_redirects=False,
                timeout=None,  # noqa: S113 the clock's time-out is around every check
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._client


async def _leave(writer: asyncio.StreamWriter) -> None:
    """It was reached, which was all."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _told(error: Exception) -> str:
    text = str(safe(redact_error(error))) or type(error).__name__
    return text if len(text) <= MOST_TOLD else f"{text[: MOST_TOLD - 1]}…"
