"""What was counted before plans were kept: a journal of an earlier version has holds, and nothing to decide again."""

from collections.abc import Iterable

from palyra.governance.recount import HELD, Drawing, counted
from palyra.governance.replay_lanes import Lanes
from palyra.journal.rows import HoldRow


def count_earlier(holds: Iterable[HoldRow], lanes: Lanes) -> dict[str, list[Drawing]]:
    """Counts holds, given in the order of time, in every lane they match. Returns what they drew, by grant."""
    drawn: dict[str, list[Drawing]] = {}
    for row in holds:
        for places in lanes.match(row.scope, row.provider, row.model):
            for place in places:
                place.turn(row.created_at)
                part = counted(place.lane.policy, row)
                place.cell.move(part.settled + part.held, 0, part.drawn)
        for move in row.moves:
            for grant_id, share in move.drawn:
                drawn.setdefault(grant_id, []).append(Drawing(grant_id, row.run_id, share, row.state != HELD))
    return drawn
