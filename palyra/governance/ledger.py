"""The ledger: every counter in memory, moved by holds all at once or not at all, rebuilt from hold rows bit for bit.

Synchronous: a hold is judged and taken in one call, and the caller submits what it got before it awaits anything.
"""

from collections import deque
from collections.abc import Sequence

from palyra.config.choices import OrphanHolds, RoutingMode
from palyra.core.scope import Scope
from palyra.governance.books import Books, Footing, Match
from palyra.governance.burn import BurnBook
from palyra.governance.counters import Budget, Cell, CounterState, Judged
from palyra.governance.evaluate import CounterView, Demand, UsageBudgetEvaluation, evaluate_budget_policies
from palyra.governance.grants import Asker, GrantBook, draw, drawing_since
from palyra.governance.holds import (
    Ending,
    Growth,
    HoldRequest,
    OpenHold,
    Refusal,
    UnknownHoldError,
    ended_row,
    held_row,
    make,
)
from palyra.governance.judging import Judge, Step
from palyra.governance.moves import Shares, actual_amount, flat_charge, grown, kept, slice_amount, total
from palyra.governance.policy_set import PolicySet
from palyra.governance.recount import RELEASED, Recount, counted, history_start
from palyra.journal.changes import HoldEnded, HoldGrown, Metered
from palyra.journal.moves import PlainMoves
from palyra.journal.rows import CounterMove, HoldRow

ENDED_KEPT = 10_000
"""How many ended holds answer a second end with their stored result."""
SETTLED, EXPIRED = "settled", "expired"


