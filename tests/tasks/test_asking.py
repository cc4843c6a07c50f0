"""What is asked for is checked whole; what is accepted becomes rows, and can be asked for once more."""

from dataclasses import replace
from typing import Any

import pytest

from palyra.governance.policy_input import FieldFault
from palyra.journal.task_rows import TaskInput
from palyra.tasks.asking import Family, TaskAsk, TaskInputError, check, copied, new_task
from tests.tasks.stage import ASK, T0


def faults(ask: TaskAsk, family: Family | None = None, **options: Any) -> dict[str, str]:
    try:
        check(ask, T0, family or Family(), **options)
    except TaskInputError as error:
        return {fault.field: str(fault) for fault in error.faults}
    return {}


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("kind", ["background_prompt", "summary", "vision"], ["", "sumary", "prompt"]),
        ("text", ["x", "ä" * 32 * 1024], ["", "ä" * (32 * 1024 + 1)]),
        ("payload", [{}, {"a": [1, None]}], [{"a": {1, 2}}, {"a": float("nan")}, {"a": "x" * 70_000}]),
        ("owner", ["ann", "a@b.c"], ["", "a b", "x" * 129]),
        ("session", ["", "s"], ["x" * 257]),
        ("channel", ["", "slack:ops"], ["a b"]),
        ("tags", [(), ("team=blue",)], [("team",), ("Team=x",), ("a=b",) * 17]),
        ("dedupe_key", ["", "x" * 128], ["x" * 129]),
        ("model", ["auto", "openai/gpt-4o-mini"], ["", "a b"]),
        ("token_budget", [None, 1, 32_768], [0, 32_769]),
        ("priority", [-10, 0, 10], [-11, 11]),
        ("not_before", [None, 0, T0], [-1]),
        ("expires_at", [None, T0 + 1], [T0, T0 - 1, -1]),
        ("timeout_ms", [1_000, 21_600_000], [999, 21_600_001]),
        ("max_attempts", [1, 16], [0, 17]),
        ("backoff_ms", [1, 60_000], [0, 60_001]),
    ],
)
def test_each_field_has_its_limits(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert faults(replace(ASK, **{field: value})) == {}, value
    for value in bad:
        assert set(faults(replace(ASK, **{field: value}))) == {field}, value


def test_every_fault_is_told_at_once() -> None:
    asked = TaskAsk(kind="sumary", text="", owner="a b", priority=99, not_before=T0 + 5, expires_at=T0 + 5)
    told = faults(asked)
    assert set(told) == {"kind", "text", "owner", "priority", "expires_at"}
    assert "summary" in told["kind"]
    assert "may not start before" in told["expires_at"]


def test_a_delegation_needs_a_parent_and_room_below_it() -> None:
    delegation = replace(ASK, kind="delegation_prompt")
    assert "needs a parent" in faults(delegation)["parent"]
    below = replace(delegation, parent="t0")
    assert faults(below, Family("", "t0", 3, 7)) == {}
    assert "3 deep" in faults(below, Family("", "t0", 4))["parent"]
    assert "8 delegations" in faults(below, Family("", "t0", 1, 8))["parent"]
    assert faults(replace(ASK, parent="t0"), Family("", "t0", 1, 8)) == {}
    gone = Family(fault=FieldFault("parent", "it is cancelled"))
    assert faults(below, gone) == {"parent": "parent: it is cancelled."}


def test_images_of_a_vision_task_are_a_list_of_urls() -> None:
    vision = replace(ASK, kind="vision")
    assert faults(replace(vision, payload={"images": ["https://a/b.png"]})) == {}
    for wrong in ("https://a/b.png", [1], ["x"] * 17):
        assert "payload.images" in faults(replace(vision, payload={"images": wrong}))


def test_a_model_that_nobody_knows_is_refused() -> None:
    assert faults(replace(ASK, model="a/b"), unknown_model=lambda name: f"no {name}") == {"model": "model: no a/b."}
    assert faults(ASK, unknown_model=lambda name: "no") == {}


def test_what_is_accepted_can_be_asked_for_once_more() -> None:
    asked = replace(
        ASK,
        kind="extraction",
        payload={"fields": ["a"]},
        channel="slack:ops",
        agent="bot",
        tags=("team=blue",),
        remember=True,
        priority=4,
        token_budget=900,
        dedupe_key="k",
        parent="t0",
    )
    row, given = new_task(asked, "t1", T0, Family("", "t0", 1))
    assert given == TaskInput("t1", "do it", {"fields": ["a"]})
    assert (row.parent_task_id, row.session, row.not_before, row.token_budget) == ("t0", "task:t1", T0, 900)
    assert (row.scope.channel, row.scope.agent, row.scope.tags) == ("slack:ops", "bot", {"team": "blue"})
    again = copied(row, given)
    assert again == replace(asked, dedupe_key="", parent="")


@pytest.mark.parametrize(
    ("kind", "budget"),
    [
        ("background_prompt", 8_192),
        ("delegation_prompt", 8_192),
        ("summary", 1_200),
        ("recall_search", 1_600),
        ("classification", 600),
        ("extraction", 1_200),
        ("vision", 2_000),
    ],
)
def test_each_kind_has_a_budget_of_its_own(kind: str, budget: int) -> None:
    row, _ = new_task(replace(ASK, kind=kind), "t1", T0)
    assert row.token_budget == budget
