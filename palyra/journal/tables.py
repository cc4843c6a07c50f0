"""How each row lies in its table: the columns in order, a row to values, and the values of a JSON array to a row.

Readers ask SQLite for one JSON text per answer (`Table.array`), because stepping through rows hands the interpreter
lock to and fro for every row, and a busy event loop then makes a page of rows take seconds.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.journal.moves import PlainMoves
from palyra.journal.rows import (
    AlertRow,
    ApprovalRow,
    CounterMove,
    CredentialRow,
    DecisionRow,
    GrantRow,
    HoldRow,
    PolicyRow,
    RunRow,
    UsageRow,
)

_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
_make = getattr(json.encoder, "c_make_encoder", None)
_pieces: Callable[[Any, int], Iterable[str]] | None = _make and _make(
    None, _encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
)
"""What `JSONEncoder.encode` makes anew for every text, which takes longer than writing a small one."""


def dumps(data: Any) -> str:
    """Compact ASCII JSON: what is escaped there survives every text column, unpaired surrogates included.

    Raises TypeError, ValueError or RecursionError for data that is no JSON.
    """
    return _encoder.encode(data) if _pieces is None else "".join(_pieces(data, 0))


def own_json(data: Any) -> str:
    """`dumps` of what the engine makes itself, ten times as fast: every request writes some kilobytes of it.

    Nobody is told of a number that JSON does not have: it is written as null.
    """
    try:
        text = orjson.dumps(data).decode()
    except TypeError:
        # Numbers beyond 64 bits, keys that are no text and unpaired surrogates, which `dumps` knows how to write.
        return dumps(data)
    # An ASCII text is the same either way but for DEL.
    return text if text.isascii() and "\x7f" not in text else dumps(data)


Values = tuple[Any, ...]


NULL = -(1 << 63)
"""Stands for NULL on the way in: sqlite3 binds None only after a long search for an adapter, ten times dearer."""


@value
class Table:
    """`json_columns` hold JSON text, `nullable` ones may be NULL."""

    name: str
    columns: tuple[str, ...]
    json_columns: frozenset[str] = frozenset()
    nullable: frozenset[str] = frozenset()

    def array(self, prefix: str = "") -> str:
        """A SQL expression: the row as a JSON array in the order of `columns`."""
        parts = [f"json({prefix}{name})" if name in self.json_columns else prefix + name for name in self.columns]
        return f"json_array({', '.join(parts)})"


def _table(name: str, columns: str, json_columns: str = "", nullable: str = "") -> Table:
    return Table(name, tuple(columns.split()), frozenset(json_columns.split()), frozenset(nullable.split()))


_SCOPE = "principal session key_id channel agent job tags"

RUNS = _table(
    "runs",
    f"run_id boot_id version source {_SCOPE} task_class wire streaming model_asked max_tokens input_bytes"
    " expected_input complexity digest state phase reason message accepted_at mode decision_id provider model"
    " approval_id grant_ids attempts parked_at dispatched_at first_byte_at finished_at input_tokens output_tokens"
    " cost flags",
    "tags grant_ids flags",
    "max_tokens parked_at dispatched_at first_byte_at finished_at cost",
)
NOTES = _table("run_notes", "run_id at kind data", "data")
DECISIONS = _table(
    "decisions", "decision_id run_id at mode outcome action reason_codes body", "reason_codes body", "run_id"
)
HOLDS = _table(
    "holds",
    f"hold_id run_id attempt boot_id {_SCOPE} provider model created_at bound_usd bound_tokens expected_input"
    " expected_usd price_state card moves mode state terminal_at actual_usd actual_tokens requests usage_source overrun"
    " recovered metered_input metered_output metered_usd",
    "tags card moves",
    "bound_usd expected_usd card terminal_at actual_usd actual_tokens metered_input metered_output metered_usd",
)
USAGE = _table(
    "usage",
    f"hold_id run_id attempt at provider model {_SCOPE} input_total cache_read write_5m write_1h output_total reasoning"
    " audio_in audio_out tool_uses metered_input metered_output usage_source flags price_state rates charge"
    " reported_cost raw latency_ms visible_bytes overhead readings corrects answer_id",
    "tags flags rates raw readings",
    "hold_id charge reported_cost raw readings corrects",
)
APPROVALS = _table(
    "approvals",
    "approval_id version principal session policy_ids requested_at expires_at status decision resolved_at decided_by"
    " reason risk body",
    "policy_ids body",
    "resolved_at",
)
GRANTS = _table(
    "grants",
    "grant_id version approval_id kind policy_id scope_value principal session cap metric created_at expires_at"
    " window_start state run_ids granted_by uses",
    "run_ids",
    "approval_id expires_at window_start",
)
ALERTS = _table(
    "alerts",
    "alert_id revision version kind severity state dedupe_key subject_kind subject occurrence_count first_seen"
    " last_seen holds payload notified_at snoozed_until resolved_at answered acted_by acted_at",
    "payload",
    "notified_at snoozed_until resolved_at acted_at",
)
CREDENTIALS = _table(
    "credentials",
    "provider credential fingerprint cooling_until refused last_used last_error last_error_at",
    "",
    "cooling_until last_used last_error_at",
)
POLICIES = _table("policies", "policy_id revision sha256 removed updated_at updated_by body", "body")
AUDIT = _table("audit", "seq at kind subject actor payload digest", "payload")


def clean(text: str) -> str:
    """Text from outside that every column can hold: an unpaired surrogate would refuse the unit that carries it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _names(values: tuple[str, ...]) -> str:
    return dumps(values) if values else "[]"


