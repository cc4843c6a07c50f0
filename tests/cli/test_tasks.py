"""`palyra tasks` on a real state directory, without an engine running: tasks are made, held, changed and looked at."""

import asyncio
from pathlib import Path

import pytest

from palyra.cli.task_tables import print_result
from palyra.core.clock import SystemClock
from palyra.engine import Engine, Installation
from tests.cli.test_commands import Shell
from tests.config.loading import sound


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path)


def test_a_task_that_is_made_without_an_engine_waits_for_the_next_start(shell: Shell) -> None:
    assert shell("tasks", "list") == "No tasks.\n"
    task_id = shell(
        "tasks", "add", "summary", "--input", "a long text", "--priority", "3", "--tag", "team=blue"
    ).strip()
    detail = shell.json("tasks", "show", task_id)
    task = detail["task"]
    assert (task["state"], task["attempt"], task["task_kind"], task["priority"]) == ("queued", 0, "summary", 3)
    assert (task["owner"], task["session"], task["tags"]) == ("local", f"task:{task_id}", {"team": "blue"})
    assert (detail["text"], detail["runs"], detail["result"], task["token_budget"]) == ("a long text", [], None, 1_200)
    assert task_id in shell("tasks", "list", "--ready")
    told = shell("tasks", "show", task_id)
    assert "queued" in told
    assert "0 of 3" in told


def test_an_answer_is_printed_in_the_lines_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    print_result("one\ntwo \x1b[31m", cut=False)
    print_result("three\nfo", cut=True)
    assert capsys.readouterr().out == "one\ntwo ␛[31m\nthree\nfo … (cut)\n"


def test_every_field_at_fault_is_told_at_once(shell: Shell) -> None:
    refused = shell.json("tasks", "add", "sumary", "--priority", "11", "--max-attempts", "0", "--input", "x", code=2)
    assert {fault["field"] for fault in refused["faults"]} == {"kind", "priority", "max_attempts"}
    assert "summary" in next(fault["fix"] for fault in refused["faults"] if fault["field"] == "kind")
    assert "no JSON object" in shell("tasks", "add", "--input", "x", "--payload", "[1]", code=2)
    assert "--not-before" in shell("tasks", "add", "--input", "x", "--not-before", "tomorrow", code=2)
    late = ("--not-before", "2h", "--expires", "1h")
    assert "it would expire at" in shell("tasks", "add", "--input", "x", *late, code=2)
    assert shell("tasks", "list") == "No tasks.\n"


def test_one_key_names_one_open_task(shell: Shell) -> None:
    first = shell.json("tasks", "add", "--input", "x", "--dedupe", "nightly")
    second = shell.json("tasks", "add", "--input", "y", "--dedupe", "nightly")
    assert first["data"]["task_id"] == second["data"]["task_id"]
    assert (first["data"]["fresh"], second["data"]["fresh"]) == ("true", "false")
    assert len(shell.json("tasks", "list")["tasks"]) == 1


def test_tasks_are_held_released_changed_and_stopped(shell: Shell) -> None:
    task_id = shell("tasks", "add", "--input", "x").strip()
    shell("tasks", "pause", task_id, "--reason", "not now")
    (task,) = shell.json("tasks", "list", "--state", "paused")["tasks"]
    assert (task["waits"], task["reason"]) == ("paused", "not now")
    again = shell.json("tasks", "pause", task_id, code=4)
    assert again["message"] == f"task {task_id} is paused; pause applies to queued"
    shell("tasks", "priority", task_id, "-4")
    shell("tasks", "edit", task_id, "--not-before", "30m", "--expires", "2h")
    shell("tasks", "resume", task_id)
    (task,) = shell.json("tasks", "list", "--state", "queued")["tasks"]
    assert (task["priority"], task["waits"]) == (-4, "not_before")
    assert task["expires_at"] - task["not_before"] == pytest.approx(90 * 60_000, abs=60_000)
    shell("tasks", "edit", task_id, "--expires", "never")
    assert shell.json("tasks", "show", task_id)["task"]["expires_at"] is None
    assert "needs" not in shell("tasks", "cancel", task_id)
    refused = shell.json("tasks", "cancel", task_id, code=4)
    assert refused["message"] == f"task {task_id} is cancelled; cancel does not apply"
    shell("tasks", "retry", task_id)
    assert shell.json("tasks", "show", task_id)["task"]["state"] == "queued"
    assert shell("tasks", "cancel", "01NOTHING", code=3)
    assert shell.json("audit", "verify")["ok"] is True


