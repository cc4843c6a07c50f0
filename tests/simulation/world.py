"""The month itself: lives of an engine, one after the other, on one state directory and one clock."""

import asyncio
import contextlib
import random
import shutil
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from palyra.control.commands import AddPolicy
from palyra.control.local import Doors, EngineFace
from palyra.control.snapshots import Topic
from palyra.engine import Engine, Installation
from palyra.journal.changes import Change
from palyra.runs.request import RunRequest
from tests.simulation import naive
from tests.simulation.books import Books
from tests.simulation.calendar import Episode
from tests.simulation.disk import Disk
from tests.simulation.instants import stamp
from tests.simulation.loop import InlineQueues, SimClock, SimLoop
from tests.simulation.operators import Operators
from tests.simulation.people import Person, ask_for, awake, scope_of
from tests.simulation.prices import UNPRICED
from tests.simulation.scene import STARTING_POLICIES, Settings, changed
from tests.simulation.visitor import Visitor
from tests.simulation.watch import ASKING, Asking, Watch

TASK_CLASSES = ("background_automation", "auxiliary_summary", "auxiliary_classification", "auxiliary_vision")
EVENTS_KEPT = 60


class MonthError(AssertionError):
    """The books do not fit; tells the seed and what happened last."""


@dataclass(slots=True)
class Month:
    """One simulated month. `episodes` say when people ask, and how much."""

    seed: int
    root: Path
    people: Sequence[Person]
    episodes: deque[Episode]
    clock: SimClock
    queues: InlineQueues
    dice: random.Random
    kill_every: float
    disk: Disk = field(init=False)
    watch: Watch = field(init=False)
    books: Books = field(default_factory=Books)
    seen: Counter[str] = field(default_factory=Counter)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    trace: str = ""
    """The newest exception the engine has logged."""
    dead: bool = False
    lives: int = 0
    settings: Settings = field(default_factory=Settings)
    locks: list[Any] = field(default_factory=list)
    _loop: SimLoop | None = None
    _engine: Engine | None = None
    _under_way: set["asyncio.Task[None]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.disk = Disk(self.dice, self.die)
        self.disk.state_dir = self.root / "state"
        self.disk.state_dir.mkdir(parents=True, mode=0o700)
        self.watch = Watch(seen=self.seen, unpriced=UNPRICED)

    # What the engine tells while it works

    def note(self, text: str) -> None:
        """Something that happened in the world."""
        self.seen[text] += 1
        self.events.append(f"{stamp(self.clock.now_ms())} {text}")

    def counted(self, text: str) -> None:
        self.seen[text] += 1

    def saw(self, unit: Sequence[Change]) -> None:
        if not self.dead:
            now = self.clock.now_ms()
            self.watch.blind = self._engine is not None and self._engine.ledger.books.behind(now)
            self.watch.saw(unit, now)

    def submitted(self, unit: Sequence[Change], done: "asyncio.Future[None]") -> None:
        if not self.dead:
            self.watch.durable(unit, done)

    def applied(self, engine_policies: Any) -> None:
        if not self.dead:
            self.watch.govern([{**policy.fields()} for policy in engine_policies])

    def sent(self) -> None:
        if not self.dead:
            self.watch.sent()

    # Lives

    def run(self) -> None:
        """The whole month. Raises MonthError at the first thing that does not fit."""
        while self.episodes or self.dead:
            self._live()
        self.events.append("the month is over")
        self._check()

    def _live(self) -> None:
        self.lives += 1
        self.dead = False
        self.queues.live()
        self.disk.full = self.disk.lying = False
        self.queues.slow = self.dice.choice((0.0, 0.0, 0.3, 0.9))
        loop = self._loop = SimLoop(self.clock)
        asyncio.set_event_loop(loop)
        # What the last death left behind is ended by a life that nothing happens to.
        self.disk.die_in = int(self.dice.expovariate(1 / self.kill_every)) + 1 if self.episodes else None
        try:
            loop.run_until_complete(self._life())
        except RuntimeError:
            if not self.dead:
                raise
        finally:
            asyncio.set_event_loop(None)
            self.queues.die()
            faults = loop.faults
            loop.bury()
            for lock in self.locks:
                lock.release()
            self.locks.clear()
            self._under_way.clear()
        self.watch.faults += faults
        self._check()

    def die(self) -> None:
        """The process is killed, here and now."""
        self.note("killed")
        self.dead = True
        image = self.root / f"life-{self.lives}"
        self.disk.crash_image(image)
        self.queues.die()
        shutil.rmtree(self.disk.state_dir)
        image.rename(self.disk.state_dir)
        assert self._loop is not None
        self._loop.stop()

    async def _life(self) -> None:
        if self.lives > 1:
            self.settings = changed(self.dice)
            self.books.read(self.disk.state_dir)
        config = self.settings.config()
        self.watch.begin_life(self.books.holds, self.books.grants.values(), self.settings.mode)
        self._engine = None
        engine = self._engine = await Engine.open(Installation(config, self.disk.state_dir), self.clock, {})
        for room in ("healing", "notices", "memory", "tasks", "jobs", "old tasks", "diagnostics", "probes", "lag"):
            # They look after work that a month has none of, every second of it, and have simulations of their own.
            await engine._supervisor.stop(room)
        self.counted("starts")
        self.seen["runs recovered"] += engine.recovered.runs
        face = EngineFace(engine, Doors)
        await face.begin()
        operators = Operators(face, self.clock, self.dice, self.counted)
        await self._compare(face, operators)
        self.books.at_rest()
        self._check()
        deciding = asyncio.create_task(operators.decide())
        while self.episodes and not self._tired():
            await self._until_next()
            episode = self.episodes.popleft()
            await self._play(episode, operators)
            if self.dice.random() < 0.15:
                await self._compare(face, operators)
            self._check()
        deciding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await deciding
        await engine.close()
        self.disk.die_in = None
        self.counted("closed in order")
        self.books.read(self.disk.state_dir)
        self.books.at_rest()

    def _tired(self) -> bool:
        """Now and then an engine is stopped in order."""
        return self.dice.random() < 0.02

    async def _until_next(self) -> None:
        """Nobody asks for a while: time passes in one leap, as on a machine that sleeps."""
        wait = (self.episodes[0].start - self.clock.now_ms()) / 1000
        if wait > 0:
            self.clock.leap(wait)
            await self.clock.sleep(0.01)

    # An episode

    async def _play(self, episode: Episode, operators: Operators) -> None:
        engine = self._engine
        assert engine is not None
        if not self.seen["operators began"]:
            self.seen["operators began"] = 1
            for fields in STARTING_POLICIES:
                result = await operators.ann.send(AddPolicy(fields))
                self.counted(f"starting policy {result.status}")
        self.note(f"episode {episode.kind}")
        trouble = asyncio.create_task(self._trouble(episode, operators))
        hour = self.clock.now_ms() // naive.HOUR
        weights = [person.pace * awake(person.zone, hour) for person in self.people]
        until = self.clock.monotonic() + episode.seconds
        pause = episode.seconds / max(1, episode.requests)
        while self.clock.monotonic() < until:
            person = self.dice.choices(self.people, weights)[0]
            self._begin_visit(engine, person)
            if self.dice.random() < 0.02:
                for _ in range(self.dice.randint(2, 12)):
                    self._begin_visit(engine, person)
            await self.clock.sleep(self.dice.expovariate(1 / pause))
        await trouble
        if self.dice.random() < 0.9:
            await engine.runner.live.idle()

    def _begin_visit(self, engine: Engine, person: Person) -> None:
        task = asyncio.create_task(self._visit(engine, person))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _trouble(self, episode: Episode, operators: Operators) -> None:
        """What goes on beside: edits, cancellations, a disk that fills up, a clock that is set."""
        dice = self.dice
        for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
            await self.clock.sleep(dice.uniform(0, episode.seconds / 3))
            act = dice.choices(("edit", "cancel", "full", "slow", "clock"), (10, 4, 2, 3, 1))[0]
            if act == "edit":
                await operators.edit()
            elif act == "cancel":
                await operators.cancel_one()
            elif act == "slow":
                self.queues.slow = dice.choice((0.0, 0.5, 1.0))
            elif act == "full":
                await self._full(operators)
            else:
                await self._wrong_clock()

    async def _full(self, operators: Operators) -> None:
        self.disk.lying = self.dice.random() < 0.3
        self.disk.full = True
        self.note("disk full, lying" if self.disk.lying else "disk full")
        await self.clock.sleep(self.dice.choice((0.01, 0.5, 3.0, 15.0)))
        self.disk.full = False
        self.note("disk free")
        if self.dice.random() < 0.5:
            await operators.edit()

    async def _wrong_clock(self) -> None:
        """Somebody sets the wall clock, notices after a while and sets it right."""
        step = self.dice.choice((-5_000, -70_000, -naive.HOUR, -20 * naive.HOUR, naive.HOUR, 3 * naive.DAY))
        self.clock.set_wall(self.clock.now_ms() + step)
        self.note(f"clock set by {step / 1000:.0f} s")
        await self.clock.sleep(self.dice.uniform(0.5, 5))
        self.clock.set_wall(self.clock.now_ms() - step)
        self.note("clock set right")

    async def _visit(self, engine: Engine, person: Person) -> None:
        dice = self.dice
        parsed = ask_for(person, dice)
        mode = dice.choice(("enforced", "dry_run", "suggest")) if person.may_set_mode and dice.random() < 0.3 else ""
        request = RunRequest(
            scope=scope_of(person, dice),
            parsed=parsed,
            task_class=dice.choice(TASK_CLASSES) if dice.random() < 0.1 else "primary_interactive",
            park_seconds=person.parks,
            mode_override=mode,
            allowed_models=person.allowed,
        )
        again = 2
        while again:
            again -= 1
            asking = Asking(mode)
            ASKING.set(asking)
            visitor = Visitor(self.clock, dice, self.counted)
            self.seen["requests"] += 1
            outcome = await engine.runner.execute(request, visitor)
            refusal = "" if outcome.refusal is None else f" {outcome.refusal.status}"
            self.counted(f"outcome {outcome.state or 'none'}/{outcome.reason or 'none'}{refusal}")
            self.events.append(f"{stamp(self.clock.now_ms())} {outcome.report.run_id} {outcome.state}/{outcome.reason}")
            if outcome.refusal is not None and "The clock was set back" in outcome.refusal.message:
                self.counted("clock behind")
            elif outcome.reason == "internal_error":
                self.watch.fault(f"run {outcome.report.run_id} failed inside: {self.trace}")
            if outcome.reason not in ("budget_approval_required", "budget_denied") or dice.random() < 0.5:
                return
            await self.clock.sleep(dice.choice((1, 10, 30, 60, 300)))

    # Checks

    def _check(self) -> None:
        faults = [*self.watch.faults, *self.books.faults]
        if faults:
            happened = "\n  ".join(self.events)
            told = "\n  ".join(faults[:12])
            raise MonthError(
                f"seed {self.seed}, life {self.lives}: {len(faults)} faults\n  {told}\nlast:\n  {happened}"
            )

    async def _compare(self, face: EngineFace, operators: Operators) -> None:
        """At rest: what lies in the journal, what memory holds and what consoles show are one and the same."""
        engine = face.engine
        await engine.runner.live.idle()
        if engine.ledger.books.behind(self.clock.now_ms()):
            self.counted("counted again after the clock was set right")
            await self.clock.sleep(1.5)
        await engine.catch_up()
        if engine.journal.healthy is False or engine._durable.behind or len(engine.runner.live):
            return
        await engine.journal.submit(())
        if len(engine.runner.live):
            return
        self.counted("comparisons")
        self.books.read(self.disk.state_dir)
        now = self.clock.now_ms()
        self._counters(engine, now)
        self._memory()
        shot = await operators.ann.snapshot([Topic.BUDGETS])
        start = naive.window_start("daily", "Europe/Prague", now)
        spent = sum(charge for at, charge in self.books.spent.items() if at >= start)
        # While the clock was ahead, something may have been spent on a day that is still to come.
        ahead = any(at > now for at in self.books.spent)
        if shot.spend_today_nano_usd != spent and not ahead:
            self.watch.fault(f"the snapshot tells {shot.spend_today_nano_usd} spent today, the rows {spent}")
        for view in shot.budgets:
            sums = self.watch.tally.sums(view.policy_id, view.scope_value, now)
            if (view.settled, view.held) != (sums.settled, sums.held):
                self.watch.fault(f"budget {view.policy_id} {view.scope_value} shows {view.settled}, rows give {sums}")
        for name, count in engine._supervisor.failures.items():
            self.watch.fault(f"{name} failed {count} times")

    def _counters(self, engine: Engine, now: int) -> None:
        """Every counter of the engine against the sums over all holds."""
        tally = self.watch.tally
        live = {(one.policy_id, one.scope_value, one.window_start): one for one in engine.ledger.counters(now)}
        known = set()
        for policy_id, policy in tally.policies.items():
            first, last = naive.counts_from(policy["interval_kind"], policy["timezone"], now)
            for value, cells in tally.cells[policy_id].items():
                for start, sums in cells.items():
                    counts = start >= first and (last is None or start <= last)
                    if not counts or not (sums.settled or sums.held or sums.drawn):
                        continue
                    known.add((policy_id, value, start))
                    told = live.get((policy_id, value, start))
                    have = (0, 0, 0) if told is None else (told.settled, told.held, told.drawn)
                    if have != (sums.settled, sums.held, sums.drawn):
                        self.watch.fault(f"{policy_id} {value} {stamp(start)} counts {have}, the holds give {sums}")
        for key in live.keys() - known:
            if live[key].settled or live[key].held or live[key].drawn:
                self.watch.fault(f"{key} counts {live[key]}, no hold does")

    def _memory(self) -> None:
        """Everything the engine decided on is on the disk, as it decided it."""
        tally = self.watch.tally
        for hold_id, fact in self.books.holds.items():
            decided = tally.holds.get(hold_id)
            if decided is not None and fact.state != "held":
                # A last slice that could not be written was not used either.
                decided = replace(decided, bound_usd=fact.bound_usd, bound_tokens=fact.bound_tokens)
            if decided != fact:
                self.watch.fault(f"hold {hold_id} is stored as {fact}, decided was {tally.holds.get(hold_id)}")
        for hold_id, fact in tally.holds.items():
            if hold_id not in self.books.holds and fact.state != "released":
                self.watch.fault(f"hold {hold_id} is decided on and not stored: {fact}")
