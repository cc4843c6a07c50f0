"""How operators' tools are answered: values of `control` as JSON data without secrets, pages, and refusals."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from palyra.control.diagnostics_answers import STARTING
from palyra.control.plain import decision_json, plain
from palyra.control.queries import (
    ApprovalDetail,
    BudgetDetail,
    DecisionDetail,
    RunDetail,
)
from palyra.control.snapshots import BudgetView, CommandResult
from palyra.core.errors import (
    BadInputError,
    ConflictError,
    EngineGoneError,
    JournalUnavailableError,
    NotFoundError,
    PalyraError,
)
from palyra.core.redact import redact, redact_data
from palyra.core.values import value
from palyra.gateway.console_bodies import invalid_field, refused_fields
from palyra.gateway.errors import AMOUNTS, RefusedError, forbidden, invalid, not_found, overloaded
from palyra.gateway.reply import DateLine, Header, Reply
from palyra.runs.request import Refusal

T = TypeVar("T")

RETRY_S = 5.0
_HIDDEN_FROM_KEYS = frozenset({"notes", "credential_id", "decided_by", "granted_by", "applicants"})
"""What tells a requester who decided, or how the engine signs in elsewhere."""
_SPEAKING = frozenset({"sentences", "message", "text", "value"})
"""Texts that quote amounts."""
_MONEY_SUFFIXES = ("_nano_usd", "_usd")


@value
class Told:
    """An answer: `data` is JSON data, or values of `control` in it. `scrubbed`: JSON data that has no secrets any more,
    each text having been declared and made fit to be shown where it came from."""

    data: Mapping[str, Any]
    status: int = 200
    headers: tuple[Header, ...] = ()
    scrubbed: bool = False

    def reply(self, date: DateLine) -> Reply:
        """The answer as it is sent; secrets are taken out of what was not scrubbed yet."""
        told = self.data if self.scrubbed else redact_data(plain(dict(self.data)))
        body = json.dumps(told).encode("ascii")
        return Reply(self.status, body, date, (("Cache-Control", "no-store"), *self.headers))


# Records


def run_data(detail: RunDetail) -> dict[str, Any]:
    """A run as JSON tells it."""
    data: dict[str, Any] = plain(detail)
    data["decision"] = None if detail.decision is None else decision_data(detail.decision)
    return data


def decision_data(detail: DecisionDetail) -> dict[str, Any]:
    """A decision as JSON tells it."""
    about = {"decision_id": detail.decision_id, "run_id": detail.run_id, "at": detail.at}
    data: dict[str, Any] = plain({**decision_json(detail), **about})
    return data


def approval_data(detail: ApprovalDetail) -> dict[str, Any]:
    """An approval as JSON tells it."""
    data: dict[str, Any] = plain(detail)
    return data


def policy_data(detail: BudgetDetail) -> dict[str, Any]:
    """A budget in full; each of its counters, of which one is always told, knows its revision and where it is from."""
    data: dict[str, Any] = plain(detail)
    first = detail.counters[0]
    return {"policy_id": detail.policy_id, "revision": first.revision, "source": first.source, **data}


def policies_data(views: Sequence[BudgetView]) -> list[dict[str, Any]]:
    """Budgets with their fullest counters, from a snapshot's views."""
    found: dict[str, dict[str, Any]] = {}
    for view in views:
        shown = plain(view)
        whole = found.setdefault(
            view.policy_id,
            {
                **{name: shown[name] for name in _OF_A_POLICY},
                **{name: shown[name] for name in shown if name.startswith(("soft_limit", "hard_limit"))},
                "counters": view.counters,
                "fullest": [],
            },
        )
        whole["fullest"].append({name: shown[name] for name in shown if name not in whole})
    return list(found.values())


_OF_A_POLICY = (
    "policy_id",
    "name",
    "revision",
    "source",
    "enabled",
    "scope_kind",
    "metric_kind",
    "interval_kind",
    "timezone",
    "action",
    "mode",
)


def for_a_key(data: Mapping[str, Any], *, amounts: bool) -> dict[str, Any]:
    """A record as its requester gets to see it: people unnamed, and amounts only where they are to be told."""
    return {
        name: _member_for_a_key(member, amounts=amounts)
        for name, member in data.items()
        if name not in _HIDDEN_FROM_KEYS and (amounts or not (_is_amount(name) or name in _SPEAKING))
    }


