"""One budget in full: where its counters stand, what is granted on it and asked of it, and how it came to be."""

from collections.abc import Sequence

from palyra.control.queries import BudgetDetail, RevisionView
from palyra.control.snapshots import ApprovalView
from palyra.control.views import budget_views, grant_view, run_view
from palyra.core.errors import NotFoundError
from palyra.governance.ledger import Ledger
from palyra.journal.readers import Readers
from palyra.journal.rows import PolicyRow

COUNTERS_SHOWN = 50
REFUSALS_SHOWN = 20
REVISIONS_SHOWN = 20


async def budget_detail(
    policy_id: str, ledger: Ledger, readers: Readers, pending: Sequence[ApprovalView], now: int, mode: str
) -> BudgetDetail:
    """`ledger` tells how things stand, `pending` are the approvals that wait for it. Raises NotFoundError."""
    policy = ledger.policies.get(policy_id)
    if policy is None:
        raise NotFoundError(f"No budget {policy_id!r} is in force.", fix="List them with `palyra budgets list`.")
    grants = [grant for grant in ledger.grants if grant.row.policy_id == policy_id and grant.live(now)]
    revisions = await readers.policy_revisions(policy_id, limit=REVISIONS_SHOWN + 1)
    refusals = await readers.runs_refused_by(policy_id, limit=REFUSALS_SHOWN)
    return BudgetDetail(
        policy_id=policy_id,
        fields=policy.fields(),
        counters=budget_views(ledger, now, mode, most=COUNTERS_SHOWN, only=policy_id),
        grants=tuple(grant_view(grant, now) for grant in grants),
        approvals=tuple(pending),
        revisions=revision_views(revisions)[:REVISIONS_SHOWN],
        refusals=tuple(run_view(row) for row in refusals),
    )


def revision_views(rows: Sequence[PolicyRow]) -> tuple[RevisionView, ...]:
    """`rows` are newest first; each is shown with what it changed of the one before."""
    views: list[RevisionView] = []
    for number, row in enumerate(rows):
        earlier = rows[number + 1].body if number + 1 < len(rows) else {}
        changes = {
            name: (str(earlier.get(name, "")), str(text))
            for name, text in row.body.items()
            if earlier.get(name) != text
        }
        views.append(RevisionView(row.revision, row.updated_at, row.updated_by, row.removed, changes))
    return tuple(views)
