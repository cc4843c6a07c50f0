"""What was counted before plans were kept: a journal of an earlier version has holds, and nothing to decide again."""

from collections.abc import Iterable, Mapping

from palyra.config.choices import MetricKind
from palyra.governance.recount import HELD, Drawing, counted
from palyra.governance.replay_lanes import Lanes
from palyra.journal.replay_log import Corrected
from palyra.journal.rows import HoldRow


def count_earlier(
    holds: Iterable[HoldRow], corrections: Mapping[str, Corrected], lanes: Lanes
) -> dict[str, list[Drawing]]:
    """Counts holds, given in the order of time, in every lane they match, as they were before `corrections` that come
    later in the log. Returns what they drew, by grant."""
    drawn: dict[str, list[Drawing]] = {}
    for hold in holds:
        later = corrections.get(hold.hold_id)
        row = hold if later is None else _before(hold, later)
        for places in lanes.match(row.scope, row.provider, row.model):
            for place in places:
                place.turn(row.created_at)
                part = counted(place.lane.policy, row)
                place.cell.move(part.settled + part.held, 0, part.drawn)
        for move in row.moves:
            for grant_id, share in move.drawn:
                drawn.setdefault(grant_id, []).append(Drawing(grant_id, row.run_id, share, row.state != HELD))
    return drawn


def _before(row: HoldRow, later: Corrected) -> HoldRow:
    """A hold without what corrections added to it."""
    added = {MetricKind.ESTIMATED_COST_USD: later.usd, MetricKind.TOTAL_TOKENS: later.tokens}
    moves = [move._replace(actual=(move.actual or 0) - added.get(MetricKind(move.metric), 0)) for move in row.moves]
    usd = None if row.actual_usd is None else row.actual_usd - later.usd
    return row._replace(actual_usd=usd, actual_tokens=(row.actual_tokens or 0) - later.tokens, moves=tuple(moves))
