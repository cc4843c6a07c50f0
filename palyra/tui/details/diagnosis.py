"""The parts of the house: how each is, in a line and in full, and what its fault does to others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from palyra.control.diagnostics_queries import CollectorState, Diagnosis, Node, Reason, Section, Sections, State
from palyra.control.plain import plain
from palyra.core.plural import plural
from palyra.core.safe_text import cells, safe
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.layout import heading
from palyra.tui.details.words import Mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, wrap

PROVIDER, PROBE = "provider:", "probe:"
_MARKS = {
    State.OK: (glyphs.OK, Tone.GOOD),
    State.UNKNOWN: (glyphs.IDLE, Tone.WARN),
    State.DEGRADED: (glyphs.ATTENTION, Tone.WARN),
    State.FAILED: (glyphs.BAD, Tone.BAD),
    State.DISABLED: (glyphs.IDLE, Tone.MUTED),
}
_LONGEST_LIST = 20
_SIZES = frozenset({"disk low", "disk stop"})
_INSTANTS_FROM = 1_000_000_000_000
"""Whole numbers named `…_at` from here on are instants in unix ms."""


@value
class PartView:
    """A node of the health graph as it is listed: `depth` below the node where the fault begins that it suffers from;
    `figures` is what there is to say of it in a few words."""

    node: Node
    depth: int
    figures: str

    @property
    def name(self) -> str:
        """The part's id."""
        return self.node.id


def state_mark(state: State) -> Mark:
    """Glyph, word and tone of a part's state."""
    glyph, tone = _MARKS[state]
    return glyph, state.value, tone


def parts_of(told: Diagnosis) -> list[PartView]:
    """Every part: faults where they begin, each with what suffers from it below it, then what could not be looked at,
    what is well, and what is not used."""
    graph = told.health_graph
    if graph is None:
        return []
    nodes = {node.id: node for node in graph.nodes}
    suffer: dict[str, list[str]] = {}
    for edge in graph.edges:
        if nodes[edge.from_].effective.unwell:
            suffer.setdefault(edge.to, []).append(edge.from_)
    listed: dict[str, int] = {}

    def list_with_what_suffers(name: str, depth: int) -> None:
        if name in listed:
            return
        listed[name] = depth
        for dependent in suffer.get(name, ()):
            list_with_what_suffers(dependent, depth + 1)

    for cause in told.overall.root_causes:
        list_with_what_suffers(cause, 0)
    rest = sorted((node for node in graph.nodes if node.id not in listed), key=lambda node: -node.effective.rank)
    listed |= {node.id: 0 for node in rest}
    return [PartView(nodes[name], depth, figures(told, name)) for name, depth in listed.items()]


def part_words(one: PartView) -> tuple[str, Tone]:
    """What is said of a part in its row: what is wrong with it, else how much there is of it."""
    node = one.node
    if node.own.unwell or node.own is State.UNKNOWN:
        return node.summary, Tone.PLAIN
    if node.effective.unwell:
        return one.figures, Tone.MUTED
    return one.figures or (node.summary if node.own is State.DISABLED else ""), Tone.MUTED


def part_preview(one: PartView, told: Diagnosis, zone: str, now: int, width: int) -> list[Line]:
    """The essence of the selected part: why, what suffers, what to do next."""
    node, section = one.node, section_of(told, one.name)
    lines = [*_why(node, _reasons(section), _causes(told, node), width)]
    if node.impact:
        lines += _labelled("hits", ", ".join(node.impact), width)
    if section is not None and section.stale:
        lines += _labelled("stale", _age(section, zone, now), width)
    return lines


def part_lines(one: PartView, told: Diagnosis, zone: str, now: int, width: int) -> list[Line]:
    """Everything known of a part."""
    node, section = one.node, section_of(told, one.name)
    glyph, word, tone = state_mark(node.effective)
    own = "" if node.own is node.effective else f"  by itself {node.own.value}"
    lines: list[Line] = [
        line(" ", part(f"{glyph} ", tone), strong(node.id)),
        line(" ", part(word, tone), muted(own)),
        BLANK,
        *_why(node, _reasons(section), _causes(told, node), width),
    ]
    if node.impact:
        lines += _labelled("hits", ", ".join(node.impact), width)
    needs = [] if told.health_graph is None else [edge for edge in told.health_graph.edges if edge.from_ == node.id]
    if needs:
        words = (edge.to if edge.kind == "all" else f"{edge.to} ({edge.kind})" for edge in needs)
        lines += _labelled("needs", ", ".join(words), width)
    if section is not None:
        lines += _labelled("seen", _age(section, zone, now), width)
        if section.error:
            lines += _labelled("but", section.error, width, Tone.WARN)
    data = data_of(told, one.name)
    if data is not None:
        lines += [BLANK, heading("evidence"), *_evidence(plain(data), zone, now, width)]
    return lines


