"""One run from its first plan to its end: planned, parked or refused, then attempt by attempt until one answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from palyra.core.clock import Clock
from palyra.core.events import Event, EventHub
from palyra.governance.approvals import ApprovalDesk, Opened
from palyra.governance.decision import ReasonCode, RoutingAction
from palyra.journal.changes import Change, DecisionMade, RunNoted
from palyra.providers.credentials import Unavailable, Why
from palyra.providers.leases import FOREGROUND, Lease
from palyra.providers.registry import ModelEntry
from palyra.providers.retry import RetryRule
from palyra.providers.translate.table import Crossings, spoken
from palyra.providers.ways import BREAKER_OPEN, CREDENTIAL_COOLING, Way, Ways
from palyra.runs.answers import cancelled, deferred, provider_failed, refused_by_budget, report_of
from palyra.runs.attempt import CACHE, Attempt
from palyra.runs.attempts import Attempts, worked_out
from palyra.runs.cached import CachedAnswers, KeptAnswer
from palyra.runs.closing import MESSAGE_LIMIT, Closing
from palyra.runs.dispatch import Delivered
from palyra.runs.durable import Durable
from palyra.runs.live import LiveRun, LiveRuns, RunStoppedError
from palyra.runs.parking import Parking, Verdict
from palyra.runs.planned import Planned
from palyra.runs.planning import Planner, complexity_of
from palyra.runs.request import Client, ClientGoneError, Outcome, Refusal, RunReport, RunRequest
from palyra.runs.states import Phase, RunState, stopped_state
from palyra.runs.tracing import Tracing
from palyra.runs.trail import LEASE_DEFERRED, FailoverSettings, Trail, out_of_reach

DEFERRED = "deferred"
NO_PLACE = frozenset({Why.LEASE_TIMEOUT, Why.LEASE_DEFERRED, Why.TOO_MANY_WAITING})


@dataclass(frozen=True, slots=True)
class Means:
    """What every run of an engine works with. `draining`: no further attempt is begun; `late` hears of work that ends
    after its run was ended over its head."""

    clock: Clock
    events: EventHub
    durable: Durable
    desk: ApprovalDesk
    parking: Parking
    planner: Planner
    ways: Ways
    attempts: Attempts
    cached: CachedAnswers
    closing: Closing
    live: LiveRuns
    rule: RetryRule
    failover: FailoverSettings
    traced: Tracing
    draining: Callable[[], bool]
    late: Callable[[], None]


class Execution:
    """Carries out one request. Whoever makes it answers for exceptions that come out of it."""

    def __init__(
        self, means: Means, run: LiveRun, request: RunRequest, wanted: Sequence[ModelEntry], client: Client
    ) -> None:
        self._means = means
        self._run = run
        self._request = request
        self._wanted = wanted
        self._client = client
        self._crossings = Crossings(request.parsed)
        failover = request.failover and means.planner.may_fail_over(wanted[0])
        self._trail = Trail(means.rule, means.failover, failover=failover)
        self._asked: bytes | None = None
        """What is asked, where a kept answer to it would do."""
        self._sent: Planned | None = None
        """The plan of the newest attempt."""

    async def carry_out(self) -> Outcome:
        """Returns once the run has ended."""
        try:
            return await self._tried()
        finally:
            trail, means = self._trail, self._means
            trail.leave()
            if trail.unwritten:
                means.durable.write(trail.endings())

    async def _tried(self) -> Outcome:
        means, request, trail = self._means, self._request, self._trail
        self._asked = await means.cached.question(request)
        self._run.cached = None if self._asked is None else False
        park_seconds = means.parking.patience(request.source, request.park_seconds)
        demanding = await worked_out(request, self._read)
        while True:
            if self._run.stop_reason:
                # Nothing is held yet; a run that was ended over its head meanwhile may never hold anything again.
                return self._unbegun()
            now = means.clock.now_ms()
            planned = means.planner.plan(self._run, request, self._wanted, demanding, self._crossings, now, trail.steer)
            if planned.hold is not None:
                kept = means.cached.find(self._asked, planned)
                outcome = await (self._attempted(planned) if kept is None else self._repeated(planned, kept))
                if outcome is not None:
                    return outcome
                continue
            if self._turns_from(planned):
                continue
            if self._sent is not None:
                return await self._no_further(planned, self._sent)
            if planned.parks and park_seconds > 0 and means.parking.has_place(request.scope.key_id):
                # A person takes their time, and others wait for the place it waited for.
                trail.give_back()
                begun = means.clock.monotonic()
                outcome = await self._parked(planned, park_seconds)
                if outcome is not None:
                    return outcome
                park_seconds = max(1.0, park_seconds - (means.clock.monotonic() - begun))
                continue
            return await self._refuse(planned)

    def _read(self) -> float:
        """How demanding the request is. While at it, puts it in the words of the models that may be asked: both take
        their time with a long one."""
        parsed = self._request.parsed
        for wire in {spoken(parsed.wire, entry.wires) for entry in self._wanted}:
            if wire is not None and wire is not parsed.wire:
                self._crossings.to(wire)
        return complexity_of(parsed)

    def _turns_from(self, planned: Planned) -> bool:
        """Whether others are looked at because what was asked for cannot be reached now."""
        named = self._wanted[0]
        if planned.option is not None or self._sent is not None or named.id in self._trail.steer.barred:
            return False
        reason = out_of_reach(planned.decision, named)
        return reason is not None and self._trail.turn_from(named, reason)

    # Attempts

    async def _attempted(self, planned: Planned) -> Outcome | None:
        """One attempt as planned, or a place for it once there is one. None: plan again."""
        means, run, trail = self._means, self._run, self._trail
        assert planned.option is not None
        entry = planned.option.entry
        if trail.permit is not None and not trail.permit.good:
            return self._next_or_end(entry, BREAKER_OPEN)
        way = means.ways.take(
            entry.provider,
            self._request.task_class,
            lease=trail.claim(entry.provider),
            permit=trail.permit,
            same=trail.credential,
        )
        if not isinstance(way, Way):
            return await self._in_line(planned, entry, way)
        trail.goes(entry, way)
        self._sent = planned
        attempt, delivered = await means.attempts.make(run, self._request, self._client, planned, way, trail)
        means.cached.keep(self._asked, planned, delivered)
        if run.state.terminal:
            return self._late(planned, delivered)
        pause = self._pause(attempt, way, delivered)
        trail.unwritten += means.closing.attempt(run, attempt, delivered, last=pause is None or not trail.retrying)
        if pause is None:
            return self._settle(planned, attempt, delivered)
        trail.unwritten.append(means.closing.note(run))
        return await self._rests(planned, pause) if pause else None

    async def _repeated(self, planned: Planned, kept: KeptAnswer) -> Outcome:
        """The answer to the same question of a moment ago: no provider is asked."""
        means, run = self._means, self._run
        served = means.cached.serve(planned, kept)
        run.cached, run.usage_source = True, CACHE
        run.spend(0, 0, 0, (ReasonCode.CACHE_HIT.value,))
        facts = {"phase": Phase.SETTLE.value, "attempts": served.held.attempt}
        unit = [
            *self._trail.endings(),
            *means.attempts.decided(run, served.planned, RunState.RUNNING, **facts),
        ]
        await means.attempts.submit(
            run, [*unit, *served.changes, *means.closing.run(run, RunState.COMPLETED, kept.reason)]
        )
        return Outcome(report_of(run, served.planned), run.row.state, kept.reason, kept.answer)

    def _pause(self, attempt: Attempt, way: Way, delivered: Delivered) -> float | None:
        """Seconds until the next attempt; None where none may follow."""
        error, run, trail = delivered.error, self._run, self._trail
        if error is None or attempt.shown or run.stop_reason or self._client.gone or self._means.draining():
            return None
        return trail.next(error, elsewhere=self._means.ways.others(way.credential))

    async def _rests(self, planned: Planned, seconds: float) -> Outcome | None:
        """Waits until the next attempt is due, holding nothing."""
        means, run, trail = self._means, self._run, self._trail
        means.durable.write([*trail.endings(), means.live.renew(run, phase=Phase.PLAN.value, **run.spent())])
        run.resting = True
        try:
            with run.stoppable(), run.away(means.clock):
                await means.clock.sleep(seconds)
        except RunStoppedError as stopped:
            return self._stopped(planned, stopped.reason)
        finally:
            run.resting = False
        return None

    async def _in_line(self, planned: Planned, entry: ModelEntry, found: Unavailable | None) -> Outcome | None:
        """Waits for a place with a provider, holding nothing. None: plan again, with the place or on another model."""
        means, run, trail = self._means, self._run, self._trail
        if trail.unwritten:
            means.durable.write([*trail.endings(), means.live.renew(run, **run.spent())])
        means.live.touch(run, Phase.LEASE)
        task_class, before = self._request.task_class, run.away_s
        try:
            with run.stoppable(), run.away(means.clock):
                granted = found or await means.ways.wait(entry.provider, task_class, same=trail.credential)
        except RunStoppedError as stopped:
            return self._stopped(planned, stopped.reason)
        finally:
            means.traced.waited(task_class, run.away_s - before)
        if isinstance(granted, Lease):
            trail.keep(granted)
            return None
        if granted.why not in NO_PLACE:
            return self._next_or_end(entry, CREDENTIAL_COOLING)
        foreground = self._request.task_class == FOREGROUND
        if foreground and trail.turn_from(entry, LEASE_DEFERRED):
            return None
        return self._fails(self._sent) if self._sent is not None else await self._deferred(planned, granted)

    def _next_or_end(self, entry: ModelEntry, code: str) -> Outcome | None:
        """What follows where a model cannot be asked any more. None: plan again, which may tell why nobody can be."""
        if self._trail.turn_from(entry, code) or self._sent is None:
            return None
        return self._fails(self._sent)

    # Ends

    def _settle(self, planned: Planned, attempt: Attempt, delivered: Delivered) -> Outcome:
        """Ends the run with its last attempt, in one unit."""
        run, state, reason, error = self._run, delivered.state, delivered.reason, delivered.error
        if self._client.gone and not attempt.streaming and state is RunState.COMPLETED:
            state, reason = RunState.CANCELLED, "client_gone"
        run.retry_after_ms = None if error is None else error.retry_after_ms
        self._ends(state, reason, "" if error is None else str(error))
        refusal: Refusal | None = None
        if error is not None:
            refusal = None if delivered.told else provider_failed(run, planned, error)
        elif state in (RunState.CANCELLED, RunState.FAILED):
            refusal = cancelled(run, reason)
        return Outcome(report_of(run, planned), state.value, reason, delivered.answer, refusal)

    def _fails(self, sent: Planned, *told: Change) -> Outcome:
        """Ends the run with what became of its last attempt, which was `sent`; nobody else can answer."""
        run, error = self._run, self._trail.error
        assert error is not None
        run.retry_after_ms = error.retry_after_ms
        self._ends(RunState.FAILED, error.error_class.value, str(error), *told)
        return self._refused(sent, provider_failed(run, sent, error))

    async def _no_further(self, planned: Planned, sent: Planned) -> Outcome:
        """No further attempt can be made as planned: nobody is left, or a budget refuses it."""
        if planned.option is not None:
            return await self._refuse(planned)
        return self._fails(sent, DecisionMade(planned.decision.row()), *planned.kept)

    def _stopped(self, planned: Planned, reason: str) -> Outcome:
        """Somebody stopped it while nothing was held."""
        if not self._run.state.terminal:
            self._ends(stopped_state(reason), reason)
        return self._refused(planned, cancelled(self._run, reason))

    def _unbegun(self) -> Outcome:
        """Somebody stopped it before there was a plan that could be told of."""
        run = self._run
        if not run.state.terminal:
            self._ends(stopped_state(run.stop_reason), run.stop_reason)
        row = run.row
        return Outcome(RunReport(run.run_id), row.state, row.reason, refusal=cancelled(run, row.reason))

    def _ends(self, state: RunState, reason: str, message: str = "", *told: Change) -> None:
        means = self._means
        means.durable.write([*self._trail.endings(), *told, *means.closing.run(self._run, state, reason, message)])

    def _late(self, planned: Planned, delivered: Delivered) -> Outcome:
        """Work that ends after its run was ended over its head: noted, never charged."""
        means, run, charged = self._means, self._run, delivered.charged
        means.late()
        if charged is not None:
            used = charged.priced.normalised
            data = {"input": used.input_total, "output": used.output_total, "usage_source": charged.usage_source}
            means.durable.write([RunNoted(run.run_id, means.clock.now_ms(), "late_usage", data)])
        return self._refused(planned, cancelled(run, run.row.reason))

    async def _deferred(self, planned: Planned, why: Unavailable) -> Outcome:
        """No place came free in time."""
        means, run, decision = self._means, self._run, planned.decision
        codes = tuple(sorted({*decision.reason_codes, LEASE_DEFERRED}))
        decision = replace(decision, action=RoutingAction.DEFER, reason_codes=codes)
        planned = replace(planned, plan=replace(planned.plan, decision=decision), kept=())
        unit = means.attempts.decided(run, planned, RunState.FAILED, reason=DEFERRED)
        await means.attempts.submit(run, unit)
        wait = 0 if why.until is None else why.until - means.clock.now_ms()
        full = why.why is Why.TOO_MANY_WAITING
        return self._refused(planned, deferred(run, planned, wait / 1000, full=full))

    async def _refuse(self, planned: Planned) -> Outcome:
        """Refuses at once; a budget that asks for a person opens its approval all the same."""
        means, run, error = self._means, self._run, self._trail.error
        opened = means.desk.open(planned.petition(run), means.clock.now_ms()) if planned.parks else None
        approval_id = run.row.approval_id if opened is None else opened.record.approval_id
        reason = planned.run_reason
        told = "" if error is None else str(error)[:MESSAGE_LIMIT]
        if reason == "no_candidate":
            waits = [one.retry_after_ms for one in planned.obstacles if one.retry_after_ms is not None]
            run.retry_after_ms = min(waits, default=None)
        facts = {"reason": reason, "approval_id": approval_id, "message": told, **self._served_by()}
        unit = self._trail.endings()
        unit += means.attempts.decided(run, planned, RunState.REFUSED, **facts)
        if opened is not None:
            unit += opened.changes
        await means.attempts.submit(run, unit)
        if opened is not None:
            self._tell_opened(opened)
        return self._refused(planned, refused_by_budget(run, planned, reason, after=error))

    def _served_by(self) -> dict[str, str]:
        """Whom the newest attempt asked: a plan that is refused afterwards changes nothing about that."""
        option = None if self._sent is None else self._sent.option
        return {} if option is None else {"provider": option.entry.provider, "model": option.entry.id}

    def _refused(self, planned: Planned, refusal: Refusal) -> Outcome:
        run = self._run
        return Outcome(report_of(run, planned), run.row.state, run.row.reason, refusal=refusal)

    # Waiting for a person

    async def _parked(self, planned: Planned, seconds: float) -> Outcome | None:
        """Waits for a person. None means: plan again."""
        means, run, scope = self._means, self._run, self._request.scope
        now = means.clock.now_ms()
        opened = means.desk.open(planned.petition(run), now)
        if opened is None:
            return await self._refuse(planned)
        approval_id = opened.record.approval_id
        with means.parking.seat(approval_id, scope.key_id, seconds) as seat:
            facts = {"phase": Phase.PARK.value, "parked_at": now, "approval_id": approval_id}
            changes = means.attempts.decided(run, planned, RunState.PARKED, **facts)
            await means.attempts.submit(run, [*changes, *opened.changes])
            self._tell_opened(opened)
            if means.draining():
                run.ask_to_stop("engine_stopping")
            try:
                with run.parked(means.clock):
                    verdict, record = await seat.wait(run, self._client, report_of(run, planned))
            except RunStoppedError as stopped:
                return self._stopped(planned, stopped.reason)
            except ClientGoneError:
                return self._stopped(planned, "client_gone")
        if verdict in (Verdict.ALLOW, Verdict.VOID):
            means.live.move(run, RunState.PENDING, phase=Phase.PLAN.value)
            return None
        code = "budget_denied" if verdict is Verdict.DENY else "budget_approval_required"
        said = record.reason if record is not None else ""
        means.durable.write(means.live.move(run, RunState.REFUSED, reason=code, message=said))
        return self._refused(planned, refused_by_budget(run, planned, code, said))

    def _tell_opened(self, opened: Opened) -> None:
        means = self._means
        if opened.fresh:
            means.events.publish(Event("approval.opened", means.clock.now_ms(), opened.record.approval_id))
