"""Planning: which model serves a request, how much output is held for it, and what every budget says to that.

Pure over the ledger as it stands: the caller takes the hold in the same synchronous step, so what fits here fits there.
"""

from dataclasses import replace

from palyra.config.choices import CostTier, OverrideKind, PolicyAction, RoutingMode
from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.core.values import value
from palyra.governance.candidates import Candidate, Course, Plan, PlanInput, TaskClass
from palyra.governance.counterfactual import counterfactuals
from palyra.governance.decision import CandidateReport, ReasonCode, RoutingAction, RoutingDecision
from palyra.governance.evaluate import Cause, EvaluationStatus, Pricing, UsageBudgetEvaluation, strongest
from palyra.governance.modes import stricter, strictest
from palyra.governance.trials import Standing, Trial, Trials


@value
class _Choice:
    """A candidate and why it was chosen."""

    candidate: Candidate
    reasons: frozenset[ReasonCode]


def plan_usage_routing(
    given: PlanInput, ledger: Standing, at: int, config: SmartRoutingRuntimeConfig, *, explained: bool = True
) -> Plan:
    """The plan for one request at an instant. Stored as it is, whatever it says.

    Unless it is to be `explained`, nobody looks for what would have passed instead.
    """
    trials = Trials(given, ledger, at)
    able = [one for one in given.candidates if not one.excluded]
    able.sort(key=trials.cost)
    baseline = _baseline(given, config, able) if given.course is Course.FIRST else _next(given, trials, able)
    if baseline is None:
        return Plan(_nothing(given, at, ledger.default_mode), None, None, tried=trials.tried(able))
    first = _wanted(given, config, trials, able, baseline)
    wanted = _overridden(first, ledger, trials, able) if given.course is Course.FIRST else first
    trial = trials.of(wanted.candidate)
    mode = _mode(ledger.default_mode, given, trial, trials.of(baseline.candidate))
    chosen = wanted
    if mode is not RoutingMode.ENFORCED and wanted.candidate is not baseline.candidate:
        chosen = replace(baseline, reasons=baseline.reasons | wanted.reasons)
        trial = trials.of(baseline.candidate)
    trial, clamped = _clamp(trial, trials)
    decision = _decide(given, at, ledger, trials, able, baseline, wanted, chosen, trial, mode, clamped, explained)
    return Plan(
        decision=decision,
        candidate=trial.candidate,
        estimate=trial.estimate,
        output_bound=trial.terms.bound,
        send_max_tokens=trial.terms.send,
        sliced=trial.terms.sliced,
        clamped=trial.terms.send if clamped else None,
        tried=trials.tried(able),
        first=first.candidate,
        baseline=baseline.candidate,
        weighed=not _PREMIUM.isdisjoint(first.reasons),
    )


_PREMIUM = {ReasonCode.BUDGET_ALLOWED_PREMIUM_MODEL, ReasonCode.BUDGET_WITHHELD_PREMIUM_MODEL}

# Choosing a model


def _latency(trials: Trials, candidate: Candidate) -> tuple[bool, float, tuple[bool, int, bool, float, str]]:
    return candidate.p50_ms is None, candidate.p50_ms or 0.0, trials.cost(candidate)


def _baseline(given: PlanInput, config: SmartRoutingRuntimeConfig, able: list[Candidate]) -> _Choice | None:
    """What serves the request without smart routing: the model named, else the default, else the cheapest capable."""
    if given.explicit:
        named = next((one for one in able if one.model == given.explicit), None)
        if named is not None:
            return _Choice(named, frozenset({ReasonCode.EXPLICIT_MODEL}))
        if not config.explicit_models:
            return None
    default = next((one for one in able if one.model == given.default_model), None)
    if default is not None:
        return _Choice(default, frozenset({ReasonCode.DEFAULT_MODEL}))
    return _Choice(able[0], frozenset({ReasonCode.CHEAPEST_CAPABLE})) if able else None


