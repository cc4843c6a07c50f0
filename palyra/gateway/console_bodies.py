"""What operators' tools write, read strictly: a mistyped filter or field is told with the nearest known name, never
passed over."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

from palyra.config.suggest import nearest
from palyra.control.commands import AckAlert, DecideApproval, GrantScope, SnoozeAlert
from palyra.control.plain import USD_METRIC
from palyra.control.snapshots import ApprovalView, FaultView
from palyra.core.half_characters import LONE_SURROGATE
from palyra.core.instants import LATEST_MS, parse_instant_ms
from palyra.core.money import MAX, parse_usd
from palyra.core.usage_filter import UsageFilter
from palyra.gateway.errors import RefusedError, invalid
from palyra.providers.strict_json import RequestError, parse_object
from palyra.runs.request import Refusal

MAX_DEPTH = 4
LIMIT, MOST = 50, 500
LONGEST_REASON = 500
LONGEST_TIME_S = 30 * 86_400
SCOPES = ("once", "session", "timeboxed", "amount")
DECISIONS = ("allow", "deny")

FILTERS = {
    "model": "model",
    "provider": "provider",
    "user": "user",
    "session": "session",
    "agent": "agent",
    "job": "job",
    "key_id": "key",
    "channel": "channel",
    "tag": "tag",
}
"""Members of a query that ask for part of all usage, and what usage calls them."""

_REVISION = re.compile(r'(?P<quote>"?)(?P<number>[1-9][0-9]{0,17})(?P=quote)')


def invalid_field(field: str, message: str) -> RefusedError:
    """A member or a word that is not as it should be: 400."""
    return invalid("invalid_field", message, param=field)


def refused_fields(faults: Sequence[FaultView]) -> RefusedError:
    """Every field at fault at once; `param` is the first one."""
    told = [{"field": one.field, "message": one.message, "fix": one.fix} for one in faults]
    text = " ".join(f"{one.field}: {one.message}.{f' {one.fix}' if one.fix else ''}" for one in faults)
    refusal = Refusal(400, "invalid_request_error", "invalid_field", text, {"faults": told})
    return RefusedError(refusal, param=faults[0].field)


def _unknown(name: str, known: Collection[str]) -> FaultView:
    near = nearest(name[:64], known)
    fix = f"Did you mean {near[0]}?" if near else f"The known ones are {', '.join(known)}." if known else ""
    return FaultView(name[:64], "there is no such field", fix)


class Words:
    """The members of an address's query. Every reading raises RefusedError (400) naming the member at fault."""

    def __init__(self, query: str, known: Collection[str]) -> None:
        self._given: dict[str, str] = {}
        for name, text in parse_qsl(query, keep_blank_values=True, errors="replace"):
            if name not in known:
                raise refused_fields([_unknown(name, known)])
            if name in self._given:
                raise invalid_field(name, f"{name} is given twice. Send it once.")
            self._given[name] = text

    def text(self, name: str) -> str:
        """The word as it came; empty where it was not given."""
        return self._given.get(name, "")

    def choice(self, name: str, choices: Sequence[str], usual: str = "") -> str:
        """One of the choices. Raises RefusedError for anything else."""
        text = self._given.get(name)
        if text is None:
            return usual
        if text not in choices:
            raise invalid_field(name, f"{name} must be one of {', '.join(choices)}.")
        return text

    def limit(self, usual: int = LIMIT, most: int = MOST) -> int:
        """How many entries a page has, 1 to `most`. Raises RefusedError."""
        text = self._given.get("limit")
        if text is None:
            return usual
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= most):
            raise invalid_field("limit", f"limit must be a whole number from 1 to {most}.")
        return int(text)

    def instant(self, name: str) -> int | None:
        """RFC 3339, a UTC date, or unix ms."""
        text = self._given.get(name)
        if text is None:
            return None
        if text.isascii() and text.isdigit() and len(text) <= 15 and int(text) <= LATEST_MS:
            return int(text)
        try:
            return parse_instant_ms(text)
        except ValueError as error:
            raise invalid_field(name, f"{name}: {error}.") from None

    def where(self) -> UsageFilter:
        """What usage is narrowed to. Raises RefusedError."""
        asked = {fact: self._given[name] for name, fact in FILTERS.items() if name in self._given}
        if "tag" in asked and "=" not in asked["tag"]:
            raise invalid_field("tag", "tag must be name=value.")
        return UsageFilter(**asked)


