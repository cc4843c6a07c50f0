"""The engine: every part below built, started, watched over and stopped in order."""

from palyra.engine.engine import Engine
from palyra.engine.installation import Installation

__all__ = ["Engine", "Installation"]
