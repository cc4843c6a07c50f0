"""Holds as facts, from the engine's own rows as they are submitted and from what lies in the journal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from palyra.journal.changes import HoldEnded, HoldGrown
from palyra.journal.rows import CounterMove, HoldRow
from tests.simulation.tally import HoldFact, Move

SCOPE = ("principal", "session", "key_id", "channel", "agent", "job")


def of_moves(moves: Sequence[CounterMove]) -> dict[str, Move]:
    return {
        move.policy_id: Move(
            move.scope_value,
            move.window_start,
            move.metric,
            move.held,
            move.actual,
            move.enforced,
            move.drawn,
            move.limit,
            move.rolling,
        )
        for move in moves
    }


def taken(row: HoldRow) -> HoldFact:
    scope = {**{name: getattr(row.scope, name) for name in SCOPE}, "tags": dict(row.scope.tags)}
    return HoldFact(
        row.hold_id,
        row.run_id,
        row.attempt,
        scope,
        row.provider,
        row.model,
        row.created_at,
        row.bound_usd,
        row.bound_tokens,
        of_moves(row.moves),
    )


def grown(fact: HoldFact, change: HoldGrown) -> HoldFact:
    return replace(fact, bound_usd=change.bound_usd, bound_tokens=change.bound_tokens, moves=of_moves(change.moves))


def ended(fact: HoldFact, change: HoldEnded) -> HoldFact:
    return replace(
        fact,
        state=change.state,
        actual_usd=change.actual_usd,
        actual_tokens=change.actual_tokens,
        requests=change.requests,
        overrun=change.overrun,
        moves=of_moves(change.moves),
    )


def stored(row: Mapping[str, Any]) -> HoldFact:
    """From a row of the table `holds`."""
    moves = {
        policy_id: Move(
            value,
            start,
            metric,
            held,
            actual,
            bool(enforced),
            tuple((name, share) for name, share in drawn),
            limit,
            *rolling,
        )
        for policy_id, value, start, metric, held, actual, enforced, drawn, limit, *rolling in json.loads(row["moves"])
    }
    return HoldFact(
        row["hold_id"],
        row["run_id"],
        row["attempt"],
        {**{name: row[name] for name in SCOPE}, "tags": json.loads(row["tags"])},
        row["provider"],
        row["model"],
        row["created_at"],
        row["bound_usd"],
        row["bound_tokens"],
        moves,
        row["state"],
        row["actual_usd"],
        row["actual_tokens"],
        row["requests"],
        row["overrun"],
    )
