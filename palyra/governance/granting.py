"""What a person may grant, and the grant that comes of it: how much, for whom, until when."""

from collections.abc import Iterable

from palyra.config.choices import MetricKind
from palyra.core.errors import BadInputError
from palyra.core.money import MAX, Usd, format_usd
from palyra.core.values import value
from palyra.core.windows import ROLLING, window_for
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.grants import ONCE_TTL_MS, SESSION_TTL_MS, GrantKind, GrantState
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.journal.rows import GrantRow

ONCE_CAP_PERCENT = 110
AMOUNT_MOST = f"{format_usd(MAX)}, or {MAX:,} tokens or requests"
TIMEBOX_LEAST_MS, TIMEBOX_MOST_MS = 1_000, 30 * 86_400_000


@value
class GrantTerms:
    """`duration_ms` belongs to kind timeboxed, `amount` (in the budgets' unit) to kind amount."""

    kind: GrantKind
    duration_ms: int | None = None
    amount: int | None = None


@value
class Beneficiary:
    """Whom a grant is for, and which approval it comes from. An empty session means each of the principal's."""

    approval_id: str
    principal: str
    session: str
    run_ids: tuple[str, ...]
    granted_by: str


def once_cap(item: UsageBudgetEvaluation, excess: int) -> int:
    """110 % of the excess shown, rounded up.

    Where room was asked for ahead of need and no amount was named, one run may draw up to the limit itself.
    """
    return -(-excess * ONCE_CAP_PERCENT // 100) or item.hard or 0


def session_cap(item: UsageBudgetEvaluation, excess: int) -> int:
    """The limit once more, and never less than the request needs that the grant was given for."""
    return max(item.hard or 0, once_cap(item, excess))


def check_terms(terms: GrantTerms, evaluations: Iterable[UsageBudgetEvaluation], most: Usd | None) -> None:
    """Raises BadInputError naming the field at fault. `most` caps an amount in dollars."""
    if (terms.kind is GrantKind.TIMEBOXED) != (terms.duration_ms is not None):
        raise BadInputError(
            "duration_seconds belongs to scope timeboxed, and is required there.", fix="Give both or neither."
        )
    if terms.duration_ms is not None and not TIMEBOX_LEAST_MS <= terms.duration_ms <= TIMEBOX_MOST_MS:
        raise BadInputError("duration_seconds is out of range.", fix="Use 1 second to 30 days.")
    if (terms.kind is GrantKind.AMOUNT) != (terms.amount is not None):
        raise BadInputError("amount belongs to scope amount, and is required there.", fix="Give both or neither.")
    if terms.amount is None:
        return
    if terms.amount <= 0:
        raise BadInputError("amount must be above zero.", fix="Grant what the request needs, or more.")
    if terms.amount > MAX:
        raise BadInputError("amount is larger than anything Palyra counts.", fix=f"Grant at most {AMOUNT_MOST}.")
    metrics = {item.metric_kind for item in evaluations}
    if len(metrics) > 1:
        raise BadInputError(
            "amount cannot serve budgets that count different things.", fix="Use scope once, session or timeboxed."
        )
    if MetricKind.ESTIMATED_COST_USD in metrics and most is not None and terms.amount > most:
        raise BadInputError(
            f"amount is above what may be granted ({format_usd(most)}).",
            fix="Grant less, or raise approvals.max_grant_usd.",
        )


def make_grant(
    grant_id: str,
    item: UsageBudgetEvaluation,
    terms: GrantTerms,
    whom: Beneficiary,
    policy: UsageBudgetPolicyRecord,
    at: int,
    excess: int,
) -> GrantRow:
    """The grant on one budget that lacks `excess`, given at an instant: an amount serves the window of that instant."""
    window_start: int | None = None
    end: int | None
    if terms.amount is not None:
        cap = terms.amount
        rolling = ROLLING.get(policy.interval_kind)
        if rolling is None:
            window = window_for(policy.interval_kind, policy.timezone, at)
            window_start, end = window.start, window.end
        else:
            end = at + rolling.span * rolling.bucket_ms
    elif terms.kind is GrantKind.ONCE:
        cap, end = once_cap(item, excess), at + ONCE_TTL_MS
    else:
        cap, end = session_cap(item, excess), at + (terms.duration_ms or SESSION_TTL_MS)
    return GrantRow(
        grant_id=grant_id,
        version=1,
        approval_id=whom.approval_id,
        kind=terms.kind.value,
        policy_id=item.policy_id,
        scope_value=item.scope_value,
        principal=whom.principal,
        session=whom.session,
        cap=min(cap, MAX),
        metric=item.metric_kind.value,
        created_at=at,
        expires_at=end,
        window_start=window_start,
        state=GrantState.ACTIVE.value,
        run_ids=whom.run_ids,
        granted_by=whom.granted_by,
    )
