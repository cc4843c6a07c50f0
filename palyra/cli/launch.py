"""What the commands need from above: engines, reached or started. `palyra.main` supplies it."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from palyra.control.protocol import Control
from palyra.core.values import value


@value
class Place:
    """Which installation a command speaks of, as its options name it."""

    config: Path | None = None
    state_dir: Path | None = None
    operator: str = ""


@value
class GatewayDoor:
    """Where a client of this installation connects and the file that holds its key."""

    url: str
    key_file: Path


class Launch(Protocol):
    """Opens controls and starts programs. All raise PalyraError when they cannot."""

    def reading(self, place: Place) -> AbstractAsyncContextManager[Control]:
        """The running engine, else the journal and configuration as they lie (commands are refused there)."""
        ...

    def acting(self, place: Place) -> AbstractAsyncContextManager[Control]:
        """The running engine, else one started for this command alone."""
        ...

    def running(self, place: Place) -> AbstractAsyncContextManager[Control | None]:
        """The running engine, None where none runs; the configuration is not read."""
        ...

    def gateway(self, place: Place) -> AbstractAsyncContextManager[GatewayDoor]:
        """The running engine's gateway, else one started for this command alone."""
        ...

    def set_defaults(self, path: Path, models: Mapping[str, str]) -> tuple[str, ...]:
        """Writes default models by their role into a configuration file; what is to be said of it, mostly nothing."""
        ...

    def serve(self, place: Place, *, bind: str | None, ready_file: Path | None) -> int:
        """Runs an engine without a screen until it is told to end; its exit code."""
        ...

    def demo(self, state_dir: Path | None, *, ascii_only: bool | None) -> int:
        """Shows the console on a made-up company; its exit code."""
        ...
