"""The footer: what can be pressed now, most useful first, made from the screen's actions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palyra.tui.commands.action import Action, key_words
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, Part, cut, muted, part, width_of

if TYPE_CHECKING:
    from palyra.tui.screens.base import PalyraScreen

GAP = "  "


def footer_line(screen: "PalyraScreen", width: int) -> Line:
    """Keys that act on what is selected; what may not be done now is dimmed, with the reason said once."""
    entries: list[tuple[Line, bool]] = []
    reason = ""
    for action in screen.actions:
        if not action.footer:
            continue
        offer = action.check(screen)
        if not offer.shown:
            continue
        reason = reason or offer.reason
        entries.append((_entry(action, screen.key_of(action), dim=bool(offer.reason)), action.always))
    if reason:
        at = next((number for number, entry in enumerate(entries) if entry[1]), len(entries))
        entries.insert(at, ((muted(f"({reason})"),), False))
    while entries and _width(entries) > width:
        droppable = [number for number, (_, always) in enumerate(entries) if not always]
        if not droppable:
            break
        entries.pop(droppable[-1])
    return cut(_joined(entries), width)


def _entry(action: Action[Any], keys: str, *, dim: bool) -> Line:
    tone = Tone.MUTED if dim else Tone.ACCENT
    return (
        part(key_words(keys), tone, bold=not dim, action=action.id),
        Part(part(f" {action.footer}").text, Tone.MUTED if dim else Tone.PLAIN, action=action.id),
    )


def _width(entries: Sequence[tuple[Line, bool]]) -> int:
    return width_of(_joined(entries))


def _joined(entries: Sequence[tuple[Line, bool]]) -> Line:
    parts: list[Part] = [part(" ")]
    for number, (entry, _) in enumerate(entries):
        if number:
            parts.append(part(GAP))
        parts.extend(entry)
    return tuple(parts)
