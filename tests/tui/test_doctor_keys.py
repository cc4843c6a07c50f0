"""The doctor over the Diagnostics screen: findings, a plan as a diff, steps that are ticked, and the way back."""

from typing import Any

import pytest

from palyra.control.codec import encode
from palyra.control.doctor_commands import ApplyRepairs, RollBack
from palyra.control.doctor_queries import (
    ChangeView,
    DoctorPreview,
    DoctorPreviewQuery,
    DoctorReport,
    DoctorReportQuery,
    DoctorRuns,
    DoctorRunsQuery,
    FindingView,
    RepairsDone,
    RunOfRepairs,
    StepOutcomeView,
    StepView,
)
from palyra.control.doctor_views import OUTCOME
from palyra.control.snapshots import CommandResult
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_control import FakeControl
from tests.tui.fake_worlds import normal

RUN = "01K0000000000000000000000A"
LEFT = FindingView("access.key_file", "access.key_file", "info", "gateway-key.txt", "The first key lies there still.")
BROKEN = FindingView(
    "config.syntax", "config.syntax", "blocking", "palyra.toml", "Line 3 cannot be read.", ("defaults are assumed",)
)
RESTORE = StepView(
    "config.restore_backup",
    "Restore palyra.toml from palyra.toml.bak.1",
    "The broken file is kept beside it.",
    False,
    False,
    False,
    ("palyra.toml.bak.2: it is empty",),
    (ChangeView("palyra.toml", "modify", "--- palyra.toml\n+++ palyra.toml\n@@ -1 +1 @@\n-[runs\n+[runs]\n"),),
)
ANEW = StepView("access.reinitialize", "Begin the access registry anew", "No operators then.", True, False, True)


class Clinic:
    """An installation as the doctor tells of it."""

    def __init__(self) -> None:
        self.findings: tuple[FindingView, ...] = (BROKEN, LEFT)
        self.steps: tuple[StepView, ...] = (RESTORE, ANEW)
        self.runs: tuple[RunOfRepairs, ...] = ()

    def answer(self, query: Any) -> Any:
        match query:
            case DoctorReportQuery():
                return DoctorReport(1, True, "palyra.toml", "state", (), self.findings)
            case DoctorPreviewQuery(run_id=""):
                return DoctorPreview("d" * 64, True, self.steps)
            case DoctorPreviewQuery(run_id=run_id):
                undo = StepView("recovery.undo", f"Take back the run {run_id}", "As before.", False, False, False)
                return DoctorPreview("e" * 64, True, (undo,))
            case DoctorRunsQuery():
                return DoctorRuns(self.runs)
        raise AssertionError(query)


@pytest.fixture
def clinic(monkeypatch: pytest.MonkeyPatch) -> Clinic:
    clinic = Clinic()
    others = FakeControl._answer

    def answer(control: FakeControl, query: Any) -> Any:
        asked = (DoctorReportQuery, DoctorPreviewQuery, DoctorRunsQuery)
        return clinic.answer(query) if isinstance(query, asked) else others(control, query)

    monkeypatch.setattr(FakeControl, "_answer", answer)
    return clinic


def came_of(*steps: StepOutcomeView, complete: bool = True) -> CommandResult:
    done = RepairsDone(RUN, "manifest.json", "completed", complete, False, steps, "", (LEFT,))
    return CommandResult(
        "accepted", "1 step applied.", "", {"run_id": RUN, OUTCOME: encode(RepairsDone, done).decode()}
    )


async def opened(desk: Desk) -> None:
    await desk.press("9", "D")
    assert desk.dialog == "DoctorDialog"


async def read_on(desk: Desk) -> None:
    for _ in range(4):
        await desk.press("pagedown")


async def test_findings_come_first_then_steps_with_their_diffs(clinic: Clinic) -> None:
    async with console(normal(), size=LARGE) as desk:
        await opened(desk)
        shown = desk.text
        assert "blocking config.syntax: Line 3 cannot be read." in shown
        assert shown.index("Line 3 cannot") < shown.index("The first key lies") < shown.index("1 [x] Restore")
        await read_on(desk)
        assert "+[runs]" in desk.text
        assert "2 [ ] Begin the access registry anew" in desk.text


async def test_nothing_is_applied_before_the_end_was_read(clinic: Clinic) -> None:
    async with console(normal()) as desk:
        await opened(desk)
        await desk.press("right", "enter")
        assert desk.control.sent == []
        desk.control.results = [came_of(StepOutcomeView("config.restore_backup", "applied"))]
        await read_on(desk)
        await desk.press("enter")
        assert desk.control.sent == [ApplyRepairs("d" * 64, ("config.restore_backup",), False)]


async def test_what_loses_something_takes_a_tick_of_its_own(clinic: Clinic) -> None:
    async with console(normal(), size=LARGE) as desk:
        await opened(desk)
        await desk.press("1", "2")
        await read_on(desk)
        desk.control.results = [came_of(StepOutcomeView("access.reinitialize", "applied"))]
        await desk.press("right", "enter")
        assert desk.control.sent == [ApplyRepairs("d" * 64, ("access.reinitialize",), True)]


async def test_the_outcome_tells_before_and_after_and_one_key_takes_it_back(clinic: Clinic) -> None:
    async with console(normal(), size=LARGE) as desk:
        await opened(desk)
        desk.control.results = [came_of(StepOutcomeView("config.restore_backup", "applied"))]
        await read_on(desk)
        await desk.press("right", "enter")
        assert "config.restore_backup applied" in desk.text
        assert "findings 2 → 1" in desk.text
        clinic.runs = (RunOfRepairs(RUN, "repair", "completed"),)
        await desk.press("u")
        assert f"Take back the run {RUN}" in desk.text
        assert desk.control.sent == [ApplyRepairs("d" * 64, ("config.restore_backup",), False)]
        desk.control.results = [came_of(StepOutcomeView("recovery.undo", "undone"))]
        await desk.press("enter")
        assert desk.control.sent[1:] == [RollBack(RUN)]
        assert "recovery.undo undone" in desk.text


async def test_a_plan_that_has_changed_is_shown_anew_and_nothing_is_written(clinic: Clinic) -> None:
    async with console(normal(), size=LARGE) as desk:
        await opened(desk)
        await read_on(desk)
        desk.control.results = [CommandResult("conflict", "The plan is another one.", code="plan_changed")]
        await desk.press("right", "enter")
        assert desk.dialog == "DoctorDialog"
        assert "The plan is another one." in desk.text
        assert [type(query) for query in desk.control.asked].count(DoctorReportQuery) == 2


async def test_a_healthy_installation_says_so(clinic: Clinic) -> None:
    clinic.findings, clinic.steps = (), ()
    async with console(normal()) as desk:
        await opened(desk)
        assert "Nothing is wrong." in desk.text
        await desk.press("right", "enter", "escape")
        assert (desk.control.sent, desk.dialog) == ([], "")
