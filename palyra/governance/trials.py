"""Trying candidates: what every budget would say to a request with one model and so much output. Moves nothing."""

from collections.abc import Callable, Iterable
from typing import Protocol

from palyra.config.choices import RoutingMode
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.governance.candidates import Candidate, OutputTerms, PlanInput, Tried
from palyra.governance.counters import Budget
from palyra.governance.evaluate import (
    CounterView,
    Demand,
    EvaluationStatus,
    UsageBudgetEvaluation,
    evaluate_budget_policies,
)
from palyra.governance.output import output_terms
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.pricing.estimate import PricingEstimate


@value
class Trial:
    """One candidate, tried."""

    candidate: Candidate
    terms: OutputTerms
    estimate: PricingEstimate
    evaluations: tuple[UsageBudgetEvaluation, ...]

    @property
    def refused(self) -> bool:
        """Whether any budget refuses it."""
        return any(item.refused for item in self.evaluations)

    @property
    def under_soft(self) -> bool:
        """Whether every budget stays within its soft limit."""
        return all(item.status is EvaluationStatus.OK for item in self.evaluations)


class Policies(Protocol):
    """The policies in force, by id."""

    def get(self, policy_id: str) -> UsageBudgetPolicyRecord | None:
        """The policy of that id."""
        ...


class Standing(Protocol):
    """Counters as a request finds them: the ledger's, or those of a replay. `default_mode` is the mode of a policy
    without its own."""

    @property
    def policies(self) -> Policies:
        """The policies in force."""
        ...

    @property
    def default_mode(self) -> RoutingMode:
        """The mode where nothing else says one."""
        ...

    def budget(self, policy_id: str) -> Budget | None:
        """The counters of a policy."""
        ...

    def views(
        self, scope: Scope, provider: str, model: str, *, at: int, run_id: str, denied: frozenset[str]
    ) -> tuple[CounterView, ...]:
        """The counters a request touches at `at` (UTC unix ms), without those of denied grants."""
        ...


Passes = Callable[[tuple[UsageBudgetEvaluation, ...]], bool]
"""Whether what budgets say lets a request through."""


class Trials:
    """Trials of one request at one instant, each made at most once."""

    def __init__(self, given: PlanInput, ledger: Standing, at: int) -> None:
        self.given = given
        self._ledger = ledger
        self._at = at
        self._terms: dict[str, OutputTerms] = {}
        self._estimates: dict[str, PricingEstimate] = {}
        self._trials: dict[str, Trial] = {}
        self._views: dict[str, tuple[CounterView, ...]] = {}

    def of(self, candidate: Candidate) -> Trial:
        """A candidate with the output its rules hold."""
        trial = self._trials.get(candidate.model)
        if trial is None:
            estimate = self.estimate(candidate)
            trial = self._judged(candidate, self._terms[candidate.model], estimate)
            self._trials[candidate.model] = trial
        return trial

    def estimate(self, candidate: Candidate) -> PricingEstimate:
        """What a candidate costs with the output its rules hold; asks no budget."""
        estimate = self._estimates.get(candidate.model)
        if estimate is None:
            terms = self._terms[candidate.model] = candidate.terms or output_terms(candidate, self.given)
            estimate = self._estimates[candidate.model] = candidate.estimate(terms.bound)
        return estimate

    def cost(self, candidate: Candidate) -> tuple[bool, int, bool, float, str]:
        """Orders candidates: by this request's expected cost, then latency, then id; what is unknown sorts last."""
        expected = self.estimate(candidate).expected_usd
        latency = candidate.p50_ms
        return expected is None, expected or 0, latency is None, latency or 0.0, candidate.model

    def tried(self, candidates: Iterable[Candidate]) -> tuple[Tried, ...]:
        """What was found out of candidates that were estimated."""
        return tuple(Tried(one, self._terms[one.model], self._estimates[one.model]) for one in candidates)

    def with_output(self, trial: Trial, per_choice: int) -> Trial:
        """The same candidate with less output."""
        terms = trial.terms.within(per_choice, self.given.choices)
        return self._judged(trial.candidate, terms, trial.candidate.estimate(terms.bound))

    def largest_output(self, trial: Trial, least: int, passes: Passes) -> int | None:
        """The most output tokens per choice, below the trial's own, with which it passes; None when not even `least`.

        More output never costs less, so halving finds it.
        """
        low, high = least, trial.terms.per_choice - 1
        if high < low or not passes(self._with(trial, low)):
            return None
        while low < high:
            middle = (low + high + 1) // 2
            if passes(self._with(trial, middle)):
                low = middle
            else:
                high = middle - 1
        return low

    def evaluated_at(self, trial: Trial, at: int) -> tuple[UsageBudgetEvaluation, ...]:
        """What budgets would say at a later instant if nothing else happened until then."""
        return self._evaluate(self._look(trial.candidate, at), _demand(trial.estimate, trial.terms.bound))

    def _judged(self, candidate: Candidate, terms: OutputTerms, estimate: PricingEstimate) -> Trial:
        demand = Demand(estimate.bound_usd, estimate.bound_input + terms.bound)
        return Trial(candidate, terms, estimate, self._evaluate(self._seen(candidate), demand))

    def _with(self, trial: Trial, per_choice: int) -> tuple[UsageBudgetEvaluation, ...]:
        bound = trial.terms.within(per_choice, self.given.choices).bound
        return self._evaluate(self._seen(trial.candidate), _demand(trial.estimate, bound))

    def _seen(self, candidate: Candidate) -> tuple[CounterView, ...]:
        views = self._views.get(candidate.model)
        if views is None:
            views = self._views[candidate.model] = self._look(candidate, self._at)
        return views

    def _look(self, candidate: Candidate, at: int) -> tuple[CounterView, ...]:
        given = self.given
        return self._ledger.views(
            given.scope, candidate.provider, candidate.model, at=at, run_id=given.run_id, denied=given.denied
        )

    def _evaluate(self, views: tuple[CounterView, ...], demand: Demand) -> tuple[UsageBudgetEvaluation, ...]:
        mode = self._ledger.default_mode
        return evaluate_budget_policies(views, demand, default_mode=mode, requested_mode=self.given.requested_mode)


def _demand(estimate: PricingEstimate, output_tokens: int) -> Demand:
    return Demand(estimate.bound_at(output_tokens), estimate.bound_input + output_tokens)
