"""Runs in lines and columns."""

import json
from collections.abc import Sequence

from palyra.cli.output import amount, instant, say, table
from palyra.control.plain import USD_METRIC
from palyra.control.queries import NoteView, RunDetail
from palyra.control.snapshots import RunView
from palyra.control.text_queries import RunTexts
from palyra.core.plural import plural


def print_runs(runs: Sequence[RunView]) -> None:
    """Prints a page of runs."""
    if not runs:
        say("No runs.")
        return
    table(
        ("run", "accepted", "state", "reason", "principal", "session", "model", "tokens", "cost"),
        [
            (
                view.run_id,
                instant(view.accepted_at),
                view.state,
                view.reason or view.phase,
                view.principal,
                view.session,
                view.model or view.model_asked,
                f"{view.input_tokens + view.output_tokens:,}",
                amount(view.cost_nano_usd, USD_METRIC),
            )
            for view in runs
        ],
        right=(7, 8),
    )


def line_of(view: RunView) -> str:
    """A run as it stands, in a line."""
    at = view.finished_at or view.accepted_at
    said = view.reason or view.phase
    cost = amount(view.cost_nano_usd, USD_METRIC)
    model = view.model or view.model_asked
    return f"{instant(at)}  {view.run_id}  {view.state} ({said})  {view.principal}  {model}  {cost}"


def line_of_note(note: NoteView) -> str:
    """An entry of a run's timeline."""
    return f"{instant(note.at)}  {note.kind}  {json.dumps(note.data, ensure_ascii=False)}"


def print_run(detail: RunDetail) -> None:
    """Prints a run with its attempts and decision."""
    view = detail.run
    say(line_of(view))
    if view.message:
        say(view.message)
    tries = plural(view.attempts, "attempt")
    say(f"session {view.session} · {view.wire} · {tries} · decision {view.decision_id or '–'}")
    if detail.attempts:
        table(
            ("attempt", "hold", "model", "state", "error", "held", "charged"),
            [
                (
                    str(one.number),
                    one.hold_id,
                    one.model,
                    one.state,
                    one.error_class,
                    amount(one.bound_nano_usd, USD_METRIC, exact=True),
                    amount(one.actual_nano_usd, USD_METRIC, exact=True),
                )
                for one in detail.attempts
            ],
            right=(0, 5, 6),
        )
    if detail.decision is not None:
        for sentence in detail.decision.sentences:
            say(sentence)
    for note in detail.notes:
        say(line_of_note(note))


def print_texts(told: RunTexts) -> None:
    """What was asked and answered, each under its name."""
    if not told.texts:
        say("Neither prompt nor answer was kept; runs.store_content says what is.")
    for one in told.texts:
        marks = ["redacted"] * one.redacted + [f"the first of {one.size:,} bytes"] * one.cut
        told_of = f" ({', '.join(marks)})" if marks else ""
        say(f"{one.part}{told_of}:")
        say(*(f"  {row}" for row in one.text.split("\n")))
