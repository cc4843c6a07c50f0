"""What would have passed: less output, another model, a later instant, a grant. Each is tried before it is told."""

from palyra.governance.candidates import Candidate
from palyra.governance.counters import Budget
from palyra.governance.decision import Counterfactual
from palyra.governance.evaluate import Cause, UsageBudgetEvaluation
from palyra.governance.explain import amount_text, instant_text
from palyra.governance.trials import Passes, Standing, Trial, Trials

INSTANTS_TRIED = 16
"""How many ends of windows are tried in turn until every budget admits the request."""


def counterfactuals(
    trial: Trial, trials: Trials, able: list[Candidate], ledger: Standing, at: int
) -> tuple[Counterfactual, ...]:
    """In this order: the most output tokens, the cheapest model, the first instant, the grant each budget needs.

    What counts as passing is what the trial failed at: enforced budgets, or those that only would refuse.
    """
    passes = _passes(trial)
    found: list[Counterfactual] = []
    tokens = trials.largest_output(trial, 1, passes)
    if tokens and trial.terms.sliced:
        # A stream holds for all its choices at once, and a ceiling is told for each.
        tokens //= trials.given.choices
    if tokens:
        found.append(Counterfactual("max_tokens", f"max_tokens {tokens:,}", tokens))
    model = _model(trial, trials, able, passes)
    if model is not None:
        found.append(Counterfactual("model", f"the model {model}", model))
    instant = _instant(trial, trials, ledger, at, passes)
    if instant is not None:
        found.append(Counterfactual("time", f"a start at {instant_text(instant)} or later", instant))
    failing = _failing(trial)
    if any(item.cause is Cause.PRICE for item in failing):
        # Nobody can grant a price.
        return tuple(found)
    return (*found, *(_grant(item) for item in failing))


def _failing(trial: Trial) -> list[UsageBudgetEvaluation]:
    refused = [item for item in trial.evaluations if item.refused]
    return refused or [item for item in trial.evaluations if item.would_refuse]


def _passes(trial: Trial) -> Passes:
    if trial.refused:
        return lambda items: not any(item.refused for item in items)
    return lambda items: not any(item.status.refusing for item in items)


def _model(trial: Trial, trials: Trials, able: list[Candidate], passes: Passes) -> str | None:
    """The cheapest capable model that passes as it is, also one that nobody asked for."""
    pool = [*able, *(one for one in trials.given.others() if not one.excluded)]
    others = sorted((one for one in pool if one.model != trial.candidate.model), key=trials.cost)
    return next((one.model for one in others if passes(trials.of(one).evaluations)), None)


def _instant(trial: Trial, trials: Trials, ledger: Standing, at: int, passes: Passes) -> int | None:
    """The first instant the windows admit the request, if nothing else is spent until then."""
    failing = _failing(trial)
    moment = at
    for _ in range(INSTANTS_TRIED):
        ends = [_room_at(ledger, item, moment) for item in failing]
        known = [end for end in ends if end is not None]
        if len(known) < len(ends) or not known:
            return None
        moment = max(known)
        evaluations = trials.evaluated_at(trial, moment)
        if passes(evaluations):
            return moment
        refused = [item for item in evaluations if item.refused]
        failing = refused or [item for item in evaluations if item.status.refusing]
    return None


def _room_at(ledger: Standing, item: UsageBudgetEvaluation, at: int) -> int | None:
    """When one budget may have room again for what it refused: its window's end, or as enough buckets leave a rolling
    one. None when waiting does not help: the price is unknown, the window never ends, or what is asked for alone is
    beyond the limit and every grant."""
    budget = ledger.budget(item.policy_id)
    if budget is None or item.cause is Cause.PRICE or item.hard is None or item.bound > item.hard + item.grants:
        return None
    if budget.rolling is None:
        return item.window.end
    return _released(budget, item, at)


def _released(budget: Budget, item: UsageBudgetEvaluation, at: int) -> int | None:
    total = budget.totals.get(item.scope_value)
    if total is None:
        return None
    total.turn(at)
    missing = item.excess
    for start in total.order[total.first :]:
        cell = total.cells[start]
        missing -= cell.settled + cell.held - cell.drawn
        if missing <= 0:
            return cell.end + total.span_ms
    return None


def _grant(item: UsageBudgetEvaluation) -> Counterfactual:
    text = f"a grant of {amount_text(item.excess, item.metric_kind)} on {item.policy_id}"
    return Counterfactual("grant", text, None, item.policy_id, item.excess)
