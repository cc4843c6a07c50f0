"""Asking for room in words: ahead of need by an operator, or after a refusal by the refused caller's own key.

What is asked for opens the record a refused request would open, over the counters as they stand.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from palyra.config.choices import MetricKind, PolicyAction, ScopeKind
from palyra.config.suggest import nearest
from palyra.core.errors import BadInputError, ConflictError
from palyra.core.money import MAX, Usd, format_usd, parse_usd
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.governance.approval_record import Applicant
from palyra.governance.approvals import DENIED_FOR_MS, PENDING_MOST, REASON_MOST, ApprovalDesk, Opened, Petition
from palyra.governance.evaluate import Demand, UsageBudgetEvaluation
from palyra.governance.four_eyes import Decider
from palyra.governance.grants import Asker
from palyra.governance.ledger import Ledger
from palyra.governance.policy import ANY, UsageBudgetPolicyRecord
from palyra.governance.policy_input import FieldFault

POLICIES_MOST = 16
_PRINCIPAL = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_SESSION = re.compile(r"[A-Za-z0-9._:@/-]{1,128}")
_OF_ATTEMPTS = (ScopeKind.MODEL, ScopeKind.PROVIDER)
"""What only a request that is sent has."""


class TooOftenError(ConflictError):
    """It was denied a moment ago, or too many wait already. `retry_ms`: when to ask again, None when nobody knows."""

    def __init__(self, message: str, *, fix: str, code: str, retry_ms: int | None = None) -> None:
        super().__init__(message, fix=fix, code=code)
        self.retry_ms = retry_ms


class OverrideInputError(BadInputError):
    """A request for room that cannot be opened; `faults` has every field at fault."""

    code = "invalid_field"

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        self.faults = tuple(faults)
        super().__init__(" ".join(str(fault) for fault in self.faults))


@value
class OverrideRequest:
    """Room asked for. `policy_ids` are ids of budgets; one that counts several things apart may name the one that is
    meant: `per-model=openai/gpt-5.4`. An empty `session` means each of the principal's. `amount` is text in the
    budgets' unit (dollars, tokens or requests), empty where none is named."""

    policy_ids: tuple[str, ...]
    principal: str
    session: str = ""
    amount: str = ""
    reason: str = ""


@value
class Requester:
    """Who asks. `scope` has the values their requests carry, as far as they are known; a key (`bound`) may ask only
    about budgets that count requests of its own."""

    by: Decider
    scope: Scope
    bound: bool = False


@dataclass(slots=True)
class _Reading:
    """What was asked, read with every fault found on the way."""

    counters: list[tuple[UsageBudgetPolicyRecord, str]] = field(default_factory=list)
    wanted: int | None = None
    faults: list[FieldFault] = field(default_factory=list)

    def fault(self, name: str, message: str, fix: str) -> None:
        self.faults.append(FieldFault(name, message, fix))


def request_usage_budget_override(
    desk: ApprovalDesk, ledger: Ledger, asked: OverrideRequest, requester: Requester, at: int
) -> Opened:
    """Opens the record, or joins the pending one of the same principal, session and counters.

    Raises OverrideInputError (every field at fault) and TooOftenError.
    """
    reading = _read(asked, requester, ledger, desk.settings.max_grant_usd)
    if reading.faults:
        raise OverrideInputError(reading.faults)
    named = {policy.policy_id for policy, _ in reading.counters}
    denied = desk.denied_until(asked.principal, asked.session, named, at)
    if denied is not None:
        raise TooOftenError(
            f"This was denied less than {DENIED_FOR_MS // 1000} s ago.",
            fix=f"Ask again in {-(-(denied - at) // 1000)} s.",
            code="budget_denied",
            retry_ms=denied - at,
        )
    by = requester.by
    petition = Petition(
        asked.principal,
        asked.session,
        "",
        tuple(as_it_stands(ledger, policy.policy_id, value, asked, at) for policy, value in reading.counters),
        {"key_id": requester.scope.key_id} if requester.scope.key_id else {},
        applicant=Applicant(by.name, by.account, by.attestation, asked.reason.strip()),
        wanted=reading.wanted,
    )
    opened = desk.open(petition, at)
    if opened is None:
        raise TooOftenError(
            f"{PENDING_MOST} approvals wait for an answer to {asked.principal} already.",
            fix="Decide on those first: `palyra approvals list`.",
            code="queue_full",
        )
    return opened


