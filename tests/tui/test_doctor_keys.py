"""The doctor on the Diagnostics screen: findings first, a repair as a diff, ticks, applying it, and the way back."""

import asyncio
from dataclasses import replace

import pytest

from palyra.control.doctor_commands import ApplyRepairs, RollBack
from palyra.control.doctor_queries import (
    DoctorPreviewQuery,
    DoctorReport,
    DoctorReportQuery,
    DoctorRunsQuery,
    StepOutcomeView,
)
from palyra.control.snapshots import CommandResult, RunView
from palyra.core.errors import EngineGoneError, StateError
from palyra.tui.details.finding import finding_rows
from palyra.tui.screens.diagnostics import DiagnosticsScreen
from palyra.tui.widgets.lines import lines_text
from tests.tui.desk import LARGE, SMALL, Desk, console
from tests.tui.fake_doctor import (
    ANEW,
    BROKEN,
    EARLIER,
    MIGRATE,
    RESTORE,
    RUN,
    Clinic,
    came_of,
    doctor_told,
    ill,
    very_ill,
)
from tests.tui.fake_views import operator
from tests.tui.fake_worlds import World, normal
from tests.tui.test_rights import dimmed


def sick(clinic: Clinic | None = None) -> World:
    return replace(normal(), clinic=very_ill() if clinic is None else clinic)


async def opened(desk: Desk) -> DiagnosticsScreen:
    """Diagnostics in front, its keys awake."""
    await desk.press("9")
    await desk.jump(1)
    assert isinstance(desk.front, DiagnosticsScreen)
    return desk.front


def told(desk: Desk) -> str:
    """What the side panel says, its lines joined."""
    return " ".join(lines_text(desk.list.pane.lines).split())


async def select(desk: Desk, name: str) -> None:
    """Moves to the finding of a check."""
    desk.list.find(next(row.key for row in desk.list.table.rows if row.key.startswith(f"finding:{name}")))
    await desk.settle()
    await desk.jump(1)


async def agreed(desk: Desk) -> None:
    """Says yes to the dialog that asks."""
    assert desk.dialog == "RepairDialog"
    await desk.press("pagedown", "right", "enter")


def applied(desk: Desk) -> list[ApplyRepairs]:
    return [one for one in desk.control.sent if isinstance(one, ApplyRepairs)]


def asked(desk: Desk, kind: type) -> int:
    return sum(isinstance(one, kind) for one in desk.control.asked)


async def test_findings_stand_above_the_parts_and_the_doctor_looks_only_when_told_to() -> None:
    async with console(normal()) as desk:
        assert asked(desk, DoctorReportQuery) == 0, "not before somebody looks"
        await opened(desk)
        assert [row.split()[1:3] for row in desk.lines[3:8]] == [
            ["config.syntax", "blocking"],
            ["state.permissions", "warning"],
            ["vault.state", "warning"],
            ["access.keys", "info"],
            ["provider:anthropic", "failed"],
        ]
        assert "doctor: 1 blocking, 2 warnings · degraded, 6 of 20 unwell" in desk.title
        assert "found   palyra.toml cannot be read" in desk.text
        assert "costs   Palyra, or this part of it, cannot do its work" in desk.text
        assert "repair  Restore palyra.toml from palyra.toml.bak.1 (config.restore_backup)" in desk.text
        for _ in range(6):
            await desk.jump(10)
        await desk.press("1", "9", "r")
        assert asked(desk, DoctorReportQuery) == 1
        desk.control.change(clinic=Clinic())
        await desk.press("D")
        assert asked(desk, DoctorReportQuery) == 2
        assert "doctor: all well" in desk.title


async def test_who_is_at_the_top_of_the_list_sees_the_worst_that_comes() -> None:
    async with console(sick(Clinic())) as desk:
        screen = await opened(desk)
        assert screen.table.selected_key == "provider:anthropic"
        desk.control.change(clinic=ill())
        await desk.press("D")
        assert screen.table.selected_key == f"finding:{BROKEN.id}"
        await desk.press("j", "j")
        desk.control.change(clinic=very_ill())
        await desk.press("D")
        assert screen.table.selected_key == "finding:vault.state:vault/vault.json", "who reads is not moved"


