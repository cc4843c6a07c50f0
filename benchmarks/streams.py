"""How much a stream holds beyond what it uses, and how far it passes what is held.

`python -m benchmarks.streams` replays several hundred answers of kept shapes (`stream_shapes.json`) through the Runner
with ledger and journal, time turned by what each answer took. Every shape has a model of its own, of which nothing is
known at first; one more row has shapes that take turns on one model, asked by one person. Each eighth answer meets a
budget that ends before it does. Numbers are output tokens: `held` are those a stream had reserved when it ended, `used`
those its provider reported; over time, what it held on average while it lasted. The seed is fixed: every run prints the
same numbers.

Goals: of all streams once a model is known, the median of held ÷ used is at most 2; no stream passes what it holds by
more than one slice.
"""

import asyncio
import json
import logging
import random
import statistics
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run
from benchmarks.measured import Found, Measured
from benchmarks.stream_shapes import Draw, chunks, draw, shapes
from palyra.config.load import load_config
from palyra.core.clock import ManualClock
from palyra.core.scope import Scope
from palyra.engine import Engine, Installation
from palyra.pricing.learn import Q_LEAST, Learner
from palyra.providers.credentials import Credential
from palyra.providers.registry import ModelEntry
from palyra.providers.request import parse_request
from palyra.providers.retry import RetryRule, RetrySettings
from palyra.providers.upstream import MAX_REPLY, Progress
from palyra.providers.wires import Wire
from palyra.runs.dispatch import Dispatcher
from palyra.runs.durable import Durable
from palyra.runs.experience import Experience
from palyra.runs.planning import Planner
from palyra.runs.request import GoneCallback, RunReport, RunRequest
from palyra.runs.runner import Runner
from palyra.runs.settings import RunSettings
from palyra.runs.trail import FailoverSettings


@dataclass(frozen=True, slots=True)
class Size:
    streams: int = option(120, "of each shape")
    seed: int = option(20, "of the draws")


QUICK = Size(streams=70)
SEED = QUICK.seed
TOGETHER = "several on one model"
TIGHT_EACH = 8
SLICE = RunSettings().slice_tokens
GOAL_RATIO = 2.0

CONFIG = """\
version = 1

[providers.chat]
kind = "openai_compatible"
base_url = "http://127.0.0.1:9/v1"
api_key = "sk-benchmark"

[providers.messages]
kind = "anthropic"
base_url = "http://127.0.0.1:9"
api_key = "sk-benchmark"

[leases]
provider_start = 1000
provider_max = 1000
credential_start = 1000
credential_max = 1000

[[pricing]]
provider = "*"
model = "*"
input = 1
output = 4

[[budgets]]
policy_id = "all"
hard_limit = 1_000_000

[[budgets]]
policy_id = "tight"
scope_kind = "agent"
scope_id = "*"
metric_kind = "total_tokens"
hard_limit = 700
"""
PROMPT = "Tell me what I should know about this before I decide anything. " * 6


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one stream held, in output tokens. `over_time` is the mean while it lasted; `slices` those taken after the
    first; `known`: its model had been learned before it began."""

    shape: str
    held: int
    used: int
    over_time: float
    beyond: int
    slices: int
    cut: bool
    tight: bool
    known: bool


class Playing:
    """A recorded answer on its way: time passes as it did, and what is held is looked at with each piece."""

    def __init__(self, answer: Draw, engine: Engine, clock: ManualClock) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.answer = answer
        self._engine = engine
        self._clock = clock
        self.looks: list[tuple[int, int]] = []
        """Milliseconds, and the tokens held during them."""

    async def read(self, limit: int = MAX_REPLY) -> bytes:
        return b"".join(chunk for _, chunk in chunks(self.answer, INPUT_TOKENS))

    async def chunks(self) -> AsyncIterator[bytes]:
        for wait, chunk in chunks(self.answer, INPUT_TOKENS):
            if wait:
                (hold,) = self._engine.ledger.open_holds()
                self.looks.append((wait, hold.bound_tokens))
                self._clock.tick(wait / 1000)
            yield chunk

    def close(self) -> None:
        pass


INPUT_TOKENS = len(PROMPT) // 4 + 8


class Recorded:
    """Every provider: answers with what is put on."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self._engine = engine
        self._clock = clock
        self.playing: Playing

    def put_on(self, answer: Draw) -> None:
        self.playing = Playing(answer, self._engine, self._clock)

    async def send(
        self,
        entry: ModelEntry,
        wire: Wire,
        body: bytes,
        headers: Mapping[str, str],
        *,
        stream: bool,
        progress: Progress,
        credential: Credential | None = None,
    ) -> Playing:
        progress.written = True
        return self.playing


