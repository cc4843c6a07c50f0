"""Requests of a replay under way: what they hold, how that grows, and what they are charged when they end."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from palyra.governance.counters import NEVER, Cell
from palyra.governance.grants import Asker
from palyra.governance.plan_record import CHOSEN_SHIFT, INDEX_MASK
from palyra.governance.replay_holds import Held, Holds, Origin, Part
from palyra.governance.replay_input import Decoder, Names
from palyra.governance.replay_lanes import Place, judged_growth
from palyra.governance.replay_tally import Tally
from palyra.journal.replay_log import Event, RecordedUse
from palyra.journal.rows import GrantRow, HoldRow
from palyra.pricing.charge import charge
from palyra.pricing.usage import NormalisedUsage


class Log(Names, Protocol):
    """What was recorded."""

    def chunks(self, first: int) -> Iterator[list[Event]]: ...
    def holds_before(self, since: int) -> Iterator[HoldRow]: ...
    def body(self, seq: int) -> str: ...
    def plan(self, seq: int) -> tuple[int, int, int, int]: ...
    def grant(self, seq: int) -> GrantRow: ...
    def refs(self, run_ids: Sequence[str]) -> dict[str, int]: ...
    def usage(self, ref: int) -> RecordedUse | None: ...


class Group:
    """Requests of one scope that begin with the same model: the counters they move.

    Those of calendar windows come first: `rows` has their cells for every instant in [since, until), each as (cell,
    soft limit, hard limit, unit), and `cells` the cells alone. Then come the `rolling` ones, then `others`, of policies
    that are not in force. `units` runs beside `places`, all of them in this order.
    """

    __slots__ = (
        "cells",
        "fixed",
        "fixed_units",
        "in_force",
        "not_fixed",
        "others",
        "places",
        "rolling",
        "routes",
        "rows",
        "scope",
        "since",
        "units",
        "until",
    )

    def __init__(self, scope: int, in_force: list[Place], others: list[Place]) -> None:
        self.scope = scope
        self.in_force = in_force
        self.fixed = [place for place in in_force if place.lane.budget.rolling is None]
        self.rolling = [place for place in in_force if place.lane.budget.rolling is not None]
        self.others = others
        self.not_fixed = [*self.rolling, *others]
        self.places = [*self.fixed, *self.rolling, *others]
        self.units = tuple(place.unit for place in self.places)
        self.fixed_units = tuple(place.unit for place in self.fixed)
        self.routes = any(place.lane.routes for place in in_force)
        self.since = self.until = 0
        self.rows: list[tuple[Cell, int, int, int]] = []
        self.cells: tuple[Cell, ...] = ()

    def turn(self, at: int) -> None:
        """Finds the cells of calendar windows at an instant."""
        for place in self.fixed:
            place.turn(at)
        self.cells = tuple(place.cell for place in self.fixed)
        self.rows = [(place.cell, place.soft, place.hard, place.unit) for place in self.fixed]
        self.since = max((cell.start for cell in self.cells), default=0)
        self.until = min((cell.end for cell in self.cells), default=NEVER)

    def others_at(self, at: int) -> list[Cell]:
        """The cells that `others` have at an instant."""
        for place in self.others:
            place.turn(at)
        return [place.cell for place in self.others]


class Model:
    """A model that requests begin with, and those who make them. `plain`: at the prices of then."""

    __slots__ = ("groups", "model", "plain", "provider")

    def __init__(self, provider: str, model: str, plain: bool) -> None:
        self.provider = provider
        self.model = model
        self.plain = plain
        self.groups: dict[int, Group] = {}


Simple = tuple[Group, tuple[Cell, ...], list[Cell], int, int, bool, int]
"""A request let through without a second look, until it ends: group, cells of calendar windows, the other cells, usd,
tokens, whether it was decided in the period, seq."""


class UnderWay:
    """Every request that was let through and has not ended."""

    def __init__(self, log: Log, decoder: Decoder, holds: Holds, tally: Tally) -> None:
        self.open: dict[int, Simple | Held] = {}
        self.refused: dict[int, bool] = {}
        """Requests that history let through and this does not, until they end there; whether they count."""
        self._cut_then: set[int] = set()
        """Those of them whose budget ended there."""
        self._log = log
        self._decoder = decoder
        self._holds = holds
        self._tally = tally

    def _second_look(self, ref: int, simple: Simple) -> Held:
        """A simple hold as one that can grow by more than a look."""
        group, fixed, more, usd, tokens, counted, seq = simple
        cells = (*fixed, *more)
        whom = self._decoder.scope(group.scope)
        amounts = (usd, tokens, 1)
        origin = self._origin(seq)
        requested = self._decoder.shape(origin.shape).mode
        held = Held(origin, Asker(whom.principal, whom.session, str(ref)), requested, usd, tokens, counted)
        held.parts = [
            Part(place, cell, amounts[unit]) for place, cell, unit in zip(group.places, cells, group.units, strict=True)
        ]
        self.open[ref] = held
        return held

    def _origin(self, seq: int) -> Origin:
        at, scope, shape, outcome = self._log.plan(seq)
        return Origin(seq, at, scope, shape, (outcome >> CHOSEN_SHIFT & INDEX_MASK) - 1)

    def slice(self, ref: int, at: int, usd: int | None, tokens: int) -> None:
        held = self.open[ref]
        if isinstance(held, Held):
            if not held.cut:
                self._grow(ref, held, at, usd, tokens)
            return
        group, fixed, more, held_usd, held_tokens, counted, seq = held
        usd = usd or 0
        amounts = (usd, tokens, 0)
        if tokens > 0:
            for cell, place in zip(fixed, group.fixed, strict=True):
                projected = cell.settled + cell.held + amounts[place.unit]
                if projected > place.lane.budget.hard and place.lane.in_force:
                    self._grow(ref, self._second_look(ref, held), at, usd, tokens)
                    return
            for cell, place in zip(more, group.not_fixed, strict=True):
                judged = judged_growth(cell, at)
                projected = judged.settled + judged.held + amounts[place.unit]
                if projected > place.lane.budget.hard and place.lane.in_force:
                    self._grow(ref, self._second_look(ref, held), at, usd, tokens)
                    return
        for cell, unit in zip(fixed, group.fixed_units, strict=True):
            cell.held += amounts[unit]
        for cell in more:
            cell.move(0, amounts[cell.budget.unit], 0)
        self.open[ref] = (group, fixed, more, held_usd + usd, held_tokens + tokens, counted, seq)

    def _grow(self, ref: int, held: Held, at: int, usd: int | None, tokens: int) -> None:
        if held.priced_anew:
            usd = self._price_of_slice(held, tokens)
        if self._holds.grow(held, usd, tokens, at):
            return
        held.cut = True

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
        if held.cut:
            used = min(used, held.tokens)
            charged = charged if charged is None or held.usd is None else min(charged, held.usd)
        flat_now = self._holds.end(held, charged, used, requests)
        if held.counted:
            tally.cut_before += held.cut_then
            tally.cut_after += held.cut
            tally.differences += held.cut != held.cut_then and not held.differs
            tally.spent_before(usd, flat, example)
            tally.spent_after(flat_now if charged is None else charged, example)

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
