"""A history told by hand, request by request: what the engine's ledger made of it is what a replay has to repeat."""

import json
from collections.abc import Iterator, Sequence

from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.governance.candidates import OutputLimits, PlanInput
from palyra.governance.ledger import Ledger
from palyra.governance.plan_record import ModelRecord, PlanRecorder
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.governance.replay import Replay
from palyra.governance.replay_tally import Tally
from palyra.governance.replay_trial import Trial, schedule
from palyra.governance.routing import plan_usage_routing
from palyra.governance.terms import kept_terms
from palyra.journal.changes import HoldTaken, NameKept
from palyra.journal.replay_log import CORRECTION, END, PLAN, REFUSED_SLICE, SLICE, TERMS, Corrected, Event, RecordedUse
from palyra.journal.rows import GrantRow, HoldRow
from palyra.pricing.prompt_size import PromptSize
from tests.governance.plans import DEFAULT, NANO_PER_TOKEN
from tests.governance.policies import scope
from tests.governance.store import Store, request, taken

ROUTING = SmartRoutingRuntimeConfig()
LIMITS = OutputLimits()


class Told:
    """Streams of one model at `NANO_PER_TOKEN` under budgets that stay. It is the log, too."""

    def __init__(self, *policies: UsageBudgetPolicyRecord) -> None:
        self.ledger = Ledger(PolicySet(policies))
        self.store = Store()
        self._recorder = PlanRecorder()
        self._names: dict[int, str] = {}
        self._bodies: dict[int, str] = {}
        self._events: list[Event] = []
        self._log(0, TERMS, 0, body=json.dumps(kept_terms(policies, ROUTING, LIMITS)))

    # What happens

    def ask(self, ref: int, at: int, max_tokens: int = 1000) -> str:
        """A request. Returns the outcome of its decision."""
        given = PlanInput(
            decision_id=f"d{ref}",
            run_id=str(ref),
            scope=scope(),
            requested_model=DEFAULT.model,
            explicit=DEFAULT.model,
            default_model=DEFAULT.model,
            candidates=(DEFAULT,),
            streaming=True,
            complexity=0.5,
            max_tokens=max_tokens,
            limits=LIMITS,
        )
        plan = plan_usage_routing(given, self.ledger, at, ROUTING)
        models = {DEFAULT.model: ModelRecord("default", "openai_compatible", None)}
        for kept in self._recorder.changes(given, plan, models, PromptSize(), at=at, awaited=(), again=False):
            if isinstance(kept, NameKept):
                self._names[kept.name] = kept.body
            else:
                facts = (kept.scope, kept.shape, kept.usd, kept.tokens, kept.outcome)
                self._log(at, PLAN, ref, *facts, body=kept.body)
        if plan.proceeds:
            assert plan.estimate is not None
            tokens = plan.estimate.bound_input + plan.output_bound
            whom = {"provider": DEFAULT.provider, "model": DEFAULT.model, "run_id": str(ref)}
            held = taken(self.ledger.hold(request(str(ref), at, plan.estimate.bound_usd, tokens, **whom)))
            self.store.submit(HoldTaken(held))
        return plan.decision.outcome.value

    def grow(self, ref: int, at: int, tokens: int) -> bool:
        """A further slice. Returns whether the budgets had room for it."""
        usd = tokens * NANO_PER_TOKEN
        change = self.ledger.grow(str(ref), usd, tokens, at).change
        if change is None:
            self._log(at, REFUSED_SLICE, ref, tokens=tokens)
            return False
        self.store.submit(change)
        self._log(at, SLICE, ref, usd=usd, tokens=tokens)
        return True

    def end(self, ref: int, at: int, usd: int, tokens: int) -> None:
        self.store.submit(self.ledger.settle(str(ref), at=at, usd=usd, tokens=tokens).change)
        self._log(at, END, ref, usd=usd, tokens=tokens, outcome=1)

    def correct(self, ref: int, at: int, usd: int, tokens: int) -> None:
        """It turns out that a request was charged something else."""
        before = self.store.rows[str(ref)]
        after = self.store.rows[str(ref)] = self.ledger.correct(before, usd, tokens, at)
        more = (usd - (before.actual_usd or 0), tokens - (before.actual_tokens or 0))
        self._log(after.created_at, CORRECTION, ref, usd=more[0], tokens=more[1], body=str(ref))

    def count_again(self, at: int) -> None:
        """What an engine does once a clock is right that was far ahead."""
        recount = self.ledger.begin(self.ledger.policies, at, anew=True)
        for row in self.store.rows.values():
            recount.add(row)
        self.ledger.apply(recount, at)

    def replayed(self, trial: Trial | None = None) -> Tally:
        until = len(self._events) + 1
        plan = schedule(self.terms(), trial or Trial(), since=1, until=until, since_at=0, first_of=lambda _: 1)
        return Replay(self, plan).run()

    # The log

    def _log(
        self,
        at: int,
        kind: int,
        ref: int,
        scope: int | None = None,
        shape: int | None = None,
        usd: int | None = None,
        tokens: int | None = None,
        outcome: int | None = None,
        *,
        body: str | None = None,
    ) -> None:
        self._events.append((len(self._events) + 1, at, kind, ref, scope, shape, usd, tokens, outcome))
        if body is not None:
            self._bodies[len(self._events)] = body

    def terms(self) -> list[tuple[int, str]]:
        return [(event[0], self._bodies[event[0]]) for event in self._events if event[2] == TERMS]

    def chunks(self, first: int) -> Iterator[list[Event]]:
        yield self._events[first - 1 :]

    def name(self, name: int) -> str:
        return self._names[name]

    def body(self, seq: int) -> str:
        return self._bodies[seq]

    def plan(self, seq: int) -> tuple[int, int, int, int]:
        _, at, _, _, scope, shape, _, _, outcome = self._events[seq - 1]
        return at, scope, shape, outcome

    def holds_before(self, since: int) -> Iterator[HoldRow]:
        return iter(())

    def grant(self, seq: int) -> GrantRow:
        raise KeyError(seq)

    def refs(self, run_ids: Sequence[str]) -> dict[str, int]:
        return {}

    def usage(self, ref: int) -> RecordedUse | None:
        return None

    def corrections(self) -> dict[str, Corrected]:
        events = [event for event in self._events if event[2] == CORRECTION]
        return {self._bodies[event[0]]: Corrected(event[3], event[6], event[7]) for event in events}

    def hold(self, hold_id: str) -> HoldRow:
        return self.store.rows[hold_id]

    def first_of_shapes(self) -> list[tuple[int, int]]:
        return []
