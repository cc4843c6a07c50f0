"""Executing governed work: plan, hold, park, dispatch, settle. Every way out ends the hold exactly once."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from palyra.core.clock import Clock, Timer
from palyra.core.errors import ConflictError, JournalUnavailableError, NotFoundError, PalyraError
from palyra.core.events import Event, EventHub
from palyra.core.ids import IdSource
from palyra.governance.approvals import ApprovalDesk, Opened
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.four_eyes import Decider
from palyra.governance.holds import ClockBehindError, HoldRequest
from palyra.governance.holds import Refusal as HoldRefusal
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Change, DecisionMade, HoldTaken, RunNoted
from palyra.journal.journal import Journal
from palyra.journal.rows import RunRow
from palyra.journal.writer import UnitRefusedError
from palyra.providers.registry import ModelEntry, ModelNotFoundError
from palyra.runs.answers import (
    cancelled,
    clock_behind,
    internal_error,
    journal_unavailable,
    model_not_allowed,
    model_not_found,
    provider_failed,
    refused_by_budget,
    report_of,
)
from palyra.runs.attempt import Attempt, usage_change
from palyra.runs.dispatch import Delivered, Dispatcher
from palyra.runs.durable import Durable
from palyra.runs.experience import Experience
from palyra.runs.live import LiveRun, LiveRuns, RunStoppedError
from palyra.runs.parking import Parking, Verdict
from palyra.runs.planning import Planned, Planner, allowed, complexity_of
from palyra.runs.relay import Cover, Unlimited
from palyra.runs.request import Client, ClientGoneError, Outcome, Refusal, RunReport, RunRequest
from palyra.runs.settings import RunSettings
from palyra.runs.slices import Slices
from palyra.runs.states import Phase, RunState, stopped_state

log = logging.getLogger(__name__)

OVERRULE_S = 1.5
"""A run that was asked to stop and is still alive after this many seconds is ended over its worker's head."""

FINISH_FOR_GONE_S = 60.0
"""A plain call whose caller has left is finished for at most this long, so that its real usage is charged."""

LARGE_BODY = 256 * 1024
"""Bytes of a body from which on it is worked through in a thread, so that nobody else waits for it."""