def _object(values: Mapping[str, Any]) -> str:
    return dumps(dict(values)) if values else "{}"


def _optional(values: Mapping[str, Any] | None) -> str | None:
    return None if values is None else dumps(values)


_cards: dict[int, tuple[Mapping[str, Any], str]] = {}
_CARDS_AT_MOST = 256


def _card(card: Mapping[str, Any] | None) -> str | None:
    """The text of a rate card. Its data is made once, shared by every hold and never changed, so is its text."""
    if card is None:
        return None
    known = _cards.get(id(card))
    if known is None or known[0] is not card:
        if len(_cards) >= _CARDS_AT_MOST:
            _cards.clear()
        known = _cards[id(card)] = (card, dumps(card))
    return known[1]


def _scope_values(scope: Scope) -> Values:
    return (
        scope.principal,
        scope.session,
        scope.key_id,
        scope.channel,
        scope.agent,
        scope.job,
        _object(scope.tags),
    )


def _record(table: Table, values: list[Any]) -> dict[str, Any]:
    return dict(zip(table.columns, values, strict=True))


def _scope(record: dict[str, Any]) -> Scope:
    return Scope(*[record.pop(name) for name in _SCOPE.split()])


def run_values(row: RunRow) -> Values:
    """The columns of a run's row."""
    return (
        row.run_id,
        row.boot_id,
        row.version,
        row.source,
        *_scope_values(row.scope),
        row.task_class,
        row.wire,
        int(row.streaming),
        clean(row.model_asked),
        row.max_tokens,
        row.input_bytes,
        row.expected_input,
        repr(row.complexity),
        row.digest,
        row.state,
        row.phase,
        row.reason,
        clean(row.message),
        row.accepted_at,
        row.mode,
        row.decision_id,
        row.provider,
        row.model,
        row.approval_id,
        _names(row.grant_ids),
        row.attempts,
        row.parked_at,
        row.dispatched_at,
        row.first_byte_at,
        row.finished_at,
        row.input_tokens,
        row.output_tokens,
        row.cost,
        _names(row.flags),
    )


def run_row(values: list[Any]) -> RunRow:
    """The run in columns."""
    record = _record(RUNS, values)
    record["scope"] = _scope(record)
    record["streaming"] = bool(record["streaming"])
    record["complexity"] = float(record["complexity"])
    record["grant_ids"] = tuple(record["grant_ids"])
    record["flags"] = tuple(record["flags"])
    return RunRow(**record)


def decision_row(values: list[Any]) -> DecisionRow:
    """The decision in columns."""
    record = _record(DECISIONS, values)
    record["run_id"] = record["run_id"] or ""
    record["reason_codes"] = tuple(record["reason_codes"])
    return DecisionRow(**record)


def moves_text(moves: Sequence[CounterMove]) -> str:
    """The moves of a hold, as a column keeps them."""
    if isinstance(moves, PlainMoves):
        return moves.text()
    return dumps([move if move.rolling else move[:-1] for move in moves])


def _move(values: list[Any]) -> CounterMove:
    policy_id, scope_value, window_start, metric, held, actual, enforced, drawn, limit, *rolling = values
    return CounterMove(
        policy_id,
        scope_value,
        window_start,
        metric,
        held,
        actual,
        enforced,
        tuple((grant_id, amount) for grant_id, amount in drawn),
        limit,
        *rolling,
    )


def hold_values(row: HoldRow) -> Values:
    """The columns of a hold's row."""
    return (
        row.hold_id,
        row.run_id,
        row.attempt,
        row.boot_id,
        *_scope_values(row.scope),
        row.provider,
        row.model,
        row.created_at,
        row.bound_usd,
        row.bound_tokens,
        row.expected_input,
        row.expected_usd,
        row.price_state,
        _card(row.card),
        moves_text(row.moves),
        row.mode,
        row.state,
        row.terminal_at,
        row.actual_usd,
        row.actual_tokens,
        row.requests,
        row.usage_source,
        row.overrun,
        int(row.recovered),
        row.metered_input,
        row.metered_output,
        row.metered_usd,
    )