_COURSES = {
    Course.RETRY: frozenset({ReasonCode.RETRY_ATTEMPT}),
    Course.FAILOVER: frozenset({ReasonCode.FAILOVER_TO_SECONDARY}),
    Course.FAILOVER_RETRY: frozenset({ReasonCode.FAILOVER_TO_SECONDARY, ReasonCode.RETRY_ATTEMPT}),
}


def _next(given: PlanInput, trials: Trials, able: list[Candidate]) -> _Choice | None:
    """What serves a request after an attempt that failed; `able` is sorted by cost."""
    places = {model: place for place, model in enumerate(given.order)}
    options = sorted(able, key=lambda one: places.get(one.model, len(places)))
    if not options:
        return None
    chosen = next((one for one in options if not trials.of(one).refused), options[0])
    named = {ReasonCode.EXPLICIT_MODEL} if chosen.model == given.explicit else set()
    return _Choice(chosen, _COURSES[given.course] | named)


def _wanted(
    given: PlanInput, config: SmartRoutingRuntimeConfig, trials: Trials, able: list[Candidate], baseline: _Choice
) -> _Choice:
    """What smart routing would choose; `able` is sorted by cost."""
    if given.course is not Course.FIRST:
        return baseline
    if given.explicit and not config.explicit_models:
        return baseline
    if not config.enabled:
        return replace(baseline, reasons=baseline.reasons | {ReasonCode.SMART_ROUTING_DISABLED})
    if given.task_class is not TaskClass.PRIMARY_INTERACTIVE:
        return _auxiliary(given, trials, able, baseline) if config.auxiliary_routing_enabled else baseline
    if given.complexity <= config.complexity_low:
        return _Choice(able[0], frozenset({ReasonCode.COMPLEXITY_LOW, ReasonCode.CHEAPEST_CAPABLE}))
    if given.complexity < config.complexity_high:
        return replace(baseline, reasons=baseline.reasons | {ReasonCode.COMPLEXITY_MID})
    premium = [one for one in reversed(able) if one.tier is CostTier.PREMIUM]
    for candidate in premium:
        if trials.of(candidate).under_soft:
            reasons = {ReasonCode.COMPLEXITY_HIGH, ReasonCode.BUDGET_ALLOWED_PREMIUM_MODEL}
            return _Choice(candidate, frozenset(reasons))
    withheld = {ReasonCode.BUDGET_WITHHELD_PREMIUM_MODEL} if premium else set()
    return replace(baseline, reasons=baseline.reasons | {ReasonCode.COMPLEXITY_HIGH} | withheld)


def _auxiliary(given: PlanInput, trials: Trials, able: list[Candidate], baseline: _Choice) -> _Choice:
    """Work in the background takes the cheapest model, or the fastest where it only classifies; never a dearer one
    than the default."""
    most = trials.cost(baseline.candidate)[:2]
    within = [one for one in able if trials.cost(one)[:2] <= most]
    capped = {ReasonCode.AUXILIARY_COST_CAP} if len(within) < len(able) else set()
    if given.task_class is TaskClass.AUXILIARY_CLASSIFICATION:
        fastest = min(within, key=lambda one: _latency(trials, one))
        return _Choice(fastest, frozenset({ReasonCode.FASTEST_CAPABLE, *capped}))
    return _Choice(within[0], frozenset({ReasonCode.CHEAPEST_CAPABLE, *capped}))


