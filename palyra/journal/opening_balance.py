"""Holds that ended long ago, put together: what counters are rebuilt from once the rows themselves are gone. Pure.

Everything that a hold counts for is a sum over holds of one scope and model that moved the same counters: amounts, what
grants gave, and by how much each charged more than it held. Where nobody knew the price it is also how many there were,
since each counts with the flat charge of a budget. The window that a calendar or rolling budget counted it in is over,
so that only windows without an end are kept.
"""

from collections.abc import Sequence

from palyra.journal.rows import CounterMove, HoldRow

SETTLED, RELEASED = "settled", "released"
ENDLESS, OVER = 0, -1
"""Where a window without an end begins, and what stands for any other."""


def opening(row: HoldRow) -> HoldRow:
    """One hold that has ended, with what counts of it and no more."""
    released = row.state == RELEASED
    return HoldRow(
        hold_id="",
        run_id="",
        attempt=0,
        boot_id="",
        scope=row.scope,
        provider=row.provider,
        model=row.model,
        created_at=row.created_at,
        bound_usd=None,
        bound_tokens=0,
        expected_input=0,
        expected_usd=None,
        price_state="",
        card=None,
        moves=tuple(sorted((_charged(move) for move in row.moves), key=_place)),
        mode="",
        state=SETTLED,
        terminal_at=row.terminal_at,
        actual_usd=0 if released else row.actual_usd,
        actual_tokens=0 if released else row.actual_tokens or 0,
        requests=0 if released else row.requests,
        folded=row.folded,
    )


def alike(row: HoldRow) -> tuple[object, ...]:
    """What openings have in common that may be added up; made of what JSON has."""
    scope = row.scope
    who = scope.principal, scope.session, scope.key_id, scope.channel, scope.agent, scope.job
    tags = sorted(scope.tags.items())
    return *who, tags, row.provider, row.model, row.actual_usd is None, [_place(move) for move in row.moves]


def together(one: HoldRow, other: HoldRow) -> HoldRow:
    """The sum of two openings that are alike."""
    ended = [row.terminal_at for row in (one, other) if row.terminal_at is not None]
    return one._replace(
        created_at=max(one.created_at, other.created_at),
        terminal_at=max(ended, default=None),
        actual_usd=None if one.actual_usd is None or other.actual_usd is None else one.actual_usd + other.actual_usd,
        actual_tokens=(one.actual_tokens or 0) + (other.actual_tokens or 0),
        requests=one.requests + other.requests,
        moves=tuple(_sum(move, more) for move, more in zip(one.moves, other.moves, strict=True)),
        folded=one.folded + other.folded,
    )


def _charged(move: CounterMove) -> CounterMove:
    """`held` is what was charged of what was held, so that the rest of `actual` is what was charged beyond it."""
    actual = move.actual or 0
    counts_on = move.enforced and move.limit is not None and (move.window_start, move.rolling) == (ENDLESS, "")
    return CounterMove(
        move.policy_id,
        move.scope_value,
        ENDLESS if counts_on else OVER,
        move.metric,
        min(move.held, actual),
        actual,
        counts_on,
        tuple(sorted(move.drawn)),
        move.limit if counts_on else None,
    )


def _place(move: CounterMove) -> tuple[str, str, int, str]:
    return move.policy_id, move.scope_value, move.window_start, move.metric


def _sum(one: CounterMove, other: CounterMove) -> CounterMove:
    limits = [move.limit for move in (one, other) if move.limit is not None]
    return one._replace(
        held=one.held + other.held,
        actual=(one.actual or 0) + (other.actual or 0),
        drawn=_drawn(one.drawn, other.drawn),
        limit=max(limits, default=None),
    )


def _drawn(one: Sequence[tuple[str, int]], other: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    sums = dict(one)
    for grant_id, amount in other:
        sums[grant_id] = sums.get(grant_id, 0) + amount
    return tuple(sorted(sums.items()))
