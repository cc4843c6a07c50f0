"""A refused caller asks for room with its own key, and looks up what became of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp.web_request import BaseRequest

from palyra.config.choices import MetricKind
from palyra.config.suggest import nearest
from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError
from palyra.core.half_characters import LONE_SURROGATE
from palyra.core.scope import Scope
from palyra.core.signed_name import SignedName
from palyra.gateway.body import check_media_type, read_body
from palyra.gateway.errors import RefusedError, invalid, not_found, overloaded, without_amounts
from palyra.gateway.ports import House, Key
from palyra.gateway.reply import DateLine, Reply
from palyra.gateway.request_headers import PRINCIPAL, SESSION, collect, may_act_as, read_instructions, read_principal
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.explain import instant_text
from palyra.governance.four_eyes import Decider
from palyra.governance.grants import Grant
from palyra.governance.overrides import OverrideInputError, OverrideRequest, Requester, TooOftenError
from palyra.governance.policy import plain_amount
from palyra.providers.strict_json import RequestError, parse_object
from palyra.runs.overrides import Found
from palyra.runs.request import Refusal
from palyra.vault.access import FIRST_PRINCIPAL
from palyra.vault.identity import Identity

FIELDS = ("policy_ids", "principal", "session", "amount", "reason")
MAX_DEPTH = 4
MAX_BODY = 64 * 1024
RETRY_S = 5.0


class OverridesDoor:
    """Asking, for gateway keys and for operators; and looking up records of a key's own principal."""

    def __init__(self, house: House, clock: Clock, date: DateLine) -> None:
        self._house = house
        self._clock = clock
        self._date = date
        most = min(MAX_BODY, house.config.gateway.max_body)
        self._settings = house.config.gateway.model_copy(update={"max_body": most})

    async def request(self, request: BaseRequest, key: Key) -> Reply:
        """201 with the record, 200 with an equal pending one. Raises RefusedError, CallerLeftError."""
        self._check_open(request)
        given = collect(request.raw_headers)
        scope = read_instructions(request.raw_headers, key, self._house.config.approvals.park_seconds).scope
        data = _parsed(await read_body(request, self._settings, self._clock))
        principal = data.get("principal") or scope.principal
        if principal != scope.principal:
            principal = read_principal({**given, PRINCIPAL: principal}, key)
        session = data.get("session") or given.get(SESSION, "")
        asked = OverrideRequest(
            tuple(data.get("policy_ids", ())), principal, session, data.get("amount", ""), data.get("reason", "")
        )
        by = Requester(_key_as_decider(key), _scope(scope, principal, session), bound=True)
        return await self._asked(asked, by)

    async def request_as(self, request: BaseRequest, who: Identity) -> Reply:
        """The same for an operator, who may ask about every budget and for everybody."""
        self._check_open(request)
        data = _parsed(await read_body(request, self._settings, self._clock))
        principal, session = data.get("principal") or FIRST_PRINCIPAL, data.get("session") or ""
        asked = OverrideRequest(
            tuple(data.get("policy_ids", ())), principal, session, data.get("amount", ""), data.get("reason", "")
        )
        name = SignedName(who.operator, who.attestation.value, who.address)
        by = Decider(name, who.attestation.value, who.account)
        return await self._asked(asked, Requester(by, Scope(principal, session)))

    def _check_open(self, request: BaseRequest) -> None:
        if self._house.phase != "ready":
            raise overloaded("engine_draining", f"Palyra is {self._house.phase} and takes nothing new.", RETRY_S)
        check_media_type(request)

    async def _asked(self, asked: OverrideRequest, by: Requester) -> Reply:
        try:
            opened = await self._house.overrides.request(asked, by)
        except OverrideInputError as error:
            raise _faulty(error) from None
        except TooOftenError as error:
            raise _too_often(error) from None
        except JournalUnavailableError:
            raise overloaded("journal_unavailable", "The journal cannot be written now.", RETRY_S) from None
        found = Found(opened.record, (), 0)
        return self._told(201 if opened.fresh else 200, found, not_taken=opened.not_taken)

    async def look_up(self, key: Key, approval_id: str) -> Reply:
        """Raises RefusedError (404) also for a record of somebody else: which exist is nobody's business."""
        try:
            found = await self._house.overrides.look_up(approval_id)
        except JournalUnavailableError:
            raise overloaded("journal_unavailable", "The journal cannot be read now.", RETRY_S) from None
        if found is None or not may_act_as(found.record.principal, key):
            raise not_found("unknown_path", "No approval of this key's principal has that id.")
        return self._told(200, found)

    def _told(self, status: int, found: Found, *, not_taken: int | None = None) -> Reply:
        """`not_taken` is an amount that was named where the record stands with another one."""
        data = record_json(found, self._clock.now_ms())
        if not_taken is not None:
            data["amount_not_taken"] = plain_amount(not_taken, found.record.leading.metric_kind)
        if not self._house.config.gateway.expose_amounts:
            data = without_amounts(data)
        return Reply(status, json.dumps(data).encode("ascii"), self._date)


