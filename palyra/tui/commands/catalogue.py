"""Footer, help and palette come from the actions; here are the latter two."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palyra.tui.commands.action import Action, Confirm, key_words
from palyra.tui.commands.general import EVERYWHERE, GoTo
from palyra.tui.dialogs.palette import Entry
from palyra.tui.subjects import Subject, key_of, label_of
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, column, line, muted, part, wrap

if TYPE_CHECKING:
    from palyra.tui.screens.base import PalyraScreen

KEYS_CELLS = 8
TITLE_CELLS = 20
MOST_OBJECTS = 4_000
"""More than these take too long to search for each key."""


def help_lines(screen: "PalyraScreen", width: int) -> list[Line]:
    """All keys of a screen, what they do, and why those that are dimmed cannot be used now."""
    own = [action for action in screen.actions if action not in EVERYWHERE]
    here = [action for action in own if action.check(screen).shown]
    elsewhere = [action for action in own if action not in here]
    places = [action for action in EVERYWHERE if isinstance(action, GoTo)]
    rest = [action for action in EVERYWHERE if not isinstance(action, GoTo)]
    lines: list[Line] = []
    groups = (("here", here), ("not for what is selected now", elsewhere), ("screens", places), ("everywhere", rest))
    for title, actions in groups:
        if actions:
            lines += [line(muted(title)), *(row for action in actions for row in _rows(screen, action, width)), BLANK]
    return lines[:-1]


def _rows(screen: "PalyraScreen", action: Action[Any], width: int) -> list[Line]:
    offer = action.check(screen)
    tone = Tone.ACCENT if offer.ready else Tone.MUTED
    keys = " ".join(key_words(key) for key in screen.key_of(action).split(","))
    words = action.help + (" (asks first)" if action.confirm is Confirm.DIALOG else "")
    if offer.reason:
        words = f"{words}; not now: {offer.reason}"
    head = (column(keys, KEYS_CELLS, tone, bold=offer.ready), part(" "), column(action.title, TITLE_CELLS), part(" "))
    room = max(16, width - KEYS_CELLS - TITLE_CELLS - 2)
    first, *more = wrap(words, room, tone=Tone.MUTED)
    indent = part(" " * (KEYS_CELLS + TITLE_CELLS + 2))
    return [(*head, *first), *((indent, *rest) for rest in more)]


def palette_entries(
    screen: "PalyraScreen", screens: Sequence["type[PalyraScreen]"], objects: Sequence[tuple[str, Subject]]
) -> list[Entry]:
    """Every action that the screen offers, then those of other screens, those that are not for what is selected here,
    and every object by name with the screen that shows it."""
    entries: list[Entry] = []
    later: list[Entry] = []
    for action in screen.actions:
        offer = action.check(screen)
        if not action.listed:
            continue
        note, keys = offer.reason or action.help, key_words(screen.key_of(action))
        if not offer.shown:
            note = f"{'not for what is selected' if action.on_selection else 'not now'}: {action.help}"
        entry = Entry(f"action:{screen.NAME}:{action.id}", action.title, note, keys, offer.ready)
        (entries if offer.shown else later).append(entry)
    known = {(action.id, action.title) for action in screen.actions}
    for other in screens:
        for action in other.ACTIONS:
            if action.listed and (action.id, action.title) not in known:
                known.add((action.id, action.title))
                note, keys = f"on {other.LABEL}: {action.help}", key_words(screen.key_of(action))
                entries.append(Entry(f"action:{other.NAME}:{action.id}", action.title, note, keys, ready=True))
    entries += later
    for name, subject in objects[:MOST_OBJECTS]:
        title, note = label_of(subject)
        entries.append(Entry(f"object:{name}:{key_of(subject)}", title, note, "", ready=True))
    return entries
