"""What is attacked: one open house on a loop of its own, for as many examples as there are, and what has to hold after
each of them."""

import asyncio
import gc
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from palyra.core.clock import ManualClock
from tests.attacks.provider import Heard, Provider
from tests.end_to_end.premises import UPSTREAM_KEY, Premises, premises
from tests.support.upstream import Upstream

SETTINGS = """
[breaker]
failures = 100
window = "1s"

[healing]
mode = "disabled"

[gateway]
max_body = "1MiB"

[[budgets]]
policy_id = "all"
hard_limit = "1000000"
interval_kind = "lifetime"
action = "advise"

[[models]]
provider = "own"
upstream = "acme-8b"
responses = true

[[models]]
provider = "own"
upstream = "vectors"
role = "embeddings"

[[models]]
provider = "own"
upstream = "gold"

[[pricing]]
provider = "own"
model = "*"
input = "1000"
output = "1000"

[[pricing]]
provider = "own"
model = "gold"
input = "1000000"
output = "1000000"
"""
"""A budget that counts everything and refuses nothing, a breaker that hostile answers do not open, and a model for each
wire."""
PATIENCE_S = (61, 700)
"""Past every limit of time of a caller, and of a provider."""
TURNS = 20
"""Turns of the loop in which nothing happens: nothing will."""


class Listening(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


class Target:
    """The house, its provider, and the loop both live on. Everything asynchronous is done by `run`."""

    def __init__(self, root: Path, text: str = SETTINGS) -> None:
        self._runner = asyncio.Runner()
        self._root, self._text = root, text
        self._stack = AsyncExitStack()
        self._log = Listening()
        self._unheard: list[dict[str, Any]] = []
        self._tasks: Counter[str] = Counter()
        self.provider = Provider()
        self.clock = ManualClock()
        self._began_at = self.clock.now_ms()
        self.here: Premises

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self._runner.run(work)

    async def _open(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self._unheard.append(context))
        await self._stack.enter_async_context(self.provider.serving())
        upstream = Upstream()
        upstream.base_url = self.provider.base_url
        opening = premises(upstream, self._root / "state", self._text, self.clock)
        self.here = await self._stack.enter_async_context(opening)
        self.provider.watch = self._nothing_before_a_hold
        await self.at_rest()
        self._tasks = tasks()

    def open(self) -> None:
        logging.getLogger().addHandler(self._log)
        self.run(self._open())

    def close(self) -> None:
        try:
            self.run(self._stack.aclose())
        finally:
            self._runner.close()
            logging.getLogger().removeHandler(self._log)
        gc.collect()
        self.nothing_unheard()

    def _nothing_before_a_hold(self, heard: Heard) -> None:
        if heard.path.endswith("/count_tokens"):
            return
        with closing(sqlite3.connect(f"file:{self.here.state_dir}/journal.db?mode=ro", uri=True)) as database:
            (held,) = database.execute("SELECT count(*) FROM holds WHERE state = 'held'").fetchone()
        assert held > 0, "bytes reached a provider before a hold was durable"

    def left_over(self) -> Counter[str]:
        """Tasks by what they do, beyond those that a house at rest has; of the provider each connection is one."""
        return tasks() - self._tasks - Counter({"Provider._serve": self.provider.open})

    def nothing_unheard(self) -> None:
        """Nothing failed where nobody listens, and nothing was logged as a fault of ours."""
        unheard, records = self._unheard[:], self._log.records[:]
        self._unheard.clear()
        self._log.records.clear()
        assert not unheard, unheard
        assert not records, records[0]

    async def at_rest(self) -> None:
        """Waits until nothing is under way any more, however long that takes the house by its own clock."""
        gateway = self.here.house.gateway
        assert gateway is not None
        live = self.here.engine.runner.live
        quiet = 0
        while quiet < TURNS:
            before = (len(self.here.events), len(self.provider.heard), gateway.figures().connections)
            await asyncio.sleep(0)
            still = before == (len(self.here.events), len(self.provider.heard), gateway.figures().connections)
            quiet = quiet + 1 if still and not len(live) and not gateway.running else 0
        await self.here.written()

    async def over(self, under_way: Callable[[], bool]) -> None:
        """Turns the loop until something has ended; where it waits for time to pass, that passes."""
        for patience in (*PATIENCE_S, None):
            quiet = 0
            while under_way() and quiet < TURNS:
                before = (len(self.here.events), len(self.provider.heard))
                await asyncio.sleep(0)
                quiet = quiet + 1 if before == (len(self.here.events), len(self.provider.heard)) else 0
                await self.here.written()
            if not under_way():
                return
            assert patience is not None, f"it never ends: {self.left_over()}"
            await self.clock.advance(patience)

    async def unharmed(self) -> None:
        """What holds after every example, whatever it did."""
        await self.at_rest()
        self.nothing_unheard()
        here, gateway = self.here, self.here.house.gateway
        assert gateway is not None
        await self.over(lambda: gateway.figures().connections > 0)
        assert (here.engine.phase, list(here.engine.ready_problems())) == ("ready", [])
        assert here.engine.ledger.open_holds() == ()
        assert gateway.running == 0
        await self.over(lambda: bool(self.left_over()))
        settled, held = here.counted("all", "*")
        assert (settled, held) == ((await here.usage(since=self._began_at)).total.cost_nano_usd, 0)
        for provider in ("openai", "anthropic", "own"):
            assert here.engine.leases.of_provider(provider).in_use == 0
            # What a provider says of a credential is believed; the next example begins with a good one.
            for standing in here.engine.credentials.standings(provider, self.clock.now_ms()):
                here.engine.credentials.clear(provider, standing.id)
        await self.clock.advance(2)

    def harmless(self, answer: bytes) -> None:
        """Nothing in it tells of what is inside."""
        for inside in (b"Traceback", b'File "', UPSTREAM_KEY.encode(), str(self._root).encode(), b"internal_error"):
            assert inside not in answer, answer

    async def books(self) -> None:
        await self.here.check()


def tasks() -> Counter[str]:
    """What everybody but the asking task does."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return Counter(getattr(task.get_coro(), "__qualname__", "") for task in others)


@contextmanager
def target(root: Path, text: str = SETTINGS) -> Iterator[Target]:
    attacked = Target(root, text)
    attacked.open()
    try:
        yield attacked
    finally:
        attacked.close()