def as_it_stands(ledger: Ledger, policy_id: str, value: str, asked: OverrideRequest, at: int) -> UsageBudgetEvaluation:
    """What a budget says before anything more is spent."""
    budget = ledger.books.get(policy_id)
    assert budget is not None
    asker = Asker(asked.principal, asked.session, "")
    view = ledger.judge.view(budget, value, budget.at(value, at), asker, budget.start(at), at)
    return ledger.judge.evaluate_one(view, Demand(0, 0, 0), None)


def _read(asked: OverrideRequest, requester: Requester, ledger: Ledger, most: Usd | None) -> _Reading:
    reading = _Reading()
    if not _PRINCIPAL.fullmatch(asked.principal):
        reading.fault("principal", "it is no name of a principal", "Use 1 to 128 of A-Z a-z 0-9 . _ : @ -.")
    if asked.session and not _SESSION.fullmatch(asked.session):
        reading.fault("session", "it is no name of a session", "Use 1 to 128 of A-Z a-z 0-9 . _ : @ / -.")
    if not asked.reason.strip():
        reading.fault("reason", "a person has to know why", "Say what the room is for.")
    elif len(asked.reason) > REASON_MOST:
        reading.fault("reason", "it is too long", f"Use at most {REASON_MOST} characters.")
    _read_counters(asked, requester, ledger, reading)
    if asked.amount.strip():
        _read_amount(asked.amount.strip(), most, reading)
    elif any(policy.hard_limit == 0 for policy, _ in reading.counters):
        reading.fault("amount", "a limit of 0 once more would let nothing pass", "Name the amount you need.")
    return reading


def _read_counters(asked: OverrideRequest, requester: Requester, ledger: Ledger, reading: _Reading) -> None:
    if not asked.policy_ids:
        reading.fault("policy_ids", "no budget is named", "Name one or more.")
    if len(asked.policy_ids) > POLICIES_MOST:
        reading.fault("policy_ids", "too many budgets are named", f"Name at most {POLICIES_MOST}.")
        return
    seen: set[str] = set()
    for number, text in enumerate(asked.policy_ids):
        name = f"policy_ids[{number}]"
        policy_id, _, value = text.partition("=")
        policy = ledger.policies.get(policy_id)
        known = [one.policy_id for one in ledger.policies if not requester.bound or _concerns(one, requester.scope)]
        if policy is None or policy_id not in known:
            near = nearest(policy_id, known)
            whose = " that counts your requests" if requester.bound else ""
            fix = f'Did you mean "{near[0]}"?' if near else "List them with `palyra budgets list`."
            reading.fault(name, f'there is no budget "{policy_id[:64]}"{whose}', fix)
            continue
        if policy_id in seen:
            reading.fault(name, f'"{policy_id}" is named twice', "Name it once.")
            continue
        seen.add(policy_id)
        if not policy.enabled:
            reading.fault(name, f'"{policy_id}" is switched off, so it refuses nothing', "Leave it out.")
        elif policy.hard_limit is None or policy.action is PolicyAction.ADVISE:
            reading.fault(name, f'"{policy_id}" only warns, so it refuses nothing', "Leave it out.")
        else:
            _read_counter(name, policy, value, requester, reading)


