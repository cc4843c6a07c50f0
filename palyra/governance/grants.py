"""Grants: permission to pass a limit, drawn by holds in their own step and given back when less was used.

A grant stays `active` until it expires, is revoked, or an edit of its policy makes it void. What was drawn from it
stays spent in any case. One for a single run is used up once a run that it let in was sent, whatever that run cost in
the end; the hold's end says so durably, by naming the grant even with an amount of 0.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import StrEnum

from palyra.core.values import value
from palyra.journal.changes import GrantSaved
from palyra.journal.rows import GrantRow

ONCE_TTL_MS = 3_600_000
SESSION_TTL_MS = 24 * 3_600_000
DRAWN_EARLIER_MS = 48 * 3_600_000
"""How much older than a grant a hold may be that draws from it: a stream may have been under way for a day and grow
into it, and a wall clock may have been set back."""
ENDED_KEPT = 1_000
"""How many ended grants consoles can still be shown without asking the journal."""


class GrantKind(StrEnum):
    """What a person allows: one run, a session for a day, a session for a while, or an amount for anybody."""

    ONCE = "once"
    SESSION = "session"
    TIMEBOXED = "timeboxed"
    AMOUNT = "amount"


class GrantState(StrEnum):
    """Whether anything can be drawn from a grant, or why not."""

    ACTIVE = "active"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    VOID = "void"


@value
class Asker:
    """On whose behalf a grant is looked for."""

    principal: str
    session: str
    run_id: str


class Grant:
    """One grant while it is known: its row, what runs have drawn from it, net, and which of them were sent with it.

    A run that was sent has used the grant, also when in the end it needed nothing of it.
    """

    __slots__ = ("drawn", "row", "runs", "sent")

    def __init__(self, row: GrantRow) -> None:
        self.row = row
        self.drawn = 0
        self.runs: dict[str, int] = {}
        self.sent: set[str] = set()

    def live(self, at: int) -> bool:
        """Whether it can be drawn from; it ends at the instant of its expiry."""
        row = self.row
        return row.state == GrantState.ACTIVE and (row.expires_at is None or at < row.expires_at)

    @property
    def users(self) -> set[str]:
        """The runs that use it or have used it."""
        return self.sent.union(self.runs)

    def serves(self, asker: Asker, window_start: int, at: int, *, awaited: bool = False) -> bool:
        """`awaited`: somebody who asked for it still waits, so that one for a single run is not for others yet."""
        row = self.row
        if not self.live(at):
            return False
        if row.kind == GrantKind.AMOUNT:
            return row.window_start is None or row.window_start == window_start
        if row.principal != asker.principal or row.session not in ("", asker.session):
            return False
        if row.kind != GrantKind.ONCE:
            return True
        users = self.users
        if users:
            return asker.run_id in users
        return not awaited or asker.run_id in row.run_ids

    @property
    def remaining(self) -> int:
        """What can still be drawn, in the metric of its policy; never below 0."""
        return max(0, self.row.cap - self.drawn)

    def move(self, run_id: str, amount: int) -> None:
        """Draws, or gives back a negative amount. What was given back whole, with nothing sent, was no use of it."""
        self.drawn += amount
        left = self.runs.get(run_id, 0) + amount
        if left:
            self.runs[run_id] = left
        else:
            self.runs.pop(run_id, None)

    def use(self, run_id: str) -> None:
        """A run that was let in by it has been sent and settled."""
        self.sent.add(run_id)

    def state(self, at: int) -> GrantState:
        """What a console shows: an active grant may be used up or past its time."""
        if self.row.state != GrantState.ACTIVE:
            return GrantState(self.row.state)
        if self.row.kind == GrantKind.ONCE and (self.runs or self.sent):
            return GrantState.USED
        return GrantState.ACTIVE if self.live(at) else GrantState.EXPIRED


class GrantBook:
    """Every grant that may still be drawn from, by the counter it widens, oldest first."""

    def __init__(self, rows: Iterable[GrantRow] = ()) -> None:
        self._grants: dict[str, Grant] = {}
        self._by_counter: dict[tuple[str, str], list[Grant]] = {}
        self._ended: deque[str] = deque()
        self.awaited: set[str] = set()
        """Approvals that somebody's open connection waits for, told by the desk."""
        for row in rows:
            self.add(row)

    def __iter__(self) -> Iterator[Grant]:
        return iter(self._grants.values())

    @property
    def live(self) -> bool:
        """Whether any grant has not ended yet."""
        return bool(self._by_counter)

    def get(self, grant_id: str) -> Grant | None:
        """The grant of that id."""
        return self._grants.get(grant_id)

    def add(self, row: GrantRow) -> GrantSaved:
        """Takes a grant in. Returns what makes it durable."""
        grant = self._grants[row.grant_id] = Grant(row)
        if row.state == GrantState.ACTIVE:
            here = self._by_counter.setdefault((row.policy_id, row.scope_value), [])
            here.append(grant)
            here.sort(key=lambda item: (item.row.created_at, item.row.grant_id))
        else:
            self._remember_ended(row.grant_id)
        return GrantSaved(row)

    def redraw(self, grant_id: str, run_id: str, amount: int, *, sent: bool) -> None:
        """Repeats what a run drew before this book began. `sent`: its hold has ended and charged."""
        grant = self._grants.get(grant_id)
        if grant is not None:
            grant.move(run_id, amount)
            if sent:
                grant.use(run_id)

    def serving(self, policy_id: str, scope_value: str, asker: Asker, window_start: int, at: int) -> list[Grant]:
        """Live grants with something left that serve a request in a counter, oldest first."""
        found = self._by_counter.get((policy_id, scope_value))
        if found is None:
            return []
        return [
            grant
            for grant in found
            if grant.remaining and grant.serves(asker, window_start, at, awaited=grant.row.approval_id in self.awaited)
        ]

    def reserved(self) -> list[str]:
        """The awaited approvals whose grants for one run are kept for those who asked."""
        if not self.awaited:
            return []
        once = (grant.row.approval_id for grant in self._grants.values() if grant.row.kind == GrantKind.ONCE)
        return [approval_id for approval_id in once if approval_id in self.awaited]

    def end(self, grant_id: str, state: GrantState) -> GrantSaved | None:
        """Ends an active grant as revoked, void, used or expired; None when it had ended already."""
        grant = self._grants.get(grant_id)
        if grant is None or grant.row.state != GrantState.ACTIVE:
            return None
        row = grant.row
        grant.row = replace(row, version=row.version + 1, state=state.value, uses=len(grant.users))
        key = (row.policy_id, row.scope_value)
        self._by_counter[key].remove(grant)
        if not self._by_counter[key]:
            del self._by_counter[key]
        self._remember_ended(grant_id)
        return GrantSaved(grant.row)

    def sweep(self, at: int) -> list[GrantSaved]:
        """Ends every grant whose time has come, as used or expired."""
        over = [grant for grant in self._grants.values() if not grant.live(at)]
        ended = [self.end(grant.row.grant_id, grant.state(at)) for grant in over]
        return [saved for saved in ended if saved is not None]

    def void(self, policy_id: str) -> list[GrantSaved]:
        """Ends every live grant of a policy whose terms were edited."""
        here = [grant for grant in self._grants.values() if grant.row.policy_id == policy_id]
        ended = [self.end(grant.row.grant_id, GrantState.VOID) for grant in here]
        return [saved for saved in ended if saved is not None]

    def _remember_ended(self, grant_id: str) -> None:
        self._ended.append(grant_id)
        if len(self._ended) > ENDED_KEPT:
            self._grants.pop(self._ended.popleft(), None)


def drawing_since(rows: Iterable[GrantRow]) -> int | None:
    """The earliest `created` instant of holds that may have drawn from these grants; None without grants."""
    return min((row.created_at - DRAWN_EARLIER_MS for row in rows), default=None)


def draw(grants: Iterable[Grant], run_id: str, amount: int) -> tuple[tuple[str, int], ...]:
    """Draws an amount they have together, oldest first. Returns (grant_id, amount) of each that gave some."""
    drawn: list[tuple[str, int]] = []
    for grant in grants:
        share = min(amount, grant.remaining)
        if share:
            grant.move(run_id, share)
            drawn.append((grant.row.grant_id, share))
            amount -= share
    return tuple(drawn)