def read_object(body: bytes) -> dict[str, Any]:
    """A body's members; nothing is as good as an empty object. Raises RefusedError (400)."""
    if not body:
        return {}
    try:
        return parse_object(body, max_depth=MAX_DEPTH)
    except RequestError as error:
        raise invalid(error.code, str(error), param=error.field or None) from None


class Members:
    """The members of a body, read one by one; `done` raises RefusedError (400) with every fault found on the way."""

    def __init__(self, body: bytes, known: Collection[str]) -> None:
        self._data = read_object(body)
        self.faults = [_unknown(name, known) for name in self._data if name not in known]

    def has(self, name: str) -> bool:
        """Whether it was given, and is not null."""
        return self._data.get(name) is not None

    def given(self, name: str) -> bool:
        """Whether it is there, be it null."""
        return name in self._data

    def fault(self, name: str, message: str, fix: str = "") -> None:
        """Notes what is wrong with a member; `done` tells all at once."""
        self.faults.append(FaultView(name, message, fix))

    def text(self, name: str, most: int = LONGEST_REASON) -> str:
        """Text of at most `most` characters; empty where it is at fault or was not given."""
        found = self._data.get(name)
        if found is None:
            return ""
        if not isinstance(found, str):
            self.fault(name, "it must be text")
        elif LONE_SURROGATE.search(found):
            self.fault(name, "it is no text that can be written down")
        elif len(found) > most:
            self.fault(name, "it is too long", f"Use at most {most} characters.")
        else:
            return found
        return ""

    def choice(self, name: str, choices: Sequence[str], usual: str = "") -> str:
        """One of the choices; the first where it is at fault."""
        found = self._data.get(name)
        if found is None and usual:
            return usual
        if isinstance(found, str) and found in choices:
            return found
        self.fault(
            name, "it is missing" if found is None else "it is none of the choices", f"Write {_either(choices)}."
        )
        return choices[0]

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; none where there is no list."""
        found = self._data.get(name)
        if found is None:
            return ()
        if isinstance(found, list) and all(isinstance(one, str) and not LONE_SURROGATE.search(one) for one in found):
            return tuple(found)
        self.fault(name, "it is no list of texts", 'Write a list like ["one", "two"].')
        return ()

    def table(self, name: str, fix: str) -> dict[str, Any] | None:
        """An object; None where it is at fault or was not given."""
        found = self._data.get(name)
        if found is None or isinstance(found, dict):
            return found
        self.fault(name, "it is no object", fix)
        return None

    def flag(self, name: str) -> bool:
        """False where there is none."""
        found = self._data.get(name)
        if found is not None and not isinstance(found, bool):
            self.fault(name, "it is neither true nor false", "Write true or false.")
        return found is True

    def whole(self, name: str, most: int = MAX, *, required: bool = False) -> int | None:
        """A whole number from 1 to `most`; None where it is at fault or was not given."""
        if required and not self.has(name):
            self.fault(name, "it is missing", f"Write a whole number from 1 to {most}.")
        return self.number(name, 1, most)

    def number(self, name: str, least: int, most: int) -> int | None:
        """A whole number within limits; None where there is none."""
        found = self._data.get(name)
        if found is None:
            return None
        if isinstance(found, int) and not isinstance(found, bool) and least <= found <= most:
            return found
        self.fault(name, "it is out of range or no whole number", f"Write one from {least} to {most}.")
        return None

    def amount(self, name: str, metric: str) -> int | None:
        """A decimal string in a metric's unit."""
        found = self._data.get(name)
        if found is None:
            self.fault(name, "it is missing", 'Write a decimal string like "5.00".')
            return None
        if not isinstance(found, str):
            self.fault(name, "it is no text", 'Write a decimal string like "5.00".')
            return None
        try:
            amount = int(parse_usd(found)) if metric == USD_METRIC else _counted(found)
        except ValueError as error:
            self.fault(name, str(error))
            return None
        if not 0 < amount <= MAX:
            self.fault(name, "it must be above zero, and no more than Palyra counts")
        return amount

    def done(self) -> None:
        """Raises RefusedError with every fault there is."""
        if self.faults:
            raise refused_fields(self.faults)


