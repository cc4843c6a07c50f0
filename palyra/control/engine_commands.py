"""What a console asks of the engine of its own process."""

from typing import Literal

from palyra.core.values import value

RUNS_ELSEWHERE = "locked"
"""The code of a start that failed since the engine of another process has the state directory."""


@value
class StartEngine:
    """Tries again to start the engine of a console that is in recovery mode. Nothing else has an engine to start."""

    kind: Literal["start_engine"] = "start_engine"
