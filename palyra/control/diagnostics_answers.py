"""Answers about the running house, and the one form in which they are written as JSON."""

from typing import TYPE_CHECKING, Any

from palyra.config.suggest import nearest
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.plain import plain
from palyra.core.errors import BadInputError, EngineGoneError
from palyra.diagnostics.section import NAMES
from palyra.diagnostics.snapshot import Diagnosis, only, unknown_names

if TYPE_CHECKING:
    # The console writes diagnoses as JSON too, and is on the screen before it loads an engine.
    from palyra.engine import Engine

STARTING = "engine_starting"
NOTHING_RUNS = "Diagnostics observe a running engine, and none runs on this state directory."


async def diagnostics_answer(engine: "Engine", query: DiagnosticsQuery) -> Diagnosis:
    """Raises BadInputError, EngineGoneError."""
    check_sections(query)
    if engine.phase == "starting":
        raise EngineGoneError("The engine is not there yet (phase starting).", fix="Ask again.", code=STARTING)
    told = await engine.diagnosing.diagnostics.snapshot(fresh=query.fresh)
    return only(told, query.sections) if query.sections else told


def no_diagnostics(query: DiagnosticsQuery) -> EngineGoneError:
    """Why there is no answer without an engine. Raises BadInputError for a section that is none."""
    check_sections(query)
    return EngineGoneError(NOTHING_RUNS, fix="Start one; `palyra doctor` examines the installation without it.")


def check_sections(query: DiagnosticsQuery) -> None:
    """Raises BadInputError for a section that does not exist, with the nearest that does."""
    unknown = unknown_names(query.sections)
    if unknown:
        near = nearest(unknown[0][:64], NAMES)
        fix = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(NAMES)}."
        raise BadInputError(f"section: there is no {unknown[0][:64]!r}.", fix=fix)


def diagnosis_json(told: Diagnosis) -> dict[str, Any]:
    """As JSON data: what was not asked for is left out."""
    data: dict[str, Any] = plain(told)
    data["sections"] = {name: section for name, section in data["sections"].items() if section is not None}
    if data["health_graph"] is None:
        del data["health_graph"]
    return data
