"""What a hold's growth and end record for each counter. Shares of grants are (grant_id, amount)."""

from collections.abc import Sequence

from palyra.config.choices import MetricKind
from palyra.governance.counters import REQUESTS_UNIT, USD_UNIT, Budget
from palyra.journal.rows import CounterMove

Shares = tuple[tuple[str, int], ...]

_USD = MetricKind.ESTIMATED_COST_USD.value
_REQUESTS = MetricKind.REQUESTS.value
_TOKENS = MetricKind.TOTAL_TOKENS.value


def slice_amount(budget: Budget, usd: int | None, tokens: int) -> int:
    """What a slice adds in one budget; a flat price does not grow and an attempt stays one request."""
    if budget.unit == USD_UNIT:
        return usd or 0
    return 0 if budget.unit == REQUESTS_UNIT else tokens


def actual_amount(move: CounterMove, usd: int | None, tokens: int, requests: int) -> int:
    """What an end charges in one counter. A cost nobody knows is charged as it was held: flat, or at its bound."""
    if move.metric == _REQUESTS:
        return requests
    if move.metric == _TOKENS:
        return tokens
    return move.held if usd is None else usd


def grown(move: CounterMove, amount: int, enforced: bool, drawn: Shares, limit: int | None) -> CounterMove:
    """A move after a further slice was admitted under `limit`.

    It was admitted under a limit only if all of it was, and then under the largest one: who lowers a limit while a
    stream goes on does not make the slices before look unlawful.
    """
    shares = dict(move.drawn)
    for grant_id, share in drawn:
        shares[grant_id] = shares.get(grant_id, 0) + share
    return move._replace(
        held=move.held + amount,
        actual=None,
        enforced=move.enforced and enforced,
        drawn=tuple(shares.items()),
        limit=None if move.limit is None or limit is None else max(move.limit, limit),
    )


def kept(drawn: Shares, unused: int) -> Shares:
    """What stays drawn when `unused` was held for nothing; what was drawn last is given back first.

    A grant that gets everything back stays named: without it the attempt would not have been sent.
    """
    left: list[tuple[str, int]] = []
    for grant_id, share in reversed(drawn):
        back = min(unused, share)
        unused -= back
        left.append((grant_id, share - back))
    return tuple(reversed(left))


def flat_charge(moves: Sequence[CounterMove]) -> int | None:
    """The largest amount a dollar budget charged for an attempt nobody can price, or None when none charged any."""
    return max((move.actual for move in moves if move.metric == _USD and move.actual), default=None)


def total(drawn: Shares) -> int:
    """The sum of what was drawn from grants, in the metric of their policy."""
    return sum([share for _, share in drawn])
