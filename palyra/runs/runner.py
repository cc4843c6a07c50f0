"""Executing governed work, and everything that happens to a run from outside: cancels, time-outs, readings, drain."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from palyra.core.clock import Clock, Timer
from palyra.core.errors import ConflictError, JournalUnavailableError, NotFoundError
from palyra.core.events import EventHub
from palyra.core.ids import IdSource
from palyra.governance.approvals import ApprovalDesk
from palyra.governance.four_eyes import Decider
from palyra.governance.holds import ClockBehindError
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Change, RunNoted
from palyra.journal.journal import Journal
from palyra.journal.rows import RunRow
from palyra.journal.writer import UnitRefusedError
from palyra.providers.cache import ResponseCache
from palyra.providers.registry import ModelEntry, ModelNotFoundError
from palyra.providers.retry import RetryRule
from palyra.providers.ways import Ways
from palyra.runs.answers import (
    clock_behind,
    internal_error,
    journal_unavailable,
    model_not_allowed,
    model_not_found,
)
from palyra.runs.attempt import Attempt
from palyra.runs.attempts import Attempts
from palyra.runs.beating import WorkerPulse
from palyra.runs.cached import CachedAnswers, KeptAnswer
from palyra.runs.closing import Closing
from palyra.runs.contents import listening
from palyra.runs.dispatch import Dispatcher
from palyra.runs.durable import Durable
from palyra.runs.execution import Execution, Means
from palyra.runs.experience import Experience
from palyra.runs.limits import OwnLimit
from palyra.runs.live import LiveRun, LiveRuns
from palyra.runs.parking import Parking
from palyra.runs.planning import Planner, allowed
from palyra.runs.request import Answer, Client, Outcome, RunReport, RunRequest
from palyra.runs.settings import RunSettings
from palyra.runs.states import SPARES_CHILDREN, Phase, RunState, stopped_state
from palyra.runs.tracing import Tracing
from palyra.runs.trail import FailoverSettings

log = logging.getLogger(__name__)

OVERRULE_S = 1.5
"""A run that was asked to stop and is still alive after this many seconds is ended over its worker's head."""

FINISH_FOR_GONE_S = 60.0
"""A plain call whose caller has left is finished for at most this long, so that its real usage is charged."""


