"""What depends on what: how a fault of one part reaches others, and where faults begin."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from palyra.core.values import value
from palyra.diagnostics.declared import Public, Text
from palyra.diagnostics.reasons import State


class EdgeKind(StrEnum):
    """How a part depends on another."""

    ALL = "all"
    """Required."""
    ANY = "any"
    """One of these suffices."""
    OPTIONAL = "optional"


@value
class Edge:
    """`from_` depends on `to`."""

    from_: Public
    to: Public
    kind: EdgeKind


@value
class Own:
    """A node as it is by itself."""

    id: str
    state: State
    summary: str = ""
    next_step: str = ""


@value
class Node:
    """`impact`: the nodes that are not well through it, near ones first; empty for one that is well."""

    id: Public
    own: State
    effective: State
    summary: Text
    impact: tuple[Public, ...]
    next_step: Text


@value
class HealthGraph:
    """The parts of an installation and what each needs."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def node(self, node_id: str) -> Node | None:
        """The part of that id."""
        return next((one for one in self.nodes if one.id == node_id), None)


_A, _O = EdgeKind.ALL, EdgeKind.OPTIONAL
EDGES: tuple[Edge, ...] = (
    Edge("gateway", "governance", _A),
    Edge("gateway", "model_provider", _A),
    Edge("gateway", "auth_profiles", _O),
    Edge("gateway", "event_loop", _O),
    Edge("governance", "journal", _A),
    Edge("governance", "config", _O),
    Edge("journal", "disk", _A),
    Edge("model_provider", "auth_profiles", _O),
    Edge("auth_profiles", "vault", _A),
    Edge("scheduler", "journal", _A),
    Edge("scheduler", "event_loop", _O),
    Edge("tasks", "journal", _A),
    Edge("tasks", "event_loop", _O),
    Edge("self_healing", "journal", _A),
    Edge("self_healing", "event_loop", _O),
    Edge("memory", "journal", _A),
    Edge("memory", "model_provider", _O),
    Edge("notifications", "vault", _O),
)
"""Between sections; those of providers and probes are added for each."""

PROVIDER, PROBE = "provider:", "probe:"


def edges(providers: Mapping[str, bool], probes: Iterable[str]) -> tuple[Edge, ...]:
    """All of a house. `providers` tells of each whether its credential is in the vault."""
    found = list(EDGES)
    for name, in_vault in providers.items():
        found.append(Edge("model_provider", PROVIDER + name, EdgeKind.ANY))
        if in_vault:
            found.append(Edge(PROVIDER + name, "vault", _A))
    found += [Edge("observability", PROBE + name, _O) for name in probes]
    return tuple(found)


def health_graph(own: Iterable[Own], all_edges: Iterable[Edge]) -> HealthGraph:
    """Every node with what reaches it. Edges to nodes that are not there count for nothing."""
    nodes = {one.id: one for one in own}
    known = tuple(edge for edge in all_edges if edge.from_ in nodes and edge.to in nodes)
    needs: dict[str, list[Edge]] = {node: [] for node in nodes}
    needed_by: dict[str, list[str]] = {node: [] for node in nodes}
    for edge in known:
        needs[edge.from_].append(edge)
        needed_by[edge.to].append(edge.from_)
    effective: dict[str, State] = {}
    for node in in_order(needs):
        effective[node] = _effective(nodes[node].state, needs[node], effective)
    return HealthGraph(
        tuple(
            Node(
                one.id,
                one.state,
                effective[one.id],
                one.summary,
                _impact(one.id, needed_by, effective) if effective[one.id].unwell else (),
                one.next_step,
            )
            for one in nodes.values()
        ),
        known,
    )


def in_order(needs: Mapping[str, Iterable[Edge]]) -> list[str]:
    """Nodes after all that they depend on. Raises ValueError for a circle."""
    done: dict[str, None] = {}
    under_way: set[str] = set()

    def visit(node: str) -> None:
        if node in done:
            return
        if node in under_way:
            raise ValueError(f"{node} depends on itself")
        under_way.add(node)
        for edge in needs.get(node, ()):
            visit(edge.to)
        under_way.discard(node)
        done[node] = None

    for node in needs:
        visit(node)
    return list(done)


def root_causes(graph: HealthGraph) -> tuple[str, ...]:
    """Where faults begin: nodes that are not well by themselves while nothing they depend on is unwell; worst first."""
    effective = {one.id: one.effective for one in graph.nodes}
    excused = {edge.from_ for edge in graph.edges if effective[edge.to].unwell}
    found = [one for one in graph.nodes if one.own.unwell and one.id not in excused]
    return tuple(one.id for one in sorted(found, key=lambda one: -one.own.rank))


def _effective(own: State, needs: Iterable[Edge], effective: Mapping[str, State]) -> State:
    if own is State.DISABLED:
        return own
    found, either = [own], []
    for edge in needs:
        state = effective[edge.to]
        if state is State.DISABLED:
            continue
        if edge.kind is EdgeKind.ALL:
            found.append(state)
        elif edge.kind is EdgeKind.ANY:
            either.append(state)
        elif state.unwell:
            found.append(State.DEGRADED)
    if either:
        found.append(min(either, key=lambda state: state.rank))
    return max(found, key=lambda state: state.rank)


def _impact(node: str, needed_by: Mapping[str, list[str]], effective: Mapping[str, State]) -> tuple[str, ...]:
    reached: dict[str, None] = {}
    near = [node]
    while near:
        far: list[str] = []
        for one in near:
            for dependent in needed_by[one]:
                if dependent not in reached and effective[dependent].unwell:
                    reached[dependent] = None
                    far.append(dependent)
        near = far
    return tuple(reached)
