"""How many attempts there were, of which kind and with which end, since the engine started."""

from collections import Counter, defaultdict

from palyra.core.spread import Spread
from palyra.governance.candidates import Course
from palyra.runs.trail import Traced

WAITS_S = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Tracing:
    """Counts; every attempt is heard once, when it ends."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        """By provider and error class, which is empty for those that did not fail."""
        self.retries: Counter[str] = Counter()
        """By provider."""
        self.failovers: Counter[str] = Counter()
        """By the provider that was failed over to."""
        self.waits: defaultdict[str, Spread] = defaultdict(lambda: Spread(WAITS_S))
        """Seconds waited for a place with a provider, by task class."""

    def hear(self, trace: Traced) -> None:
        """Counts an attempt, and what was done about it."""
        self.attempts[trace.provider, trace.error_class] += 1
        if trace.course in (Course.RETRY, Course.FAILOVER_RETRY):
            self.retries[trace.provider] += 1
        elif trace.course == Course.FAILOVER:
            self.failovers[trace.provider] += 1

    def waited(self, task_class: str, seconds: float) -> None:
        """Counts how long a call waited for its turn, in seconds."""
        self.waits[task_class].add(seconds)
