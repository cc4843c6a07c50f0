"""Making an attempt: its hold made durable, then its provider, then what came of it."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.holds import Refusal as HoldRefusal
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Change, DecisionMade, HoldTaken, RunNoted
from palyra.journal.journal import Journal
from palyra.providers.ways import Way
from palyra.runs.answers import report_of
from palyra.runs.attempt import Attempt
from palyra.runs.dispatch import Delivered, Dispatcher
from palyra.runs.durable import Durable
from palyra.runs.live import LiveRun, LiveRuns
from palyra.runs.planned import Planned
from palyra.runs.planning import Planner
from palyra.runs.relay import Cover, Unlimited
from palyra.runs.request import Client, RunRequest
from palyra.runs.settings import RunSettings
from palyra.runs.slices import Slices
from palyra.runs.states import Phase, RunState
from palyra.runs.trail import Trail

LARGE_BODY = 256 * 1024
"""Bytes of a body from which on it is worked through in a thread, so that nobody else waits for it."""

Found = TypeVar("Found")


class Attempts:
    """Holds and sends. Nothing leaves before its hold is durable."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        journal: Journal,
        durable: Durable,
        live: LiveRuns,
        planner: Planner,
        dispatcher: Dispatcher,
        clock: Clock,
        settings: RunSettings,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._durable = durable
        self._live = live
        self._planner = planner
        self._dispatcher = dispatcher
        self._clock = clock
        self._settings = settings

    def configure(self, settings: RunSettings) -> None:
        """Other settings, for attempts that are made from now on."""
        self._settings = settings

    async def make(
        self, run: LiveRun, request: RunRequest, client: Client, planned: Planned, way: Way, trail: Trail
    ) -> tuple[Attempt, Delivered]:
        """Takes the hold that was planned in this same step, and sends it the way that was taken with it.

        Raises JournalUnavailableError; the hold and the way are given back with the run then.
        """
        attempt = await self._hold(run, request, planned, way, trail)
        body = await worked_out(request, partial(planned.body, request.parsed))
        run.allow_silence(self._live.silence(attempt.entry.provider, attempt.streaming))
        self._live.touch(run, Phase.DISPATCH, dispatched_at=self._clock.now_ms())
        answers = partial(self._answers, run, attempt)
        if attempt.streaming:
            cover, report = self._cover(run, planned, attempt), report_of(run, planned)
            delivered = await self._dispatcher.stream(run, attempt, request, body, client, cover, report, answers)
        else:
            with run.away(self._clock):
                delivered = await self._dispatcher.plain(run, attempt, request, body, answers)
        return attempt, delivered

    async def _hold(self, run: LiveRun, request: RunRequest, planned: Planned, way: Way, trail: Trail) -> Attempt:
        wanted = planned.hold
        assert wanted is not None
        try:
            held = self._ledger.hold(wanted)
            if isinstance(held, HoldRefusal):
                raise PalyraError("A hold was refused that had just been planned.")
        except BaseException:
            way.unsent()
            raise
        run.held_usd = held.bound_usd
        grant_ids = tuple(dict.fromkeys(grant_id for move in held.moves for grant_id, _ in move.drawn))
        facts = {"phase": Phase.HOLD.value, "attempts": held.attempt, "grant_ids": grant_ids}
        changes = self.decided(run, planned, RunState.RUNNING, **facts)
        run.attempt = attempt = planned.attempt(held, wanted.at, request.parsed)
        attempt.way = way
        endings = trail.endings()
        try:
            await self.submit(run, [*endings, *changes, HoldTaken(held)], held=True)
        except BaseException:
            self._durable.write(endings)
            raise
        return attempt

    def decided(self, run: LiveRun, planned: Planned, state: RunState, **facts: object) -> list[Change]:
        """The move that a plan brings about, with its decision."""
        known = {**planned.facts(), **run.spent(), **facts}
        moved = [self._live.renew(run, **known)] if state is run.state else self._live.move(run, state, **known)
        return [*moved, DecisionMade(planned.decision.row()), *planned.kept]

    async def submit(self, run: LiveRun, unit: Sequence[Change], *, held: bool = False) -> None:
        """Waits until the journal has a move of a run. From here on it is told of the run's end in any case: should a
        write fail and yet have happened, nothing stays held. What took no hold is true whether it can be written now
        or not."""
        unit = [*unit, *run.begun()]
        await (self._journal.submit(unit) if held else self._durable.wait(unit))
        self._planner.recorder.durable(unit)
        run.known()

    def _answers(self, run: LiveRun, attempt: Attempt) -> None:
        if attempt.streaming and attempt.way is not None:
            attempt.way.reached()
        self._live.touch(run, Phase.STREAM, first_byte_at=self._clock.now_ms())

    def _cover(self, run: LiveRun, planned: Planned, attempt: Attempt) -> Cover:
        if not planned.plan.sliced:
            return Unlimited()

        def against(evaluations: tuple[UsageBudgetEvaluation, ...], tokens: int) -> None:
            enforced = any(item.refused for item in evaluations)
            kind = "slice_refused" if enforced else "would_block"
            data = {"policies": [item.policy_id for item in evaluations], "tokens": tokens}
            self._durable.write([RunNoted(run.run_id, self._clock.now_ms(), kind, data)])

        return Slices(
            attempt,
            self._ledger,
            self._journal.submit,
            self._clock,
            first=planned.plan.output_bound,
            ceiling=attempt.ceiling,
            slice_tokens=self._settings.slice_tokens,
            against=against,
            usual=attempt.learned.usual_cover,
        )


async def worked_out(request: RunRequest, work: Callable[[], Found]) -> Found:
    """What is made from a body, in a thread where it is large."""
    return work() if len(request.parsed.body) < LARGE_BODY else await asyncio.to_thread(work)
