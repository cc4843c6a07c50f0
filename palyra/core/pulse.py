"""How work says that it lives: the calls its worker makes. What is made of them is decided elsewhere."""

from enum import StrEnum
from typing import Protocol


class WorkHeartbeatKind(StrEnum):
    """What kind of work tells that it lives."""

    RUN = "run"
    BACKGROUND_TASK = "background_task"
    CRON_JOB = "cron_job"
    APPROVAL = "approval"
    EXTERNAL = "external"


class Pulse(Protocol):
    """Synchronous calls into memory, cheap enough for every chunk of a stream, made by whoever does the work."""

    def record(
        self,
        kind: WorkHeartbeatKind,
        object_id: str,
        summary: str,
        phase: str | None = None,
        progress: int | None = None,
    ) -> None:
        """A beat. `progress` is a counter that grows as work advances; None leaves it and `phase` as they were."""
        ...

    def clear(self, kind: WorkHeartbeatKind, object_id: str) -> None:
        """The work has ended; nothing when it never beat."""
        ...

    def allow_silence(self, kind: WorkHeartbeatKind, object_id: str, milliseconds: int) -> None:
        """The work may go without progress for that long, if its kind may not for longer."""
        ...


class NoPulse:
    """Where nobody listens."""

    def record(
        self,
        kind: WorkHeartbeatKind,
        object_id: str,
        summary: str,
        phase: str | None = None,
        progress: int | None = None,
    ) -> None:
        """Nobody listens."""

    def clear(self, kind: WorkHeartbeatKind, object_id: str) -> None:
        """Nobody listens."""

    def allow_silence(self, kind: WorkHeartbeatKind, object_id: str, milliseconds: int) -> None:
        """Nobody listens."""


BEAT_EVERY_S = 15.0
"""How often a worker beats although nothing happens."""
