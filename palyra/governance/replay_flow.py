"""Requests of a replay under way: what they hold, how that grows, and what they are charged when they end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from palyra.governance.counters import NEVER, Cell
from palyra.governance.grants import Asker
from palyra.governance.plan_record import CHOSEN_SHIFT, INDEX_MASK
from palyra.governance.replay_holds import Held, Holds, Origin, Part
from palyra.governance.replay_input import Decoder, Names
from palyra.governance.replay_lanes import Lanes, Place, judged_growth
from palyra.governance.replay_tally import Tally
from palyra.journal.replay_log import Corrected, Event, RecordedUse
from palyra.journal.rows import GrantRow, HoldRow
from palyra.pricing.charge import charge
from palyra.pricing.usage import NormalisedUsage


class Log(Names, Protocol):
    """What was recorded."""

    def chunks(self, first: int) -> Iterator[list[Event]]:
        """What happened from that number on, in the order it happened, in parts."""
        ...

    def holds_before(self, since: int) -> Iterator[HoldRow]:
        """The holds that were open then, UTC unix ms."""
        ...

    def body(self, seq: int) -> str:
        """What is kept of a request beside its numbers, as JSON."""
        ...

    def plan(self, seq: int) -> tuple[int, int, int, int]:
        """The numbers of a request's plan."""
        ...

    def grant(self, seq: int) -> GrantRow:
        """The grant that was given at that number."""
        ...

    def refs(self, run_ids: Sequence[str]) -> dict[str, int]:
        """The numbers of these runs' requests."""
        ...

    def usage(self, ref: int) -> RecordedUse | None:
        """What a request used, where that is known."""
        ...

    def corrections(self) -> Mapping[str, Corrected]:
        """What was corrected later, by hold."""
        ...

    def hold(self, hold_id: str) -> HoldRow:
        """The hold of that id."""
        ...

    def first_of_shapes(self) -> list[tuple[int, int]]:
        """The first request of each shape and its number."""
        ...


class Stand:
    """The cells of calendar windows that a group moves at every instant in [since, until).

    `usd`, `tokens` and `requests` have each as (cell, soft limit, hard limit), by the unit it counts in; `cells` has
    all of them, in the order of the group's places.
    """

    __slots__ = ("cells", "group", "requests", "since", "tokens", "until", "usd")

    def __init__(self, group: "Group", at: int) -> None:
        self.group = group
        cells: list[Cell] = []
        by_unit: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
        since, until = 0, NEVER
        for place in group.fixed:
            cell = place.cell
            if not cell.start <= at < cell.end:
                place.turn(at)
                cell = place.cell
            cells.append(cell)
            by_unit[place.unit].append((cell, place.soft, place.hard))
            if cell.start > since:
                since = cell.start
            if cell.end < until:
                until = cell.end
        self.cells = cells
        self.since = since
        self.until = until
        self.usd, self.tokens, self.requests = by_unit

    def move(self, usd: int, tokens: int, requests: int) -> None:
        """Adds to every cell."""
        for cell, _, _ in self.usd:
            cell.settled += usd
        for cell, _, _ in self.tokens:
            cell.settled += tokens
        for cell, _, _ in self.requests:
            cell.settled += requests


class Group:
    """Requests of one scope that begin with the same model: the counters they move.

    Those of calendar windows are `fixed`; then come the `rolling` ones, then `others`, of policies that are not in
    force: `places` has all of them in this order.
    """

    __slots__ = ("fixed", "in_force", "not_fixed", "others", "places", "rolling", "routes", "scope", "stand")

    def __init__(self, scope: int, in_force: list[Place], others: list[Place]) -> None:
        self.scope = scope
        self.in_force = in_force
        self.fixed = [place for place in in_force if place.lane.budget.rolling is None]
        self.rolling = [place for place in in_force if place.lane.budget.rolling is not None]
        self.others = others
        self.not_fixed = [*self.rolling, *others]
        self.places = [*self.fixed, *self.not_fixed]
        self.routes = any(place.lane.routes for place in in_force)
        self.stand: Stand | None = None

    def turn(self, at: int) -> Stand:
        """Where it stands at an instant: calendar windows only."""
        stand = self.stand
        if stand is None or not stand.since <= at < stand.until:
            stand = self.stand = Stand(self, at)
        return stand

    def not_fixed_at(self, at: int) -> list[Cell]:
        """The cells of all others at an instant."""
        for place in self.not_fixed:
            place.turn(at)
        return [place.cell for place in self.not_fixed]


