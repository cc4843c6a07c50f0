"""Jobs and tasks, by keyboard: firing, pausing, reviewing, retrying, stopping, making, changing, deleting."""

import asyncio
from dataclasses import replace

import pytest

from palyra.control.jobs_commands import (
    AddJob,
    CancelFire,
    DeleteJob,
    EditJob,
    PauseJob,
    ResetJob,
    ResumeJob,
    ReviewFire,
    TriggerJob,
)
from palyra.control.jobs_queries import JobQuery, JobView, ScheduleQuery
from palyra.control.queries import Answer, Query
from palyra.control.snapshots import CommandResult
from palyra.control.task_commands import ActOnTasks
from tests.tui.desk import Desk, console
from tests.tui.fake_jobs import job
from tests.tui.fake_views import ident, operator
from tests.tui.fake_worlds import World, empty, normal, storm


async def at(desk: Desk, name: str) -> None:
    """Brings the cursor to a job or a task and waits until keys act on it."""
    await desk.press("6")
    desk.list.find(name)
    await desk.settle()
    await desk.ready()


def job_key(number: int) -> str:
    return f"job:{ident(9000 + number)}"


def task_key(number: int) -> str:
    return f"task:{ident(9500 + number)}"


async def test_own_jobs_first_then_tasks_then_those_of_the_system() -> None:
    async with console(normal()) as desk:
        await desk.press("6")
        rows = [row[3:20].strip() for row in desk.lines[3:13]]
        assert rows[:6] == ["digest", "hourly-check", "idle", "broken", "missed", "from-file"]
        assert rows[6].startswith("background promp")
        assert rows[9].startswith("journal-checkpoi")
        assert "in 22 h" in desk.lines[3]
        assert "6 jobs · 3 live tasks" in desk.title or "6 jobs · 2 live tasks" in desk.title
        assert "unwell" in desk.title


async def test_a_job_is_fired_by_hand() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(1))
        await desk.press("t")
        assert desk.control.sent == [TriggerJob(ident(9001))]
        await at(desk, job_key(4))
        await desk.press("t")
        assert len(desk.control.sent) == 1
        assert "edit or reset it first" in desk.notice


async def test_pausing_and_resuming_a_job_and_a_task() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(1))
        await desk.press("p")
        await desk.ready()
        assert "p resume" in desk.footer
        await desk.press("p")
        await at(desk, task_key(2))
        await desk.press("p")
        assert desk.control.sent == [
            PauseJob(ident(9001), version=2),
            ResumeJob(ident(9001), version=3),
            ActOnTasks("pause", (ident(9502),), seen="queued"),
        ]


async def test_what_runs_is_stopped_after_a_question() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(2))
        await desk.press("c")
        assert "Stop the active fire of hourly-check?" in desk.box
        assert "1 fire behind it may then start." in desk.box
        await desk.press("enter")
        assert desk.control.sent == [], "the safe button has the focus"
        await desk.press("c", "tab", "enter")
        await at(desk, task_key(1))
        await desk.press("c")
        assert "Cancel the task of maria?" in desk.box
        await desk.press("tab", "enter")
        assert desk.control.sent == [CancelFire(ident(9002)), ActOnTasks("cancel", (ident(9501),), seen="running")]


async def test_a_failed_task_is_retried_and_a_faulted_job_reset() -> None:
    async with console(normal()) as desk:
        await at(desk, task_key(3))
        await desk.press("r")
        await at(desk, job_key(4))
        assert "r reset" in desk.footer
        await desk.press("r")
        assert desk.control.sent == [ActOnTasks("retry", (ident(9503),), seen="failed"), ResetJob(ident(9004), 2)]


async def test_missed_slots_are_decided_on_and_nothing_is_what_stands_first() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(5))
        assert "R review…" in desk.footer
        await desk.press("R")
        assert "What about 120 missed slots of missed?" in desk.box
        assert "Nothing runs for 120 slots" in desk.box
        await desk.press("right")
        assert "One fire now stands for all 120." in desk.box
        await desk.press("right")
        assert "at most 100" in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [ReviewFire(ident(9205), "replay")]