def data_of(told: Diagnosis, name: str) -> Any:
    """What was seen of a node: its section's data, or a provider's or probe's own."""
    if name.startswith(PROVIDER):
        serving = told.sections.model_provider
        providers = serving.data.providers if serving is not None and serving.data is not None else ()
        return next((one for one in providers if PROVIDER + one.id == name), None)
    if name.startswith(PROBE):
        looked = told.sections.observability
        probes = looked.data.probes if looked is not None and looked.data is not None else ()
        return next((one for one in probes if PROBE + one.id == name), None)
    section = section_of(told, name)
    return None if section is None else section.data


def section_of(told: Diagnosis, name: str) -> Section[Any] | None:
    """What was collected about a part."""
    return told.sections.each().get(name)


def figures(told: Diagnosis, name: str) -> str:
    """How much there is of a part, in a few words."""
    data = data_of(told, name)
    if data is None:
        return ""
    if name.startswith(PROVIDER):
        took = "" if data.first_byte_p50_ms is None else f"answers in {show.latency(data.first_byte_p50_ms)}"
        return _joined(data.health, plural(data.requests_total, "request"), took)
    if name.startswith(PROBE):
        uptime = "" if data.uptime_24h is None else f"{show.percent(data.uptime_24h)} of a day"
        return _joined(data.state, "" if data.latency_ms is None else show.latency(data.latency_ms), uptime)
    return _joined(*_FIGURES[name](told.sections))


def _joined(*words: str) -> str:
    return f" {glyphs.SEPARATOR} ".join(word for word in words if word)


def _of_serving(told: Sections) -> Iterator[str]:
    if told.model_provider is not None and (data := told.model_provider.data) is not None:
        yield plural(len(data.providers), "provider")
        yield plural(data.models_enabled, "model")


def _of_profiles(told: Sections) -> Iterator[str]:
    if told.auth_profiles is not None and (data := told.auth_profiles.data) is not None and data.total:
        yield plural(data.total, "profile")


def _of_memory(told: Sections) -> Iterator[str]:
    if told.memory is not None and (data := told.memory.data) is not None:
        yield plural(data.notes, "note")
        yield show.size(data.bytes)


def _of_observability(told: Sections) -> Iterator[str]:
    if told.observability is not None and (data := told.observability.data) is not None:
        yield plural(len(data.probes), "probe")
        failed = sum(counts.last_15m for counts in data.failure_classes.values())
        yield f"{plural(failed, 'failure')} in 15 min"


def _of_healing(told: Sections) -> Iterator[str]:
    if told.self_healing is not None and (data := told.self_healing.data) is not None:
        yield data.mode.replace("_", " ")
        yield plural(sum(data.incidents.open.values()), "incident")


def _of_scheduler(told: Sections) -> Iterator[str]:
    if told.scheduler is not None and (data := told.scheduler.data) is not None and data.enabled:
        yield f"{plural(data.jobs.active, 'job')} active"
        yield f"{data.fires.running} running"


def _of_tasks(told: Sections) -> Iterator[str]:
    if told.tasks is not None and (data := told.tasks.data) is not None:
        yield f"{data.ready} ready"
        yield f"{data.workers_busy} of {plural(data.workers_total, 'worker')} busy"


def _of_journal(told: Sections) -> Iterator[str]:
    if told.journal is not None and (data := told.journal.data) is not None:
        yield show.size(data.bytes)
        p99 = data.writer.commit_p99_ms
        yield "" if p99 is None else f"commit p99 {p99:,} ms"


def _of_governance(told: Sections) -> Iterator[str]:
    if told.governance is not None and (data := told.governance.data) is not None:
        yield plural(data.policies_enabled, "budget")
        yield f"{plural(data.holds_open, 'hold')} {show.money(data.held_nano_usd)}" if data.holds_open else "no holds"


def _of_gateway(told: Sections) -> Iterator[str]:
    if told.gateway is not None and (data := told.gateway.data) is not None:
        yield data.address.partition("://")[2]
        yield f"{plural(data.requests_5m, 'request')} in 5 min"


def _of_loop(told: Sections) -> Iterator[str]:
    if told.event_loop is not None and (data := told.event_loop.data) is not None and data.lag_p99_ms is not None:
        yield f"late by {data.lag_p99_ms:g} ms at p99"


def _of_disk(told: Sections) -> Iterator[str]:
    if told.disk is not None and (data := told.disk.data) is not None and data.filesystems:
        yield f"{show.size(data.filesystems[0].free_bytes)} free"
        yield "" if data.days_until_full is None else f"full in {plural(round(data.days_until_full), 'day')}"


def _of_vault(told: Sections) -> Iterator[str]:
    if told.vault is not None and (data := told.vault.data) is not None and data.state != "absent":
        yield plural(data.entries, "entry", "entries")
        yield f"key from {data.key_source}"


def _of_config(told: Sections) -> Iterator[str]:
    if told.config is not None and (data := told.config.data) is not None:
        yield f"version {data.version}"
        yield plural(data.warnings, "warning") if data.warnings else ""