def record_json(found: Found, now: int) -> dict[str, Any]:
    """A record as its requester gets to see it: times RFC 3339, amounts as decimal strings, deciders unnamed."""
    record = found.record
    over = record.pending and now >= record.expires_at
    decision = "timeout" if over else "" if record.decision is None else record.decision.value
    resolved_at = record.expires_at if over else record.resolved_at
    return {
        "approval_id": record.approval_id,
        "status": "resolved" if over else record.status.value,
        "decision": decision or None,
        "principal": record.principal,
        "session": record.session or None,
        "policy_ids": list(record.policy_ids),
        "run_ids": list(record.run_ids),
        "waiting": found.waiting,
        "risk": record.risk,
        "amount": None if record.wanted is None else plain_amount(record.wanted, record.leading.metric_kind),
        "requested_at": instant_text(record.requested_at),
        "expires_at": instant_text(record.expires_at),
        "resolved_at": None if resolved_at is None else instant_text(resolved_at),
        "reason": record.reason,
        "budgets": [_budget(record, item) for item in record.evaluations],
        "grants": [_grant(grant, now) for grant in found.grants],
    }


def _budget(record: ApprovalRecord, item: UsageBudgetEvaluation) -> dict[str, Any]:
    return {
        "policy_id": item.policy_id,
        "scope": item.scope_value,
        "settled": plain_amount(item.settled, item.metric_kind),
        "held": plain_amount(item.held, item.metric_kind),
        "bound": plain_amount(item.bound, item.metric_kind),
        "hard": None if item.hard is None else plain_amount(item.hard, item.metric_kind),
        "excess": plain_amount(record.excess(item), item.metric_kind),
        "window_end": None if item.window.end is None else instant_text(item.window.end),
    }


def _grant(grant: Grant, now: int) -> dict[str, Any]:
    row = grant.row
    metric = MetricKind(row.metric)
    return {
        "grant_id": row.grant_id,
        "kind": row.kind,
        "policy_id": row.policy_id,
        "state": grant.state(now).value,
        "cap": plain_amount(row.cap, metric),
        "drawn": plain_amount(grant.drawn, metric),
        "expires_at": None if row.expires_at is None else instant_text(row.expires_at),
    }


def _key_as_decider(key: Key) -> Decider:
    return Decider(f"key:{key.key_id}", "key")


def _scope(scope: Scope, principal: str, session: str) -> Scope:
    return replace(scope, principal=principal, session=session)


def _parsed(body: bytes) -> Mapping[str, Any]:
    """The body's fields in the types they must have. Raises RefusedError (400)."""
    try:
        data = parse_object(body, max_depth=MAX_DEPTH)
    except RequestError as error:
        raise invalid(error.code, str(error), param=error.field or None) from None
    for name, value in data.items():
        if name not in FIELDS:
            near = nearest(name, FIELDS)
            hint = f"did you mean {near[0]}?" if near else f"the known ones are {', '.join(FIELDS)}."
            raise _invalid(name[:64], f"There is no field {name[:64]!r}: {hint}")
        if name == "policy_ids":
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise _invalid(name, "policy_ids must be a list of ids of budgets.")
        elif value is not None and not (isinstance(value, str) and not LONE_SURROGATE.search(value)):
            raise _invalid(name, f"{name} must be text; amounts are decimal strings like {json.dumps('5.00')}.")
    return {name: value for name, value in data.items() if value is not None}


def _invalid(field: str, message: str) -> RefusedError:
    return invalid("invalid_field", message, param=field)


def _faulty(error: OverrideInputError) -> RefusedError:
    faults = [{"field": fault.field, "message": fault.message, "fix": fault.fix} for fault in error.faults]
    refusal = Refusal(400, "invalid_request_error", "invalid_field", str(error), {"faults": faults})
    return RefusedError(refusal, param=error.faults[0].field)


def _too_often(error: TooOftenError) -> RefusedError:
    code = "queue_full" if error.retry_ms is None else "too_often"
    retry_after = None if error.retry_ms is None else error.retry_ms / 1000
    return RefusedError(Refusal(429, "rate_limit_error", code, str(error), retry_after=retry_after))
