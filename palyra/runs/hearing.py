"""What happened since alerts were last judged, heard from what is written to the journal; nothing is judged here."""

from collections.abc import Sequence

from palyra.config.choices import RoutingMode
from palyra.governance.alerts import Refusals
from palyra.governance.burn import CounterKey
from palyra.governance.evaluate import Cause, EvaluationStatus
from palyra.journal.changes import Change, DecisionMade, HoldEnded, HoldTaken, RunSaved, UsageRecorded
from palyra.journal.moves import PlainMoves
from palyra.journal.rows import CounterMove

REFUSAL_LASTS_MS = 15 * 60_000
"""How long a budget counts as refusing after the last request it did not let pass."""
REFUSALS_AT_MOST = 10_000
_REFUSING = {status.value: status for status in EvaluationStatus if status.refusing}
_UNPRICED = ("unknown", "unknown_flat")

ModelKey = tuple[str, str]
"""Provider and model."""


class Hearing:
    """Collects; whoever judges takes. Each unit costs the loop a microsecond or two."""

    def __init__(self) -> None:
        self.touched: dict[CounterKey, None] = {}
        """Counters that moved or refused, the longest waiting first."""
        self.used: set[ModelKey] = set()
        """Models that served an attempt."""
        self.unpriced: set[ModelKey] = set()
        """Models that served one at a price nobody knew."""
        self.ended = False
        """Whether a run has ended."""
        self._refusals: dict[CounterKey, Refusals] = {}

    def hear(self, unit: Sequence[Change]) -> None:
        """A unit on its way to the journal."""
        for change in unit:
            if isinstance(change, HoldEnded):
                self._moved(change.moves)
            elif isinstance(change, HoldTaken):
                self._moved(change.row.moves)
            elif isinstance(change, RunSaved):
                self.ended = self.ended or change.row.finished_at is not None
            elif isinstance(change, UsageRecorded):
                key = (change.row.provider, change.row.model)
                self.used.add(key)
                if change.row.price_state in _UNPRICED:
                    self.unpriced.add(key)
            elif isinstance(change, DecisionMade) and change.row.outcome in _REFUSING:
                self._decided(change)

    def refused(self, key: CounterKey, at: int, window_start: int, sha256: str) -> Refusals | None:
        """What a counter refused of late, in this window and under these terms; what is older is forgotten."""
        found = self._refusals.get(key)
        if found is None:
            return None
        if at - found.at >= REFUSAL_LASTS_MS or found.at < window_start or found.sha256 != sha256:
            del self._refusals[key]
            return None
        return found

    def remember(self, key: CounterKey, refusals: Refusals) -> None:
        """What an engine before this one heard."""
        self._refusals[key] = refusals

    def take(self, most: int) -> list[CounterKey]:
        """The counters that have waited longest, at most that many."""
        taken = [key for key, _ in zip(self.touched, range(most), strict=False)]
        for key in taken:
            del self.touched[key]
        return taken

    def _moved(self, moves: Sequence[CounterMove]) -> None:
        if isinstance(moves, PlainMoves):
            self.touched.update(moves.places.counters)
            return
        for move in moves:
            self.touched[move.policy_id, move.scope_value] = None

    def _decided(self, change: DecisionMade) -> None:
        for item in change.row.body["evaluations"]:
            status = _REFUSING.get(item["status"])
            if status is None or item["mode"] != RoutingMode.ENFORCED or item["cause"] == Cause.DENIED:
                continue
            key = (item["policy_id"], item["scope_value"])
            before = self._refusals.pop(key, None)
            count = before.count + 1 if before and before.at >= item["window_start"] else 1
            self._refusals[key] = Refusals(status, change.row.at, count, item["sha256"])
            self.touched[key] = None
            if len(self._refusals) > REFUSALS_AT_MOST:
                del self._refusals[next(iter(self._refusals))]
