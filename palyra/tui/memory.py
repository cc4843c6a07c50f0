"""What a console remembers from one time to the next: the screen, the theme, and each list's filter and order."""

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from palyra.core.errors import StateError
from palyra.core.private_files import write_private
from palyra.core.regular_files import read_regular

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024


@dataclass(slots=True)
class Memory:
    """`filters` and `orders` are by the name of a screen."""

    screen: str = ""
    theme: str = ""
    filters: dict[str, str] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)


def load_memory(path: Path) -> Memory:
    """What was kept, or nothing where there is no file or it cannot be understood; that is no reason not to start."""
    try:
        told = read_regular(path, MOST_BYTES + 1)
        if len(told) > MOST_BYTES:
            return Memory()
        kept = json.loads(told)
    except (OSError, ValueError, RecursionError):
        return Memory()
    if not isinstance(kept, dict):
        return Memory()
    return Memory(
        screen=_text(kept.get("screen")),
        theme=_text(kept.get("theme")),
        filters=_texts(kept.get("filters")),
        orders=_texts(kept.get("orders")),
    )


def save_memory(path: Path, memory: Memory) -> None:
    """Replaces the file in one step. A failure is logged and costs nothing but the memory."""
    try:
        write_private(path, json.dumps(asdict(memory), indent=1).encode())
    except StateError:
        log.warning("the console's memory could not be kept in %s", path, exc_info=True)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    return {name: text for name, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}
