"""What a benchmark found: values beside their goals and floors, told the same way everywhere."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Beside:
    """What else was measured in the same rounds: its name, its value in the same unit, and ours to it, the median of
    the rounds' ratios; None where it was nothing in every round, as a difference within the noise may be."""

    name: str
    value: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of a table.

    `value` is the median of all rounds in `unit` (none: a plain number), `least` and `most` the rounds' own where there
    were several. `goal` is met by a value of at most that, with `more` by one of at least that.
    """

    what: str
    value: float
    unit: str = ""
    goal: float | None = None
    more: bool = False
    least: float | None = None
    most: float | None = None
    beside: tuple[Beside, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether the goal is met, and whether every round says so; empty without a goal."""
        if self.goal is None:
            return ""
        met = self._meets(self.value)
        every = all(self._meets(one) == met for one in (self.least, self.most) if one is not None)
        return ("met" if met else "MISSED") + ("" if every else ", not always")

    def _meets(self, value: float) -> bool:
        assert self.goal is not None
        return value >= self.goal if self.more else value <= self.goal

    @property
    def now(self) -> str:
        """The value, and how far rounds lay apart."""
        text = number(self.value)
        if self.least is not None and self.most is not None and number(self.least) != number(self.most):
            text += f" ({number(self.least)}–{number(self.most)})"
        return f"{text} {self.unit}".rstrip()

    @property
    def wanted(self) -> str:
        return "" if self.goal is None else f"{'≥' if self.more else '≤'} {number(self.goal)} {self.unit}".rstrip()

    @property
    def ratio(self) -> str:
        """To what was measured beside it, with what that was; else to the goal."""
        if self.beside:
            return ", ".join(f"{ratio(one.ratio)} × {one.name} ({number(one.value)})" for one in self.beside)
        if self.goal:
            return f"{ratio(self.value / self.goal)} of the goal"
        return ""


@dataclass(frozen=True, slots=True)
class Found:
    """All that one benchmark found: its rows, every round's numbers and sentences that belong below the rows; `more`
    rows and `details`, lines above them, only its own command prints."""

    rows: tuple[Measured, ...]
    rounds: tuple[Numbers, ...] = ()
    notes: tuple[str, ...] = ()
    more: tuple[Measured, ...] = ()
    details: tuple[str, ...] = ()


class Rounds:
    """Numbers of several rounds by name."""

    def __init__(self, rounds: Sequence[Numbers]) -> None:
        self.all = tuple(rounds)

    def median(self, name: str) -> float:
        return statistics.median(one[name] for one in self.all)

    def row(
        self,
        what: str,
        name: str,
        unit: str = "",
        *,
        most: float | None = None,
        least: float | None = None,
        beside: Mapping[str, str] | None = None,
    ) -> Measured:
        """The line of the number of that name. Its goal is to be at `most` or at `least` so much; `beside` has the
        names of others' numbers by what they are called."""
        values = [one[name] for one in self.all]
        return Measured(
            what,
            statistics.median(values),
            unit,
            goal=most if least is None else least,
            more=least is not None,
            least=min(values) if len(values) > 1 else None,
            most=max(values) if len(values) > 1 else None,
            beside=tuple(
                Beside(called, self.median(other), self._ratio(name, other)) for called, other in (beside or {}).items()
            ),
        )

    def _ratio(self, name: str, other: str) -> float | None:
        ratios = [one[name] / one[other] for one in self.all if one[other] > 0]
        return statistics.median(ratios) if ratios else None


def number(value: float) -> str:
    """Three digits that count; more before the point."""
    size = abs(value)
    if size == int(size) or size >= 100:
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:.{digits}f}"


def ratio(value: float | None) -> str:
    """Two digits that count; more before the point."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if value == 0 or abs(value) >= 10 else f"{value:.2g}"


def share(values: Sequence[float], part: float) -> float:
    """The value that so much of them (0 to 1) do not pass. Raises IndexError on none."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * part))])
