"""The footer: what can be pressed now, most useful first, made from the screen's actions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palyra.tui.commands.action import Action, Stay, key_words
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, Part, cut, muted, part, width_of

if TYPE_CHECKING:
    from palyra.tui.screens.base import PalyraScreen

GAP = "  "


def footer_line(screen: "PalyraScreen", width: int) -> Line:
    """Keys that act on what is selected; what may not be done now is dimmed. They stay longest where it is narrow."""
    entries: list[tuple[Line, Stay]] = []
    for action in screen.actions:
        if not action.footer:
            continue
        offer = action.check(screen)
        if not offer.shown:
            continue
        words = action.footer_of(screen)
        entries.append((_entry(action, words, screen.key_of(action), dim=bool(offer.reason)), action.stay))
    while _width(entries) > width:
        leaves = min((stay for _, stay in entries), default=Stay.ALWAYS)
        if leaves is Stay.ALWAYS:
            break
        entries.pop(max(number for number, (_, stay) in enumerate(entries) if stay is leaves))
    return cut(_joined(entries), width)


def reason_line(screen: "PalyraScreen") -> Line:
    """Why keys of the footer are dimmed, where that is not plain to see; nothing when none is."""
    offers = [(action, action.check(screen)) for action in screen.actions if action.footer]
    dimmed = [(action, offer.reason) for action, offer in offers if offer.shown and offer.reason and offer.told]
    if not dimmed:
        return ()
    keys = " ".join(key_words(screen.key_of(action)) for action, reason in dimmed if reason == dimmed[0][1])
    return (muted(f" {keys}: {dimmed[0][1]}"),)


def _entry(action: Action[Any], words: str, keys: str, *, dim: bool) -> Line:
    tone = Tone.MUTED if dim else Tone.ACCENT
    return (
        part(key_words(keys), tone, bold=not dim, action=action.id),
        Part(part(f" {words}").text, Tone.MUTED if dim else Tone.PLAIN, action=action.id),
    )


def _width(entries: Sequence[tuple[Line, Stay]]) -> int:
    return width_of(_joined(entries))


def _joined(entries: Sequence[tuple[Line, Stay]]) -> Line:
    parts: list[Part] = [part(" ")]
    for number, (entry, _) in enumerate(entries):
        if number:
            parts.append(part(GAP))
        parts.extend(entry)
    return tuple(parts)