def _counted(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError("it is no whole number of tokens or requests")
    return int(text)


def _either(choices: Sequence[str]) -> str:
    return " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]


DECISION_FIELDS = ("decision", "scope", "duration_seconds", "amount", "reason", "version")


def read_decision(body: bytes, approval_id: str, view: ApprovalView | None = None) -> DecideApproval:
    """What a person decided. `view` is of the approval, whose unit an amount is in; without one no amount is read.

    Raises RefusedError (400) with every field at fault.
    """
    members = Members(body, DECISION_FIELDS)
    decision = members.choice("decision", DECISIONS)
    scope = members.choice("scope", SCOPES, "once")
    seconds = amount = None
    for name in ("scope", "duration_seconds", "amount"):
        if decision == "deny" and members.has(name):
            members.fault(name, "it belongs to the decision allow", "Leave it out.")
    if decision == "allow":
        if scope == "timeboxed":
            seconds = members.whole("duration_seconds", LONGEST_TIME_S, required=True)
        elif members.has("duration_seconds"):
            members.fault("duration_seconds", "it belongs to scope timeboxed", "Leave it out.")
        if scope != "amount" and members.has("amount"):
            members.fault("amount", "it belongs to scope amount", "Leave it out.")
        elif scope == "amount" and view is not None:
            amount = members.amount("amount", view.excess_metric)
    reason, version = members.text("reason"), members.whole("version")
    members.done()
    granted = cast(GrantScope, scope)
    chosen = cast("Any", decision)
    return DecideApproval(approval_id, chosen, version, granted, seconds, amount, reason)


def wants_amount(command: DecideApproval) -> bool:
    """Whether the decision grants an amount."""
    return command.decision == "allow" and command.scope == "amount"


def read_acknowledgement(body: bytes, alert_id: str) -> AckAlert:
    """The command in a body. Raises RefusedError with every fault."""
    members = Members(body, ("version",))
    version = members.whole("version")
    members.done()
    return AckAlert(alert_id, version)


def read_snooze(body: bytes, alert_id: str) -> SnoozeAlert:
    """The command in a body, its duration in seconds. Raises RefusedError with every fault."""
    members = Members(body, ("duration_seconds", "version"))
    seconds, version = members.whole("duration_seconds", LONGEST_TIME_S, required=True), members.whole("version")
    members.done()
    return SnoozeAlert(alert_id, seconds or 0, version)


def read_nothing(body: bytes) -> None:
    """A body without members."""
    Members(body, ()).done()


POLICY_FIELDS = (
    "policy_id",
    "name",
    "enabled",
    "scope_kind",
    "scope_id",
    "metric_kind",
    "interval_kind",
    "timezone",
    "hard_limit",
    "soft_limit",
    "action",
    "routing_override",
    "on_unknown_price",
)


def read_policy(body: bytes) -> dict[str, str]:
    """A budget's fields as an operator types them: true and false, whole numbers and texts are understood, null is a
    field's default or no limit. What they say is judged with the policy. Raises RefusedError (400)."""
    data = read_object(body)
    faults = [_unknown(name, POLICY_FIELDS) for name in data if name not in POLICY_FIELDS]
    fields: dict[str, str] = {}
    for name, found in data.items():
        if found is None:
            fields[name] = "none" if name in ("hard_limit", "soft_limit") else ""
        elif isinstance(found, bool):
            fields[name] = "true" if found else "false"
        elif isinstance(found, int):
            fields[name] = str(found) if abs(found) <= MAX else ""
            if abs(found) > MAX:
                faults.append(FaultView(name, "it is more than Palyra counts"))
        elif isinstance(found, str) and not LONE_SURROGATE.search(found):
            fields[name] = found
        else:
            faults.append(FaultView(name, "it must be text", 'Amounts are decimal strings like "5.00".'))
    if faults:
        raise refused_fields(faults)
    return fields


def whole_policy(policy_id: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Fields that put a policy in another's place: what they do not name goes back to its default."""
    named = fields.get("policy_id", policy_id)
    if named != policy_id:
        raise refused_fields([FaultView("policy_id", "an id cannot be changed", "Leave it out, or add a new budget.")])
    return {name: fields.get(name, "") for name in POLICY_FIELDS} | {"policy_id": policy_id}


def read_revision(sent: Sequence[str], *, required: bool) -> int | None:
    """The revision an If-Match header names, with or without quotes. Raises RefusedError (400, 428)."""
    if not sent:
        if required:
            raise invalid(
                "revision_required",
                "Send If-Match with the revision you have seen, so that nobody's edit is lost.",
                status=428,
                param="If-Match",
            )
        return None
    match = _REVISION.fullmatch(sent[0].strip()) if len(sent) == 1 else None
    if match is None:
        raise invalid("invalid_header", "If-Match must be the revision of the budget, like 3.", param="If-Match")
    return int(match["number"])
