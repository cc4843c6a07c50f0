"""The snapshot: every section, what depends on what, and how the whole is. Times UTC unix ms, durations ms."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from palyra.core.values import value
from palyra.diagnostics.declared import Public
from palyra.diagnostics.graph import PROBE, PROVIDER, HealthGraph, Own, edges, health_graph, root_causes
from palyra.diagnostics.reasons import Reason, State
from palyra.diagnostics.section import NAMES, CollectorState, Section, Sections

SCHEMA_VERSION = 1
VITAL = ("gateway", "governance", "journal")
"""Without these the house fails."""


@value
class EngineData:
    """`phase`: starting, ready, draining, recovery. `config_pending`: sections that wait for a restart."""

    version: Public
    boot_id: Public
    pid: int
    started_at: int
    uptime_ms: int
    phase: Public
    config_path: Public | None
    config_pending: tuple[Public, ...] = ()


@value
class Overall:
    """`reasons` of all sections that are not well, the worst section's first; `root_causes` are nodes of the graph."""

    state: State
    reasons: tuple[Reason, ...]
    root_causes: tuple[Public, ...]


@value
class Diagnosis:
    """All that is told of a running house. `health_graph` is None where only some sections were asked for."""

    schema_version: int
    generated_at: int
    took_ms: int
    engine: EngineData
    overall: Overall
    sections: Sections
    health_graph: HealthGraph | None


_PROVIDER_STATES = {
    "ok": State.OK,
    "unknown": State.OK,
    "degraded": State.DEGRADED,
    "down": State.FAILED,
    "missing_auth": State.FAILED,
    "disabled": State.DISABLED,
}
_PROBE_STATES = {"up": State.OK, "unknown": State.OK, "disabled": State.DISABLED}


def diagnosis(engine: EngineData, sections: Sections, at: int, took_ms: int) -> Diagnosis:
    """What follows from the sections."""
    providers: dict[str, bool] = {}
    own = [_own(name, section) for name, section in sections.each().items()]
    serving = sections.model_provider
    if serving is not None and serving.data is not None:
        providers = {one.id: one.in_vault for one in serving.data.providers}
        for one in serving.data.providers:
            error = "" if one.last_error is None else f": {one.last_error.message or one.last_error.class_}"
            state = _PROVIDER_STATES.get(one.health, State.UNKNOWN)
            told = f"{one.health}{error}" if state.unwell else one.health
            step = "`palyra models test-connection` asks it now." if state.unwell else ""
            own.append(Own(PROVIDER + one.id, state, told, step))
    looked = sections.observability
    probes = looked.data.probes if looked is not None and looked.data is not None else ()
    for probe in probes:
        down = State.FAILED if probe.critical else State.DEGRADED
        told = f"{probe.state}: {probe.last_error}" if probe.state == "down" and probe.last_error else probe.state
        step = f"Start what answers at {probe.target}, or mend the way to it." if probe.state == "down" else ""
        own.append(Own(PROBE + probe.id, _PROBE_STATES.get(probe.state, down), told, step))
    graph = health_graph(own, edges(providers, [one.id for one in probes]))
    return Diagnosis(SCHEMA_VERSION, at, took_ms, engine, overall(sections, graph), sections, graph)


def overall(sections: Sections, graph: HealthGraph) -> Overall:
    """The first that fits: failed where a vital node is, degraded where anything is not well or could not be looked at,
    unknown where a vital part was never seen, else ok."""
    found = sections.each()
    effective = {one.id: one.effective for one in graph.nodes}
    if any(effective.get(name) is State.FAILED for name in VITAL):
        state = State.FAILED
    elif any(one.unwell for one in effective.values()) or any(
        one.collector is not CollectorState.OK for one in found.values()
    ):
        state = State.DEGRADED
    elif any(name not in found or found[name].data is None for name in VITAL):
        state = State.UNKNOWN
    else:
        state = State.OK
    troubled = sorted(
        (one for one in found.values() if one.state.unwell or one.state is State.UNKNOWN),
        key=lambda one: -one.state.rank,
    )
    reasons = {one: None for section in troubled for one in section.reasons}
    return Overall(state, tuple(reasons), root_causes(graph))


def only(told: Diagnosis, names: Collection[str]) -> Diagnosis:
    """With these sections alone, beside the overall state of all."""
    kept = {name: None for name in NAMES if name not in names}
    return replace(told, sections=replace(told.sections, **kept), health_graph=None)


def unknown_names(names: Iterable[str]) -> list[str]:
    """Those that no section has."""
    return [name for name in names if name not in NAMES]


def _own(name: str, section: Section[object]) -> Own:
    first = section.reasons[0] if section.reasons else None
    if first is None:
        return Own(name, section.state, section.state.value)
    about = f" ({', '.join(first.subjects)})" if first.subjects else ""
    return Own(name, section.state, f"{first.sentence}{about}", first.next_step)
