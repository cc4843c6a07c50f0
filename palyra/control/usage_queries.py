"""What a console may ask about usage and about why requests went where they went, and the answers."""

from dataclasses import field
from typing import Literal

from palyra.control.snapshots import AlertView, ForecastView
from palyra.core.terms import Term
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.values import value


@value
class UsageQuery:
    """Usage in [since, until), UTC unix ms: the last 30 days where they are None, at most 366.

    `by`: model, provider, user, session, channel, agent, job, key, tag. `bucket`: hour, day (of `timezone`), auto (hour
    up to 72 h), none (no timeline). `limit` (at most 50) and `cursor` are of the breakdown's page.
    """

    since: int | None = None
    until: int | None = None
    by: str = "model"
    bucket: str = "auto"
    timezone: str = "UTC"
    limit: int = 10
    cursor: str = ""
    where: UsageFilter = ANYTHING
    kind: Literal["usage"] = "usage"


@value
class UsageNumbers:
    """Sums of usage: counts, tokens, nano-dollars, ms."""

    requests: int = 0
    ok: int = 0
    failed: int = 0
    refused: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    unpriced: int = 0
    average_latency_ms: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@value
class UsageStep:
    """[start, end). `series` has the dearest keys of the whole timeline; what `total` has beyond them is the others',
    except for tags, of which one piece of work may have several or none."""

    start: int
    end: int
    total: UsageNumbers
    series: dict[str, UsageNumbers] = field(default_factory=dict)


@value
class UsageEntry:
    """The usage of one model, user or whatever was asked by; `share` of the whole, 0 to 1."""

    key: str
    numbers: UsageNumbers
    share: float = 0.0


@value
class UsageAnswer:
    """Usage of [since, until), UTC unix ms."""

    since: int
    until: int
    by: str
    bucket: str
    timezone: str
    total: UsageNumbers
    timeline: tuple[UsageStep, ...]
    breakdown: tuple[UsageEntry, ...]
    next_cursor: str = ""
    median_latency_ms: int | None = None
    """Of all attempts; None where there are too many to sort."""


@value
class UsageRunsQuery:
    """The runs that the numbers of [since, until) count, the last to end first; at most 500 a page. `terms`, `upward`
    and `counted` as in `RunsQuery`."""

    since: int
    until: int
    where: UsageFilter = ANYTHING
    limit: int = 50
    cursor: str = ""
    terms: tuple[Term, ...] = ()
    upward: bool = False
    counted: bool = False
    kind: Literal["usage_runs"] = "usage_runs"


@value
class UsageRowsQuery:
    """The attempts that settled in [since, until), the first first; at most 1000 a page."""

    since: int
    until: int
    where: UsageFilter = ANYTHING
    limit: int = 1_000
    cursor: str = ""
    kind: Literal["usage_rows"] = "usage_rows"


@value
class UsageRecord:
    """One settled attempt, or with `correction` the differences that put an earlier one right, as it is exported.

    `charge_nano_usd` None: nobody knows its price.
    """

    at: int
    run_id: str
    attempt: int
    provider: str
    model: str
    user: str
    session: str
    agent: str
    job: str
    key: str
    channel: str
    tags: dict[str, str]
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    tool_uses: int
    charge_nano_usd: int | None
    price_state: str
    usage_source: str
    flags: tuple[str, ...]
    latency_ms: int
    correction: bool = False


@value
class UsageRowsPage:
    """Settled attempts; an empty cursor: the last page."""

    rows: tuple[UsageRecord, ...]
    next_cursor: str = ""


@value
class InsightsQuery:
    """Why requests of [since, until) went where they went; the last 24 h where None. `limit` (500) is of decisions."""

    since: int | None = None
    until: int | None = None
    limit: int = 10
    kind: Literal["insights"] = "insights"


@value
class DecisionGlance:
    """A decision in a line."""

    decision_id: str
    run_id: str
    at: int
    mode: str
    outcome: str
    action: str
    model: str
    reason_codes: tuple[str, ...]


@value
class InsightsAnswer:
    """The newest decisions of all; how many decisions of the period gave each reason, the most frequent first; the mix
    of models; what alarms now, and where budgets are going."""

    since: int
    until: int
    decisions: tuple[DecisionGlance, ...]
    reasons: dict[str, int]
    mix: tuple[UsageEntry, ...]
    alerts: tuple[AlertView, ...] = ()
    forecasts: tuple[ForecastView, ...] = ()


UsageAsk = UsageQuery | UsageRunsQuery | UsageRowsQuery | InsightsQuery
UsageTold = UsageAnswer | UsageRowsPage | InsightsAnswer
