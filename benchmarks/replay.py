"""How long a replay of a million recorded requests takes, on one core.

`python -m benchmarks.replay` makes a journal of thirty days, or uses the one that is there, and replays it in this
process: once as it was, once with a budget that bites now and then, and once with one that bites often. Times are
processor time, reading included.

A conversation has some sixty requests within two hours. Each request matches five budgets (a month, a day per person, a
rolling day of tokens per session, calls per key and hour, a week per model); every fifth streams and takes two slices;
every third leaves the choice of the model to Palyra, and every twentieth of those is demanding enough for budgets to
have a say in it; every hundredth was refused.
"""

import gc
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Numbers, Rounds
from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.core.heap import settle_heap
from palyra.governance.candidates import OutputLimits
from palyra.governance.plan_record import (
    CHOSEN_SHIFT,
    FIRST_SHIFT,
    ROUTED,
    WEIGHED,
    Disposition,
    name_of,
)
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import parse_policy
from palyra.governance.replay import Replay
from palyra.governance.replay_tally import Tally
from palyra.governance.replay_trial import Trial, schedule
from palyra.governance.terms import kept_terms
from palyra.journal.journal import JOURNAL_FILE
from palyra.journal.replay_log import END, PLAN, SLICE, TERMS, ReplayLog
from palyra.journal.schema import LATEST, MIGRATIONS
from palyra.journal.tables import dumps

GOAL = 100_000
"""Requests a second."""


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int = option(1, "how often")
    requests: int = option(1_000_000, "recorded ones")


QUICK = Size(requests=50_000)

BEGIN = 1_792_800_000_000
DAYS = 30
DAY_MS = 86_400_000
PEOPLE = 300
TALKS, PER_TALK = 40, 2_500
"""Conversations that go on at the same time, and how many requests until others do."""
OPEN = 40
"""Requests that are under way at the same time."""
MODELS = (("one/small", 1_000, 4_000), ("one/middle", 3_000, 15_000), ("two/large", 10_000, 50_000))
"""Nano-dollars per token of input and output."""

BUDGETS = (
    {"policy_id": "house", "interval_kind": "monthly", "hard_limit": "1000000", "timezone": "Europe/Prague"},
    {"policy_id": "person", "scope_kind": "user", "interval_kind": "daily", "hard_limit": "10000"},
    {
        "policy_id": "session",
        "scope_kind": "session",
        "interval_kind": "rolling_24h",
        "metric_kind": "total_tokens",
        "hard_limit": "900000000",
        "action": "approval_required",
    },
    {"policy_id": "calls", "scope_kind": "key", "interval_kind": "hourly", "metric_kind": "requests"},
    {"policy_id": "model", "scope_kind": "model", "interval_kind": "weekly", "hard_limit": "500000"},
    {"policy_id": "nobody", "scope_kind": "user", "scope_id": "person-0", "hard_limit": "0"},
)

Row = tuple[int, int, int, int, int | None, int | None, int | None, int | None, int | None]


def policies() -> Iterator[UsageBudgetPolicyRecord]:
    for fields in BUDGETS:
        yield parse_policy({"hard_limit": "900000", **fields})


