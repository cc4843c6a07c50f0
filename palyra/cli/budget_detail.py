"""`palyra budgets show`: one policy with all that hangs on it."""

from palyra.cli.output import amount, instant, say, table
from palyra.control.queries import BudgetDetail
from palyra.control.snapshots import BudgetView
from palyra.core.plural import plural

_SAID = ("policy_id", "name")


def tell_budget(detail: BudgetDetail) -> None:
    """Prints it for a person."""
    first = detail.counters[0]
    say(f"budget {detail.policy_id} · revision {first.revision} · from {first.source}")
    for name, text in detail.fields.items():
        if name not in _SAID:
            say(f"  {name:<17} {text}")
    table(
        ("counter", "settled", "held", "granted", "limit", "status", "renews"),
        [_counter(view) for view in detail.counters],
        right=(1, 2, 3, 4),
    )
    if any(view.incomplete for view in detail.counters):
        say("incomplete: rows of the journal are lost, so more was used than is counted")
    if first.counters > len(detail.counters):
        say(f"and {plural(first.counters - len(detail.counters), 'counter')} more")
    for grant in detail.grants:
        drawn = f"{amount(grant.drawn, grant.metric_kind)} drawn of {amount(grant.cap, grant.metric_kind)}"
        until = "" if grant.expires_at is None else f", until {instant(grant.expires_at)}"
        say(f"grant {grant.grant_id} {grant.kind} for {grant.principal} by {grant.granted_by}: {drawn}{until}")
    for view in detail.approvals:
        say(f"pending {view.approval_id} {view.principal}: {amount(view.excess, view.excess_metric)}")
    for revision in detail.revisions:
        verb = "removed" if revision.removed else "set"
        changes = ", ".join(f"{name} {after}" for name, (_, after) in revision.changes.items()) or "nothing"
        say(f"revision {revision.revision} {instant(revision.at)} by {revision.by}: {verb} {changes}")
    for run in detail.refusals:
        say(f"refused {run.run_id} {instant(run.accepted_at)} {run.principal} {run.model or run.model_asked}")


def _counter(view: BudgetView) -> tuple[str, ...]:
    metric = view.metric_kind
    return (
        view.scope_kind if view.scope_value in ("", "*") else f"{view.scope_kind}={view.scope_value}",
        amount(view.settled, metric),
        amount(view.held, metric),
        amount(view.granted, metric),
        amount(view.hard_limit, metric),
        view.status if view.enabled else "disabled",
        "never" if view.window_end is None else instant(view.window_end),
    )
