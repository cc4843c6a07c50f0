"""What became of a run's attempts, from the notes that tell of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from palyra.control.queries import AttemptView, NoteView
from palyra.journal.rows import NoteRow

ATTEMPT = "attempt"

Trace = Mapping[str, Any]
"""One attempt as its note tells of it."""

_AFTER = {
    "retry": "the same model was asked once more",
    "failover": "another model was asked",
    "failover_retry": "the same model was asked once more",
}


def traces_of(notes: Iterable[NoteRow]) -> dict[str, Trace]:
    """What was noted of attempts, by their holds, the first first."""
    told = [note.data if note.kind == ATTEMPT else note.data.get(ATTEMPT) for note in notes]
    known = [trace for trace in told if isinstance(trace, Mapping) and "hold_id" in trace]
    return {trace["hold_id"]: trace for trace in known}


def other_notes(notes: Iterable[NoteRow]) -> tuple[NoteView, ...]:
    """The lines of a run's timeline that its attempts do not tell themselves."""
    return tuple(
        NoteView(note.at, note.kind, {name: told for name, told in note.data.items() if name != ATTEMPT})
        for note in notes
        if note.kind != ATTEMPT
    )


def traced(view: AttemptView, trace: Trace | None) -> AttemptView:
    """An attempt with what was noted of it; nothing was while it goes on, nor before attempts were traced."""
    if trace is None:
        return view
    return replace(
        view,
        credential_id=trace["credential"],
        error_class=trace["class"],
        status=trace["status"],
        first_byte_ms=trace["first_byte_ms"],
        took_ms=trace["ms"],
        course=trace["course"],
    )


def retries_in(traces: Iterable[Trace]) -> int:
    """How often the same model was asked once more."""
    return sum(trace["course"] in ("retry", "failover_retry") for trace in traces)


def attempt_sentences(traces: Sequence[Trace]) -> tuple[str, ...]:
    """What was tried, in words; nothing where the only attempt did not fail."""
    if not traces or (len(traces) == 1 and not traces[0]["class"]):
        return ()
    said: list[str] = []
    for trace, after in zip(traces, [*traces[1:], None], strict=True):
        came_to = trace["class"] or "answered"
        status = "" if trace["status"] is None or not trace["class"] else f" (HTTP {trace['status']})"
        follows = "" if after is None else f"; {_AFTER.get(after['course'], 'it was tried again')}"
        credential = f" with {trace['credential']}" if trace["credential"] else ""
        head = f"Attempt {trace['number']} on {trace['model']}{credential}"
        said.append(f"{head}: {came_to}{status} after {trace['ms']:,} ms{follows}.")
    return tuple(said)
