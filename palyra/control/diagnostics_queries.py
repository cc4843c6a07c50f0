"""What a console may ask about the running house: its own snapshot, which every consumer shows as it is."""

from typing import Literal

from palyra.core.values import value
from palyra.diagnostics.graph import HealthGraph, Node
from palyra.diagnostics.reasons import Reason, State
from palyra.diagnostics.section import CollectorState, Section, Sections
from palyra.diagnostics.snapshot import Diagnosis

__all__ = [
    "CollectorState",
    "Diagnosis",
    "DiagnosticsQuery",
    "HealthGraph",
    "Node",
    "Reason",
    "Section",
    "Sections",
    "State",
]


@value
class DiagnosticsQuery:
    """How every part does. `sections` leaves only those; empty means all, with what depends on what. `fresh` makes a
    new snapshot, at most once a second; else one of the last second is good enough.

    Raises BadInputError for a section that is none, EngineGoneError where no engine runs or it only starts.
    """

    sections: tuple[str, ...] = ()
    fresh: bool = False
    kind: Literal["diagnostics"] = "diagnostics"