async def test_opened_a_finding_tells_all_there_is_and_a_check_that_could_not_look_counts_as_failed() -> None:
    clinic = ill()
    failed = replace(clinic.checks[0], id="journal.open", status="error", reason="it took longer than 30 s")
    async with console(sick(replace(clinic, checks=(*clinic.checks, failed))), size=LARGE) as desk:
        await opened(desk)
        assert "/home/pavel/.config/palyra/palyra.toml" in desk.text
        assert "Until it can, defaults are assumed." in desk.text
        assert "by hand Correct that line." in desk.text
        assert "What was changed since that backup" in desk.text
        assert "doctor: 2 blocking, 2 warnings, 1 info" in desk.title
        await select(desk, "journal.open")
        assert "journal.open could not be looked at: it took longer than 30 s" in told(desk)
        assert "doctor.preview" in dimmed(desk)
        await desk.press("p")
        assert "nothing repairs this by itself" in desk.notice


async def test_a_repair_is_a_diff_and_the_same_key_goes_on_to_the_next_one() -> None:
    async with console(normal()) as desk:
        screen = await opened(desk)
        await desk.press("p")
        shown = desk.text
        assert "[x] Restore palyra.toml from palyra.toml.bak.1" in shown
        assert "repair 2 of 2, 1 ticked" in shown
        assert "palyra.toml.bak.2: it is empty" in shown
        assert "-hard_limit 45.00" not in shown
        await desk.press("pagedown")
        assert "-hard_limit 45.00" in desk.text
        assert "+hard_limit = 40.00" in desk.text
        await desk.press("y")
        assert "-hard_limit 45.00\n   +hard_limit = 40.00" in desk.app.clipboard
        await desk.press("p")
        assert "[ ] Close files of the state to other accounts" in desk.text
        assert "chmod vault/vault.key  mode 0644 → 0600" in desk.text
        assert "It changes who may read" in desk.text
        assert screen.table.selected_key == "finding:state.permissions:vault/vault.key"
        await desk.press("j")
        assert "Put vault/vault.json back from a backup" in desk.text, "a finding without repair says what to do"
        assert "mode 0644 →" not in desk.text
        await desk.press("k", "k", "enter")
        assert "-hard_limit 45.00" in desk.text, "opened, it has the whole screen"
        await desk.press("escape", "escape")
        assert not screen.paging
        assert screen.focused is screen.table


async def test_a_repair_that_is_asked_for_before_there_is_a_plan_comes_with_its_tick() -> None:
    async with console(normal()) as desk:
        gate = desk.control.gate = asyncio.Event()
        screen = await opened(desk)
        clinic = normal().clinic
        report = doctor_told(clinic, DoctorReportQuery())
        assert isinstance(report, DoctorReport)
        screen.doctor.report, screen.doctor.rows = report, tuple(finding_rows(report))
        screen.redraw()
        await desk.jump(1)
        await desk.press("p")
        assert "Working out what would be changed" in desk.text
        gate.set()
        desk.control.gate = None
        await desk.settle()
        assert "[x] Restore palyra.toml" in desk.text


async def test_what_is_ticked_is_applied_once_it_was_read_and_agreed_to() -> None:
    async with console(normal()) as desk:
        await opened(desk)
        await desk.press("f")
        assert "The same key again applies it" in desk.notice, "nothing is applied unseen"
        await desk.ready()
        await desk.press("f")
        assert "Read it to its end first" in desk.notice
        await desk.press("pagedown", "f")
        assert "Apply 1 repair?" in desk.box
        assert desk.app.screen.focused is desk.app.screen.query_one("#keep"), "the safe button has the focus"
        await desk.press("enter")
        assert applied(desk) == []
        await desk.press("f")
        await agreed(desk)
        assert applied(desk) == [ApplyRepairs(ill().digest, ("config.restore_backup",))]
        await desk.press("p")
        assert asked(desk, DoctorPreviewQuery) == 4, "looked at, shown, applied, shown"


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_end_and_home_scroll_a_repair_that_is_looked_at_and_leave_the_row_selected(size: tuple[int, int]) -> None:
    losses = " ".join(f"loses {n}," for n in range(400))
    clinic = replace(ill(), steps=(replace(RESTORE, impact=losses),))
    async with console(normal(), size=size) as desk:
        screen = await opened(desk)
        desk.control.change(clinic=clinic)
        await desk.press("p")
        begun, selected = desk.text, screen.subject
        assert ("loses 1," in begun, 'action = "approval_required"' in begun) == (True, False)
        await desk.press("end")
        assert ("loses 1," in desk.text, 'action = "approval_required"' in desk.text) == (False, True)
        assert screen.subject == selected
        await desk.press("home")
        assert desk.text == begun
        await desk.press("G", "f")
        assert "Apply 1 repair?" in desk.box, "it was read to its end"