def hold_row(values: list[Any]) -> HoldRow:
    """The hold in columns."""
    record = _record(HOLDS, values)
    record["scope"] = _scope(record)
    record["moves"] = tuple([_move(move) for move in record["moves"]])
    record["recovered"] = bool(record["recovered"])
    return HoldRow(**record)


def usage_values(row: UsageRow) -> Values:
    """The columns of a usage row."""
    return (
        row.hold_id or None,
        row.run_id,
        row.attempt,
        row.at,
        row.provider,
        row.model,
        *_scope_values(row.scope),
        row.input_total,
        row.cache_read,
        row.write_5m,
        row.write_1h,
        row.output_total,
        row.reasoning,
        row.audio_in,
        row.audio_out,
        row.tool_uses,
        row.metered_input,
        row.metered_output,
        row.usage_source,
        _names(row.flags),
        row.price_state,
        dumps(row.rates) if row.rates else "[]",
        row.charge,
        row.reported_cost,
        _optional(row.raw),
        row.latency_ms,
        row.visible_bytes,
        row.overhead,
        dumps(row.readings) if row.readings else None,
        row.corrects or None,
        clean(row.answer_id),
    )


def usage_row(values: list[Any]) -> UsageRow:
    """The usage in columns."""
    record = _record(USAGE, values)
    record["scope"] = _scope(record)
    record["hold_id"] = record["hold_id"] or ""
    record["flags"] = tuple(record["flags"])
    record["rates"] = tuple(record["rates"])
    record["readings"] = tuple(record["readings"] or ())
    record["corrects"] = record["corrects"] or ""
    return UsageRow(**record)


def approval_values(row: ApprovalRow) -> Values:
    """The columns of an approval's row."""
    return (
        row.approval_id,
        row.version,
        row.principal,
        row.session,
        _names(row.policy_ids),
        row.requested_at,
        row.expires_at,
        row.status,
        row.decision,
        row.resolved_at,
        row.decided_by,
        clean(row.reason),
        row.risk,
        dumps(row.body),
    )


def approval_row(values: list[Any]) -> ApprovalRow:
    """The approval in columns."""
    record = _record(APPROVALS, values)
    record["policy_ids"] = tuple(record["policy_ids"])
    return ApprovalRow(**record)


def grant_values(row: GrantRow) -> Values:
    """The columns of a grant's row."""
    return (
        row.grant_id,
        row.version,
        row.approval_id or None,
        row.kind,
        row.policy_id,
        row.scope_value,
        row.principal,
        row.session,
        row.cap,
        row.metric,
        row.created_at,
        row.expires_at,
        row.window_start,
        row.state,
        _names(row.run_ids),
        row.granted_by,
        row.uses,
    )


def grant_row(values: list[Any]) -> GrantRow:
    """The grant in columns."""
    record = _record(GRANTS, values)
    record["approval_id"] = record["approval_id"] or ""
    record["run_ids"] = tuple(record["run_ids"])
    return GrantRow(**record)


def policy_values(row: PolicyRow) -> Values:
    """The columns of a policy's row."""
    return (
        row.policy_id,
        row.revision,
        row.sha256,
        int(row.removed),
        row.updated_at,
        row.updated_by,
        dumps(row.body),
    )


def policy_row(values: list[Any]) -> PolicyRow:
    """The policy in columns."""
    record = _record(POLICIES, values)
    record["removed"] = bool(record["removed"])
    return PolicyRow(**record)


def alert_values(row: AlertRow) -> Values:
    """The columns of an alert's row."""
    return (
        row.alert_id,
        row.revision,
        row.version,
        row.kind,
        row.severity,
        row.state,
        clean(row.dedupe_key),
        row.subject_kind,
        clean(row.subject),
        row.occurrence_count,
        row.first_seen,
        row.last_seen,
        int(row.holds),
        dumps(row.payload),
        row.notified_at,
        row.snoozed_until,
        row.resolved_at,
        row.answered,
        clean(row.acted_by),
        row.acted_at,
    )


def alert_row(values: list[Any]) -> AlertRow:
    """The alert in columns."""
    record = _record(ALERTS, values)
    record["holds"] = bool(record["holds"])
    return AlertRow(**record)


def credential_values(row: CredentialRow) -> Values:
    """The columns of a credential's row."""
    return (
        row.provider,
        row.credential,
        row.fingerprint,
        row.cooling_until,
        row.refused,
        row.last_used,
        row.last_error,
        row.last_error_at,
    )
