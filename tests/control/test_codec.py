import dataclasses
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palyra.control import codec
from palyra.control.audit_queries import AuditEntry
from palyra.control.commands import CancelRun, Command, DecideApproval
from palyra.control.incidents_queries import TimelineView
from palyra.control.queries import (
    Answer,
    AuditAnswer,
    DecisionDetail,
    NoteView,
    Query,
    RunsPage,
    RunsQuery,
)
from palyra.control.snapshots import AlertView, CommandResult, Snapshot
from palyra.control.task_commands import AddTask
from palyra.control.task_queries import TaskDetail
from palyra.diagnostics.section import Section, Sections
from tests.diagnostics.samples import snapshot as diagnosed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
ROUND_TRIP = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


MEMBERS = st.dictionaries(st.text(max_size=8), JSON, max_size=3)
st.register_type_strategy(NoteView, st.builds(NoteView, data=MEMBERS))
st.register_type_strategy(AlertView, st.builds(AlertView, payload=MEMBERS))
st.register_type_strategy(DecisionDetail, st.builds(DecisionDetail, body=MEMBERS))
st.register_type_strategy(AddTask, st.builds(AddTask, payload=st.none() | MEMBERS))
st.register_type_strategy(TimelineView, st.builds(TimelineView, data=MEMBERS))
st.register_type_strategy(TaskDetail, st.builds(TaskDetail, payload=MEMBERS))
st.register_type_strategy(AuditEntry, st.builds(AuditEntry, data=MEMBERS))
st.register_type_strategy(
    Section, lambda kind: st.builds(Section, data=st.none() | st.from_type(get_args(kind)[0]), error=st.none())
)


def values(kind: type) -> st.SearchStrategy[Any]:
    """Any value of a dataclass, its optional fields given too."""
    if kind in (DecisionDetail, AddTask, TaskDetail):
        return st.from_type(kind)
    fields: dict[str, Any] = {field.name: ... for field in dataclasses.fields(kind)}
    return st.builds(kind, **fields)


SNAPSHOTS = st.builds(Snapshot)
"""Those that leave out what may be left out; each test fills one field, which takes a tenth of the time of all."""

COMMANDS = get_args(get_args(Command)[0])
QUERIES = get_args(get_args(Query)[0])
ANSWERS = get_args(Answer)


@pytest.mark.parametrize("kind", COMMANDS)
@ROUND_TRIP
@given(data=st.data())
def test_every_command_arrives_as_it_was_sent(kind: type, data: st.DataObject) -> None:
    command = data.draw(values(kind))
    assert codec.decode_command(codec.encode_command(command)) == command


@pytest.mark.parametrize("kind", QUERIES)
@ROUND_TRIP
@given(data=st.data())
def test_every_query_arrives_as_it_was_asked(kind: type, data: st.DataObject) -> None:
    query = data.draw(values(kind))
    assert codec.decode_query(codec.encode_query(query)) == query


@pytest.mark.parametrize("kind", ANSWERS)
@ROUND_TRIP
@given(data=st.data())
def test_every_answer_arrives_as_it_was_given(kind: type, data: st.DataObject) -> None:
    answer = data.draw(values(kind))
    assert codec.decode_answer(codec.encode_answer(answer)) == answer


@settings(parent=ROUND_TRIP, max_examples=100)
@given(data=st.data())
def test_a_snapshot_arrives_as_it_was_taken(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([field.name for field in dataclasses.fields(Snapshot)]))
    drawn = data.draw(st.from_type(get_type_hints(Snapshot)[name]))
    snapshot = dataclasses.replace(data.draw(SNAPSHOTS), **{name: drawn})
    assert codec.decode_snapshot(codec.encode_snapshot(snapshot)) == snapshot


@ROUND_TRIP
@given(st.builds(CommandResult))
def test_a_result_arrives_as_it_was_told(result: CommandResult) -> None:
    assert codec.decode_result(codec.encode_result(result)) == result


@ROUND_TRIP
@given(data=st.data())
def test_every_section_of_a_diagnosis_arrives_as_it_was_told(data: st.DataObject) -> None:
    told = diagnosed()
    assert codec.decode_answer(codec.encode_answer(told)) == told
    hints = get_type_hints(Sections)
    name = data.draw(st.sampled_from(sorted(hints)))
    other = dataclasses.replace(told.sections, **{name: data.draw(st.from_type(get_args(hints[name])[0]))})
    told = dataclasses.replace(told, sections=other)
    assert codec.decode_answer(codec.encode_answer(told)) == told


def test_every_query_has_its_answer() -> None:
    assert set(codec.ANSWERS) == set(QUERIES)
    assert set(codec.ANSWERS.values()) == set(ANSWERS)


def test_types_survive_the_way() -> None:
    detail = DecisionDetail("d", "r", 1, "ok", "enforced", ("a",), (), {"n": 2**70, "f": 0.5, "l": [1, None]})
    page = RunsPage((), "next")
    assert codec.decode_answer(codec.encode_answer(detail)) == detail
    assert type(codec.decode_answer(codec.encode_answer(page))) is RunsPage


def test_a_command_is_known_by_its_kind() -> None:
    sent = codec.encode_command(CancelRun("r1", "stuck"))
    assert codec.decode_command(sent) == CancelRun("r1", "stuck")
    assert codec.decode_command(
        b'{"kind": "decide_approval", "approval_id": "a", "decision": "deny"}'
    ) == DecideApproval("a", "deny")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"kind": "launch"}',
        b'{"kind": "decide_approval", "approval_id": "a", "decision": "maybe"}',
        b'{"kind": "cancel_run"}',
        b"\xff",
        b"[" * 10_000,
    ],
)
def test_what_is_no_command_is_refused(data: bytes) -> None:
    with pytest.raises(codec.GarbledError):
        codec.decode_command(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"7", b'{"type": "RunsPage"}', b'{"type": "Command", "answer": {}}', b'{"type": 1, "answer": 2}'],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(codec.GarbledError):
        codec.decode_answer(data)


def test_the_member_at_fault_is_named() -> None:
    with pytest.raises(codec.GarbledError, match="limit"):
        codec.decode_query(b'{"kind": "runs", "limit": "many"}')


def test_text_no_encoding_knows_does_not_hide_the_rest() -> None:
    query = RunsQuery(text="a\ud800b", model="m")
    assert codec.decode_query(codec.encode_query(query)) == RunsQuery(text="a?b", model="m")


def test_members_of_a_newer_engine_are_passed_over() -> None:
    answer = AuditAnswer(True, 3, "abc", None, "fine")
    newer = codec.encode(AuditAnswer, answer).replace(b"{", b'{"invented_later": 1,', 1)
    assert codec.decode(AuditAnswer, newer) == answer