async def test_every_ticked_step_has_to_be_seen_before_any_is_applied() -> None:
    async with console(normal(), size=LARGE) as desk:
        await opened(desk)
        await desk.press("p", "p", "space")
        await desk.press("p")
        await desk.jump(1)
        await desk.press("f")
        assert "Apply 2 repairs?" in desk.box
        await desk.press("escape")
        desk.control.change(clinic=replace(ill(), steps=(replace(ill().steps[0], impact="other"), RESTORE)))
        await desk.press("escape", "p")
        await desk.jump(1)
        await desk.press("f")
        assert "This one is ticked too" in desk.notice, "it is another step by now"
        assert "[x] Close files" in desk.text
        await desk.jump(1)
        await desk.press("f")
        await agreed(desk)
        assert [one.steps for one in applied(desk)] == [("state.permissions", "config.restore_backup")]


async def test_what_loses_something_takes_a_tick_of_its_own() -> None:
    async with console(sick(), size=LARGE) as desk:
        await opened(desk)
        await select(desk, "access.registry")
        await desk.press("p")
        assert "[ ] Begin the access registry anew" in desk.text
        assert "It loses something" in desk.text
        assert "doctor.apply" in dimmed(desk)
        await desk.press("f")
        assert "no step is ticked" in desk.notice
        await desk.press("space", "f")
        assert "It loses something, as its page says." in desk.box
        await agreed(desk)
        assert applied(desk) == [ApplyRepairs(very_ill().digest, (ANEW.repair_id,), force=True)]


async def test_the_result_stands_beside_what_was_and_findings_turn_green_or_say_why_not() -> None:
    async with console(normal(), size=LARGE) as desk:
        screen = await opened(desk)
        await desk.press("p", "f")
        await agreed(desk)
        shown = desk.text
        assert "config.restore_backup applied" in shown
        before, after = ("✖ blocking", "● put right")
        (row,) = [line for line in desk.lines if before in line and after in line]
        assert row.index(before) < row.index(after)
        assert "its repair was not ticked" in shown
        assert "nothing repairs it by itself" in shown
        assert "put right" in desk.lines[3]
        assert "doctor: 2 warnings" in desk.title
        await desk.press("escape")
        assert [one.gone for one in screen.doctor.rows] == [True, False, False, False], "in the places they had"
        await desk.press("D")
        assert "config.syntax" not in desk.text


async def test_a_repair_that_failed_says_so_with_its_reason() -> None:
    async with console(normal(), size=LARGE) as desk:
        screen = await opened(desk)
        await desk.press("p", "f")
        failed = StepOutcomeView("config.restore_backup", "failed", "no space left on device")
        desk.control.results = [came_of(ill(), failed, said="Not everything was done.", complete=False)]
        await agreed(desk)
        assert "✖ config.restore_backup failed: no space left on device" in desk.text
        assert screen.doctor.rows[0].why == "its repair failed: no space left on device"
        await desk.press("escape")
        assert "still its repair failed: no space left on device" in told(desk)
        await desk.press("p", "f")
        desk.control.trouble = EngineGoneError("The engine is gone.")
        await agreed(desk)
        assert "The list of runs tells whether it was done all the same." in desk.notice
        assert screen.doctor.work is None