def _overridden(choice: _Choice, ledger: Standing, trials: Trials, able: list[Candidate]) -> _Choice:
    """What budgets over their soft limit make of a choice; of several, the cheapest resulting model."""
    options: list[_Choice] = []
    reasons = choice.reasons
    for item in trials.of(choice.candidate).evaluations:
        policy = ledger.policies.get(item.policy_id)
        if policy is None or not item.over_soft:
            continue
        override = policy.routing_override
        if override.kind is OverrideKind.DEGRADE:
            options.append(_Choice(able[0], frozenset({ReasonCode.POLICY_DEGRADE})))
        elif override.kind is OverrideKind.MODEL:
            named = next((one for one in able if one.model == override.model), None)
            if named is None:
                reasons |= {ReasonCode.POLICY_MODEL_INCAPABLE}
            else:
                options.append(_Choice(named, frozenset({ReasonCode.POLICY_MODEL})))
    if not options:
        return choice if reasons == choice.reasons else replace(choice, reasons=reasons)
    cheapest = min(options, key=lambda one: able.index(one.candidate))
    return _Choice(cheapest.candidate, reasons | cheapest.reasons)


def _mode(default: RoutingMode, given: PlanInput, *trials: Trial) -> RoutingMode:
    """The strictest mode among the budgets that matter, else the default; a request can only raise it."""
    modes = [item.mode for trial in trials for item in trial.evaluations]
    return strictest(*modes) if modes else strictest(default, given.requested_mode)


# Fitting the output


def _clamp(trial: Trial, trials: Trials) -> tuple[Trial, bool]:
    """Less output where that lets a request pass which only blocking budgets stop. Returns whether upstream is told."""
    limits = trials.given.limits
    refusing = [item for item in trial.evaluations if item.refused]
    blocking = all(item.action is PolicyAction.BLOCK and item.cause is Cause.LIMIT for item in refusing)
    if not refusing or not blocking or not limits.clamp_output:
        return trial, False
    fits = trials.largest_output(trial, limits.min_output_tokens, lambda items: not any(item.refused for item in items))
    if fits is None:
        return trial, False
    smaller = trials.with_output(trial, fits)
    return (trial, False) if smaller.refused else (smaller, not smaller.terms.sliced)


# Recording


def _decide(
    given: PlanInput,
    at: int,
    ledger: Standing,
    trials: Trials,
    able: list[Candidate],
    baseline: _Choice,
    wanted: _Choice,
    chosen: _Choice,
    trial: Trial,
    mode: RoutingMode,
    clamped: bool,
    explained: bool,
) -> RoutingDecision:
    reasons = chosen.reasons | _mode_reasons(given, ledger.default_mode, mode)
    for item in trial.evaluations:
        reasons |= _budget_reasons(item)
    if all(item.status is EvaluationStatus.OK for item in trial.evaluations):
        reasons |= {ReasonCode.BUDGET_OK}
    if clamped:
        reasons |= {ReasonCode.OUTPUT_CLAMPED}
    would_refuse = tuple(item.policy_id for item in trial.evaluations if item.would_refuse)
    return RoutingDecision(
        decision_id=given.decision_id,
        run_id=given.run_id,
        at=at,
        mode=mode,
        task_class=given.task_class.value,
        complexity=given.complexity,
        requested_model=given.requested_model,
        default_model=given.default_model,
        recommended_model=wanted.candidate.model,
        actual_model=trial.candidate.model,
        candidates=_reports(given, trials),
        estimate=trial.estimate.to_json(),
        evaluations=trial.evaluations,
        outcome=strongest(trial.evaluations),
        action=_action(given, trial, baseline, able),
        reason_codes=tuple(sorted(code.value for code in reasons)),
        max_tokens=trial.terms.send,
        would_block=would_refuse,
        counterfactual=(
            counterfactuals(trial, trials, able, ledger, at) if explained and (trial.refused or would_refuse) else ()
        ),
    )


