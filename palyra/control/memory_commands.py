"""What a console may do about notes."""

from typing import Literal

from palyra.core.values import value


@value
class AddNote:
    """Keeps a text. An empty `owner` is the principal of the first key. `ttl_ms` None: as long as notes are kept, 0:
    for good. `scope`: session, job, agent, global, the first three with the name of one in `scope_value`."""

    text: str
    scope: str
    scope_value: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    ttl_ms: int | None = None
    kind: Literal["add_note"] = "add_note"


@value
class ForgetNotes:
    """Deletes notes, all or none."""

    note_ids: tuple[str, ...]
    kind: Literal["forget_notes"] = "forget_notes"


@value
class ForgetScope:
    """Deletes every note of a scope; with `scope_value`, of that one."""

    scope: str
    scope_value: str | None = None
    kind: Literal["forget_scope"] = "forget_scope"


MemoryCommand = AddNote | ForgetNotes | ForgetScope
