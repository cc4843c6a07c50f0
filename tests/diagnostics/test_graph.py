"""How a fault reaches what depends on it, and where faults begin."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.diagnostics.graph import EDGES, Edge, EdgeKind, HealthGraph, Own, edges, health_graph, in_order, root_causes
from palyra.diagnostics.reasons import State
from palyra.diagnostics.section import NAMES, CollectorState
from palyra.diagnostics.snapshot import only
from tests.diagnostics.samples import DISK, GOOD, LOOKED, LOOP, MIB, PROBE, PROVIDER, SERVING, VAULT, section, snapshot

OK, DEGRADED, FAILED, DISABLED, UNKNOWN = State.OK, State.DEGRADED, State.FAILED, State.DISABLED, State.UNKNOWN
ALL, ANY, OPT = EdgeKind.ALL, EdgeKind.ANY, EdgeKind.OPTIONAL


def graph(states: dict[str, State], *between: tuple[str, str, EdgeKind]) -> HealthGraph:
    return health_graph([Own(name, state) for name, state in states.items()], [Edge(*one) for one in between])


def effective(found: HealthGraph, name: str) -> State:
    node = found.node(name)
    assert node is not None
    return node.effective


@pytest.mark.parametrize(
    ("own", "kind", "below", "expected"),
    [
        (OK, ALL, FAILED, FAILED),
        (OK, ALL, DEGRADED, DEGRADED),
        (OK, ALL, UNKNOWN, UNKNOWN),
        (OK, ALL, DISABLED, OK),
        (OK, OPT, FAILED, DEGRADED),
        (OK, OPT, DEGRADED, DEGRADED),
        (OK, OPT, UNKNOWN, OK),
        (OK, ANY, FAILED, FAILED),
        (DEGRADED, ALL, OK, DEGRADED),
        (FAILED, OPT, DEGRADED, FAILED),
        (UNKNOWN, ALL, DEGRADED, DEGRADED),
        (DISABLED, ALL, FAILED, DISABLED),
    ],
)
def test_a_node_is_as_bad_as_what_it_needs(own: State, kind: EdgeKind, below: State, expected: State) -> None:
    assert effective(graph({"a": own, "b": below}, ("a", "b", kind)), "a") is expected


def test_of_a_group_the_best_counts() -> None:
    between = [("m", one, ANY) for one in ("x", "y", "z")]
    assert effective(graph({"m": OK, "x": FAILED, "y": DEGRADED, "z": OK}, *between), "m") is OK
    assert effective(graph({"m": OK, "x": FAILED, "y": DEGRADED, "z": FAILED}, *between), "m") is DEGRADED
    assert effective(graph({"m": OK, "x": FAILED, "y": DISABLED, "z": DISABLED}, *between), "m") is FAILED


def test_faults_begin_where_nothing_below_is_unwell() -> None:
    found = graph({"a": DEGRADED, "b": FAILED, "c": OK, "d": DEGRADED}, ("a", "b", ALL), ("b", "c", ALL))
    assert root_causes(found) == ("b", "d")
    assert found.node("b") is not None
    assert [(one.id, one.impact) for one in found.nodes] == [("a", ()), ("b", ("a",)), ("c", ()), ("d", ())]


def test_there_is_no_circle() -> None:
    needs: dict[str, list[Edge]] = {}
    for edge in edges({"p": True, "q": False}, ["one"]):
        needs.setdefault(edge.from_, []).append(edge)
    order = in_order(needs)
    assert all(order.index(edge.to) < order.index(edge.from_) for each in needs.values() for edge in each)
    with pytest.raises(ValueError, match="depends on itself"):
        in_order({"a": [Edge("a", "b", ALL)], "b": [Edge("b", "a", OPT)]})


def test_every_edge_is_between_sections() -> None:
    assert {end for edge in EDGES for end in (edge.from_, edge.to)} <= set(NAMES)


_STATES = st.sampled_from(list(State))


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, _STATES)))
def test_nothing_is_better_than_it_is_by_itself_and_every_fault_has_a_beginning(states: dict[str, State]) -> None:
    found = health_graph([Own(name, state) for name, state in states.items()], EDGES)
    for node in found.nodes:
        assert node.effective.rank >= node.own.rank
        assert node.effective.unwell or not node.impact
    assert bool(root_causes(found)) == any(state.unwell for state in states.values())


# Whole snapshots


def test_a_house_in_which_all_is_well_is_ok() -> None:
    told = snapshot()
    assert (told.overall.state, told.overall.reasons, told.overall.root_causes) == (OK, (), ())


def test_a_full_disk_fails_journal_governance_and_gateway() -> None:
    full = replace(DISK.filesystems[0], free_bytes=63 * MIB)
    told = snapshot(disk=replace(DISK, filesystems=(full, *DISK.filesystems[1:])))
    assert told.health_graph is not None
    assert (told.overall.state, told.overall.root_causes) == (FAILED, ("disk",))
    node = told.health_graph.node("disk")
    assert node is not None
    assert {"journal", "governance", "gateway"} <= set(node.impact)
    assert node.impact[0] == "journal"
    assert "full" in node.summary
    assert node.next_step
    assert {name: effective(told.health_graph, name) for name in ("journal", "governance", "gateway")} == {
        "journal": FAILED,
        "governance": FAILED,
        "gateway": FAILED,
    }


def test_one_provider_of_two_without_credential_leaves_the_gateway_serving() -> None:
    bare = replace(PROVIDER, id="bare", health="missing_auth")
    told = snapshot(model_provider=replace(SERVING, providers=(PROVIDER, bare)))
    assert told.health_graph is not None
    assert (told.overall.state, told.overall.root_causes) == (DEGRADED, ("provider:bare",))
    assert effective(told.health_graph, "gateway") is DEGRADED
    assert effective(told.health_graph, "provider:openai") is OK


def test_a_locked_vault_reaches_the_providers_whose_credentials_it_has() -> None:
    kept = replace(PROVIDER, id="kept", credential_source="vault")
    told = snapshot(vault=replace(VAULT, state="locked"), model_provider=replace(SERVING, providers=(PROVIDER, kept)))
    assert told.health_graph is not None
    assert effective(told.health_graph, "provider:kept") is FAILED
    assert effective(told.health_graph, "provider:openai") is OK
    assert told.overall.root_causes == ("vault",)


@pytest.mark.parametrize(("critical", "own"), [(True, FAILED), (False, DEGRADED)])
def test_a_probe_that_is_down_begins_a_fault(critical: bool, own: State) -> None:
    down = replace(PROBE, state="down", critical=critical, last_error="refused")
    told = snapshot(observability=replace(LOOKED, probes=(down,)))
    assert told.health_graph is not None
    node = told.health_graph.node("probe:browser")
    assert node is not None
    assert (node.own, node.impact, node.summary) == (own, ("observability",), "down: refused")
    assert (told.overall.state, told.overall.root_causes) == (DEGRADED, ("probe:browser",))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"event_loop": replace(LOOP, stalled_60s=True)}, DEGRADED),
        ({"memory": section("memory", GOOD["memory"], collector=CollectorState.TIMEOUT, state=UNKNOWN)}, DEGRADED),
        ({"journal": replace(section("journal", GOOD["journal"]), data=None, state=UNKNOWN)}, UNKNOWN),
        ({"tasks": section("tasks", GOOD["tasks"], state=FAILED)}, DEGRADED),
        ({"governance": section("governance", GOOD["governance"], state=FAILED)}, FAILED),
        ({"gateway": section("gateway", GOOD["gateway"], state=DISABLED)}, OK),
    ],
)
def test_the_whole_is_what_the_first_fitting_rule_says(other: dict[str, Any], expected: State) -> None:
    assert snapshot(**other).overall.state is expected


def test_part_of_a_snapshot_keeps_the_overall_state_of_all() -> None:
    whole = snapshot(tasks=section("tasks", GOOD["tasks"], state=FAILED))
    part = only(whole, ["disk", "vault"])
    assert (list(part.sections.each()), part.overall, part.health_graph) == (["disk", "vault"], whole.overall, None)