async def test_next_fires_show_while_an_expression_is_typed() -> None:
    async with console(normal()) as desk:
        await desk.press("6", "n")
        assert desk.dialog == "JobDialog"
        await desk.type("morning")
        desk.focus("expression")
        await desk.type("0 9 * * *")
        assert "2026-11-23 09:00 +01:00" in desk.box
        assert "clocks go back" in desk.box
        await desk.type(" 99")
        assert "99 is no minute" in desk.box
        assert "2026-11-23 09:00" not in desk.box
        asked = [one for one in desk.control.asked if isinstance(one, ScheduleQuery)]
        assert asked[-1].expression == "0 9 * * * 99"
        assert desk.control.most_in_flight == 1


async def test_a_job_is_made() -> None:
    async with console(normal()) as desk:
        await desk.press("6", "n")
        await desk.type("morning")
        desk.focus("expression")
        await desk.type("0 9 * * *")
        desk.focus("prompt")
        await desk.type("hello")
        desk.focus("act")
        await desk.press("enter")
        (sent,) = desk.control.sent
        assert isinstance(sent, AddJob)
        assert sent.fields["name"] == "morning"
        assert sent.fields["cron"] == "0 9 * * *"
        assert sent.fields["prompt"] == "hello"
        assert "schedule" not in sent.fields
        assert desk.dialog == ""
        await desk.wait()
        made = desk.front.subject
        assert isinstance(made, JobView)
        assert made.name == "morning", "what was made is selected, so that the next key is for it"


async def test_what_is_wrong_with_a_new_job_is_said_and_the_dialog_stays() -> None:
    async with console(normal()) as desk:
        await desk.press("6", "n")
        desk.control.results.append(CommandResult("invalid", "A job named digest exists.", "Choose another name."))
        desk.focus("act")
        await desk.press("enter")
        assert desk.dialog == "JobDialog"
        assert "A job named digest exists. Choose another name." in desk.box


async def test_changing_sends_only_what_changed() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(1))
        await desk.press("e")
        assert "Edit job digest" in desk.box
        desk.focus("prompt")
        await desk.type("!")
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [EditJob(ident(9001), {"prompt": "Write the digest of yesterday!"}, 2)]
        assert desk.dialog == ""
        desk.list.find(job_key(6))
        await desk.settle()
        await desk.ready()
        await desk.press("e")
        assert desk.dialog == ""
        assert "declared in palyra.toml" in desk.notice


async def test_a_prompt_of_several_lines_keeps_them() -> None:
    lines = "First this.\n\nThen  that."
    async with console(replace(normal(), text=lines)) as desk:
        await at(desk, job_key(1))
        await desk.press("e")
        desk.focus("expression")
        await desk.press("end", "backspace")
        await desk.type("5")
        desk.focus("act")
        await desk.press("enter")
        (timed,) = desk.control.sent
        assert isinstance(timed, EditJob)
        assert "prompt" not in timed.fields, "nobody touched it"
        await at(desk, job_key(1))
        await desk.press("e")
        desk.focus("prompt")
        await desk.press("end")
        await desk.type(" Stop.")
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent[1] == EditJob(ident(9001), {"prompt": f"{lines} Stop."}, 2)


async def test_an_answer_about_an_expression_that_was_taken_away_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = asyncio.Event()
    async with console(normal()) as desk:
        told = desk.control.answer

        async def late(query: Query) -> Answer:
            if isinstance(query, ScheduleQuery):
                await answered.wait()
            answer: Answer = await told(query)
            return answer

        monkeypatch.setattr(desk.control, "answer", late)
        await at(desk, job_key(1))
        await desk.press("e")
        desk.focus("expression")
        await desk.press("end", "ctrl+u")
        assert "its next fires show here" in desk.box
        answered.set()
        await desk.settle()
        assert "its next fires show here" in desk.box