def _nothing(given: PlanInput, at: int, default: RoutingMode) -> RoutingDecision:
    """The decision when no model can serve a request."""
    excluded = {code for one in given.candidates for code in one.excluded}
    codes = {ReasonCode.NO_CANDIDATE.value, *(excluded & _CODES)}
    return RoutingDecision(
        decision_id=given.decision_id,
        run_id=given.run_id,
        at=at,
        mode=strictest(default, given.requested_mode),
        task_class=given.task_class.value,
        complexity=given.complexity,
        requested_model=given.requested_model,
        default_model=given.default_model,
        recommended_model="",
        actual_model="",
        candidates=tuple(CandidateReport(one.model, one.provider, one.excluded) for one in given.candidates),
        estimate={},
        evaluations=(),
        outcome=EvaluationStatus.BLOCKED,
        action=RoutingAction.BLOCKED,
        reason_codes=tuple(sorted(codes)),
    )


_CODES = frozenset(code.value for code in ReasonCode)


def _reports(given: PlanInput, trials: Trials) -> tuple[CandidateReport, ...]:
    """Every model that was looked at; those that could serve with what they were expected to cost."""
    return tuple(
        CandidateReport(
            one.model,
            one.provider,
            one.excluded,
            None if one.excluded else trials.estimate(one).expected_usd,
        )
        for one in given.candidates
    )


def _action(given: PlanInput, trial: Trial, baseline: _Choice, able: list[Candidate]) -> RoutingAction:
    refused = [item.status for item in trial.evaluations if item.refused]
    if EvaluationStatus.BLOCKED in refused:
        return RoutingAction.BLOCKED
    if refused:
        return RoutingAction.APPROVAL_REQUIRED
    if given.course in (Course.FAILOVER, Course.FAILOVER_RETRY):
        return RoutingAction.FAILOVER
    if trial.candidate is baseline.candidate:
        return RoutingAction.PROCEED
    cheaper = able.index(trial.candidate) < able.index(baseline.candidate)
    return RoutingAction.DEGRADE if cheaper else RoutingAction.UPGRADE


def _mode_reasons(given: PlanInput, default: RoutingMode, mode: RoutingMode) -> set[ReasonCode]:
    reasons: set[ReasonCode] = set()
    if mode is RoutingMode.SUGGEST:
        reasons.add(ReasonCode.MODE_SUGGEST)
    elif mode is RoutingMode.DRY_RUN:
        reasons.add(ReasonCode.MODE_DRY_RUN)
    if given.requested_mode is not None:
        if stricter(given.requested_mode, default):
            reasons.add(ReasonCode.MODE_RAISED)
        elif stricter(mode, given.requested_mode):
            reasons.add(ReasonCode.MODE_REFUSED)
    return reasons


def _budget_reasons(item: UsageBudgetEvaluation) -> set[ReasonCode]:
    """Why one budget answered as it did."""
    reasons: set[ReasonCode] = {ReasonCode.PRICE_UNKNOWN_FLAT} if item.pricing is Pricing.FLAT else set()
    match item.status:
        case EvaluationStatus.OK:
            pass
        case EvaluationStatus.SOFT_LIMIT:
            reasons.add(ReasonCode.BUDGET_SOFT_LIMIT)
        case EvaluationStatus.OVERRIDE_APPLIED:
            reasons.add(ReasonCode.BUDGET_OVERRIDE_APPLIED)
        case EvaluationStatus.PRICE_UNKNOWN:
            reasons.add(ReasonCode.PRICE_UNKNOWN_ALLOWED)
        case EvaluationStatus.HARD_LIMIT:
            reasons.add(ReasonCode.BUDGET_HARD_LIMIT)
        case EvaluationStatus.APPROVAL_REQUIRED:
            reasons.add(ReasonCode.BUDGET_APPROVAL_REQUIRED if item.refused else ReasonCode.WOULD_REQUIRE_APPROVAL)
        case EvaluationStatus.BLOCKED:
            reasons.add(_BLOCKED[item.cause] if item.refused else ReasonCode.WOULD_BLOCK)
    return reasons


_BLOCKED = {
    Cause.LIMIT: ReasonCode.BUDGET_BLOCKED,
    Cause.PRICE: ReasonCode.PRICE_UNKNOWN_BLOCKED,
    Cause.DENIED: ReasonCode.BUDGET_DENIED,
}
