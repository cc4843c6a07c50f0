"""Grants: permission to pass a limit, drawn by holds in their own step and given back when less was used.

A grant stays `active` until it expires, is revoked, or an edit of its policy makes it void. What was drawn from it
stays spent in any case.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from palyra.journal.changes import GrantSaved
from palyra.journal.rows import GrantRow

ONCE_TTL_MS = 3_600_000
SESSION_TTL_MS = 24 * 3_600_000
ENDED_KEPT = 1_000
"""How many ended grants consoles can still be shown without asking the journal."""


class GrantKind(StrEnum):
    """What a person allows: one run, a session for a day, a session for a while, or an amount for anybody."""

    ONCE = "once"
    SESSION = "session"
    TIMEBOXED = "timeboxed"
    AMOUNT = "amount"


class GrantState(StrEnum):
    ACTIVE = "active"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf a grant is looked for."""

    principal: str
    session: str
    run_id: str


class Grant:
    """One grant while it is known: its row, and what runs have drawn from it, net."""

    __slots__ = ("drawn", "row", "runs")

    def __init__(self, row: GrantRow) -> None:
        self.row = row
        self.drawn = 0
        self.runs: dict[str, int] = {}

    def live(self, at: int) -> bool:
        """Whether it can be drawn from; it ends at the instant of its expiry."""
        row = self.row
        return row.state == GrantState.ACTIVE and (row.expires_at is None or at < row.expires_at)

    def serves(self, asker: Asker, window_start: int, at: int) -> bool:
        row = self.row
        if not self.live(at):
            return False
        if row.kind == GrantKind.AMOUNT:
            return row.window_start is None or row.window_start == window_start
        if row.principal != asker.principal or row.session not in ("", asker.session):
            return False
        return row.kind != GrantKind.ONCE or not self.runs or asker.run_id in self.runs

    @property
    def remaining(self) -> int:
        return max(0, self.row.cap - self.drawn)

    def move(self, run_id: str, amount: int) -> None:
        """Draws, or gives back a negative amount. A `once` grant nobody has drawn from, net, is unused again."""
        self.drawn += amount
        left = self.runs.get(run_id, 0) + amount
        if left:
            self.runs[run_id] = left
        else:
            self.runs.pop(run_id, None)

    def state(self, at: int) -> GrantState:
        """What a console shows: an active grant may be used up or past its time."""
        if self.row.state != GrantState.ACTIVE:
            return GrantState(self.row.state)
        if not self.live(at):
            return GrantState.EXPIRED
        return GrantState.USED if self.row.kind == GrantKind.ONCE and self.runs else GrantState.ACTIVE


class GrantBook:
    """Every grant that may still be drawn from, by the counter it widens, oldest first."""

    def __init__(self, rows: Iterable[GrantRow] = ()) -> None:
        self._grants: dict[str, Grant] = {}
        self._by_counter: dict[tuple[str, str], list[Grant]] = {}
        self._ended: deque[str] = deque()
        for row in rows:
            self.add(row)

    def __iter__(self) -> Iterator[Grant]:
        return iter(self._grants.values())

    def get(self, grant_id: str) -> Grant | None:
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

    def serving(self, policy_id: str, scope_value: str, asker: Asker, window_start: int, at: int) -> list[Grant]:
        """Live grants with something left that serve a request in a counter, oldest first."""
        found = self._by_counter.get((policy_id, scope_value))
        if found is None:
            return []
        return [grant for grant in found if grant.remaining and grant.serves(asker, window_start, at)]

    def end(self, grant_id: str, state: GrantState) -> GrantSaved | None:
        """Ends an active grant as revoked, void or expired; None when it had ended already."""
        grant = self._grants.get(grant_id)
        if grant is None or grant.row.state != GrantState.ACTIVE:
            return None
        row = grant.row
        grant.row = replace(row, version=row.version + 1, state=state.value, uses=len(grant.runs))
        key = (row.policy_id, row.scope_value)
        self._by_counter[key].remove(grant)
        if not self._by_counter[key]:
            del self._by_counter[key]
        self._remember_ended(grant_id)
        return GrantSaved(grant.row)

    def sweep(self, at: int) -> list[GrantSaved]:
        """Ends every grant whose time has come."""
        return self._end_all(GrantState.EXPIRED, [grant for grant in self._grants.values() if not grant.live(at)])

    def void(self, policy_id: str) -> list[GrantSaved]:
        """Ends every live grant of a policy whose terms were edited."""
        return self._end_all(
            GrantState.VOID, [grant for grant in self._grants.values() if grant.row.policy_id == policy_id]
        )

    def _end_all(self, state: GrantState, grants: Iterable[Grant]) -> list[GrantSaved]:
        ended = [self.end(grant.row.grant_id, state) for grant in grants]
        return [saved for saved in ended if saved is not None]

    def _remember_ended(self, grant_id: str) -> None:
        self._ended.append(grant_id)
        if len(self._ended) > ENDED_KEPT:
            self._grants.pop(self._ended.popleft(), None)


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
