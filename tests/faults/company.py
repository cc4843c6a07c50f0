"""Those who use an engine for a while: callers, an operator who does everything there is to do, and bad luck."""

import asyncio
import random

from palyra.control.queries import RunsQuery
from palyra.core.errors import JournalUnavailableError
from palyra.engine.engine import Engine
from palyra.runs.request import RunRequest
from tests.faults.house import House
from tests.faults.operating import Operator
from tests.simulation.people import Person, ask_for, population, scope_of
from tests.simulation.visitor import Visitor

PAUSES = (0.0, 0.0, 0.02, 0.2, 1.0, 6.0)
STEPS_MS = (-3_600_000, -70_000, -5_000, 5_000, 70_000, 3_600_000)
"""How far somebody sets the wall clock."""
UNAVAILABLE = 503
"""What cannot be written down is refused without a trace."""
SLEEPS_S = (1.5, 40.0, 600.0)
"""How long a machine sleeps: then everything that was due is late at once."""


class Company:
    """Around one house. All of it comes from the house's dice."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._dice = house.dice
        self._people = population(6, random.Random(house.dice.random()))
        self._visits: set[asyncio.Task[None]] = set()
        self._operator = Operator(house)

    async def day(self, acts: int) -> None:
        """So many things happen; what was begun is waited for, most of the time."""
        dice, clock = self._dice, self._house.clock
        for _ in range(acts):
            await clock.sleep(dice.choice(PAUSES))
            kind = dice.choices(("visit", "act", "ask", "luck"), (12, 12, 2, 1))[0]
            if kind == "visit":
                for _ in range(dice.choice((1, 1, 1, 2, 4))):
                    self._begin_visit(dice.choice(self._people))
            elif kind == "act":
                await self._operator.act()
            elif kind == "ask":
                await self._ask()
            else:
                await self._luck()
        if dice.random() < 0.7 and self._visits:
            await asyncio.wait(self._visits)

    # Callers

    def _begin_visit(self, person: Person) -> None:
        visit = asyncio.create_task(self._visit(self._house.engine, person))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _visit(self, engine: Engine, person: Person) -> None:
        dice = self._dice
        request = RunRequest(
            scope=scope_of(person, dice),
            parsed=ask_for(person, dice),
            park_seconds=person.parks,
            allowed_models=person.allowed,
        )
        visitor = Visitor(self._house.clock, dice, lambda _: None)
        outcome = await engine.runner.execute(request, visitor)
        report = outcome.report
        if outcome.reason == "internal_error":
            self._house.teller.tell(fault=f"run {report.run_id} failed inside")
        if visitor.gone:
            return
        if outcome.answer is not None:
            self._house.teller.tell(answered=report.run_id, cost=report.cost_usd)
        elif outcome.refusal is not None and report.run_id and outcome.refusal.status != UNAVAILABLE:
            self._house.teller.tell(refused_run=report.run_id, status=outcome.refusal.status)
        elif visitor.bytes:
            self._house.teller.tell(streamed=report.run_id)

    async def _ask(self) -> None:
        """What a console shows of ended runs is durable, and stays."""
        house = self._house
        try:
            page = await house.ann.ask(RunsQuery(state="completed,failed,cancelled,refused", limit=50))
        except JournalUnavailableError:
            return
        names = ("run_id", "state", "reason", "cost_nano_usd", "input_tokens", "output_tokens")
        for run in page.runs:
            house.teller.tell(run=[getattr(run, name) for name in names])

    # Bad luck

    async def _luck(self) -> None:
        house, dice = self._house, self._dice
        luck = dice.choice(("step", "sleep", "slow", "back and forth"))
        if luck == "sleep":
            house.clock.leap(dice.choice(SLEEPS_S))
        elif luck == "slow":
            # Each job of the disk takes its time, by the clock of the house; another time they are quick again.
            house.queues.slow = dice.choice((0.0, 0.5, 1.0))
        else:
            step = dice.choice(STEPS_MS)
            house.clock.set_wall(house.clock.now_ms() + step)
            if luck == "back and forth":
                await house.clock.sleep(dice.uniform(0.1, 4))
                house.clock.set_wall(house.clock.now_ms() - step)
