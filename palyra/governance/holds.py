"""What goes into the ledger and what comes out: a request for a hold, its refusal, its growth and its end."""

from dataclasses import dataclass, replace
from typing import Any

from palyra.config.choices import RoutingMode
from palyra.core.errors import StateError
from palyra.core.scope import Scope
from palyra.governance.counters import Budget, Cell
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.journal.changes import HoldEnded, HoldGrown
from palyra.journal.rows import CounterMove, HoldRow
from palyra.pricing.card import PriceState

UNKNOWN_FLAT = PriceState.UNKNOWN_FLAT.value


class ClockBehindError(StateError):
    """The wall clock was set back to windows whose sums are no longer in memory: nothing may be held blindly."""

    code = "clock_behind"

    def __init__(self) -> None:
        super().__init__(
            "The clock is set back to a time whose spending is no longer in memory.",
            fix="Set the clock right, or restart Palyra so that it reads the journal again.",
        )


class UnknownHoldError(StateError):
    """A hold that this ledger never took, or ended so long ago that it was forgotten."""

    code = "unknown_hold"


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """One attempt that wants to be sent. `at` is its `created` instant, which fixes its windows for life.

    `bound_usd` and `expected_usd` (nano-dollars) are None when nobody knows the price; `model` is the public model id.
    `mode` is the run's mode, kept with the hold; `requested_mode` raises every policy's mode.
    """

    hold_id: str
    run_id: str
    attempt: int
    boot_id: str
    scope: Scope
    provider: str
    model: str
    at: int
    bound_usd: int | None
    bound_tokens: int
    expected_input: int
    expected_usd: int | None
    price_state: str
    card: dict[str, Any] | None = None
    mode: RoutingMode = RoutingMode.ENFORCED
    requested_mode: RoutingMode | None = None
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was moved; `evaluations` say why."""

    evaluations: tuple[UsageBudgetEvaluation, ...]


@dataclass(frozen=True, slots=True)
class Growth:
    """An answer to a further slice. `change` is None when an enforced budget has no room for it.

    `against` has the budgets that refused it, or would have refused it were their mode enforced.
    """

    change: HoldGrown | None
    against: tuple[UsageBudgetEvaluation, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a hold ended. Only the `first` end moves counters and is to be made durable.

    `flat` is the largest amount a budget charged for an attempt of unknown price, None when none did.
    """

    change: HoldEnded
    first: bool
    flat: int | None = None


class OpenHold:
    """A hold while it is open: its row as taken, and what has changed since. `cells` runs beside `moves`."""

    __slots__ = ("bound_tokens", "bound_usd", "cells", "metered", "moves", "requested", "row")

    def __init__(self, row: HoldRow, cells: list[tuple[Budget, Cell] | None], requested: RoutingMode | None) -> None:
        self.row = row
        self.requested = requested
        self.moves: tuple[CounterMove, ...] = row.moves
        self.cells = cells
        self.bound_usd = row.bound_usd
        self.bound_tokens = row.bound_tokens
        self.metered: tuple[int, int, int | None] | None = None
        if row.metered_input is not None:
            self.metered = (row.metered_input, row.metered_output or 0, row.metered_usd)

    def current(self) -> HoldRow:
        """The row as it stands now."""
        metered_input, metered_output, metered_usd = self.metered or (None, None, None)
        return replace(
            self.row,
            moves=self.moves,
            bound_usd=self.bound_usd,
            bound_tokens=self.bound_tokens,
            metered_input=metered_input,
            metered_output=metered_output,
            metered_usd=metered_usd,
        )


def held_row(request: HoldRequest, moves: tuple[CounterMove, ...], *, flat: bool) -> HoldRow:
    """The row of a hold just taken; `flat`: a budget counts a flat amount for its unknown price."""
    return HoldRow(
        hold_id=request.hold_id,
        run_id=request.run_id,
        attempt=request.attempt,
        boot_id=request.boot_id,
        scope=request.scope,
        provider=request.provider,
        model=request.model,
        created_at=request.at,
        bound_usd=request.bound_usd,
        bound_tokens=request.bound_tokens,
        expected_input=request.expected_input,
        expected_usd=request.expected_usd,
        price_state=UNKNOWN_FLAT if flat else request.price_state,
        card=request.card,
        moves=moves,
        mode=request.mode.value,
    )


def ended_row(row: HoldRow, change: HoldEnded) -> HoldRow:
    """An open hold's row once `change` is durable."""
    return replace(
        row,
        state=change.state,
        terminal_at=change.terminal_at,
        actual_usd=change.actual_usd,
        actual_tokens=change.actual_tokens,
        requests=change.requests,
        usage_source=change.usage_source,
        overrun=change.overrun,
        recovered=change.recovered,
        moves=change.moves,
    )
