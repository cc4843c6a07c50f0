"""The status line: the engine's state, spend and tightest budget, what waits for people, providers, the clock."""

from palyra.control.serving import ProviderView
from palyra.control.snapshots import BudgetView, Snapshot
from palyra.core.safe_text import cells, fit, safe
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.bridge import Link
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.details.words import level_tone, provider_mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, Part, cut, muted, part, spread, strong, width_of

LAG_SHOWN_MS = 50.0
_SHAPES = ((10, 14), (6, 14), (3, 14), (0, 14), (0, 10), (0, 8))
"""Cells of the tightest budget's gauge and name, from roomy to tight: the share in words says what the gauge does, but
nothing else says whose it is."""
MOST_PROVIDERS = 6

_PHASES = {
    "starting": (glyphs.IDLE, Tone.WARN),
    "ready": (glyphs.OK, Tone.GOOD),
    "draining": (glyphs.ATTENTION, Tone.WARN),
    "recovery": (glyphs.ATTENTION, Tone.WARN),
}


@value
class Marks:
    """What the console itself knows, beside the engine's snapshot. `zone`: the clock's, empty for the engine's."""

    link: Link
    read_only: bool
    attached: bool
    zone: str = ""


@value
class _Field:
    """One field of the line. Fields of a higher rank leave first where there is no room."""

    parts: Line
    rank: int
    right: bool = False


def status_line(snapshot: Snapshot | None, marks: Marks, now: int, width: int) -> Line:
    """The line in exactly the room there is: what matters least leaves first."""
    if snapshot is not None and snapshot.engine.trouble and marks.link in (Link.LIVE, Link.PAUSED):
        return _recovery(snapshot, marks, now, width)
    fields = _fields(snapshot, marks, now, *_SHAPES[0])
    if snapshot is not None and snapshot.providers:
        named = [*fields, _Field(_provider_names(snapshot.providers), 0)]
        if _fits(named, width):
            fields = named
        else:
            shapes = [_fields(snapshot, marks, now, *shape) for shape in _SHAPES]
            fields = next((shape for shape in shapes if _fits(shape, width)), shapes[-1])
            fields.append(_Field(_provider_glyphs(snapshot.providers), 8))
    while not _fits(fields, width) and any(field.rank for field in fields):
        fields.remove(max(fields, key=lambda field: field.rank))
    left, right = _sides(fields)
    gap = max(1, width - width_of(left) - width_of(right))
    return cut((*left, part(" " * gap), *right), width)


def _recovery(snapshot: Snapshot, marks: Marks, now: int, width: int) -> Line:
    """No engine runs, so nothing is governed and nobody is served: why is what there is to say."""
    engine = snapshot.engine
    glyph, tone = _PHASES.get(engine.phase, (glyphs.ATTENTION, Tone.WARN))
    shown = [mark for mark, holds in (("DEMO", engine.demo), ("read-only", marks.read_only)) if holds]
    right = [part(f"{mark}  ", Tone.ACCENT, bold=True) for mark in shown]
    right += [muted(f"A {show.NONE}  I {show.NONE}"), muted(f"  {show.clock(now, marks.zone or engine.timezone)}")]
    told = {"recovery": f"no gateway: {engine.trouble}", "starting": "no gateway yet"}.get(engine.phase, engine.trouble)
    why = part(f" {glyphs.SEPARATOR} {told}")
    return spread((part(f"{glyph} {engine.phase}", tone, bold=True), why), tuple(right), width)


def _sides(fields: list[_Field]) -> tuple[Line, Line]:
    left = [field for field in fields if not field.right]
    return _joined(left, "   "), _joined([field for field in fields if field.right], "  ")


def _fits(fields: list[_Field], width: int) -> bool:
    left, right = _sides(fields)
    return width_of(left) + width_of(right) + 1 <= width


