"""Conditions: what is wrong now, as told by the part of the house that sees it. What comes of one is decided elsewhere.

A condition lasts from when it is told until its key is cleared. Telling it again replaces what was told before.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType

from palyra.core.values import value


class Severity(StrEnum):
    """Weak to strong."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the weakest."""
        return _RANKS[self]

    @property
    def next_up(self) -> "Severity":
        """One step stronger; the strongest stays."""
        return _ORDER[min(self.rank + 1, len(_ORDER) - 1)]


_ORDER = tuple(Severity)
_RANKS = {severity: rank for rank, severity in enumerate(_ORDER)}


class Domain(StrEnum):
    """Which part of the house a condition is about."""

    WATCHDOG = "watchdog"
    APPROVAL = "approval"
    SCHEDULER = "scheduler"
    QUEUE = "queue"
    PROVIDER = "provider"
    STORAGE = "storage"
    NOTIFICATION = "notification"
    CONNECTOR = "connector"
    ENGINE = "engine"


@value
class Condition:
    """Something is wrong.

    `key` names it once in the whole house (`job:<id>:faulted`), `subject` the thing it is about (a job's id). `since`
    is when it began, UTC unix ms; 0 means now. `family` is what conditions of one kind have in common
    (`job:faulted`): many of one family at once are one storm; left empty, it is read from the key. `related` names
    other things by their kind (`{"provider": "openai", "job": …}`): provider, run, task, job, fire, approval, session,
    principal.
    """

    domain: Domain
    key: str
    severity: Severity
    summary: str
    cause: str = ""
    subject: str = ""
    since: int = 0
    detail: str = ""
    family: str = ""
    related: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def kin(self) -> str:
        """Its family: as told, else its key without the id in it: `job:faulted` of `job:<id>:faulted`, `heartbeat:run`
        of `heartbeat:run:<id>`, `approval` of `approval:<id>`, `storage:journal` as it is."""
        if self.family:
            return self.family
        first, *rest = self.key.split(":")
        if first in KIND_BEFORE_ID:
            return ":".join([first, *rest[:1]])
        return f"{first}:{rest[-1]}" if len(rest) > 1 else first


KIND_BEFORE_ID = frozenset({"heartbeat", "queue", "storage", "engine"})
"""What begins keys whose second part is a kind, and the third, if there is one, an id."""

Tell = Callable[[Condition], None]
"""Says that a condition holds: synchronous, cheap, never raises."""

Clear = Callable[[str], None]
"""Says that the condition of a key has gone; nothing when none was told."""


def nobody_told(condition: Condition) -> None:
    """A `Tell` where nobody listens."""


def nobody_cleared(key: str) -> None:
    """A `Clear` where nobody listens."""