def _read_counter(
    name: str, policy: UsageBudgetPolicyRecord, value: str, requester: Requester, reading: _Reading
) -> None:
    """The scope value of the counter that is meant."""
    kind = policy.scope_kind
    own = _own_value(policy, requester.scope)
    fixed = "" if _counts_many(policy) else policy.scope_id if kind is not ScopeKind.GLOBAL else ANY
    chosen = fixed or value or own
    if value and fixed and value != fixed:
        reading.fault(name, f'"{policy.policy_id}" counts {_words(policy, fixed)} only', f"Write {policy.policy_id}.")
    elif not chosen:
        example = f"{policy.policy_id}={'openai/gpt-4o-mini' if kind is ScopeKind.MODEL else 'VALUE'}"
        reading.fault(
            name, f'"{policy.policy_id}" counts each {kind.value} apart', f"Name the one you mean, like {example}."
        )
    elif kind is not ScopeKind.GLOBAL and own and own != chosen:
        fix = f"Ask for {own}, or for {chosen} under its own name."
        reading.fault(name, f'"{policy.policy_id}" would count {_words(policy, chosen)}, not {own}', fix)
    else:
        reading.counters.append((policy, chosen))


def _read_amount(text: str, most: Usd | None, reading: _Reading) -> None:
    metrics = {policy.metric_kind for policy, _ in reading.counters}
    if len(metrics) > 1:
        reading.fault("amount", "these budgets count different things", "Leave it out, or ask for one at a time.")
        return
    in_dollars = metrics != {MetricKind.TOTAL_TOKENS} and metrics != {MetricKind.REQUESTS}
    try:
        wanted = int(parse_usd(text)) if in_dollars else _whole(text)
    except ValueError as error:
        reading.fault("amount", str(error), "Write it like 5.00." if in_dollars else "Write a whole number.")
        return
    if not 0 < wanted <= MAX:
        reading.fault("amount", "it must be above zero, and no more than Palyra counts", "Ask for what you need.")
    elif in_dollars and most is not None and wanted > most:
        reading.fault(
            "amount",
            f"it is above what may be granted ({format_usd(most)})",
            "Ask for less, or raise approvals.max_grant_usd.",
        )
    else:
        reading.wanted = wanted


def _whole(text: str) -> int:
    digits = text.replace("_", "").replace(",", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(digits)


def _counts_many(policy: UsageBudgetPolicyRecord) -> bool:
    if policy.scope_kind is ScopeKind.GLOBAL:
        return False
    return policy.scope_id == ANY or (policy.scope_kind is ScopeKind.TAG and policy.scope_id.endswith(f"={ANY}"))


def _own_value(policy: UsageBudgetPolicyRecord, scope: Scope) -> str:
    """What a request of the requester would be counted under; empty where that is not known."""
    if policy.scope_kind is ScopeKind.TAG:
        tag = policy.scope_id.partition("=")[0]
        return f"{tag}={scope.tags[tag]}" if tag in scope.tags else ""
    return {
        ScopeKind.USER: scope.principal,
        ScopeKind.SESSION: scope.session,
        ScopeKind.CHANNEL: scope.channel,
        ScopeKind.AGENT: scope.agent,
        ScopeKind.JOB: scope.job,
        ScopeKind.KEY: scope.key_id,
    }.get(policy.scope_kind, "")


def _concerns(policy: UsageBudgetPolicyRecord, scope: Scope) -> bool:
    """Whether requests of a key may be counted by a policy."""
    kind = policy.scope_kind
    if kind is ScopeKind.GLOBAL or kind in _OF_ATTEMPTS:
        return True
    own = _own_value(policy, scope)
    if not own:
        # A key pins no session, and may leave channel, agent and tags to each of its requests.
        return kind in (ScopeKind.SESSION, ScopeKind.CHANNEL, ScopeKind.AGENT, ScopeKind.TAG)
    return _counts_many(policy) or policy.scope_id == own


def _words(policy: UsageBudgetPolicyRecord, value: str) -> str:
    return "everything" if policy.scope_kind is ScopeKind.GLOBAL else f"{policy.scope_kind.value} {value}"
