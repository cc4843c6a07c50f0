"""What is sent to a provider and what comes back, whoever carries it: the network, or the built-in echo."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from palyra.core.values import value
from palyra.providers.wires import Wire

MAX_REPLY = 32 * 1024 * 1024
"""Bytes of the largest reply that is read whole."""


@value
class Timeouts:
    """Seconds. A reply that is not streamed has only `connect` and `total`; None never ends."""

    connect: float | None = 5.0
    first_byte: float | None = 120.0
    idle: float | None = 60.0
    total: float | None = 600.0


@value
class UpstreamCall:
    """One request to a provider, complete with its credential; `provider` is the provider's id, for messages.

    A request that is not a POST has no body.
    """

    wire: Wire
    provider: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    stream: bool
    timeouts: Timeouts = Timeouts()
    method: str = "POST"


@dataclass(slots=True)
class Progress:
    """How far one call came, readable also after it was cancelled.

    `written` turns true just before the first byte leaves; before that the provider cannot have seen anything.
    """

    written: bool = False


class UpstreamReply(Protocol):
    """An answer whose head has arrived. Ends by being read to its end or by `close`; closing twice is fine."""

    @property
    def status(self) -> int:
        """The status of HTTP it came with."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Finds lower-case names."""
        ...

    async def read(self, limit: int = MAX_REPLY) -> bytes:
        """The whole body. Raises ProviderError, malformed_response where it is longer than `limit` bytes."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ProviderError when it breaks or a time-out passes."""
        ...

    def close(self) -> None:
        """Drops the connection at once if the body has not ended."""
        ...


class Upstream(Protocol):
    """Somebody who can carry a call."""

    async def send(self, call: UpstreamCall, progress: Progress | None = None) -> UpstreamReply:
        """Returns once the answer's head is there, whatever its status. Raises ProviderError."""
        ...