async def test_a_run_is_followed_step_by_step_and_goes_on_when_its_view_is_left() -> None:
    async with console(sick(), size=LARGE) as desk:
        screen = await opened(desk)
        await desk.press("p", "f", "pagedown", "right")
        gate = desk.control.command_gate = asyncio.Event()
        await desk.press("enter")
        assert "getting ready" in desk.text
        desk.control.change(clinic=replace(very_ill(), under_way=(1, 3, "state.permissions")))
        await desk.wait(1)
        assert "1 of 3 steps" in desk.text
        assert "now state.permissions" in desk.text
        assert "cannot be stopped midway" in desk.text
        assert "repairing 1 of 3" in desk.title
        for key in ("p", "u", "f", "D"):
            await desk.press(key)
            assert "a run is under way" in desk.notice, key
        await desk.press("escape")
        assert "It goes on to its end" in desk.notice
        assert not screen.paging
        gate.set()
        await desk.settle()
        assert "config.restore_backup applied" in desk.text, "what came of it is shown when it is done"
        looks = asked(desk, DoctorRunsQuery)
        await desk.wait(2)
        assert asked(desk, DoctorRunsQuery) == looks, "nobody asks how far a run is that is over"


async def test_a_plan_that_has_changed_is_shown_anew_and_nothing_is_written() -> None:
    async with console(normal(), size=LARGE) as desk:
        await opened(desk)
        await desk.press("p", "f")
        other = replace(RESTORE, title="Restore palyra.toml from palyra.toml.bak.3")
        desk.control.results = [CommandResult("conflict", "The plan is another one.", code="plan_changed")]
        desk.control.change(clinic=replace(ill(), steps=(other,)))
        await agreed(desk)
        assert "The plan is another one." in desk.notice
        assert "[x] Restore palyra.toml from" in desk.text
        assert "palyra.toml.bak.3" in desk.text
        assert desk.control.world.clinic.findings == ill().findings


async def test_one_key_takes_the_newest_run_back_and_shows_first_what_that_changes() -> None:
    async with console(normal(), size=LARGE) as desk:
        screen = await opened(desk)
        await desk.press("p", "f")
        await agreed(desk)
        await desk.jump(1)
        await desk.press("u")
        assert DoctorPreviewQuery(RUN) in desk.control.asked
        assert "Take back the repair" in desk.text
        assert "mode 0600 → 0644" in desk.text
        assert RollBack(RUN) not in desk.control.sent
        await desk.press("f")
        await agreed(desk)
        assert desk.control.sent[-1] == RollBack(RUN)
        assert "recovery.undo undone" in desk.text
        (row,) = [line for line in desk.lines if "● well" in line]
        assert "✖ blocking" in row
        assert [one.gone for one in screen.doctor.rows] == [False] * 4


async def test_any_run_of_the_list_can_be_taken_back_over_later_changes_with_a_tick() -> None:
    world = sick(replace(ill(), conflicts=("vault/vault.key",)))
    async with console(world, size=LARGE) as desk:
        await opened(desk)
        await desk.press("U")
        assert "Diagnostics › runs of the doctor" in desk.title
        assert "auth.normalize" in desk.lines[3]
        assert "unix:ana" in desk.text
        await desk.jump(1)
        await desk.press("u")
        assert DoctorPreviewQuery(EARLIER, force=True) in desk.control.asked
        assert "vault/vault.key was changed since" in desk.text
        assert "doctor.apply" in dimmed(desk)
        await desk.press("space", "f")
        await agreed(desk)
        assert desk.control.sent == [RollBack(EARLIER, force=True)]
        await desk.press("escape")
        assert "runs of the doctor" in desk.title
        assert "rolled back" in desk.lines[3]
        await desk.jump(1)
        assert "doctor.undo" in dimmed(desk)
        await desk.press("escape")
        assert "runs of the doctor" not in desk.title


async def test_what_turns_out_to_be_changed_since_takes_a_tick_before_it_is_tried_again() -> None:
    async with console(normal(), size=LARGE) as desk:
        await opened(desk)
        await desk.press("u", "f")
        why = "Not as the run left it: journal.db; nothing was written."
        desk.control.results = [CommandResult("conflict", why, code="changed_since")]
        await agreed(desk)
        assert why in told(desk)
        assert "[ ] Take back the repair" in told(desk)
        assert "doctor.apply" in dimmed(desk)
        await desk.press("space", "f")
        await agreed(desk)
        assert desk.control.sent == [RollBack(EARLIER), RollBack(EARLIER, force=True)]


