"""Moves of a hold that are made only when somebody looks at them: every attempt moves each of its counters twice."""

import json
from collections.abc import Iterator, Sequence
from typing import overload

from palyra.journal.rows import CounterMove

Amounts = tuple[int, int, int]
"""Nano-dollars, tokens and requests."""
Head = tuple[str, str, int, str, int | None, str]


class Places:
    """The counters that many holds move alike. `heads`: policy id, scope value, start of the window, metric, hard limit
    and kind of rolling window of each; `units`: where in `Amounts` its metric is; `counters`: their policy ids and
    scope values."""

    __slots__ = ("_texts", "counters", "heads", "units")

    def __init__(self, heads: tuple[Head, ...], units: tuple[int, ...]) -> None:
        self.heads = heads
        self.units = units
        self.counters = {head[:2]: None for head in heads}
        self._texts: tuple[tuple[str, int, str], ...] | None = None

    @property
    def texts(self) -> tuple[tuple[str, int, str], ...]:
        """Of each move as JSON, what stands before its amounts, where they are in `Amounts`, and what stands behind."""
        if self._texts is None:
            self._texts = tuple(
                (
                    f"{json.dumps(head[:4], separators=(',', ':'))[:-1]},",
                    unit,
                    f",[],{json.dumps(head[4])}{_rolling(head)}]",
                )
                for head, unit in zip(self.heads, self.units, strict=True)
            )
        return self._texts


def _rolling(head: Head) -> str:
    return f',"{head[5]}"' if head[5] else ""


class PlainMoves(Sequence[CounterMove]):
    """The moves of a hold that no grant had a part in. Each is made when somebody looks at it: most never are."""

    __slots__ = ("actual", "enforced", "held", "places")

    def __init__(self, places: Places, held: Amounts, actual: Amounts | None, enforced: bool) -> None:
        self.places = places
        self.held = held
        self.actual = actual
        self.enforced = enforced

    def __len__(self) -> int:
        return len(self.places.units)

    def __iter__(self) -> Iterator[CounterMove]:
        held, actual, enforced = self.held, self.actual, self.enforced
        for head, unit in zip(self.places.heads, self.places.units, strict=True):
            policy_id, value, start, metric, limit, rolling = head
            charged = None if actual is None else actual[unit]
            yield CounterMove(policy_id, value, start, metric, held[unit], charged, enforced, (), limit, rolling)

    def text(self) -> str:
        """As JSON, the same as that of every move by itself."""
        held, actual = self.held, self.actual
        enforced = "true" if self.enforced else "false"
        parts = [
            f"{before}{held[unit]},{'null' if actual is None else actual[unit]},{enforced}{behind}"
            for before, unit, behind in self.places.texts
        ]
        return f"[{','.join(parts)}]"

    @overload
    def __getitem__(self, index: int) -> CounterMove: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[CounterMove, ...]: ...

    def __getitem__(self, index: int | slice) -> CounterMove | tuple[CounterMove, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, tuple | PlainMoves) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
