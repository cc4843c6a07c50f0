"""Holds of a replay: what each request reserves in every counter, in force or waiting to be, until it ends."""

from collections.abc import Sequence
from typing import NamedTuple

from palyra.config.choices import RoutingMode
from palyra.governance.books import Books
from palyra.governance.counters import REQUESTS_UNIT, TOKENS_UNIT, Cell
from palyra.governance.evaluate import Demand, demanded
from palyra.governance.grants import Asker, GrantBook, draw
from palyra.governance.judging import Judge, Step
from palyra.governance.moves import Shares, kept, slice_amount, total
from palyra.governance.policy_set import PolicySet
from palyra.governance.replay_lanes import Place, judged_growth


class Part:
    """What a request reserves in one counter. `source` is the part it takes its amounts from: that of the same policy
    as it counted when the request was decided."""

    __slots__ = ("actual", "cell", "drawn", "held", "place", "source")

    def __init__(self, place: Place, cell: Cell, held: int, drawn: Shares = (), source: "Part | None" = None) -> None:
        self.place = place
        self.cell = cell
        self.held = held
        self.drawn = drawn
        self.source = source
        self.actual = 0


class Origin(NamedTuple):
    """The plan a request was let through by, and the model that serves it."""

    seq: int
    at: int
    scope: int
    shape: int
    model: int


class Held:
    """A request that was let through, until it ends. `usd` (nano-dollars) None: nobody knows its price.

    `counted`: it was decided in the period. `priced_anew`: what it used is to be priced by the model and the prices of
    the replay. `cut`: its budget has ended before the answer did; `cut_then`: it had in history; `cut_short`: it had
    not yet where it ended here. `differs`: it is counted as going another way already.
    """

    __slots__ = (
        "asker",
        "counted",
        "cut",
        "cut_short",
        "cut_then",
        "differs",
        "origin",
        "parts",
        "priced_anew",
        "requested",
        "tokens",
        "usd",
    )

    def __init__(
        self, origin: Origin, asker: Asker, requested: RoutingMode | None, usd: int | None, tokens: int, counted: bool
    ) -> None:
        self.origin = origin
        self.asker = asker
        self.requested = requested
        self.usd = usd
        self.tokens = tokens
        self.counted = counted
        self.priced_anew = False
        self.cut = False
        self.cut_short = False
        self.cut_then = False
        self.differs = False
        self.parts: list[Part] = []


class Holds:
    """Moves counters as the ledger does. Whether a request may be let through is for the planner to say."""

    def __init__(self, grants: GrantBook) -> None:
        self.grants = grants
        self.judge = Judge(Books(PolicySet()), grants, RoutingMode.ENFORCED)

    def take(self, held: Held, in_force: Sequence[Place], others: Sequence[Place], at: int) -> None:
        """Reserves in every counter; grants pay what a limit lacks where they can."""
        demand = Demand(held.usd, held.tokens)
        for place in in_force:
            budget = place.lane.budget
            judged, value = place.turn(at), place.value
            amount, _ = demanded(budget.policy, demand)
            start = place.cell.start
            step = self.judge.weigh(budget, value, judged, amount, held.asker, held.requested, start, at)
            drawn = draw(step.grants, held.asker.run_id, step.drawn_at_most)
            place.cell.move(amount, 0, total(drawn))
            held.parts.append(Part(place, place.cell, amount, drawn))
        sources = {(part.place.lane.policy_id, part.place.lane.budget.unit): part for part in held.parts}
        for place in others:
            place.turn(at)
            source = sources.get((place.lane.policy_id, place.lane.budget.unit))
            amount = demanded(place.lane.policy, demand)[0] if source is None else source.held
            place.cell.move(amount, 0, 0 if source is None else total(source.drawn))
            held.parts.append(Part(place, place.cell, amount, source=source))

    def fits(self, held: Held, usd: int | None, tokens: int, at: int) -> bool:
        """Whether a further slice would be taken."""
        return self._weighed(held, usd, tokens, at) is not None

    def grow(self, held: Held, usd: int | None, tokens: int, at: int) -> bool:
        """A further slice. Returns whether it was taken: nothing is where an enforced budget has no room."""
        taken = self._weighed(held, usd, tokens, at)
        if taken is None:
            return False
        paid: dict[Part, int] = {}
        for part, amount, step in taken:
            drawn = () if step is None else draw(step.grants, held.asker.run_id, step.drawn_at_most)
            paid[part] = total(drawn) if part.source is None or drawn else paid[part.source]
            part.cell.move(amount, 0, paid[part])
            part.held += amount
            if drawn:
                part.drawn = _together(part.drawn, drawn)
        held.usd = None if held.usd is None else held.usd + (usd or 0)
        held.tokens += tokens
        return True

    def _weighed(self, held: Held, usd: int | None, tokens: int, at: int) -> list[tuple[Part, int, Step | None]] | None:
        """What a slice adds in each counter; None where an enforced one has no room."""
        usd = None if held.usd is None else usd
        taken: list[tuple[Part, int, Step | None]] = []
        for part in held.parts:
            lane = part.place.lane
            amount = slice_amount(lane.budget, usd, tokens)
            step: Step | None = None
            if lane.in_force and amount > 0:
                judged, start, value = judged_growth(part.cell, at), part.cell.start, part.place.value
                step = self.judge.weigh(lane.budget, value, judged, amount, held.asker, held.requested, start, at)
                if step.enforced and not step.fits:
                    return None
            taken.append((part, amount, step))
        return taken

    def end(self, held: Held, usd: int | None, tokens: int, requests: int) -> int | None:
        """Charges what was used; no requests: it was released. Returns the largest flat charge, None where none."""
        flat = 0
        given_back: dict[Part, int] = {}
        for part in held.parts:
            lane, amount = part.place.lane, part.held
            if lane.budget.unit == REQUESTS_UNIT:
                actual = requests
            elif lane.budget.unit == TOKENS_UNIT:
                actual = tokens
            else:
                actual = amount if usd is None else usd
                flat = max(flat, actual) if lane.in_force else flat
            back = 0 if part.source is None else given_back[part.source]
            if part.drawn:
                left = self._give_back(part.drawn, amount - actual, held.asker.run_id, released=not requests)
                back = total(left) - total(part.drawn)
            given_back[part] = back
            part.actual = actual
            part.cell.move(actual - amount, 0, back)
        return flat or None

    def reopen(self, held: Held) -> None:
        """Takes an end back."""
        for part in held.parts:
            part.cell.move(part.held - part.actual, 0, 0)

    def _give_back(self, drawn: Shares, unused: int, run: str, *, released: bool) -> Shares:
        left = () if released else kept(drawn, max(0, unused))
        stays = dict(left)
        for grant_id, share in drawn:
            grant = self.grants.get(grant_id)
            if grant is not None:
                grant.move(run, stays.get(grant_id, 0) - share)
                if grant_id in stays:
                    grant.use(run)
        return left


def _together(drawn: Shares, more: Shares) -> Shares:
    shares = dict(drawn)
    for grant_id, share in more:
        shares[grant_id] = shares.get(grant_id, 0) + share
    return tuple(shares.items())
