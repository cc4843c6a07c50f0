"""What hangs on budgets of the fake engine: their details, and requests for room in them."""

from dataclasses import replace

from palyra.control.commands import RequestOverride
from palyra.control.queries import BudgetDetail, OverrideView, RevisionView
from palyra.control.snapshots import (
    ApplicantView,
    ApprovalView,
    BudgetView,
    CommandResult,
    GrantView,
    RunView,
)
from palyra.core.errors import NotFoundError
from palyra.core.money import decimal_usd

USD = 1_000_000_000
HOUR = 3_600_000


def fields_of(budget: BudgetView) -> dict[str, str]:
    """A budget's fields as typed."""
    hard = budget.hard_limit
    money = budget.metric_kind == "estimated_cost_usd"
    return {
        "policy_id": budget.policy_id,
        "name": budget.name,
        "enabled": "true" if budget.enabled else "false",
        "scope_kind": budget.scope_kind,
        "scope_id": "*" if budget.scope_kind == "global" else budget.scope_value,
        "metric_kind": budget.metric_kind,
        "interval_kind": budget.interval_kind,
        "timezone": budget.timezone,
        "hard_limit": "none" if hard is None else decimal_usd(hard) if money else str(hard),
        "soft_limit": "80%",
        "action": budget.action,
        "routing_override": "none",
        "on_unknown_price": "flat:1.00",
    }


def detail_of_budget(
    policy_id: str,
    budgets: tuple[BudgetView, ...],
    grants: tuple[GrantView, ...],
    approvals: tuple[ApprovalView, ...],
    runs: tuple[RunView, ...],
    now: int,
) -> BudgetDetail:
    counters = tuple(item for item in budgets if item.policy_id == policy_id)
    if not counters:
        raise NotFoundError(f"No budget {policy_id!r} is in force.")
    first = counters[0]
    more: tuple[BudgetView, ...] = ()
    if first.counters > 1:
        more = tuple(
            replace(first, scope_value=name, settled=first.settled // part) for name, part in (("bo", 2), ("cy", 3))
        )
    made = fields_of(first)
    revisions = (
        RevisionView(3, now - 26 * HOUR, "pavel", False, {"hard_limit": ("18.00", made["hard_limit"])}),
        RevisionView(2, now - 90 * HOUR, "ada", False, {"action": ("block", "approval_required")}),
        RevisionView(1, now - 300 * HOUR, "pavel", False, {name: ("", text) for name, text in made.items()}),
    )
    return BudgetDetail(
        policy_id=policy_id,
        fields=made,
        counters=(*counters, *more),
        grants=tuple(item for item in grants if item.policy_id == policy_id),
        approvals=tuple(item for item in approvals if item.status == "pending" and policy_id in item.policy_ids),
        revisions=revisions if first.source == "operator" else (),
        refusals=tuple(item for item in runs if item.state == "refused"),
    )


def last_override(now: int, grants: tuple[GrantView, ...]) -> OverrideView:
    by = grants[0].granted_by if grants else "pavel"
    return OverrideView("01KBEFORE", now - 49 * HOUR, by, "once", "estimated_cost_usd", 112 * USD // 100, 9 * USD // 10)


def asked_for_room(approval: ApprovalView, reason: str, wanted: int | None = 5 * USD) -> ApprovalView:
    """A pending approval as if it had been asked for in words, with no request behind it."""
    return replace(
        approval,
        model="",
        key_id="",
        waiting=0,
        park_until=None,
        run_ids=(),
        decision_id="",
        prompt_bytes=0,
        expected_input=0,
        max_tokens=None,
        complexity=0.0,
        expected_nano_usd=None,
        bound_nano_usd=None,
        evaluations=tuple(
            replace(item, bound=0, projected=item.settled + item.held, once_cap=(wanted or 0) * 11 // 10)
            for item in approval.evaluations[:1]
        ),
        counterfactual=(),
        applicants=(ApplicantView("key:ci-runner", "key", reason), ApplicantView("ada", "uid", "I back this.")),
        wanted=wanted,
        excess=wanted or 0,
    )


def opened(command: RequestOverride) -> CommandResult:
    data = {"approval_id": "01KASKED", "fresh": "true"}
    return CommandResult("accepted", f"Approval 01KASKED is open: room in {', '.join(command.policy_ids)}.", data=data)
