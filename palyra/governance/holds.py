"""What goes into the ledger and what comes out: a request for a hold, its refusal, its growth and its end."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from palyra.config.choices import RoutingMode
from palyra.core.errors import StateError
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.governance.counters import Cell
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.journal.changes import HoldEnded, HoldGrown
from palyra.journal.rows import CounterMove, HoldRow
from palyra.pricing.card import PriceState

UNKNOWN_FLAT = PriceState.UNKNOWN_FLAT.value


make = tuple.__new__
"""`make(HoldRow, values)`: a named tuple of every one of its values in order, without the calls that go with names and
defaults. Every attempt makes a few of them."""
_HELD = tuple(HoldRow._field_defaults.values())
"""What the row of an open hold has in its last fields."""


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


@value
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


@value
class Refusal:
    """Nothing was moved; `evaluations` say why."""

    evaluations: tuple[UsageBudgetEvaluation, ...]


@value
class Growth:
    """An answer to a further slice. `change` is None when an enforced budget has no room for it.

    `against` has the budgets that refused it, or would have refused it were their mode enforced.
    """

    change: HoldGrown | None
    against: tuple[UsageBudgetEvaluation, ...] = ()


class Ending(NamedTuple):
    """How a hold ended. Only the `first` end moves counters and is to be made durable.

    `flat` is the largest amount a budget charged for an attempt of unknown price, None when none did.
    """

    change: HoldEnded
    first: bool
    flat: int | None = None


class OpenHold:
    """A hold while it is open: its row as taken, and what has changed since. `cells` runs beside `moves`; one whose
    policy is no longer in force is None."""

    __slots__ = ("bound_tokens", "bound_usd", "cells", "metered", "moves", "requested", "row")

    def __init__(self, row: HoldRow, cells: Sequence[Cell | None], requested: RoutingMode | None) -> None:
        self.row = row
        self.requested = requested
        self.moves: Sequence[CounterMove] = row.moves
        self.cells = cells
        self.bound_usd = row.bound_usd
        self.bound_tokens = row.bound_tokens
        self.metered: tuple[int, int, int | None] | None = None
        if row.metered_input is not None:
            self.metered = (row.metered_input, row.metered_output or 0, row.metered_usd)

    def current(self) -> HoldRow:
        """The row as it stands now."""
        metered_input, metered_output, metered_usd = self.metered or (None, None, None)
        return self.row._replace(
            moves=self.moves,
            bound_usd=self.bound_usd,
            bound_tokens=self.bound_tokens,
            metered_input=metered_input,
            metered_output=metered_output,
            metered_usd=metered_usd,
        )


def held_row(request: HoldRequest, moves: Sequence[CounterMove], *, flat: bool) -> HoldRow:
    """The row of a hold just taken; `flat`: a budget counts a flat amount for its unknown price."""
    return make(
        HoldRow,
        (
            request.hold_id,
            request.run_id,
            request.attempt,
            request.boot_id,
            request.scope,
            request.provider,
            request.model,
            request.at,
            request.bound_usd,
            request.bound_tokens,
            request.expected_input,
            request.expected_usd,
            UNKNOWN_FLAT if flat else request.price_state,
            request.card,
            moves,
            request.mode._value_,
            *_HELD,
        ),
    )


def ended_row(row: HoldRow, change: HoldEnded) -> HoldRow:
    """An open hold's row once `change` is durable."""
    return row._replace(
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
