"""Made-up providers of the demo on a loopback address: real HTTP, and each with trouble of its own to look at."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from palyra.config.providers import ScriptStep
from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.providers.deterministic import DeterministicProvider
from palyra.providers.upstream import UpstreamCall
from palyra.providers.wires import Wire

RESTS_S = 45
"""How long a credential has to rest that was used too often."""
SEED = 4_711


@value
class Guest:
    """A provider with one priced model and `others` that it lists. A part of its answers `fails` with `status`; who
    is `gone` lists no models either."""

    provider: str
    upstream: str
    input_usd: str
    output_usd: str
    status: int
    fails: float
    gone: bool = False
    others: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`provider/model`, as the configuration names it."""
        return f"{self.provider}/{self.upstream}"


GUESTS = (
    Guest("aurora", "dawn-2", "1.00", "4.00", 503, 0.7, others=("dawn-2-mini", "dawn-3-preview")),
    Guest("northwind", "gale-1", "2.00", "8.00", 503, 1.0, gone=True),
    Guest("tidewater", "ebb-small", "0.30", "1.20", 429, 0.8, others=("flow-large",)),
)
"""One is degraded, the breaker of one opens, the credential of one rests."""


def guest_tables(address: str) -> str:
    """Their part of the demo's palyra.toml."""
    parts: list[str] = []
    for guest in GUESTS:
        parts.append(
            f'[providers.{guest.provider}]\nkind = "openai_compatible"\nbase_url = "{address}/{guest.provider}/v1"\n'
            f'allow_private = true\napi_key = "demo-key-of-{guest.provider}"\n'
            f'[[models]]\nprovider = "{guest.provider}"\nupstream = "{guest.upstream}"\n'
            f'[[pricing]]\nprovider = "{guest.provider}"\nmodel = "{guest.upstream}"\n'
            f"input = {guest.input_usd}\noutput = {guest.output_usd}\n"
        )
    return "\n".join(parts)


@asynccontextmanager
async def guests_at_home(clock: Clock) -> AsyncIterator[str]:
    """Serves them all; their common address."""
    street = _Street(clock)
    app = web.Application()
    app.router.add_get("/{guest}/v1/models", street.models)
    app.router.add_post("/{guest}/v1/chat/completions", street.chat)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Street:
    """Answers for all guests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._dice = random.Random(SEED)
        self._known: Mapping[str, Guest] = {guest.provider: guest for guest in GUESTS}

    async def models(self, request: web.Request) -> web.Response:
        guest = self._guest(request)
        if guest.gone:
            return web.json_response({"error": {"message": "nobody is here"}}, status=guest.status)
        return web.json_response({"object": "list", "data": [{"id": name} for name in (guest.upstream, *guest.others)]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        guest = self._guest(request)
        step = ScriptStep(delay_ms=self._dice.randint(150, 1_200))
        if self._dice.random() < guest.fails:
            step = ScriptStep(status=guest.status, retry_after=RESTS_S if guest.status == 429 else None)
        call = UpstreamCall(Wire.CHAT, guest.provider, "", {}, await request.read(), stream=False)
        reply = await DeterministicProvider(self._clock, [step]).send(call)
        response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
        await response.prepare(request)
        async for piece in reply.chunks():
            await response.write(piece)
        await response.write_eof()
        return response

    def _guest(self, request: web.Request) -> Guest:
        guest = self._known.get(request.match_info["guest"])
        if guest is None:
            raise web.HTTPNotFound
        return guest