class Ledger:
    """Counters of every policy, open holds and grants. `version` grows with every change."""

    def __init__(
        self,
        policies: PolicySet | None = None,
        *,
        default_mode: RoutingMode = RoutingMode.ENFORCED,
        grants: GrantBook | None = None,
    ) -> None:
        self.books = Books(policies if policies is not None else PolicySet())
        self.grants = grants if grants is not None else GrantBook()
        self.judge = Judge(self.books, self.grants, default_mode)
        self.burns = BurnBook()
        """How counters rose, as far as somebody looked."""
        self.version = 0
        self._open: dict[str, OpenHold] = {}
        self._ended: dict[str, Ending] = {}
        self._ended_order: deque[str] = deque()
        self._recount: Recount | None = None

    @property
    def policies(self) -> PolicySet:
        """The policies in force."""
        return self.books.policies

    @property
    def default_mode(self) -> RoutingMode:
        """The mode of a policy without its own."""
        return self.judge.default_mode

    def configure(self, default_mode: RoutingMode) -> None:
        """Another mode for policies without their own. Holds that are open stay what they are."""
        self.judge.default_mode = default_mode

    def budget(self, policy_id: str) -> Budget | None:
        """A policy with its counters."""
        return self.books.get(policy_id)

    def open_holds(self) -> tuple[HoldRow, ...]:
        """The rows of every open hold as they stand, in the order they were taken."""
        return tuple(hold.current() for hold in self._open.values())

    def open_hold(self, hold_id: str) -> HoldRow | None:
        """The hold of that id as it stands, while it is open."""
        return None if (hold := self._open.get(hold_id)) is None else hold.current()

    def counters(self, at: int) -> tuple[CounterState, ...]:
        """Every counter that counts at an instant or holds something open; what a rebuild must equal."""
        return self.books.states(at)

    # Judging

    def views(
        self,
        scope: Scope,
        provider: str,
        model: str,
        *,
        at: int,
        run_id: str = "",
        denied: frozenset[str] = frozenset(),
    ) -> tuple[CounterView, ...]:
        """Every counter an attempt would move, as it stands, for `evaluate_budget_policies`.

        `denied` has the policies a person refused this principal and session a moment ago.
        """
        return self.judge.views(scope, provider, model, at=at, run_id=run_id, denied=denied)

    def evaluate(
        self,
        scope: Scope,
        provider: str,
        model: str,
        demand: Demand,
        *,
        at: int,
        run_id: str = "",
        requested_mode: RoutingMode | None = None,
        denied: frozenset[str] = frozenset(),
    ) -> tuple[UsageBudgetEvaluation, ...]:
        """What each matching budget says to an attempt at an instant; moves nothing."""
        views = self.views(scope, provider, model, at=at, run_id=run_id, denied=denied)
        mode = self.judge.default_mode
        return evaluate_budget_policies(views, demand, default_mode=mode, requested_mode=requested_mode)

    # Taking and growing

    def hold(self, request: HoldRequest) -> HoldRow | Refusal:
        """Takes a hold over every matching counter, or none. The row is to be made durable before a byte is sent.

        Raises ClockBehindError when the instant lies in windows that are no longer in memory.
        """
        at, hold_id, requested = request.at, request.hold_id, request.requested_mode
        self.books.attend(at)
        if hold_id in self._open:
            raise ValueError(f"hold {hold_id} is open already")
        match = self.books.match(request.scope, request.provider, request.model)
        footing, usd = match.footing, request.bound_usd
        if usd is None or footing is None:
            return self._hold_weighed(request, match)
        amounts = (usd, request.bound_tokens, request.requests)
        if not footing.holds(at):
            footing = self.books.refoot(match, footing, at)
        if not footing.plainly_takes(amounts):
            return self._hold_weighed(request, match)
        for cell, judged, unit, _ in footing.parts:
            amount = amounts[unit]
            cell.held += amount
            if judged is not cell:
                judged.held += amount
        moves = PlainMoves(footing.places, amounts, None, self.judge.enforces(requested))
        row = held_row(request, moves, flat=False)
        self._open[hold_id] = OpenHold(row, footing.cells, requested)
        self.version += 1
        return row

    def _hold_weighed(self, request: HoldRequest, match: Match) -> HoldRow | Refusal:
        """A hold that needs more than a look at each limit: modes, grants, unknown prices, new windows, refusals."""
        at, scope, requested = request.at, request.scope, request.requested_mode
        asker = Asker(scope.principal, scope.session, request.run_id)
        demand = Demand(request.bound_usd, request.bound_tokens, request.requests)
        steps: list[Step] = []
        for budget, value in match.lines:
            step = self.judge.admit(budget, value, demand, asker, requested, at)
            if step.enforced and not step.fits:
                return Refusal(
                    self.evaluate(
                        scope,
                        request.provider,
                        request.model,
                        demand,
                        at=at,
                        run_id=request.run_id,
                        requested_mode=requested,
                    )
                )
            steps.append(step)
        moves: list[CounterMove] = []
        cells: list[Cell] = []
        flat = False
        for (budget, value), step in zip(match.lines, steps, strict=True):
            cell = self.books.cell(budget, value, at)
            drawn: Shares = draw(step.grants, request.run_id, step.drawn_at_most)
            cell.move(0, step.amount, total(drawn))
            moves.append(
                CounterMove(
                    budget.policy_id,
                    value,
                    cell.start,
                    budget.metric,
                    step.amount,
                    None,
                    step.enforced,
                    drawn,
                    budget.limit,
                    budget.rolls,
                )
            )
            cells.append(cell)
            flat = flat or step.flat
        if match.footing is None or not match.footing.holds(at):
            match.footing = Footing(match.lines, cells)
        row = held_row(request, tuple(moves), flat=flat)
        self._open[row.hold_id] = OpenHold(row, cells, requested)
        self.version += 1
        return row

    def grow(self, hold_id: str, usd: int | None, tokens: int, at: int) -> Growth:
        """A further slice for an open hold, in the windows the hold was taken in. Raises UnknownHoldError.

        `usd` is what the slice costs at most; it moves nothing where the hold's price is unknown. Amounts below zero
        give back what will hardly be needed: nobody refuses that, but a hold that drew from grants gives nothing back,
        nor one that holds less than that somewhere.
        """
        hold = self._opened(hold_id)
        row, judge = hold.row, self.judge
        usd = usd if hold.bound_usd is not None else None
        if tokens < 0:
            return Growth(self._shrink(hold, usd, tokens, at))
        asker = Asker(row.scope.principal, row.scope.session, row.run_id)
        steps: list[Step | None] = []
        against: list[UsageBudgetEvaluation] = []
        refused = False
        for move, cell in zip(hold.moves, hold.cells, strict=True):
            amount = 0 if cell is None else slice_amount(cell.budget, usd, tokens)
            if cell is None or not amount:
                steps.append(None)
                continue
            budget, judged = cell.budget, _judged_growth(cell, at)
            step = judge.weigh(budget, move.scope_value, judged, amount, asker, hold.requested, cell.start, at)
            steps.append(step)
            if not step.fits:
                refused = refused or step.enforced
                view = judge.view(budget, move.scope_value, judged, asker, cell.start, at)
                against.append(judge.evaluate_one(view, Demand(usd, tokens, 0), hold.requested))
        if refused:
            return Growth(None, tuple(against))
        moves = list(hold.moves)
        for index, (cell, grow_step) in enumerate(zip(hold.cells, steps, strict=True)):
            if cell is not None and grow_step is not None:
                drawn = draw(grow_step.grants, row.run_id, grow_step.drawn_at_most)
                cell.move(0, grow_step.amount, total(drawn))
                moves[index] = grown(moves[index], grow_step.amount, grow_step.enforced, drawn, cell.budget.limit)
        hold.moves = tuple(moves)
        hold.bound_usd = None if hold.bound_usd is None else hold.bound_usd + (usd or 0)
        hold.bound_tokens += tokens
        self.version += 1
        return Growth(HoldGrown(hold_id, hold.bound_usd, hold.bound_tokens, hold.moves, at), tuple(against))

    def _shrink(self, hold: OpenHold, usd: int | None, tokens: int, at: int) -> HoldGrown | None:
        amounts = [0 if cell is None else slice_amount(cell.budget, usd, tokens) for cell in hold.cells]
        moves = [move._replace(held=move.held + amount) for move, amount in zip(hold.moves, amounts, strict=True)]
        if any(move.drawn or move.held < 0 for move in moves):
            return None
        for cell, amount in zip(hold.cells, amounts, strict=True):
            if cell is not None:
                cell.move(0, amount, 0)
        hold.moves = tuple(moves)
        hold.bound_usd = None if hold.bound_usd is None else hold.bound_usd + (usd or 0)
        hold.bound_tokens += tokens
        self.version += 1
        return HoldGrown(hold.row.hold_id, hold.bound_usd, hold.bound_tokens, hold.moves, at)

    def meter(self, hold_id: str, input_tokens: int, output_tokens: int, usd: int | None) -> Metered:
        """Notes what a live attempt would be charged if everything died now. Raises UnknownHoldError."""
        self._opened(hold_id).metered = (input_tokens, output_tokens, usd)
        return Metered(hold_id, input_tokens, output_tokens, usd)

    # Ending

    def settle(
        self, hold_id: str, *, at: int, usd: int | None, tokens: int, source: str = "provider", requests: int = 1
    ) -> Ending:
        """Charges what was used. `usd` None means nobody knows: each budget then charges by its own rule.

        A second end of any kind changes nothing and returns the first. Raises UnknownHoldError.
        """
        return self._end(hold_id, SETTLED, at, usd, tokens, requests, source)

    def release(self, hold_id: str, *, at: int, recovered: bool = False) -> Ending:
        """Charges nothing: no byte was written, or an error came back without usage. As `settle` otherwise."""
        return self._end(hold_id, RELEASED, at, 0, 0, 0, "", recovered)

    def expire(self, hold_id: str, *, at: int) -> Ending:
        """Charges the last meter reading, else the bound: the deadline passed and nobody owns the attempt."""
        return self._end_unowned(hold_id, EXPIRED, at, recovered=False)

    def recover(self, hold_id: str, *, at: int, orphans: OrphanHolds = OrphanHolds.CHARGE) -> Ending:
        """Ends a dead engine's hold: charged as metered, else at its bound; or released, as configured."""
        if orphans is OrphanHolds.RELEASE:
            return self.release(hold_id, at=at, recovered=True)
        return self._end_unowned(hold_id, SETTLED, at, recovered=True)

    def _end_unowned(self, hold_id: str, state: str, at: int, *, recovered: bool) -> Ending:
        hold = self._open.get(hold_id)
        if hold is None:
            return self._first_end(hold_id)
        if hold.metered is None:
            return self._end(hold_id, state, at, hold.bound_usd, hold.bound_tokens, 1, "bound", recovered)
        input_tokens, output_tokens, usd = hold.metered
        return self._end(hold_id, state, at, usd, input_tokens + output_tokens, 1, "metered", recovered)

    def _end(
        self,
        hold_id: str,
        state: str,
        at: int,
        usd: int | None,
        tokens: int,
        requests: int,
        source: str,
        recovered: bool = False,
    ) -> Ending:
        hold = self._open.pop(hold_id, None)
        if hold is None:
            return self._first_end(hold_id)
        moves: Sequence[CounterMove]
        if isinstance(hold.moves, PlainMoves):
            moves = _charged(hold, hold.moves, usd, tokens, requests)
        else:
            moves = self._charged_each(hold, state, usd, tokens, requests)
        overrun = usd - hold.bound_usd if usd and hold.bound_usd is not None and usd > hold.bound_usd else 0
        ended = (hold_id, state, at, usd, tokens, requests, source, overrun, recovered, moves)
        change = make(HoldEnded, ended)
        flat = flat_charge(moves) if usd is None and hold.bound_usd is None else None
        if self._recount is not None:
            self._recount.add_ended(ended_row(hold.current(), change))
        ending = self._ended[hold_id] = make(Ending, (change, True, flat))
        self._ended_order.append(hold_id)
        if len(self._ended_order) > ENDED_KEPT:
            del self._ended[self._ended_order.popleft()]
        self.version += 1
        return ending

    def _charged_each(
        self, hold: OpenHold, state: str, usd: int | None, tokens: int, requests: int
    ) -> tuple[CounterMove, ...]:
        """Moves every counter of a hold from held to charged, and gives back what grants paid too much."""
        moves: list[CounterMove] = []
        for move, cell in zip(hold.moves, hold.cells, strict=True):
            actual = actual_amount(move, usd, tokens, requests)
            drawn = self._give_back(move, state, actual, hold.row.run_id) if move.drawn else ()
            if cell is not None:
                cell.move(actual, -move.held, total(drawn) - total(move.drawn))
            moves.append(move._replace(actual=actual, drawn=drawn))
        return tuple(moves)

    def _give_back(self, move: CounterMove, state: str, actual: int, run_id: str) -> Shares:
        """Gives back to grants what was drawn too much. Returns what stays drawn.

        Only an attempt that was not sent gives back the use of a grant with it.
        """
        left = () if state == RELEASED else kept(move.drawn, max(0, move.held - actual))
        stays = dict(left)
        for grant_id, share in move.drawn:
            grant = self.grants.get(grant_id)
            if grant is not None:
                grant.move(run_id, stays.get(grant_id, 0) - share)
                if grant_id in stays:
                    grant.use(run_id)
        return left

    def correct(self, row: HoldRow, usd: int | None, tokens: int, at: int) -> HoldRow:
        """Charges something else for a hold that has ended: every counter it counts in moves by the difference, in the
        windows it was taken in. Returns the row as it is to be stored.

        What grants paid stays paid. Raises ValueError for a hold that is open or was released.
        """
        if row.state not in (SETTLED, EXPIRED) or row.hold_id in self._open:
            raise ValueError(f"hold {row.hold_id} is {row.state}")
        moves = tuple(move._replace(actual=actual_amount(move, usd, tokens, row.requests)) for move in row.moves)
        overrun = max(0, usd - row.bound_usd) if usd is not None and row.bound_usd is not None else 0
        after = row._replace(actual_usd=usd, actual_tokens=tokens, overrun=overrun, moves=moves)
        for budget, value in self.books.match(row.scope, row.provider, row.model).lines:
            if budget.known_until(row.created_at) <= at:
                continue
            difference = counted(budget.policy, after).settled - counted(budget.policy, row).settled
            self.books.cell(budget, value, row.created_at).move(difference, 0, 0)
        self.version += 1
        return after

    def _opened(self, hold_id: str) -> OpenHold:
        hold = self._open.get(hold_id)
        if hold is None:
            raise UnknownHoldError(f"Hold {hold_id} is not open.")
        return hold

    def _first_end(self, hold_id: str) -> Ending:
        ending = self._ended.get(hold_id)
        if ending is None:
            raise UnknownHoldError(f"Hold {hold_id} is not known here.")
        return ending._replace(first=False)

    # Other policies, and counting again

    def begin(self, policies: PolicySet, at: int, *, restoring: bool = False, anew: bool = False) -> Recount:
        """Prepares other policies; feed the recount the journal's hold rows and hand it to `apply`.

        The policies in force stay so until then. A later `begin` makes an earlier recount worthless. `restoring`: the
        ledger is new, and grants learn what was drawn from them. `anew`: every budget is counted again.
        """
        changed = [policy for policy in policies if anew or not self._counts_on(policy.policy_id, policies)]
        since = min((history_start(policy, at) for policy in changed), default=at)
        if restoring:
            drawing = drawing_since(grant.row for grant in self.grants)
            since = since if drawing is None else min(since, drawing)
        self._recount = Recount(
            policies, PolicySet(changed), at, since, self._open.__contains__, self._end_of, restoring=restoring
        )
        return self._recount

    def _end_of(self, hold_id: str) -> HoldEnded | None:
        ending = self._ended.get(hold_id)
        return None if ending is None else ending.change

    def _counts_on(self, policy_id: str, policies: PolicySet) -> bool:
        before, after = self.policies.get(policy_id), policies.get(policy_id)
        return before is not None and after is not None and before.counts_like(after)

    def apply(self, recount: Recount, at: int) -> tuple[HoldGrown, ...]:
        """Puts a recount's policies in force. Returns what open holds move from now on besides.

        Raises ValueError for a recount that a later one overtook.
        """
        if recount is not self._recount:
            raise ValueError("this recount was overtaken by a later one")
        self._recount = None
        for row in recount.ended:
            recount.count(row)
        self.books.replace(recount.policies, recount.fresh, at)
        self.burns.restart(recount.tallies, {policy.policy_id for policy in recount.policies})
        for row in recount.found_open:
            self._open[row.hold_id] = OpenHold(row, [None for _ in row.moves], None)
        for drawing in recount.draws:
            self.grants.redraw(drawing.grant_id, drawing.run_id, drawing.amount, sent=drawing.sent)
        self.version += 1
        joined = [self._join(hold, recount) for hold in self._open.values()]
        return tuple(change for change in joined if change is not None)

    def drop(self, recount: Recount) -> None:
        """Forgets a recount that will not be applied."""
        if recount is self._recount:
            self._recount = None

    def _join(self, hold: OpenHold, recount: Recount) -> HoldGrown | None:
        """Lets an open hold move the recounted counters it matches. Returns its new moves when there are any."""
        row = hold.current()
        match = self.books.match(row.scope, row.provider, row.model)
        lines = {budget.policy_id: (budget, value) for budget, value in match.lines}
        moves: list[CounterMove] = []
        cells: list[Cell | None] = []
        for move, place in zip(hold.moves, hold.cells, strict=True):
            line = lines.get(move.policy_id)
            if line is None or line[0].metric == move.metric:
                moves.append(move)
                cells.append(None if line is None else place)
        known = {move.policy_id: index for index, move in enumerate(moves)}
        for policy_id, (budget, value) in lines.items():
            if policy_id not in recount.fresh:
                continue
            cell = self.books.cell(budget, value, row.created_at)
            part = counted(budget.policy, row)
            cell.move(0, part.held, part.drawn)
            if policy_id in known:
                index = known[policy_id]
                cells[index] = cell
                if (moves[index].window_start, moves[index].rolling) != (cell.start, budget.rolls):
                    # What it takes from now on is admitted to another window than the one it names.
                    moves[index] = moves[index]._replace(enforced=False)
                continue
            moves.append(CounterMove(policy_id, value, cell.start, budget.metric, part.held, None, enforced=False))
            cells.append(cell)
        changed = tuple(moves) != hold.moves
        hold.moves, hold.cells = tuple(moves), cells
        return HoldGrown(row.hold_id, hold.bound_usd, hold.bound_tokens, hold.moves) if changed else None


def _charged(hold: OpenHold, moves: PlainMoves, usd: int | None, tokens: int, requests: int) -> PlainMoves:
    """Moves every counter of a hold from held to charged. A cost nobody knows is charged at its bound."""
    held = moves.held
    actual = (held[0] if usd is None else usd, tokens, requests)
    for cell, unit in zip(hold.cells, moves.places.units, strict=True):
        assert cell is not None
        charged, unheld = actual[unit], held[unit]
        cell.settled += charged
        cell.held -= unheld
        total = cell.total
        if total is not None and cell.start >= total.low:
            total.settled += charged
            total.held -= unheld
    return PlainMoves(moves.places, held, actual, moves.enforced)


def _judged_growth(cell: Cell, at: int) -> Judged:
    """A slice counts where its hold does. A hold that outlived its rolling window is judged by its own bucket."""
    total = cell.total
    if total is None:
        return cell
    total.turn(at)
    return total if cell.start >= total.low else cell