async def test_what_needs_the_engine_stopped_names_the_runs_in_flight_and_asks_again() -> None:
    async with console(sick(), size=LARGE) as desk:
        await opened(desk)
        await select(desk, "journal.schema")
        await desk.press("p")
        assert "you are asked first" in told(desk)
        await desk.press("f")
        await agreed(desk)
        assert "Stop the engine for it?" in desk.box
        assert "2 runs in flight: up to 30 s to end, then cut." in desk.box
        live: list[RunView] = [one for one in normal().runs if one.live]
        assert all(one.principal in desk.box for one in live)
        assert desk.app.screen.focused is desk.app.screen.query_one("#keep")
        await desk.press("enter")
        assert applied(desk) == []
        await desk.press("f")
        await agreed(desk)
        await desk.press("right", "enter")
        assert applied(desk) == [ApplyRepairs(very_ill().digest, (MIGRATE.repair_id,), stop_engine=True)]


async def test_a_console_of_another_process_says_why_not_and_what_to_run() -> None:
    async with console(sick(), size=LARGE, attached=True) as desk:
        await opened(desk)
        await select(desk, "journal.schema")
        await desk.press("p")
        shown = told(desk)
        assert "[ ] Migrate the journal" in shown
        assert "palyra doctor --repair --only journal.migrate" in shown
        assert {"doctor.tick", "doctor.apply"} <= dimmed(desk)
        await desk.press("space", "f")
        assert desk.control.sent == []


async def test_viewers_look_at_everything_and_change_nothing() -> None:
    async with console(replace(normal(), operator=operator("approver", "bo"))) as desk:
        await opened(desk)
        assert {"doctor.apply", "doctor.undo"} <= dimmed(desk)
        assert "needs the role admin, bo is approver" in desk.notice
        await desk.press("p", "pagedown", "f", "u")
        assert "-hard_limit 45.00" in desk.text
        assert (desk.control.sent, desk.dialog) == ([], "")
        desk.control.change(operator=replace(operator("viewer", "owner"), repairs=True))
        await desk.wait(1)
        assert "doctor.apply" not in dimmed(desk), "who owns a state whose registry is broken may repair it"


async def test_a_look_can_be_stopped_and_one_that_fails_says_why() -> None:
    async with console(normal()) as desk:
        screen = await opened(desk)
        gate = desk.control.gate = asyncio.Event()
        await desk.press("D")
        assert "the doctor looks …" in desk.title
        await desk.press("escape")
        assert "it had only looked" in desk.notice
        assert "doctor: 1 blocking" in desk.title, "what was found before stays"
        gate.set()
        desk.control.gate = None
        desk.control.trouble = EngineGoneError("The engine is gone.")
        await desk.press("D")
        assert "the doctor could not look" in desk.title
        assert screen.doctor.fault == "The engine is gone."


async def test_a_console_that_ends_leaves_looks_and_runs_behind_without_a_word() -> None:
    for held, keys in (("gate", ("D",)), ("command_gate", ("p", "pagedown", "f", "pagedown", "right", "enter"))):
        async with console(normal()) as desk:
            await opened(desk)
            setattr(desk.control, held, asyncio.Event())
            await desk.press(*keys)
        assert desk.app.failures == []


async def test_what_cannot_be_planned_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(normal()) as desk:
        screen = await opened(desk)
        answer = desk.control._answer

        def refuse(query: object) -> object:
            if isinstance(query, DoctorPreviewQuery):
                raise StateError("The manifest cannot be read.", fix="Look at it.")
            return answer(query)

        monkeypatch.setattr(desk.control, "_answer", refuse)
        for key in ("u", "p"):
            await desk.press(key)
            assert "The manifest cannot be read. Look at it." in desk.notice
        assert screen.doctor.undoing is None
        assert BROKEN.check in desk.text
