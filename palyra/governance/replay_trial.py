"""What is tried, laid over what was: which policies are in force from which recorded event on."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.core.windows import DAY_MS, Interval, window_for
from palyra.governance.candidates import OutputLimits
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.replay_lanes import Phase
from palyra.governance.terms import Terms, TermsEdited, read_terms

OPEN_AT_MOST_MS = DAY_MS
"""A hold that was open when a window began was decided no longer ago than this."""


@value
class Trial:
    """Policies that hold for the whole period, each in place of the recorded one of its id; `only` them, if so."""

    policies: tuple[UsageBudgetPolicyRecord, ...] = ()
    removed: frozenset[str] = frozenset()
    only: bool = False

    def over(self, recorded: Mapping[str, UsageBudgetPolicyRecord]) -> tuple[UsageBudgetPolicyRecord, ...]:
        """The policies in force where those were."""
        left = {} if self.only else {key: one for key, one in recorded.items() if key not in self.removed}
        return tuple((left | {policy.policy_id: policy for policy in self.policies}).values())


@value
class Settings:
    """What plans are made under besides policies."""

    routing: SmartRoutingRuntimeConfig
    limits: OutputLimits


@value
class Schedule:
    """Events from `first` on are read; from `since` up to `until` requests are counted, under what is tried.

    `settings` runs beside `phases`; `rerouting` are the tried policies that ask for another model. What was held before
    `needed`, UTC unix ms, counts in no window of theirs. `since_at` is the instant of `since`.
    """

    needed: int
    first: int
    since_at: int
    since: int
    until: int
    phases: Sequence[Phase]
    settings: Sequence[Settings]
    rerouting: frozenset[str] = frozenset()


def history_needed(policies: Iterable[UsageBudgetPolicyRecord], at: int) -> int:
    """The earliest instant whose requests count in a window that holds `at`; 0 for a lifetime."""
    starts = [at]
    for policy in policies:
        if policy.interval_kind is Interval.LIFETIME:
            return 0
        starts.append(window_for(policy.interval_kind, policy.timezone, at).start)
    return max(0, min(starts) - OPEN_AT_MOST_MS)


def schedule(
    changes: Sequence[tuple[int, str]],
    trial: Trial,
    *,
    since: int,
    until: int,
    since_at: int,
    first_of: Callable[[int], int],
) -> Schedule:
    """`changes` are the recorded changes of the terms as (seq, body); `since` and `until` are events, `since_at` the
    instant of the first. `first_of` finds the first event at an instant.

    Raises BadInputError when what is to be left out never was: its replay would promise that nothing depends on it.
    """
    settings = Settings(SmartRoutingRuntimeConfig(), OutputLimits())
    stages: list[tuple[int, dict[str, UsageBudgetPolicyRecord], Settings]] = [(0, {}, settings)]
    for seq, body in changes:
        if seq >= until:
            break
        terms = read_terms(json.loads(body))
        recorded = dict(stages[-1][1])
        if isinstance(terms, Terms):
            recorded = {policy.policy_id: policy for policy in terms.policies}
            settings = Settings(terms.routing, terms.limits)
        else:
            _edit(recorded, terms)
        stages.append((seq, recorded, settings))
    ever = [policy for _, recorded, _ in stages for policy in recorded.values()]
    known = {policy.policy_id for policy in ever}
    never = sorted(trial.removed - known)
    if never:
        raise BadInputError(
            f"No budget {', '.join(map(repr, never))} was in force until then.",
            fix=f"Name one of {', '.join(map(repr, sorted(known)))}." if known else "",
        )
    needed = history_needed([*ever, *trial.policies], since_at)
    first = first_of(needed)
    phases: list[Phase] = []
    beside: list[Settings] = []
    for index, (seq, recorded, settings) in enumerate(stages):
        until_next = stages[index + 1][0] if index + 1 < len(stages) else until
        if until_next <= first and index + 1 < len(stages):
            continue
        begins = max(seq, first)
        if begins < since:
            phases.append(Phase(begins, tuple(recorded.values())))
            beside.append(settings)
        if until_next > since or index + 1 == len(stages):
            phases.append(Phase(max(begins, since), trial.over(recorded)))
            beside.append(settings)
    rerouting = frozenset(policy.policy_id for policy in trial.policies if policy.enabled and policy.reroutes)
    return Schedule(needed, first, since_at, since, until, phases, beside, rerouting)


def _edit(recorded: dict[str, UsageBudgetPolicyRecord], edit: TermsEdited) -> None:
    recorded.pop(edit.policy_id, None)
    if edit.policy is not None:
        recorded[edit.policy_id] = edit.policy