class Runner:
    """Executes requests of one engine."""

    def __init__(
        self,
        *,
        boot_id: str,
        clock: Clock,
        ids: IdSource,
        events: EventHub,
        journal: Journal,
        durable: Durable,
        ledger: Ledger,
        desk: ApprovalDesk,
        planner: Planner,
        dispatcher: Dispatcher,
        ways: Ways,
        parking: Parking,
        experience: Experience,
        settings: RunSettings,
        rule: RetryRule,
        failover: FailoverSettings,
        cache: ResponseCache[KeptAnswer] | None = None,
    ) -> None:
        self._boot_id = boot_id
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._durable = durable
        self._ledger = ledger
        self._planner = planner
        self._dispatcher = dispatcher
        self._settings = settings
        self._draining = False
        self.live = live = LiveRuns(clock, events)
        self.traced = Tracing()
        self.late_terminal_writes = 0
        """How often work came to its end after the run had been ended over its head."""
        self._closing = Closing(ledger, live, experience, clock, self.traced.hear)
        self._means = Means(
            clock=clock,
            events=events,
            durable=durable,
            desk=desk,
            parking=parking,
            planner=planner,
            ways=ways,
            attempts=Attempts(
                ledger=ledger,
                journal=journal,
                durable=durable,
                live=live,
                planner=planner,
                dispatcher=dispatcher,
                clock=clock,
                settings=settings,
            ),
            cached=CachedAnswers(cache, ledger, clock),
            closing=self._closing,
            live=live,
            rule=rule,
            failover=failover,
            traced=self.traced,
            draining=lambda: self._draining,
            late=self._came_late,
        )

    def configure(self, settings: RunSettings, rule: RetryRule, failover: FailoverSettings) -> None:
        """Other settings. A run under way goes on by the rules of retrying it began with."""
        self._settings = settings
        self._means.attempts.configure(settings)
        self._means = replace(self._means, rule=rule, failover=failover)

    def _came_late(self) -> None:
        self.late_terminal_writes += 1

    @property
    def planner(self) -> Planner:
        """What plans its requests."""
        return self._planner

    def models_for(self, patterns: Sequence[str]) -> list[ModelEntry]:
        """The declared models a key with these patterns may use; no patterns mean all."""
        return [entry for entry in self._planner.models if allowed(entry.id, patterns)]

    async def execute(self, request: RunRequest, client: Client) -> Outcome:
        """Never raises but CancelledError; whatever happens, the hold ends and the run's row says how."""
        try:
            wanted = self._planner.wanted(request)
        except ModelNotFoundError as error:
            return Outcome(RunReport(""), "", "", refusal=model_not_found(error))
        if not any(allowed(entry.id, request.allowed_models) for entry in wanted):
            return Outcome(RunReport(""), "", "", refusal=model_not_allowed(request.parsed.model))
        if not self._journal.healthy:
            return Outcome(RunReport(""), "", "", refusal=journal_unavailable())
        contents = await listening(self._settings.store_content, request.parsed, client)
        run = self.live.start(self._row(request), request.owner)
        if contents is not None:
            run.opens_with(contents.asked(run.run_id))
            client = contents.client
        timers = [self._limit(run, request.max_duration_s)]
        timers.append(WorkerPulse(run, self._clock))
        client.on_gone(lambda: self._caller_left(run, timers))
        answer: Answer | None = None
        try:
            outcome = await Execution(self._means, run, request, wanted, client).carry_out()
            answer = outcome.answer
            return outcome
        except asyncio.CancelledError:
            self._abandon(run, RunState.CANCELLED, "engine_stopping")
            raise
        except (JournalUnavailableError, ClockBehindError) as error:
            self._abandon(run, RunState.FAILED, "journal_unavailable")
            told = clock_behind if isinstance(error, ClockBehindError) else journal_unavailable
            return Outcome(RunReport(run.run_id), run.row.state, run.row.reason, refusal=told(run.run_id))
        except Exception:
            log.exception("run %s failed", run.run_id)
            self._abandon(run, RunState.FAILED, "internal_error")
            return Outcome(RunReport(run.run_id), run.row.state, run.row.reason, refusal=internal_error(run))
        finally:
            for timer in timers:
                timer.cancel()
            if contents is not None and run.saved:
                self._durable.write(await contents.answered(run.run_id, answer))

    async def cancel(self, run_id: str, by: Decider, reason: str = "by_operator", said: str = "") -> None:
        """Asks a run to stop; the first reason stays, and what was `said`.

        Raises NotFoundError, ConflictError for one that has ended.
        """
        run = self.live.get(run_id)
        if run is None:
            row = await self._journal.readers.run(run_id)
            if row is None:
                raise NotFoundError(f"No run {run_id!r} is known.", fix="See `palyra runs list`.")
            raise ConflictError(f"Run {run_id} is already {row.state} ({row.reason}).", code="wrong_state")
        self._stop(run, reason, by.name, said)

    def stop(self, run_id: str, reason: str, by: str) -> bool:
        """`cancel` of a run that may have ended: False where it has."""
        run = self.live.get(run_id)
        if run is not None:
            self._stop(run, reason, by)
        return run is not None

    def _stop(self, run: LiveRun, reason: str, by: str, said: str = "") -> None:
        if not run.ask_to_stop(reason, by):
            return
        unit: list[Change] = []
        if run.saved:
            told = {"reason": reason, "by": by, **({"said": said} if said else {})}
            unit.append(RunNoted(run.run_id, self._clock.now_ms(), "cancel_asked", told))
        if stopped_state(reason) is RunState.CANCELLED and reason not in SPARES_CHILDREN:
            unit += self.live.children(run.run_id)
        if unit:
            self._durable.write(unit)
        self._clock.call_later(OVERRULE_S, partial(self._overrule, run))

    def _limit(self, run: LiveRun, own_s: float | None) -> Timer:
        """Ends a run that takes too long."""
        if own_s is None:
            return self._clock.call_later(self._settings.max_duration_s, partial(run.stop, "run_timeout"))
        return OwnLimit(run, own_s, self._clock)

    def _overrule(self, run: LiveRun) -> None:
        """Ends a run whose worker did not. What the worker brings later changes nothing."""
        if not run.state.terminal:
            log.error("run %s did not stop by itself in phase %s", run.run_id, run.row.phase)
            self._abandon(run, stopped_state(run.stop_reason), run.stop_reason)

    def _abandon(self, run: LiveRun, state: RunState, reason: str) -> None:
        """The last way out: whatever was held is settled at the meter, or released if nothing was written."""
        if run.state.terminal:
            return
        unit: list[Change] = []
        if run.attempt is not None:
            attempt = run.attempt
            unit += self._closing.attempt(run, attempt, self._dispatcher.abandoned(attempt, state, reason))
        unit += self._closing.run(run, state, reason)
        if run.saved:
            self._durable.write(unit)

    def _caller_left(self, run: LiveRun, timers: list[Timer]) -> None:
        if run.attempt is None or run.attempt.streaming or not run.attempt.progress.written:
            run.ask_to_stop("client_gone")
        else:
            timers.append(self._clock.call_later(FINISH_FOR_GONE_S, partial(run.stop, "client_gone")))

    # Keeping and ending

    async def keep_readings(self) -> None:
        """Journals every meter that moved, twice a second, and what consoles saw of runs since."""
        while True:
            await self._clock.sleep(0.5)
            units: list[list[Change]] = []
            for run in self.live:
                attempt = run.attempt
                if attempt is None:
                    continue
                changes: list[Change] = []
                # Nothing shows how far a plain call has come: one that is lost is charged at its bound.
                reading = attempt.reading(self._ledger) if attempt.streaming else None
                if reading is not None:
                    changes.append(reading)
                self._show_held(run, attempt)
                if run.dirty:
                    changes.append(self.live.snapshot(run))
                if changes:
                    units.append(changes)
            try:
                await self._keep(units)
            except JournalUnavailableError:
                log.warning("meter readings could not be journaled")

    async def _keep(self, units: Sequence[Sequence[Change]]) -> None:
        """Journals what moved of each run, all at once where nothing is refused. Raises JournalUnavailableError."""
        if not units:
            return
        try:
            await self._journal.submit([change for unit in units for change in unit])
        except UnitRefusedError as error:
            if len(units) == 1:
                log.error("the journal refused what a live run looks like: %s", error)
                return
            for unit in units:
                await self._keep([unit])

    def _show_held(self, run: LiveRun, attempt: Attempt) -> None:
        """What a stream holds grows with its slices."""
        hold = self._ledger.open_hold(attempt.hold.hold_id)
        if hold is not None and hold.bound_usd != run.held_usd:
            run.held_usd = hold.bound_usd
            self.live.touch(run)

    async def drain(self, seconds: float) -> None:
        """Ends parked runs, lets live ones finish for `seconds`, then stops the rest at the meter."""
        self._draining = True
        for run in self.live:
            if run.resting or run.state is RunState.PARKED:
                run.ask_to_stop("engine_stopping")
        try:
            async with self._clock.timeout(seconds):
                await self.live.idle()
        except TimeoutError:
            for run in self.live:
                run.ask_to_stop("engine_stopping")
            try:
                async with self._clock.timeout(OVERRULE_S):
                    await self.live.idle()
            except TimeoutError:
                for run in self.live:
                    self._overrule(run)

    def _row(self, request: RunRequest) -> RunRow:
        parsed = request.parsed
        return RunRow(
            run_id=request.run_id or self._ids.new(),
            boot_id=self._boot_id,
            version=1,
            source=request.source,
            scope=request.scope,
            task_class=request.task_class,
            wire=parsed.wire.value,
            streaming=parsed.stream,
            model_asked=parsed.model,
            max_tokens=parsed.max_tokens,
            input_bytes=parsed.prompt.size,
            expected_input=0,
            complexity=0.0,
            digest=parsed.digest,
            state=RunState.PENDING.value,
            phase=Phase.PLAN.value,
            reason="",
            message="",
            accepted_at=self._clock.now_ms(),
        )