class Scene:
    """Thirty days of requests, always the same ones."""

    def __init__(self, database: sqlite3.Connection, requests: int) -> None:
        self._database = database
        self._requests = requests
        self._dice = random.Random(1)
        self._seq = 0
        self._rows: list[Row] = []
        self._bodies: list[tuple[int, str]] = []
        self._names: dict[int, str] = {}

    def write(self) -> None:
        terms = kept_terms(policies(), SmartRoutingRuntimeConfig(), OutputLimits())
        self._event(BEGIN, TERMS, 0, body=dumps(terms))
        step = DAYS * DAY_MS // self._requests
        ends: list[tuple[int, int, int, int]] = []
        for number in range(self._requests):
            at = BEGIN + number * step
            ends.append((number + 1, *self._request(number, at)))
            if len(ends) > OPEN:
                ref, served, usd, tokens = ends.pop(0)
                if served:
                    self._event(at, END, ref, usd=usd, tokens=tokens, outcome=1)
            if len(self._rows) > 50_000:
                self._flush()
        for ref, served, usd, tokens in ends:
            if served:
                self._event(BEGIN + DAYS * DAY_MS, END, ref, usd=usd, tokens=tokens, outcome=1)
        self._flush()
        self._database.executemany("INSERT INTO replay_names VALUES (?, ?)", self._names.items())

    def _request(self, number: int, at: int) -> tuple[int, int, int]:
        """Whether it is served, and what it uses (nano-dollars, tokens)."""
        dice = self._dice
        talk = number // PER_TALK
        person = 0 if number % 100 == 0 else 1 + (talk * TALKS + dice.randrange(TALKS)) % (PEOPLE - 1)
        whom = [f"person-{person}", f"s-{person}-{talk}", f"key-{person % 50}", "", "", "", {}]
        auto = number % 3 == 0
        streams = number % 5 == 0
        chosen = dice.randrange(3)
        complexity = 0.5
        if auto:
            chosen, complexity = 0, 0.1
            if number % 60 == 0:
                chosen, complexity = 2, 0.9
        looked = range(3) if auto else (chosen,)
        shape = [
            "auto" if auto else MODELS[chosen][0],
            "" if auto else MODELS[chosen][0],
            MODELS[1][0] if auto else MODELS[chosen][0],
            streams,
            1,
            "primary_interactive",
            "",
            [
                [MODELS[one][0], MODELS[one][0][:3], MODELS[one][0][4:], "openai_compatible", _TIERS[one], [], None]
                for one in looked
            ],
        ]
        prompt = dice.randrange(200, 4000)
        most = 512 if streams else dice.choice((256, 1024, 2048))
        options = [self._option(place, one, prompt, most, streams) for place, one in enumerate(looked)]
        place = chosen if auto else 0
        usd, tokens = MODELS[chosen][1] * prompt + MODELS[chosen][2] * most, prompt + most
        refused = person == 0
        outcome = (
            (Disposition.BLOCKED if refused else Disposition.SERVED)
            | (6 if refused else 0) << 2
            | (place + 1) << CHOSEN_SHIFT
            | (place + 1) << FIRST_SHIFT
            | WEIGHED * (complexity > 0.8)
            | ROUTED * (auto and chosen != 1)
        )
        body = [complexity, None if streams else most, [], [], options, [most, None], []]
        self._event(
            at,
            PLAN,
            number + 1,
            scope=self._name(whom),
            shape=self._name(shape),
            usd=usd,
            tokens=tokens,
            outcome=outcome,
            body=dumps(body),
        )
        if refused:
            return 0, 0, 0
        if streams:
            for _ in range(2):
                self._event(at + 1, SLICE, number + 1, usd=MODELS[chosen][2] * 256, tokens=256)
        used = dice.randrange(20, most)
        return 1, MODELS[chosen][1] * (prompt // 2) + MODELS[chosen][2] * used, prompt // 2 + used

    def _option(self, place: int, one: int, prompt: int, most: int, streams: bool) -> list[object]:
        _, per_input, per_output = MODELS[one]
        terms = [most, most, None, int(streams)]
        price = [per_input * prompt, per_output, 1]
        likely = per_input * prompt // 2 + per_output * 256
        return [place, [prompt, 0, 0], price, likely, [prompt // 2, 256], terms, None, "known"]

    def _name(self, data: object) -> int:
        text = dumps(data)
        name = name_of(text)
        self._names[name] = text
        return name

    def _event(
        self,
        at: int,
        kind: int,
        ref: int,
        *,
        scope: int | None = None,
        shape: int | None = None,
        usd: int | None = None,
        tokens: int | None = None,
        outcome: int | None = None,
        body: str = "",
    ) -> None:
        self._seq += 1
        self._rows.append((self._seq, at, kind, ref, scope, shape, usd, tokens, outcome))
        if body:
            self._bodies.append((self._seq, body))

    def _flush(self) -> None:
        self._database.executemany("INSERT INTO replay_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._database.executemany("INSERT INTO replay_bodies VALUES (?, ?)", self._bodies)
        self._rows.clear()
        self._bodies.clear()


_TIERS = ("low", "standard", "premium")


def make(cache: Path, requests: int) -> Path:
    """A journal with that many requests; the one that is there, if it is one of this schema."""
    path = cache / f"replay-{requests}-v{LATEST}" / JOURNAL_FILE
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA journal_mode = OFF")
        for _, sql in MIGRATIONS:
            database.executescript(sql)
        database.execute(f"PRAGMA user_version = {LATEST:d}")
        database.execute("BEGIN")
        Scene(database, requests).write()
        database.execute("COMMIT")
    fresh.rename(path)
    return path


def replayed(path: Path, trial: Trial) -> tuple[float, Tally]:
    """Seconds of processor time, and what was found."""
    gc.collect()
    began = time.process_time()
    with ReplayLog(path) as log:
        plan = schedule(log.terms(), trial, since=1, until=log.last + 1, since_at=0, first_of=log.seq_at)
        tally = Replay(log, plan).run()
    return time.process_time() - began, tally


TRIALS = {
    "requests replayed a second, of {requests}, as it was": Trial(),
    "the same, with a budget that bites now and then": Trial(
        (parse_policy({"policy_id": "tried", "scope_kind": "user", "interval_kind": "daily", "hard_limit": "4.5"}),)
    ),
    "the same, with a budget that bites often": Trial(
        (parse_policy({"policy_id": "tried", "scope_kind": "user", "interval_kind": "daily", "hard_limit": "2"}),)
    ),
}


def prepare(setting: Setting, size: Size) -> Path:
    return make(setting.cache, size.requests)


def measure(setting: Setting, size: Size) -> Found:
    path = prepare(setting, size)
    settle_heap()
    rounds: list[Numbers] = []
    details: list[str] = []
    for _ in range(size.rounds):
        numbers: Numbers = {}
        for name, trial in TRIALS.items():
            label = name.format(requests=f"{size.requests:,}")
            say(label)
            seconds, tally = replayed(path, trial)
            numbers[name] = tally.requests / seconds
            details.append(f"{label}: {seconds:.2f} s, {tally.denied_after:,} denied, {tally.differences:,} otherwise")
        rounds.append(numbers)
    found = Rounds(rounds)
    rows = tuple(found.row(name.format(requests=f"{size.requests:,}"), name, "/s", least=GOAL) for name in TRIALS)
    return Found(rows, found.all, details=tuple(details))


BENCHMARK = Benchmark("replay", __doc__, Size(), QUICK, measure, prepare)

if __name__ == "__main__":
    run(BENCHMARK)