class Model:
    """A model that requests begin with, and those who make them. `plain`: at the prices of then."""

    __slots__ = ("groups", "model", "plain", "provider")

    def __init__(self, provider: str, model: str, plain: bool) -> None:
        self.provider = provider
        self.model = model
        self.plain = plain
        self.groups: dict[int, Group] = {}


Row = tuple[Cell, int, int]
Simple = tuple[Stand, Sequence[Cell], int, int, int]
"""A request let through without a second look, until it ends: where its group stood, the cells that are not of calendar
windows, usd, tokens, seq."""


class UnderWay:
    """Every request that was let through and has not ended."""

    def __init__(self, log: Log, decoder: Decoder, holds: Holds, tally: Tally, since: int) -> None:
        """Requests decided at events from `since` on are counted."""
        self._since = since
        self.open: dict[int, Simple | Held] = {}
        self.refused: dict[int, bool] = {}
        """Requests that history let through and this does not, until they end there; whether they count."""
        self._cut_then: set[int] = set()
        """Those of them whose budget ended there."""
        self.corrections = log.corrections()
        self._corrected = {one.ref for one in self.corrections.values()}
        self._otherwise: set[tuple[int, int]] = set()
        """Attempts of theirs (with the instant they were decided at) that were not charged as they were there."""
        self._log = log
        self._decoder = decoder
        self._holds = holds
        self._tally = tally

    def settle(self) -> None:
        """Before other policies are in force: what is held is looked at place by place from then on."""
        for ref, held in tuple(self.open.items()):
            if isinstance(held, tuple):
                self._second_look(ref, held)

    def _second_look(self, ref: int, simple: Simple) -> Held:
        """A simple hold as one that can grow by more than a look."""
        stand, more, usd, tokens, seq = simple
        group = stand.group
        whom = self._decoder.scope(group.scope)
        amounts = (usd, tokens, 1)
        origin = self._origin(seq)
        requested = self._decoder.shape(origin.shape).mode
        held = Held(origin, Asker(whom.principal, whom.session, str(ref)), requested, usd, tokens, seq >= self._since)
        held.parts = [
            Part(place, cell, amounts[place.unit])
            for place, cell in zip(group.places, (*stand.cells, *more), strict=True)
        ]
        self.open[ref] = held
        return held

    def _origin(self, seq: int) -> Origin:
        at, scope, shape, outcome = self._log.plan(seq)
        return Origin(seq, at, scope, shape, (outcome >> CHOSEN_SHIFT & INDEX_MASK) - 1)

    def refuse(self, ref: int, at: int, *, counted: bool) -> None:
        """A request that history let through at an instant is not here."""
        self.refused[ref] = counted
        if ref in self._corrected:
            self._otherwise.add((ref, at))

    def slice(self, ref: int, at: int, usd: int | None, tokens: int) -> None:
        """A stream goes on: what it used by now is settled, the next slice held."""
        held = self.open[ref]
        if isinstance(held, Held):
            if not held.cut:
                self._grow(ref, held, at, usd, tokens)
            return
        stand, more, held_usd, held_tokens, seq = held
        usd = usd or 0
        full = False
        for cell, _, hard in stand.usd:
            cell.settled = projected = cell.settled + usd
            if projected > hard:
                full = True
        for cell, _, hard in stand.tokens:
            cell.settled = projected = cell.settled + tokens
            if projected > hard:
                full = True
        if more:
            amounts = (usd, tokens, 0)
            for cell, place in zip(more, stand.group.not_fixed, strict=True):
                judged, amount = judged_growth(cell, at), amounts[place.unit]
                if judged.settled + amount > place.hard and place.lane.in_force:
                    full = True
                cell.move(amount, 0, 0)
        if full and tokens > 0:
            stand.move(-usd, -tokens, 0)
            for cell in more:
                cell.move(-amounts[cell.budget.unit], 0, 0)
            self._grow(ref, self._second_look(ref, held), at, usd, tokens)
            return
        self.open[ref] = (stand, more, held_usd + usd, held_tokens + tokens, seq)

    def _grow(self, ref: int, held: Held, at: int, usd: int | None, tokens: int) -> None:
        if held.priced_anew:
            usd = self._price_of_slice(held, tokens)
        if self._holds.grow(held, usd, tokens, at):
            return
        held.cut = held.cut_short = True

    def refused_slice(self, ref: int, at: int, tokens: int) -> None:
        """History's budget ended here."""
        held = self.open.get(ref)
        if held is None:
            if self.refused.get(ref):
                self._cut_then.add(ref)
            return
        if isinstance(held, tuple):
            held = self._second_look(ref, held)
        held.cut_then = True
        if not held.cut:
            held.cut = not self._holds.fits(held, self._price_of_slice(held, tokens), tokens, at)

    def _price_of_slice(self, held: Held, tokens: int) -> int | None:
        """What so many more output tokens add to a request's bound."""
        origin = held.origin
        option = self._decoder.option(origin.shape, origin.model, origin.at, self._log.body(origin.seq))
        if option.rates is None:
            return None
        output = held.tokens - option.tokens.total
        return option.rates.usd(option.tokens, output + tokens) - option.rates.usd(option.tokens, output)

    def end(
        self, ref: int, held: Simple | Held | None, usd: int | None, tokens: int, requests: int, flat: int | None
    ) -> None:
        """The end of a hold that is not simple, or that this replay never took."""
        tally = self._tally
        example = tally.examples.get(ref)
        if held is None:
            if self.refused.pop(ref, False):
                tally.spent_before(usd, flat, example)
                tally.cut_before += ref in self._cut_then
                self._cut_then.discard(ref)
            return
        if isinstance(held, tuple):
            held = self._second_look(ref, held)
            del self.open[ref]
        charged, used = usd, tokens
        if held.priced_anew and requests:
            charged = self._price_of_use(ref, held, usd)
        if held.cut_short:
            used = min(used, held.tokens)
            charged = charged if charged is None or held.usd is None else min(charged, held.usd)
        if ref in self._corrected and (held.priced_anew or held.cut_short):
            self._otherwise.add((ref, held.origin.at))
        flat_now = self._holds.end(held, charged, used, requests)
        if held.counted:
            tally.cut_before += held.cut_then
            tally.cut_after += held.cut
            tally.differences += held.cut != held.cut_then and not held.differs
            tally.spent_before(usd, flat, example)
            tally.spent_after(flat_now if charged is None else charged, example)

    def correct(
        self, hold_id: str, ref: int, at: int, usd: int | None, tokens: int, lanes: Lanes, *, counted: bool
    ) -> None:
        """What a hold taken at an instant was charged turned out to be more by so much, or less.

        One that this replay charged otherwise stays as it is: what it used was known from the start, or never.
        """
        same = (ref, at) not in self._otherwise
        if counted:
            self._tally.cost_before += usd or 0
            self._tally.cost_after += (usd or 0) * same
        if not same:
            return
        row, amounts = self._log.hold(hold_id), (usd or 0, tokens, 0)
        for places in lanes.match(row.scope, row.provider, row.model):
            for place in places:
                cell = place.lane.budget.find(place.value, at)
                if cell is not None:
                    cell.move(amounts[place.unit], 0, 0)

    def _price_of_use(self, ref: int, held: Held, usd: int | None) -> int | None:
        """What the recorded use costs with the model and prices of now; as it was where nobody knows better."""
        use = self._log.usage(ref)
        if use is None:
            return usd
        origin = held.origin
        model = self._decoder.shape(origin.shape).models[origin.model]
        card = self._decoder.card(model, origin.at)
        context = self._decoder.context(self._log.body(origin.seq))
        return charge(card, _usage(use), context).amount


def over_soft(group: Group, stand: Stand, amounts: tuple[int, int, int] = (0, 0, 0)) -> None:
    """Which budgets a hold leaves past their soft limit, or would where it was refused: then with its amounts."""
    for place, cell in zip(group.fixed, stand.cells, strict=True):
        if cell.settled + amounts[place.unit] > place.soft:
            place.lane.bite.over_soft += 1
    for place in group.rolling:
        if place.judged.settled + amounts[place.unit] > place.soft:
            place.lane.bite.over_soft += 1


def _usage(use: RecordedUse) -> NormalisedUsage:
    return NormalisedUsage(
        input_total=use["input_total"],
        output_total=use["output_total"],
        cache_read=use["cache_read"],
        write_5m=use["write_5m"],
        write_1h=use["write_1h"],
        reasoning=use["reasoning"],
        audio_in=use["audio_in"],
        audio_out=use["audio_out"],
    )
