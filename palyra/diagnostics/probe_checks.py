"""One check of a service outside: an HTTP status, a TCP connection or a Unix socket, within the probe's own limit."""

import asyncio
import contextlib
import ssl
from urllib.parse import SplitResult, urlsplit

import httpx

from palyra.config.operations import ProbeConfig, ProbeKind
from palyra.config.urls import Reach, reach_of, split_host_port
from palyra.core.clock import Clock
from palyra.core.pinned_http import PinnedHttp, port_of, told
from palyra.core.redact import Secret
from palyra.core.resolving import Address, Resolve, system_addresses
from palyra.diagnostics.failure import BAD_STATUS, REFUSED_ADDRESS, TIMED_OUT, UNREACHABLE
from palyra.diagnostics.probe_state import Checked
from palyra.vault.secrets import SecretSource


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
        self._http = PinnedHttp(trust)

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
            code, error = UNREACHABLE, told(failed)
        return Checked(round((self._clock.monotonic() - began) * 1000), code, error)

    async def close(self) -> None:
        """Drops what is under way."""
        await self._http.close()

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
        host = parts.hostname or ""
        failed: Exception = CheckFailedError(UNREACHABLE, f"{host} has no address")
        for address in await self._addresses(host, port_of(parts)):
            if secret is not None and parts.scheme != "https" and reach_of(address) is not Reach.LOOPBACK:
                why = f"{host} resolves to {address}; a secret goes by http to loopback alone"
                failed = CheckFailedError(REFUSED_ADDRESS, why)
                continue
            try:
                status = await self._status(parts, address, secret)
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

    async def _status(self, parts: SplitResult, address: Address, secret: Secret | None) -> int:
        headers = {"User-Agent": "palyra-probe"}
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret.reveal()}"
        response = await self._http.ask("GET", parts, address, headers=headers)
        await response.aclose()
        return response.status_code


async def _leave(writer: asyncio.StreamWriter) -> None:
    """It was reached, which was all."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
