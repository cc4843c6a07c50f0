"""What is written comes back as it was, to the last nano-dollar and whatever the texts hold."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.scope import Scope
from palyra.journal.changes import (
    ApprovalSaved,
    AuditAdded,
    DecisionMade,
    GrantSaved,
    HoldTaken,
    PolicySaved,
    RunNoted,
    RunSaved,
    UsageRecorded,
)
from palyra.journal.journal import Journal
from palyra.journal.rows import AuditRow, CounterMove, HoldRow, NoteRow, RunRow, UsageRow
from tests.journal.samples import (
    T0,
    a_decision,
    a_grant,
    a_hold,
    a_policy,
    a_run,
    a_usage,
    an_approval,
    an_end,
    ended,
    new_id,
)

amounts = st.integers(-(2**62), 2**63 - 1)
optional_amounts = st.none() | amounts
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
wild = st.recursive(
    st.none() | st.booleans() | amounts | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=6), wild, max_size=3)
names = st.lists(texts, max_size=3).map(tuple)
scopes = st.builds(
    Scope,
    texts,
    texts,
    texts,
    texts,
    texts,
    texts,
    st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3),
)
moves = st.builds(
    CounterMove,
    texts,
    texts,
    amounts,
    texts,
    amounts,
    optional_amounts,
    st.booleans(),
    st.lists(st.tuples(texts, amounts), max_size=2).map(tuple),
    optional_amounts,
)


@st.composite
def runs(draw: st.DrawFn) -> RunRow:
    run = a_run(
        new_id(),
        version=draw(amounts),
        scope=draw(scopes),
        streaming=draw(st.booleans()),
        model_asked=draw(texts),
        max_tokens=draw(optional_amounts),
        complexity=draw(st.floats(allow_nan=False, allow_infinity=False)),
        message=draw(texts),
        accepted_at=draw(st.integers(0, 2**50)),
        parked_at=draw(optional_amounts),
        cost=draw(optional_amounts),
        grant_ids=draw(names),
        flags=draw(names),
    )
    return replace(run, state="failed", finished_at=draw(st.integers(0, 2**50))) if draw(st.booleans()) else run


@st.composite
def holds(draw: st.DrawFn, run: RunRow) -> HoldRow:
    hold = a_hold(
        run,
        scope=draw(scopes),
        bound_usd=draw(optional_amounts),
        bound_tokens=draw(amounts),
        expected_usd=draw(optional_amounts),
        card=draw(st.none() | objects),
        moves=tuple(draw(st.lists(moves, max_size=3))),
        metered_input=draw(optional_amounts),
        metered_output=draw(optional_amounts),
        metered_usd=draw(optional_amounts),
    )
    if draw(st.booleans()):
        return hold
    return hold._replace(state="expired", terminal_at=draw(amounts), actual_usd=draw(optional_amounts), recovered=True)


def usages(hold: HoldRow) -> st.SearchStrategy[UsageRow]:
    small = st.integers(0, 2**40)
    return st.builds(
        lambda changes, **values: a_usage(hold, **values, **changes),
        st.fixed_dictionaries({"flags": names, "rates": st.lists(objects, max_size=2).map(tuple)}),
        at=st.integers(0, 2**50),
        scope=scopes,
        input_total=small,
        output_total=small,
        charge=st.none() | small,
        reported_cost=optional_amounts,
        raw=st.none() | objects,
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
async def test_runs_holds_and_usage_come_back_as_they_were(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        journal = await Journal.open(Path(directory), ManualClock())
        try:
            run = data.draw(runs())
            hold = data.draw(holds(run))
            usage = data.draw(usages(hold))
            await journal.submit([RunSaved(run), HoldTaken(hold), UsageRecorded(usage)])
            assert await journal.readers.run(run.run_id) == run
            assert await journal.readers.hold(hold.hold_id) == hold
            assert await journal.readers.usage_of_run(run.run_id) == (usage,)
        finally:
            await journal.close()


async def test_a_decision_comes_back_whole(journal: Journal) -> None:
    run = a_run()
    body = {"text": 'quotes " \\ \x00 \ud800 🙂', "big": 2**70, "small": 5e-324, "nested": [[{}], None, True]}
    decision = a_decision(run, body=body)
    await journal.submit([RunSaved(run), DecisionMade(decision)])
    assert await journal.readers.decision(decision.decision_id) == decision
    assert await journal.readers.decisions_of_run(run.run_id) == (decision,)
    assert await journal.readers.decisions() == (decision,)


async def test_a_decision_without_a_run_is_kept(journal: Journal) -> None:
    decision = a_decision(a_run(), run_id="")
    await journal.submit([DecisionMade(decision)])
    assert await journal.readers.decision(decision.decision_id) == decision


async def test_approvals_grants_and_policies_come_back_as_they_were(journal: Journal) -> None:
    approval = an_approval(status="resolved", decision="allow", resolved_at=T0 + 5, decided_by="olga", reason="ok ✓")
    grant = a_grant(approval, expires_at=None, window_start=T0, uses=3)
    lone = a_grant(approval, approval_id="")
    policy = a_policy(removed=True)
    await journal.submit([ApprovalSaved(approval), GrantSaved(grant), GrantSaved(lone), PolicySaved(policy)])
    assert await journal.readers.approval(approval.approval_id) == approval
    assert await journal.readers.grants() == (grant, lone)
    assert await journal.readers.policies() == (policy,)


async def test_usage_without_a_hold_is_kept(journal: Journal) -> None:
    run = a_run()
    hits = [a_usage(a_hold(run), hold_id="", attempt=number, charge=0, flags=("cache_hit",)) for number in (1, 2)]
    await journal.submit([RunSaved(run), *map(UsageRecorded, hits)])
    assert await journal.readers.usage_of_run(run.run_id) == tuple(hits)


async def test_notes_and_audit_rows_come_back_in_order(journal: Journal) -> None:
    run = a_run()
    notes = [RunNoted(run.run_id, T0 + number, "attempt", {"number": number}) for number in range(3)]
    await journal.submit([RunSaved(run), *notes, AuditAdded(T0, "policy", "team-day", "olga", {"b": 1, "a": [None]})])
    assert await journal.readers.run_notes(run.run_id) == tuple(
        NoteRow(note.run_id, note.at, note.kind, note.data) for note in notes
    )
    (row,) = await journal.readers.audit()
    assert row == AuditRow(1, T0, "policy", "team-day", "olga", {"a": [None], "b": 1}, row.digest)
    assert len(row.digest) == 64


@pytest.mark.parametrize("question", ["run", "hold", "decision", "approval"])
async def test_what_does_not_exist_is_none(journal: Journal, question: str) -> None:
    assert await getattr(journal.readers, question)("nobody") is None


async def test_text_from_outside_that_is_no_text_does_not_lose_the_run(journal: Journal) -> None:
    run = ended(a_run(model_asked="gpt\ud800", message="\udfff said \x00 no"), "failed")
    await journal.submit([RunSaved(run)])
    stored: Any = await journal.readers.run(run.run_id)
    assert (stored.model_asked, stored.message) == ("gpt?", "? said \x00 no")


async def test_an_answer_whose_id_is_no_text_does_not_lose_its_usage(journal: Journal) -> None:
    run = a_run()
    hold = a_hold(run)
    await journal.submit([RunSaved(run), HoldTaken(hold)])
    await journal.submit([an_end(hold), UsageRecorded(a_usage(hold, answer_id="resp_\ud800"))])
    (stored,) = await journal.readers.usage_of_run(hold.run_id)
    assert stored.answer_id == "resp_?"
