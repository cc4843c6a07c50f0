"""How many attempts there were, of which kind and with which end, since the engine started."""

from collections import Counter

from palyra.governance.candidates import Course
from palyra.runs.trail import Traced


class Tracing:
    """Counts; every attempt is heard once, when it ends."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        """By provider and error class, which is empty for those that did not fail."""
        self.retries = 0
        self.failovers: Counter[str] = Counter()
        """By the provider that was failed over to."""

    def hear(self, trace: Traced) -> None:
        self.attempts[trace.provider, trace.error_class] += 1
        if trace.course in (Course.RETRY, Course.FAILOVER_RETRY):
            self.retries += 1
        elif trace.course == Course.FAILOVER:
            self.failovers[trace.provider] += 1