Found = TypeVar("Found")


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
        parking: Parking,
        experience: Experience,
        settings: RunSettings,
    ) -> None:
        self._boot_id = boot_id
        self._clock = clock
        self._ids = ids
        self._events = events
        self._journal = journal
        self._durable = durable
        self._ledger = ledger
        self._desk = desk
        self._planner = planner
        self._dispatcher = dispatcher
        self._parking = parking
        self._experience = experience
        self._settings = settings
        self._draining = False
        self.live = LiveRuns(clock, events)
        self.late_terminal_writes = 0
        """How often work came to its end after the run had been ended over its head."""

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
        run = self.live.start(self._row(request))
        timers = [self._clock.call_later(self._settings.max_duration_s, partial(run.stop, "run_timeout"))]
        client.on_gone(lambda: self._caller_left(run, timers))
        try:
            return await self._governed(run, request, wanted, client)
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

    async def cancel(self, run_id: str, by: Decider, reason: str = "by_operator") -> None:
        """Asks a run to stop; the first reason stays. Raises NotFoundError, ConflictError for one that has ended."""
        run = self.live.get(run_id)
        if run is None:
            row = await self._journal.readers.run(run_id)
            if row is None:
                raise NotFoundError(f"No run {run_id!r} is known.", fix="Look it up on the Runs screen.")
            raise ConflictError(f"Run {run_id} is already {row.state} ({row.reason}).", code="wrong_state")
        if run.ask_to_stop(reason, by.name):
            if run.saved:
                note = RunNoted(run_id, self._clock.now_ms(), "cancel_asked", {"reason": reason, "by": by.name})
                self._durable.write([note])
            self._clock.call_later(OVERRULE_S, partial(self._overrule, run))

    def _overrule(self, run: LiveRun) -> None:
        """Ends a run whose worker did not. What the worker brings later changes nothing."""
        if not run.state.terminal:
            log.error("run %s did not stop by itself in phase %s", run.run_id, run.row.phase)
            self._abandon(run, stopped_state(run.stop_reason), run.stop_reason)

    # Planning and holding

    async def _governed(
        self, run: LiveRun, request: RunRequest, wanted: Sequence[ModelEntry], client: Client
    ) -> Outcome:
        park_seconds = self._parking.patience(request.source, request.park_seconds)
        demanding = await _worked_out(request, partial(complexity_of, request.parsed))
        while True:
            now = self._clock.now_ms()
            planned = self._planner.plan(run, request, wanted, demanding, now)
            if planned.hold is not None:
                attempt = await self._hold(run, request, planned, planned.hold)
                return await self._dispatched(run, request, client, planned, attempt)
            if planned.parks and park_seconds > 0 and self._parking.has_place(request.scope.key_id):
                begun = self._clock.monotonic()
                outcome = await self._parked(run, request, client, planned, park_seconds)
                if outcome is not None:
                    return outcome
                park_seconds = max(1.0, park_seconds - (self._clock.monotonic() - begun))
                continue
            return await self._refuse(run, planned)

    async def _hold(self, run: LiveRun, request: RunRequest, planned: Planned, wanted: HoldRequest) -> Attempt:
        """Takes the hold that was planned in this same step. Raises JournalUnavailableError once it is given back."""
        held = self._ledger.hold(wanted)
        if isinstance(held, HoldRefusal):
            raise PalyraError("A hold was refused that had just been planned.")
        run.held_usd = held.bound_usd
        grant_ids = tuple(dict.fromkeys(grant_id for move in held.moves for grant_id, _ in move.drawn))
        changes = self._decided(
            run, planned, RunState.RUNNING, phase=Phase.HOLD.value, attempts=held.attempt, grant_ids=grant_ids
        )
        run.attempt = attempt = planned.attempt(held, wanted.at, request.parsed)
        await self._submitted(run, [*changes, HoldTaken(held)])
        return attempt

    async def _submitted(self, run: LiveRun, unit: Sequence[Change]) -> None:
        """Waits until the journal has a move of a run. From here on it is told of the run's end in any case: should a
        write fail and yet have happened, nothing stays held."""
        run.saved = True
        try:
            await self._journal.submit(unit)
        except BaseException:
            self._planner.recorder.forget()
            raise

    def _decided(self, run: LiveRun, planned: Planned, state: RunState, **facts: object) -> list[Change]:
        """The move that a plan brings about, with its decision."""
        return [
            *self.live.move(run, state, **{**planned.facts(), **facts}),
            DecisionMade(planned.decision.row()),
            *planned.kept,
        ]

    async def _parked(
        self, run: LiveRun, request: RunRequest, client: Client, planned: Planned, seconds: float
    ) -> Outcome | None:
        """Waits for a person. None means: plan again."""
        now = self._clock.now_ms()
        opened = self._desk.open(planned.petition(run), now)
        if opened is None:
            return await self._refuse(run, planned)
        approval_id = opened.record.approval_id
        with self._parking.seat(approval_id, request.scope.key_id, seconds) as seat:
            changes = self._decided(
                run, planned, RunState.PARKED, phase=Phase.PARK.value, parked_at=now, approval_id=approval_id
            )
            try:
                await self._submitted(run, [*changes, *opened.changes])
            except JournalUnavailableError:
                self._durable.write(opened.changes)
                raise
            self._tell_opened(opened)
            if self._draining:
                run.ask_to_stop("engine_stopping")
            try:
                verdict, record = await seat.wait(run, client, report_of(run, planned))
            except (RunStoppedError, ClientGoneError) as error:
                return self._ended_unheld(
                    run, planned, error.reason if isinstance(error, RunStoppedError) else "client_gone"
                )
        if verdict in (Verdict.ALLOW, Verdict.VOID):
            self.live.move(run, RunState.PENDING, phase=Phase.PLAN.value)
            return None
        code = "budget_denied" if verdict is Verdict.DENY else "budget_approval_required"
        said = record.reason if record is not None else ""
        self._durable.write(self.live.move(run, RunState.REFUSED, reason=code, message=said))
        return self._refused(run, planned, refused_by_budget(run, planned, code, said))

    def _tell_opened(self, opened: Opened) -> None:
        if opened.fresh:
            self._events.publish(Event("approval.opened", self._clock.now_ms(), opened.record.approval_id))

    async def _refuse(self, run: LiveRun, planned: Planned) -> Outcome:
        """Refuses at once; a budget that asks for a person opens its approval all the same."""
        opened = self._desk.open(planned.petition(run), self._clock.now_ms()) if planned.parks else None
        approval_id = run.row.approval_id if opened is None else opened.record.approval_id
        reason = planned.run_reason
        unit = self._decided(run, planned, RunState.REFUSED, reason=reason, approval_id=approval_id)
        if opened is not None:
            unit += opened.changes
        try:
            await self._submitted(run, unit)
        except JournalUnavailableError:
            self._durable.write(unit)
            raise
        if opened is not None:
            self._tell_opened(opened)
        return self._refused(run, planned, refused_by_budget(run, planned, reason))

    def _refused(self, run: LiveRun, planned: Planned, refusal: Refusal) -> Outcome:
        return Outcome(report_of(run, planned), run.row.state, run.row.reason, refusal=refusal)

    def _ended_unheld(self, run: LiveRun, planned: Planned, reason: str) -> Outcome:
        if not run.state.terminal:
            self._durable.write(self.live.move(run, stopped_state(reason), reason=reason))
        return Outcome(report_of(run, planned), run.row.state, reason, refusal=cancelled(run, reason))

    # Dispatching and settling

    async def _dispatched(
        self, run: LiveRun, request: RunRequest, client: Client, planned: Planned, attempt: Attempt
    ) -> Outcome:
        body = await _worked_out(request, partial(planned.body, request.parsed))
        now = self._clock.now_ms()
        self.live.touch(run, Phase.DISPATCH, dispatched_at=now)
        answers = partial(self._answers, run)
        if attempt.streaming:
            cover = self._cover(run, planned, attempt)
            report = report_of(run, planned)
            delivered = await self._dispatcher.stream(run, attempt, request, body, client, cover, report, answers)
        else:
            delivered = await self._dispatcher.plain(run, attempt, request, body, answers)
        return self._settle(run, planned, attempt, delivered, client)

    def _answers(self, run: LiveRun) -> None:
        self.live.touch(run, Phase.STREAM, first_byte_at=self._clock.now_ms())

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

    def _settle(
        self, run: LiveRun, planned: Planned, attempt: Attempt, delivered: Delivered, client: Client
    ) -> Outcome:
        """Ends the hold and the run in one unit."""
        if run.state.terminal:
            return self._late(run, planned, delivered)
        state, reason = delivered.state, delivered.reason
        if client.gone and not attempt.streaming and state is RunState.COMPLETED:
            state, reason = RunState.CANCELLED, "client_gone"
        self._close(run, attempt, delivered, state, reason)
        report = report_of(run, planned)
        refusal: Refusal | None = None
        if delivered.error is not None:
            refusal = provider_failed(run, planned, delivered.error)
        elif state in (RunState.CANCELLED, RunState.FAILED):
            refusal = cancelled(run, reason)
        return Outcome(report, state.value, reason, delivered.answer, refusal)

    def _late(self, run: LiveRun, planned: Planned, delivered: Delivered) -> Outcome:
        """Work that ends after its run was ended over its head: noted, never charged."""
        self.late_terminal_writes += 1
        charged = delivered.charged
        if charged is not None:
            used = charged.priced.normalised
            data = {"input": used.input_total, "output": used.output_total, "usage_source": charged.usage_source}
            self._durable.write([RunNoted(run.run_id, self._clock.now_ms(), "late_usage", data)])
        reason = run.row.reason
        return Outcome(report_of(run, planned), run.row.state, reason, refusal=cancelled(run, reason))

    def _close(self, run: LiveRun, attempt: Attempt, delivered: Delivered, state: RunState, reason: str) -> None:
        now = self._clock.now_ms()
        hold_id = attempt.hold.hold_id
        changes: list[Change] = []
        cost: int | None = 0
        tokens = (0, 0)
        flags = run.flags
        charged = delivered.charged
        if charged is None:
            changes.append(self._ledger.release(hold_id, at=now).change)
        else:
            ending = self._ledger.settle(
                hold_id, at=now, usd=charged.usd, tokens=charged.tokens, source=charged.usage_source
            )
            usage = usage_change(attempt, charged, ending.flat, now)
            changes += [ending.change, usage]
            cost = usage.row.charge
            tokens = (usage.row.input_total, usage.row.output_total)
            flags = tuple(dict.fromkeys([*flags, *charged.flags]))
            self._experience.take(attempt, charged, usage.row.latency_ms, ending.change.overrun)
            run.usage_source = charged.usage_source
        run.attempt = None
        run.held_usd = 0
        changes += self.live.move(
            run,
            state,
            reason=reason,
            phase=Phase.SETTLE.value,
            message="" if delivered.error is None else str(delivered.error)[:512],
            cost=cost,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            flags=flags,
        )
        self._durable.write(changes)

    def _abandon(self, run: LiveRun, state: RunState, reason: str) -> None:
        """The last way out: whatever was held is settled at the meter, or released if nothing was written."""
        if run.state.terminal:
            return
        attempt = run.attempt
        if attempt is not None:
            self._close(run, attempt, self._dispatcher.abandoned(attempt, state, reason), state, reason)
            return
        changes = self.live.move(run, state, reason=reason)
        if run.saved:
            self._durable.write(changes)

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
            if run.state is RunState.PARKED:
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
            run_id=self._ids.new(),
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


async def _worked_out(request: RunRequest, work: Callable[[], Found]) -> Found:
    """What is made from a body, in a thread where it is large."""
    return work() if len(request.parsed.body) < LARGE_BODY else await asyncio.to_thread(work)
