"""Asking a chat stream for its usage: some providers know no such request, which is remembered for a day."""

from palyra.core.clock import Clock
from palyra.providers.request import ParsedRequest
from palyra.providers.rewrite import without_member
from palyra.providers.wires import Wire

FIELD = "stream_options"
REMEMBERED_S = 24 * 3600.0


class UsageAsking:
    """Who refuses to be asked. A caller's own request for usage is the caller's matter and always passes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused: dict[tuple[str, str], float] = {}

    def hears(self, provider: str, model: str) -> bool:
        """Whether this model of a provider is asked."""
        until = self._refused.get((provider, model))
        if until is not None and until <= self._clock.monotonic():
            del self._refused[provider, model]
            until = None
        return until is None

    def refused(self, provider: str, model: str) -> None:
        """The model does not let itself be asked for usage: it is not asked for a while."""
        self._refused[provider, model] = self._clock.monotonic() + REMEMBERED_S


def asked_by_us(request: ParsedRequest, upstream: Wire) -> bool:
    """Whether a body for this wire asks for usage that its caller did not ask for."""
    own = request.wire is Wire.CHAT and request.data.get(FIELD) is not None
    return upstream is Wire.CHAT and request.stream and not own


def unasked(body: bytes) -> bytes:
    """The same body without asking."""
    return without_member(body, FIELD)
