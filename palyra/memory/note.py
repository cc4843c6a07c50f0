"""What a note may be: its place, its text, its tags, how long it stays."""

import re
from collections.abc import Sequence
from enum import StrEnum

from palyra.config.suggest import nearest
from palyra.core.errors import BadInputError
from palyra.core.plural import plural
from palyra.core.redact import redact
from palyra.core.safe_text import safe
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.core.windows import DAY_MS
from palyra.journal.note_rows import MemoryNoteRow

MAX_TEXT = 16 * 1024
"""Bytes of UTF-8 of the longest text, made safe."""
MAX_TAGS = 16
CUT = " …"
"""Stands at the end of an answer that was too long to be kept whole."""

_VALUE = re.compile(r"[A-Za-z0-9._:@/-]{1,128}")
_TAG = re.compile(r"[A-Za-z0-9._:@/=-]{1,64}")


class NoteScope(StrEnum):
    """Who gets a note recalled."""

    SESSION = "session"
    JOB = "job"
    AGENT = "agent"
    GLOBAL = "global"


SCOPES = tuple(scope.value for scope in NoteScope)


class NoteFaultError(BadInputError):
    """A note that cannot be kept; `field` is what is wrong with it."""

    code = "invalid_field"

    def __init__(self, field: str, message: str, fix: str = "") -> None:
        super().__init__(f"{field}: {message}.", fix=fix)
        self.field = field
        self.fault = message


@value
class NotePlace:
    """Where a note belongs: a scope, and which one of that kind (empty for global)."""

    scope: NoteScope
    value: str = ""

    def __str__(self) -> str:
        return f"{self.scope}:{self.value}" if self.value else self.scope.value


@value
class NoteAsk:
    """A note that somebody wants kept. `ttl_ms` None: as long as notes are kept, 0: for good; `text` as it was given.

    `tags` are labels; `run_id` is of the run that the text came from, empty for none.
    """

    text: str
    place: NotePlace
    owner: str
    tags: tuple[str, ...] = ()
    run_id: str = ""
    ttl_ms: int | None = None


@value
class Note:
    """A note as it stands. Times UTC unix ms; `expires_at` None: it stays. `indexed`: it can be found by meaning."""

    note_id: str
    scope: str
    scope_value: str
    owner: str
    text: str
    tags: tuple[str, ...]
    run_id: str
    created_at: int
    recalled_at: int | None
    recall_count: int
    expires_at: int | None
    indexed: bool


def note_of(row: MemoryNoteRow, *, indexed: bool) -> Note:
    """A note as it is shown; `indexed`: the present embeddings model has a vector for it."""
    return Note(
        note_id=row.note_id,
        scope=row.scope,
        scope_value=row.scope_value,
        owner=row.owner,
        text=row.text,
        tags=row.tags,
        run_id=row.run_id,
        created_at=row.created_at,
        recalled_at=row.recalled_at,
        recall_count=row.recall_count,
        expires_at=row.expires_at,
        indexed=indexed,
    )


def read_scope(text: str) -> NoteScope:
    """Raises NoteFaultError."""
    try:
        return NoteScope(text)
    except ValueError:
        near = nearest(text[:64], SCOPES)
        fix = f"Did you mean {near[0]}?" if near else ""
        raise NoteFaultError("scope", f"there is no such scope; there are {', '.join(SCOPES)}", fix) from None


def read_place(scope: str, name: str) -> NotePlace:
    """Raises NoteFaultError."""
    kind = read_scope(scope)
    if kind is NoteScope.GLOBAL:
        if name:
            raise NoteFaultError("scope_value", "the scope global has no value", "Leave it out.")
        return NotePlace(kind)
    if _VALUE.fullmatch(name) is None:
        raise NoteFaultError(
            "scope_value", f"the name of a {kind} is 1 to 128 letters, digits and . _ : @ / -", f"Name the {kind}."
        )
    return NotePlace(kind, name)


def read_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """The tags, each once. Raises NoteFaultError."""
    found = tuple(dict.fromkeys(tags))
    if len(found) > MAX_TAGS:
        raise NoteFaultError("tags", f"a note has at most {MAX_TAGS}")
    for tag in found:
        if _TAG.fullmatch(tag) is None:
            raise NoteFaultError("tags", "a tag is 1 to 64 letters, digits and . _ : @ / = -")
    return found


def read_text(text: str) -> str:
    """The text as it is kept: made safe, secrets hidden. Raises NoteFaultError."""
    if len(text) > MAX_TEXT:
        raise _too_long()
    kept = safe(redact(text), multiline=True).strip()
    if not kept:
        raise NoteFaultError("text", "a note needs a text")
    if len(kept.encode()) > MAX_TEXT:
        raise _too_long()
    return str(kept)


def cut_text(text: str) -> str:
    """As much of a text from its beginning as can be kept, made safe; empty where there is none."""
    kept = str(safe(redact(text[:MAX_TEXT]), multiline=True)).strip()
    whole = kept.encode()
    if len(whole) <= MAX_TEXT and len(text) <= MAX_TEXT:
        return kept
    return whole[: MAX_TEXT - len(CUT.encode())].decode(errors="ignore").rstrip() + CUT


def read_end(ttl_ms: int | None, ttl_days: int, now: int) -> int | None:
    """When a note made now ends. `ttl_days` is how long notes are kept, 0 for good. Raises NoteFaultError."""
    if ttl_ms == 0:
        return None
    if ttl_ms is None:
        return now + ttl_days * DAY_MS if ttl_days else None
    if ttl_ms < 0 or (ttl_days and ttl_ms > ttl_days * DAY_MS):
        raise NoteFaultError(
            "ttl", f"notes are kept for {plural(ttl_days, 'day')} (memory.ttl_days)", "Shorten it, or say none."
        )
    return now + ttl_ms


def place_of_answer(scope: Scope) -> NotePlace:
    """Where the answer of a run in this scope is kept: with its job, else its session, else its agent, else for all."""
    named = ((NoteScope.JOB, scope.job), (NoteScope.SESSION, scope.session), (NoteScope.AGENT, scope.agent))
    for kind, name in named:
        if _VALUE.fullmatch(name) is not None:
            return NotePlace(kind, name)
    return NotePlace(NoteScope.GLOBAL)


def places_around(scope: Scope) -> tuple[NotePlace, ...]:
    """Every place that a run in this scope lies in."""
    named = ((NoteScope.JOB, scope.job), (NoteScope.SESSION, scope.session), (NoteScope.AGENT, scope.agent))
    return (*(NotePlace(kind, name) for kind, name in named if name), NotePlace(NoteScope.GLOBAL))


def _too_long() -> NoteFaultError:
    return NoteFaultError("text", f"a note has at most {MAX_TEXT:,} bytes of UTF-8, made safe", "Keep a part of it.")
