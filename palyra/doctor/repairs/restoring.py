"""Putting a file that cannot be read back from the newest of its backups that is good, or beginning it anew."""

from collections.abc import Callable, Mapping

from palyra.core.redact import redact
from palyra.core.values import value
from palyra.doctor.change import PlannedChange, Root, facts_read
from palyra.doctor.installation import Input
from palyra.doctor.plan import Source
from palyra.doctor.repairs.files import quarantined, written


@value
class Chosen:
    """The newest good backup, and why each newer one is none."""

    backup: Input | None
    rejected: tuple[str, ...]
    inputs: tuple[Source, ...]


def newest_good(backups: Mapping[int, Input], fault: Callable[[bytes], str]) -> Chosen:
    """`fault` tells what is wrong with a content, empty where nothing is."""
    rejected: list[str] = []
    inputs: list[Source] = []
    for _, backup in sorted(backups.items()):
        if not backup.exists:
            continue
        inputs.append(Source(backup.path.name, facts_read(backup)))
        if backup.data is None or not backup.is_file:
            rejected.append(f"{backup.path.name}: {backup.problem or 'it is no file that can be read'}")
            continue
        wrong = fault(backup.data)
        if not wrong:
            return Chosen(backup, tuple(rejected), tuple(inputs))
        rejected.append(redact(f"{backup.path.name}: {wrong}"))
    return Chosen(None, tuple(rejected), tuple(inputs))


def replaced(
    repair_id: str, root: Root, found: Input, content: bytes, owner: int, *, holds_secret: bool = False
) -> tuple[PlannedChange, ...]:
    """The broken file kept beside it with its mode, and the new content in its place."""
    return (
        quarantined(repair_id, root, found, holds_secret=holds_secret),
        written(repair_id, root, found, content, owner, holds_secret=holds_secret),
    )
