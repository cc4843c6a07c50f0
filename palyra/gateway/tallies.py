"""What is counted for `/metrics` while requests go by: plain sums, since they move with every one of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from palyra.core.spread import Spread
from palyra.governance.decision import ReasonCode
from palyra.journal.changes import ApprovalSaved, Change, DecisionMade, HoldEnded, RunSaved, UsageRecorded
from palyra.journal.rows import DecisionRow, UsageRow
from palyra.runs.attempt import CACHE

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
OVERHEAD_S = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

MODELS_MOST = 500
"""Models counted apart; callers may name any number where a provider takes them all. The others count as one."""
OTHER = "other"


def _by_endpoint(bounds: Sequence[float]) -> "defaultdict[str, Spread]":
    return defaultdict(lambda: Spread(bounds))


class Tallies:
    """Sums since the doors opened. Money in nano-dollars, times in seconds."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        """By endpoint and HTTP status."""
        self.seconds = _by_endpoint(SECONDS)
        self.first_bytes = _by_endpoint(SECONDS)
        self.overheads = _by_endpoint(OVERHEAD_S)
        self.tokens: Counter[tuple[str, str, str]] = Counter()
        """By direction (input, output), provider and model."""
        self.costs: Counter[tuple[str, str]] = Counter()
        """By provider and model, as attempts were settled: such sums may never go down."""
        self.corrected: Counter[tuple[str, str]] = Counter()
        """By provider and model: what corrections added to these costs since, or took from them."""
        self.decisions: Counter[tuple[str, str]] = Counter()
        """By outcome and mode."""
        self.holds_ended: Counter[str] = Counter()
        self.approvals: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.unpriced: Counter[str] = Counter()
        """Attempts of models nobody knew the price of."""
        self.overruns = 0
        self.clamps = 0
        self.cuts = 0
        self.cache_hits = 0
        self._models: set[tuple[str, str]] = set()

    def served(
        self, endpoint: str, status: int, seconds: float, *, first_byte: float | None = None, away: float | None = None
    ) -> None:
        """A request that was answered. `first_byte` of a stream; `away` is how long others were waited for, None for
        what has no answer of a provider to wait for, and for streams."""
        self.requests[endpoint, status] += 1
        self.seconds[endpoint].add(seconds)
        if first_byte is not None:
            self.first_bytes[endpoint].add(first_byte)
        if away is not None:
            self.overheads[endpoint].add(max(0.0, seconds - away))

    def hear(self, unit: Sequence[Change]) -> None:
        """What is written to the journal, each unit once."""
        for change in unit:
            if isinstance(change, UsageRecorded):
                self._used(change.row)
            elif isinstance(change, DecisionMade):
                self._decided(change.row)
            elif isinstance(change, HoldEnded):
                self.holds_ended[change.state] += 1
                self.overruns += change.overrun
            elif isinstance(change, RunSaved):
                ended = change.row.finished_at is not None
                self.cuts += ended and change.row.reason == ReasonCode.STREAM_CUT_BUDGET.value
            elif isinstance(change, ApprovalSaved) and change.row.status == "resolved":
                self.approvals[change.row.decision] += 1

    def _used(self, row: UsageRow) -> None:
        if row.usage_source == CACHE:
            self.cache_hits += 1
            return
        key = self._model(row.provider, row.model)
        if row.corrects:
            self.corrected[key] += row.charge or 0
            return
        self.tokens["input", *key] += row.input_total
        self.tokens["output", *key] += row.output_total
        self.costs[key] += row.charge or 0
        if row.price_state.startswith("unknown"):
            self.unpriced[key[1]] += 1
        for flag in row.flags:
            self.flags[flag.partition(":")[0]] += 1

    def _decided(self, row: DecisionRow) -> None:
        self.decisions[row.outcome, row.mode] += 1
        self.clamps += ReasonCode.OUTPUT_CLAMPED.value in row.reason_codes

    def _model(self, provider: str, model: str) -> tuple[str, str]:
        key = (provider, model)
        if key not in self._models:
            if len(self._models) >= MODELS_MOST:
                return (provider, OTHER)
            self._models.add(key)
        return key