def _of_notifications(told: Sections) -> Iterator[str]:
    if told.notifications is not None and (data := told.notifications.data) is not None:
        yield plural(len(data.webhooks), "webhook")


def _of_recovery(told: Sections) -> Iterator[str]:
    if told.recovery is not None and (data := told.recovery.data) is not None and data.runs:
        yield plural(data.runs, "repair")


_FIGURES = {
    "model_provider": _of_serving,
    "auth_profiles": _of_profiles,
    "memory": _of_memory,
    "observability": _of_observability,
    "self_healing": _of_healing,
    "scheduler": _of_scheduler,
    "tasks": _of_tasks,
    "journal": _of_journal,
    "governance": _of_governance,
    "gateway": _of_gateway,
    "event_loop": _of_loop,
    "disk": _of_disk,
    "vault": _of_vault,
    "config": _of_config,
    "notifications": _of_notifications,
    "recovery": _of_recovery,
}


def _causes(told: Diagnosis, node: Node) -> list[str]:
    """What a node depends on that is not well."""
    if told.health_graph is None:
        return []
    unwell = {one.id for one in told.health_graph.nodes if one.effective.unwell}
    return [edge.to for edge in told.health_graph.edges if edge.from_ == node.id and edge.to in unwell]


def _reasons(section: Section[Any] | None) -> tuple[Reason, ...]:
    return () if section is None else section.reasons


def _why(node: Node, reasons: Iterable[Reason], causes: Sequence[str], width: int) -> list[Line]:
    told = [(reason, f" ({', '.join(reason.subjects)})" if reason.subjects else "") for reason in reasons]
    lines: list[Line] = []
    for reason, about in told:
        lines += _labelled("why", f"{reason.sentence}{about}", width)
        if reason.next_step:
            lines += _labelled("next", reason.next_step, width, Tone.ACCENT)
    if not node.own.unwell and node.effective.unwell:
        lines += _labelled("why", f"It suffers from {', '.join(causes)}.", width)
    if not told and node.own.unwell:
        lines += _labelled("why", node.summary, width)
        lines += _labelled("next", node.next_step, width, Tone.ACCENT)
    return lines


LABEL = 6


def _labelled(label: str, text: object, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    rows = wrap(text, max(16, width - LABEL - 2), tone=tone)
    return [line(" ", muted((label if not number else "").ljust(LABEL)), *row) for number, row in enumerate(rows)]


def _age(section: Section[Any], zone: str, now: int) -> str:
    if section.observed_at is None:
        return f"never: collector {section.collector.value.replace('_', ' ')}"
    how = "" if section.collector is CollectorState.OK else f", collector {section.collector.value.replace('_', ' ')}"
    stale = ", stale" if section.stale else ""
    return f"{show.moment(section.observed_at, zone, now)}, took {section.took_ms:,} ms{stale}{how}"


def _evidence(data: Any, zone: str, now: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for name, told in _flat("", data):
        if isinstance(told, list):
            if not told:
                continue
            lines.append(line(" ", muted(name)))
            for item in told[:_LONGEST_LIST]:
                words = _row(item, zone, now) if isinstance(item, Mapping) else str(item)
                lines += wrap(words, width - 3, indent="   ")
            if len(told) > _LONGEST_LIST:
                lines.append(line("   ", muted(f"and {len(told) - _LONGEST_LIST:,} more")))
        else:
            lines += _fact(name, _told(name, told, zone, now), width)
    return lines


def _fact(name: str, told: str, width: int) -> list[Line]:
    if cells(safe(f"{name}  {told}")) < width:
        return [line(" ", muted(name), "  ", part(told))]
    return [line(" ", muted(name)), *wrap(told, width - 3, indent="   ")]


def _flat(before: str, data: Any) -> Iterator[tuple[str, Any]]:
    for name, told in data.items():
        whole = f"{before} {name}".strip().replace("_", " ")
        if isinstance(told, Mapping):
            yield from _flat(whole, told)
        elif not name.endswith("_nano_usd"):
            yield whole, told


def _row(item: Mapping[str, Any], zone: str, now: int) -> str:
    told = [(name, _told(name, one, zone, now)) for name, one in _flat("", item) if one not in (None, "", [])]
    return f" {glyphs.SEPARATOR} ".join(
        text if name in ("id", "at", "message") else f"{name} {text}" for name, text in told
    )


def _told(name: str, told: Any, zone: str, now: int) -> str:
    if told is None:
        return show.NONE
    if isinstance(told, bool):
        return "yes" if told else "no"
    if isinstance(told, int) and told >= _INSTANTS_FROM and name.rsplit(" ", maxsplit=1)[-1] == "at":
        return show.moment(told, zone, now)
    if isinstance(told, int):
        return show.size(told) if name.endswith("bytes") or name in _SIZES else f"{told:,}"
    return str(told)