async def test_deleting_asks_first() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(1))
        await desk.press("delete")
        assert "Delete the job digest?" in desk.box
        await desk.press("tab", "enter")
        assert desk.control.sent == [DeleteJob(ident(9001), 2)]
        await at(desk, job_key(2))
        await desk.press("delete")
        assert desk.dialog == ""
        assert "stop its fire first" in desk.notice


async def test_the_detail_of_a_job_and_of_a_task() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(1))
        await desk.press("enter")
        assert "Jobs › digest" in desk.title
        assert "2026-11-23 09:00 +01:00" in desk.text
        assert "clocks go back" in desk.text
        await desk.press("G")
        assert "no answer in 60 s" in desk.text
        await desk.press("escape")
        await at(desk, task_key(3))
        await desk.press("enter")
        assert "the provider timed out" in desk.text
        assert "Write a digest" in desk.text


async def test_a_job_is_asked_about_once_for_each_change() -> None:
    async with console(normal()) as desk:
        await at(desk, job_key(1))
        await desk.press("enter")
        await desk.wait(5)
        assert len([one for one in desk.control.asked if isinstance(one, JobQuery)]) == 1
        changed = tuple(
            replace(one, version=3) if one.job_id == ident(9001) else one for one in desk.control.world.jobs
        )
        desk.control.change(jobs=changed)
        await desk.wait()
        assert len([one for one in desk.control.asked if isinstance(one, JobQuery)]) == 2


async def test_filtering_and_sorting() -> None:
    async with console(normal()) as desk:
        await desk.press("6")
        for text, count in (("job:digest", 1), ("state:paused", 1), ("task:prompt", 3), ("from:system", 1)):
            desk.list.set_filter(text)
            assert len(desk.list._subjects) == count, text
        desk.list.set_filter("")
        await desk.press("S", "S")
        assert "by trouble" in desk.title
        first = next(iter(desk.list._subjects.values()))
        assert isinstance(first, JobView)
        assert first.name in ("broken", "missed")


async def test_five_hundred_jobs_keep_the_selection_when_one_comes() -> None:
    async with console(storm()) as desk:
        await desk.press("6", "j", "j")
        chosen = desk.list.table.selected_key
        desk.control.change(jobs=(job(600, "newcomer"), *desk.control.world.jobs[:499]))
        await desk.wait()
        assert desk.list.table.selected_key == chosen
        assert "newcomer" in desk.text


def as_role(role: str) -> World:
    return replace(normal(), operator=operator(role))


async def test_a_viewer_sees_the_keys_dimmed_and_an_approver_changes_no_job() -> None:
    async with console(as_role("viewer")) as desk:
        await at(desk, job_key(1))
        await desk.press("t", "p", "e", "n", "delete")
        assert desk.control.sent == []
        assert desk.dialog == ""
    async with console(as_role("approver")) as desk:
        await at(desk, job_key(4))
        await desk.press("r", "e", "n", "delete")
        assert desk.control.sent == []
        assert desk.dialog == ""
        assert "needs the role admin" in desk.notice


async def test_an_empty_list_teaches() -> None:
    async with console(empty()) as desk:
        await desk.press("6")
        assert "No jobs yet" in desk.text
        assert "[[jobs]]" in desk.text


async def test_at_80_columns_no_name_and_no_schedule_is_cut() -> None:
    async with console(normal()) as desk:
        await desk.press("6")
        named = {one.name for one in desk.list._subjects.values() if isinstance(one, JobView)}
        assert "journal-checkpoint" in named
        told = {line[3:30].strip(): line[39:56].strip() for line in desk.lines[3:]}
        assert named <= set(told)
        assert told["journal-checkpoint"] == "0 9 * * mon-fri"
        assert [name for name in told if name.startswith("background prompt 01KA…")]