class Listener:
    """A caller who takes everything at once."""

    gone = False
    streaming = False

    def on_gone(self, callback: GoneCallback) -> None:
        pass

    async def parked(self, report: RunReport) -> None:
        pass

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        self.streaming = True

    async def write(self, data: bytes) -> None:
        pass


class Theatre:
    """An engine whose Runner hears recorded answers."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self._engine = engine
        self._clock = clock
        self._provider = Recorded(engine, clock)
        learner = Learner()
        settings = RunSettings()
        self._runner = Runner(
            boot_id=engine.boot_id,
            clock=clock,
            ids=engine.ids,
            events=engine.events,
            journal=engine.journal,
            durable=Durable(engine.journal),
            ledger=engine.ledger,
            desk=engine.desk,
            planner=Planner(
                registry=engine.registry,
                book=engine.book,
                ledger=engine.ledger,
                desk=engine.desk,
                learner=learner,
                ids=engine.ids,
                boot_id=engine.boot_id,
                settings=settings,
                routing=engine.config.smart_routing,
                earlier=engine.experience.earlier,
                reach=engine.ways,
            ),
            dispatcher=Dispatcher(self._provider, engine.book, clock),
            ways=engine.ways,
            parking=engine.parking,
            experience=Experience(learner),
            settings=settings,
            rule=RetryRule(RetrySettings(max=0), random.uniform),
            failover=FailoverSettings(enabled=False),
        )

    async def play(self, answer: Draw, model: str, number: int, *, tight: bool, known: bool) -> Streamed:
        """One answer through the whole of a run."""
        body = {
            "model": f"{answer.wire.value}/{model}",
            "messages": [{"role": "user", "content": PROMPT}],
            "stream": True,
            "max_tokens": 32_000,
        }
        parsed = parse_request(answer.wire, json.dumps(body).encode())
        scope = Scope(model, "desk", "bench", agent=f"{model}-{number}" if tight else "")
        self._provider.put_on(answer)
        outcome = await self._runner.execute(RunRequest(scope, parsed, park_seconds=0), Listener())
        if outcome.refusal is not None:
            raise RuntimeError(f"{answer.shape} was refused: {outcome.refusal.message}")
        await self._engine.journal.submit(())
        readers = self._engine.journal.readers
        (hold,) = await readers.holds_of_run(outcome.report.run_id)
        (usage,) = await readers.usage_of_run(outcome.report.run_id)
        decision = await readers.decision(outcome.report.decision_id)
        assert decision is not None
        bound_input = decision.body["estimate"]["bound_input"]
        cut = outcome.reason == "stream_cut_budget"
        held = hold.bound_tokens - bound_input
        used = answer.tokens_in(usage.visible_bytes) if cut else answer.tokens
        looks = self._provider.playing.looks
        bounds = [bound for _, bound in looks] + [hold.bound_tokens]
        lasted = sum(wait for wait, _ in looks)
        return Streamed(
            shape=answer.shape,
            held=held,
            used=used,
            over_time=sum(wait * (bound - bound_input) for wait, bound in looks) / lasted,
            beyond=max(0, used - held),
            slices=sum(after > before for before, after in pairwise(bounds)),
            cut=cut,
            tight=tight,
            known=known,
        )


@asynccontextmanager
async def theatre(directory: Path) -> AsyncIterator[Theatre]:
    """A fresh installation in a directory."""
    file = directory / "benchmark.toml"
    file.write_text(CONFIG)
    loaded = load_config(file, {})
    if loaded.config is None:
        raise RuntimeError("; ".join(str(problem) for problem in loaded.problems))
    clock = ManualClock()
    engine = await Engine.open(Installation(loaded.config, directory / "state"), clock, {})
    try:
        yield Theatre(engine, clock)
    finally:
        await engine.close()


def programme(names: Sequence[str], streams: int, seed: int) -> Iterator[tuple[str, Draw]]:
    """The model that is asked, and its answer: shapes take turns, each on its own model, and then on one."""
    chances = {name: random.Random(f"{seed} {name}") for name in names}
    for _ in range(streams):
        for name, chance in chances.items():
            yield name, draw(name, chance)
    turns = random.Random(seed)
    chat = [name for name in names if shapes()[name]["wire"] == Wire.CHAT.value]
    for _ in range(streams):
        yield TOGETHER, draw(turns.choice(chat), turns)


async def played(
    directory: Path, streams: int, seed: int = SEED, names: Sequence[str] = ()
) -> dict[str, list[Streamed]]:
    """Every stream of these shapes (none: of all), by the model that was asked."""
    found: dict[str, list[Streamed]] = {}
    reported: dict[str, int] = {}
    async with theatre(directory) as house:
        for model, answer in programme(names or sorted(shapes()), streams, seed):
            before = found.setdefault(model, [])
            known = reported.get(model, 0) >= Q_LEAST
            tight = len(before) % TIGHT_EACH == TIGHT_EACH - 1
            name = model.replace(" ", "-")
            before.append(await house.play(answer, name, len(before), tight=tight, known=known))
            reported[model] = reported.get(model, 0) + (not before[-1].cut)
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """Streams of one model, or of all. Ratios are of those that no tight budget met; `first` before the model was
    known."""

    name: str
    streams: int
    first: float
    median: float
    p95: float
    over_time: float
    beyond: int
    slices: float
    cuts: int


def row(name: str, played: Sequence[Streamed]) -> Row:
    free = [one for one in played if not one.tight]
    ratios = sorted(one.held / one.used for one in free if one.known)
    early = [one.held / one.used for one in free if not one.known]
    return Row(
        name=name,
        streams=len(played),
        first=statistics.median(early),
        median=statistics.median(ratios),
        p95=ratios[-(-len(ratios) * 95 // 100) - 1],
        over_time=statistics.median(one.over_time / one.used for one in free if one.known),
        beyond=max(one.beyond for one in played),
        slices=statistics.median(one.slices for one in free if one.known),
        cuts=sum(one.cut for one in played),
    )


def rows(found: Mapping[str, Sequence[Streamed]]) -> list[Row]:
    """A row per model, and one of all together."""
    told = [row(name, played) for name, played in found.items()]
    return [*told, row("all", [one for played in found.values() for one in played])]


def table(told: Sequence[Row]) -> Iterator[str]:
    """A line per model."""
    yield (
        f"{'':<22}{'streams':>8}  held ÷ used: {'first 50':>9}{'median':>8}{'p95':>7}{'over time':>11}"
        f"{'beyond':>9}{'in slices':>11}{'slices':>8}{'cuts':>6}"
    )
    for one in told:
        yield (
            f"{one.name:<22}{one.streams:>8}{'':<15}{one.first:>9.2f}{one.median:>8.2f}{one.p95:>7.2f}"
            f"{one.over_time:>11.2f}{one.beyond:>9}{one.beyond / SLICE:>11.2f}{one.slices:>8.0f}{one.cuts:>6}"
        )


def measure(setting: Setting, size: Size) -> Found:
    # Time passes as each answer took, all at once, which an engine takes for a loop that is late.
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as directory:
        told = rows(asyncio.run(played(Path(directory), size.streams, size.seed)))
    every = told[-1]
    return Found(
        (
            Measured("held ÷ used of streams of a known model, median", every.median, goal=GOAL_RATIO),
            Measured("the same, p95", every.p95),
            Measured("passed beyond what was held, in slices", every.beyond / SLICE, goal=1),
        ),
        details=tuple(table(told)),
    )


BENCHMARK = Benchmark("streams", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
