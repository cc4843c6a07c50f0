"""How much of an answer is held for, and what ceiling goes upstream."""

from palyra.governance.candidates import Candidate, OutputTerms, PlanInput

UNSAID_LEAST = 4_096
"""Output tokens that an answer may have whose caller names no ceiling, while four times the learned p95 is less."""
UNSAID_P95_TIMES = 4


def output_terms(candidate: Candidate, given: PlanInput) -> OutputTerms:
    """What to hold for the answer of one candidate.

    A plain call, and a model that reasons unseen, can only be stopped by its ceiling, so all of it is held. A stream
    can be topped up and stopped: it begins with what such answers usually take, and a client that always sends a
    large ceiling does not drain a budget.
    """
    asked, choices = given.max_tokens, given.choices
    if given.streaming and not candidate.hidden_reasoning:
        first = candidate.p95_output if candidate.p95_output is not None else given.limits.default_output_tokens
        send = _unsaid(candidate) if asked is None and candidate.wants_ceiling else None
        ceilings = [value * choices for value in (asked, send, candidate.max_output) if value is not None]
        bound = max(1, min([first, *ceilings]))
        return OutputTerms(bound, bound, send, True)
    if asked is not None:
        return OutputTerms(asked * choices, asked, None, False)
    per_choice = _unsaid(candidate)
    return OutputTerms(per_choice * choices, per_choice, per_choice, False)


def _unsaid(candidate: Candidate) -> int:
    """The ceiling of an answer whose caller names none."""
    ceiling = max(UNSAID_LEAST, UNSAID_P95_TIMES * (candidate.p95_output or 0))
    return ceiling if candidate.max_output is None else min(ceiling, candidate.max_output)