def test_a_completed_task_is_neither_cancelled_nor_tried_again(shell: Shell) -> None:
    task_id = shell("tasks", "add", "--input", "x").strip()

    async def carried_out() -> None:
        engine = await Engine.open(Installation(sound(""), shell.state_dir), SystemClock(), {})
        engine.tasks.open_claims()
        assert (await engine.tasks.desk.ended(task_id)).state == "completed"
        await engine.close()

    asyncio.run(carried_out())
    before = shell.json("tasks", "show", task_id)
    for verb in ("cancel", "retry", "pause"):
        refused = shell.json("tasks", verb, task_id, code=4)
        assert refused["message"] == f"task {task_id} is completed; {verb} does not apply"
    assert f"task {task_id} is completed; cancel does not apply" in shell("tasks", "cancel", task_id, code=4)
    assert shell.json("tasks", "show", task_id) == before
    assert shell("tasks", "add", "--copy", task_id).strip() != task_id


def test_several_are_judged_each_alone(shell: Shell) -> None:
    ids = [shell("tasks", "add", "--input", str(number)).strip() for number in range(3)]
    shell("tasks", "pause", ids[0])
    told = shell.json("tasks", "pause", *ids, code=4)
    assert (told["data"]["done"].split(","), told["data"]["refused"]) == (ids[1:], ids[0])
    assert told["message"].startswith("2 tasks paused, 1 refused.")
    assert "--state" in shell("tasks", "cancel", code=2)
    assert "--state" in shell("tasks", "cancel", ids[0], "--state", "paused", code=2)
    assert "Nothing was done" in shell("tasks", "cancel", "--state", "paused", code=1)
    told = shell.json("tasks", "cancel", "--state", "paused", "--yes")
    assert len(told["data"]["done"].split(",")) == 3
    assert shell("tasks", "cancel", "--state", "paused", "--yes", code=3)
    stats = shell.json("tasks", "stats")
    assert (stats["live"], stats["depth"], stats["ended"], stats["ended_last_hour"]) == (False, {}, {"cancelled": 3}, 3)
    assert "No task is open." in shell("tasks", "stats")


def test_a_task_is_made_like_another(shell: Shell) -> None:
    first = shell(
        "tasks", "add", "extraction", "--input", "x", "--payload", '{"fields": ["a"]}', "--priority", "2"
    ).strip()
    second = shell("tasks", "add", "--copy", first, "--priority", "5").strip()
    detail = shell.json("tasks", "show", second)
    assert (detail["task"]["task_kind"], detail["text"], detail["payload"]) == ("extraction", "x", {"fields": ["a"]})
    assert (detail["task"]["priority"], detail["task"]["session"]) == (5, f"task:{second}")
    assert shell("tasks", "add", "--input", "x", "--wait", code=1).endswith("the task waits for the next start.\n")


def test_a_child_is_stopped_with_its_parent(shell: Shell) -> None:
    parent = shell("tasks", "add", "--input", "x").strip()
    child = shell("tasks", "add", "delegation_prompt", "--input", "y", "--parent", parent).strip()
    kept = shell("tasks", "add", "--input", "z", "--parent", parent, "--keep").strip()
    assert "needs a parent" in shell("tasks", "add", "delegation_prompt", "--input", "y", code=2)
    assert [task["task_id"] for task in shell.json("tasks", "list", "--parent", parent)["tasks"]] == [kept, child]
    shell("tasks", "cancel", parent)
    assert shell.json("tasks", "show", child)["task"]["reason"] == "parent_cancelled"
    assert shell.json("tasks", "show", kept)["task"]["state"] == "queued"
    assert "is cancelled" in shell("tasks", "add", "--input", "y", "--parent", parent, code=2)
