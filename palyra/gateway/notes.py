"""Work elsewhere keeps a note with a gateway key: it belongs to the key's principal."""

from typing import Any

from palyra.control.memory_commands import AddNote
from palyra.control.protocol import Control
from palyra.gateway.console_answers import Told, refusal_for
from palyra.gateway.console_bodies import Members
from palyra.governance.explain import instant_text
from palyra.memory.note import MAX_TEXT, SCOPES

FIELDS = ("text", "scope", "scope_value", "tags", "ttl_seconds")
LONGEST_S = 36_500 * 86_400
FOR_GOOD = 0


async def keep_note(control: Control, body: bytes, principal: str) -> Told:
    """201 with the new note's id, 200 where the principal has this text there already. Raises RefusedError."""
    result = await control.send(read_note(body, principal))
    if not result.ok:
        raise refusal_for(result, None)
    data, ends = result.data, result.data["expires_at"]
    fresh = data["fresh"] == "true"
    scope, _, name = data["scope"].partition(":")
    told: dict[str, Any] = {
        "note_id": data["note_id"],
        "created": fresh,
        "scope": scope,
        "scope_value": name,
        "owner": data["owner"],
        "expires_at": instant_text(int(ends)) if ends else None,
    }
    return Told(told, 201 if fresh else 200)


def read_note(body: bytes, principal: str) -> AddNote:
    """Raises RefusedError (400) naming every field at fault."""
    members = Members(body, FIELDS)
    text = members.text("text", MAX_TEXT)
    if not text and not any(fault.field == "text" for fault in members.faults):
        members.fault("text", "it is missing", "Write what is to be kept.")
    scope = members.choice("scope", SCOPES)
    name, tags = members.text("scope_value"), members.texts("tags")
    seconds = members.number("ttl_seconds", FOR_GOOD, LONGEST_S)
    members.done()
    return AddNote(text, scope, name, principal, tags, None if seconds is None else seconds * 1000)