def _member_for_a_key(member: object, *, amounts: bool) -> object:
    if isinstance(member, Mapping):
        return for_a_key(member, amounts=amounts)
    if isinstance(member, list | tuple):
        return [_member_for_a_key(one, amounts=amounts) for one in member]
    return member


def _is_amount(name: str) -> bool:
    """Whether a member tells how much a budget has; what a request itself cost is its own."""
    for suffix in _MONEY_SUFFIXES:
        bare = name.removesuffix(suffix)
        if bare != name:
            return bare not in ("cost", "actual", "charge")
    return name in AMOUNTS or name in ("soft_limit", "hard_limit", "grants")


# Pages


def page_of(items: Sequence[T], identity: Callable[[T], str], cursor: str, limit: int) -> tuple[Sequence[T], str]:
    """At most `limit` items after the one the cursor names, and the cursor of the next page. Raises RefusedError."""
    start = 0
    if cursor:
        places = [place for place, item in enumerate(items) if identity(item) == cursor]
        if not places:
            raise invalid_field("cursor", "What the cursor names is not in this list any more. Start again without it.")
        start = places[0] + 1
    page = items[start : start + limit]
    return page, identity(page[-1]) if start + limit < len(items) else ""


def listed(name: str, items: Sequence[Any], next_cursor: str) -> Told:
    """A page of a list; `next_cursor` is null on the last."""
    return Told({name: list(items), "next_cursor": next_cursor or None})


# Refusals


_SAID_OF = {"cursor": "cursor", "period": "since", "zone": "timezone", "section:": "section"}
"""Words of a query's refusal, and the member of the address they are about."""


def refusal_of(error: PalyraError) -> RefusedError:
    """What a query that could not be answered is told as."""
    match error:
        case NotFoundError():
            return not_found("unknown_path", str(error))
        case BadInputError():
            said = next((said for said in _SAID_OF if said in error.message), "")
            return invalid("invalid_field", str(error), param=_SAID_OF.get(said))
        case ConflictError():
            return conflict("wrong_state", str(error), None)
        case EngineGoneError() if error.code == STARTING:
            return overloaded(STARTING, str(error), RETRY_S)
        case JournalUnavailableError() | EngineGoneError():
            return overloaded("journal_unavailable", str(error), RETRY_S)
    return forbidden(error.code, str(error))


def without_secrets(error: RefusedError) -> RefusedError:
    """The same refusal, whatever it quotes."""
    refusal = error.refusal
    palyra = {name: redact_data(member) for name, member in refusal.palyra.items()}
    told = replace(refusal, message=redact(refusal.message), palyra=palyra)
    param = None if error.param is None else redact(error.param)
    return RefusedError(told, param=param, headers=error.headers, close=error.close)


_CONFLICTS = frozenset({"already_decided", "read_only", "stale_version", "wrong_state"})


def conflict(code: str, message: str, record: Mapping[str, Any] | None) -> RefusedError:
    """`record` is the thing as it stands."""
    told = {} if record is None else {"record": plain(dict(record))}
    return RefusedError(Refusal(409, "conflict_error", code if code in _CONFLICTS else "wrong_state", message, told))


def stale_revision(message: str, record: Mapping[str, Any]) -> RefusedError:
    """Somebody was faster: 412, with the record as it stands."""
    told = {"record": plain(dict(record))}
    return RefusedError(Refusal(412, "invalid_request_error", "stale_revision", message, told), param="If-Match")


def refusal_for(result: CommandResult, record: Mapping[str, Any] | None) -> RefusedError:
    """What a command that was not accepted is told as; `record` is what it was about, as it stands now."""
    text = f"{result.message} {result.fix}".strip()
    match result.status:
        case "not_found":
            return not_found("unknown_path", text)
        case "invalid":
            if result.faults:
                return refused_fields(result.faults)
            named = result.message.partition(" ")[0]
            return invalid("invalid_field", text, param=named if named.islower() else None)
        case "conflict" | "stale":
            return conflict(result.code, text, record)
    if result.code == JournalUnavailableError.code:
        return overloaded(result.code, text, RETRY_S)
    return forbidden(result.code or "role_missing", text)