def _fields(snapshot: Snapshot | None, marks: Marks, now: int, gauge_cells: int, name_cells: int) -> list[_Field]:
    if snapshot is None:
        return [_Field(_state(snapshot, marks), 0), _Field((muted(f"A {show.NONE}  I {show.NONE}"),), 1, right=True)]
    engine = snapshot.engine
    fields = [
        _Field(_state(snapshot, marks), 0),
        _Field((muted("today "), strong(show.steady_money(snapshot.spend_today_nano_usd))), 3),
    ]
    if snapshot.tightest is not None:
        fields.append(_Field(_tightest(snapshot.tightest, gauge_cells, name_cells), 5))
    if engine.lag_ms > LAG_SHOWN_MS:
        fields.append(_Field((part(f"{glyphs.ATTENTION} lag {engine.lag_ms:.0f} ms", Tone.WARN),), 4))
    for mark, shown, rank in (
        ("DEMO", engine.demo, 1),
        ("read-only", marks.read_only, 1),
        ("attached", marks.attached, 2),
    ):
        if shown:
            fields.append(_Field((part(mark, Tone.ACCENT, bold=True),), rank, right=True))
    fields.append(_Field(_waiting("A", snapshot.approvals_pending, Tone.WARN), 0, right=True))
    fields.append(_Field(_waiting("I", snapshot.incidents_open, Tone.BAD), 0, right=True))
    fields.append(_Field((muted(show.clock(now, marks.zone or engine.timezone)),), 1, right=True))
    return fields


def _state(snapshot: Snapshot | None, marks: Marks) -> Line:
    if marks.link is Link.GONE:
        return (part(f"{glyphs.BAD} engine gone", Tone.BAD, bold=True),)
    if marks.link is Link.TROUBLED:
        return (part(f"{glyphs.ATTENTION} no answer", Tone.WARN, bold=True),)
    if snapshot is None:
        return (muted(f"{glyphs.IDLE} starting"),)
    if marks.link is Link.PAUSED:
        return (
            part(f"{glyphs.IDLE} paused", Tone.WARN, bold=True),
            muted(f" {glyphs.SEPARATOR} {snapshot.engine.mode}"),
        )
    engine = snapshot.engine
    glyph, tone = _PHASES.get(engine.phase, (glyphs.ATTENTION, Tone.WARN))
    word = engine.phase
    if not engine.journal_ok:
        glyph, tone, word = glyphs.BAD, Tone.BAD, "journal stuck"
    return (part(f"{glyph} {word}", tone, bold=True), muted(f" {glyphs.SEPARATOR} {engine.mode}"))


def _tightest(budget: BudgetView, gauge_cells: int, name_cells: int) -> Line:
    ratio = budget.used_ratio
    tone = level_tone(ratio, budget)
    name = safe(budget.name or budget.policy_id)
    shown = fit(name, name_cells) if cells(name) > name_cells else name
    share = show.percent(ratio)
    if not gauge_cells:
        return (part(f"{shown} "), part(share, tone))
    return (part(f"{shown} "), *gauge_parts(ratio, gauge_cells, tone), part(f" {share}", tone))


def _provider_names(providers: tuple[ProviderView, ...]) -> Line:
    parts: list[Part] = []
    for provider in _foremost(providers):
        glyph, word, tone = provider_mark(provider)
        told = "" if provider.health == "ok" else f" {word}"
        parts += [part(f"{'  ' if parts else ''}{glyph} ", tone), muted(f"{safe(provider.provider_id)}{told}")]
    return (*parts, *_others(providers))


def _provider_glyphs(providers: tuple[ProviderView, ...]) -> Line:
    shown = [provider_mark(provider) for provider in _foremost(providers)]
    return (*(part(glyph, tone) for glyph, _, tone in shown), *_others(providers))


def _foremost(providers: tuple[ProviderView, ...]) -> tuple[ProviderView, ...]:
    """Those there is room for; of more than that the ones that are unwell come first."""
    if len(providers) > MOST_PROVIDERS:
        providers = tuple(sorted(providers, key=lambda one: not one.unwell))
    return providers[:MOST_PROVIDERS]


def _others(providers: tuple[ProviderView, ...]) -> Line:
    more = len(providers) - MOST_PROVIDERS
    return (muted(f" +{more}"),) if more > 0 else ()


def _waiting(letter: str, number: int, tone: Tone) -> Line:
    return (part(f"{letter} {number}", tone if number else Tone.MUTED, bold=number > 0),)


def _joined(fields: list[_Field], gap: str) -> Line:
    parts: list[Part] = []
    for field in fields:
        if parts:
            parts.append(part(gap))
        parts += field.parts
    return tuple(parts)
