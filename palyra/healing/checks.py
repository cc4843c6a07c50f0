"""Looking at the house: each check tells what is wrong by its own lights, and one that fails harms no other."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.values import value

log = logging.getLogger(__name__)

FAILURES_TOLD = 3
"""After so many failures in a row a check is itself told of."""


@value
class Check:
    """`look` tells every condition that holds at an instant (unix ms), `next_due` when there may be more."""

    name: str
    look: Callable[[int], Iterable[Condition]]
    next_due: Callable[[int], int | None] = lambda now: None


@dataclass(slots=True)
class _Looked:
    """What a check told last, and how often it failed since."""

    check: Check
    told: tuple[Condition, ...] = ()
    failures: int = 0
    keys: frozenset[tuple[Domain, str]] = field(default_factory=frozenset)


class Checks:
    """Every check, and what rooms told without being asked."""

    def __init__(self) -> None:
        self._looked: list[_Looked] = []
        self._told: dict[str, Condition] = {}

    def add(self, check: Check) -> None:
        """Looks at one more thing in every cycle from now on."""
        self._looked.append(_Looked(check))

    def tell(self, condition: Condition) -> None:
        """It holds until it is cleared."""
        self._told[condition.key] = condition

    def clear(self, key: str) -> bool:
        """Whether it was told."""
        return self._told.pop(key, None) is not None

    def look(self, now: int) -> Iterable[Condition]:
        """Every condition that holds now. What a failing check told before is taken to hold still."""
        for looked in self._looked:
            self._ask(looked, now)
            yield from looked.told
            if looked.failures >= FAILURES_TOLD:
                yield Condition(
                    Domain.ENGINE,
                    f"engine:collector:{looked.check.name}",
                    Severity.LOW,
                    f"What watches over {looked.check.name} fails.",
                    cause="It failed three times in a row; the log tells how.",
                    subject=looked.check.name,
                )
        yield from self._told.values()

    def holds(self, domain: Domain, key: str, now: int) -> bool:
        """Tests one condition again."""
        told = self._told.get(key)
        if told is not None and told.domain is domain:
            return True
        for looked in self._looked:
            if (domain, key) in looked.keys:
                self._ask(looked, now)
                return (domain, key) in looked.keys
        return False

    def next_due(self, now: int) -> int | None:
        """When any check may tell more (unix ms)."""
        dues: list[int] = []
        for looked in self._looked:
            try:
                due = looked.check.next_due(now)
            except Exception:
                log.exception("the check %s cannot tell when it has to look again", looked.check.name)
                continue
            if due is not None:
                dues.append(due)
        return min(dues, default=None)

    def _ask(self, looked: _Looked, now: int) -> None:
        try:
            looked.told = tuple(looked.check.look(now))
        except Exception:
            looked.failures += 1
            log.exception("the check %s failed", looked.check.name)
        else:
            looked.failures = 0
            looked.keys = frozenset([(condition.domain, condition.key) for condition in looked.told])
