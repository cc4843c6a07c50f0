"""Incidents, by keyboard: acknowledging, owning, snoozing, noting, remedies, resolving, and going to the subject."""

from dataclasses import replace

import pytest

from palyra.control.incidents_commands import (
    AckIncidents,
    AssignIncidents,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
from palyra.control.incidents_queries import IncidentView
from palyra.control.snapshots import CommandResult
from palyra.tui.commands.incidents import place_of
from palyra.tui.subjects import key_of
from tests.tui.desk import console
from tests.tui.fake_incidents import PAUSE, PROBE, incident
from tests.tui.fake_views import HOUR, MINUTE, NOW, ident, operator
from tests.tui.fake_worlds import World, normal, storm
from tests.tui.test_budgets_keys import fill

HUNG = IncidentRef(ident(7001), 3)


def world(*found: IncidentView) -> World:
    """Nothing but these incidents need anybody."""
    base = normal()
    return replace(base, approvals=(), alerts=(), trouble=replace(base.trouble, incidents=found))


def hung(**changes: object) -> IncidentView:
    return replace(incident(1, "high", f"run {ident(2000)} is silent"), **changes)  # type: ignore[arg-type]


async def test_the_list_says_how_grave_what_state_whose_how_often_and_since_when() -> None:
    async with console(normal()) as desk:
        await desk.press("3")
        assert [row[:20].strip() for row in desk.lines[3:7]] == [
            "▌✖ high     open",
            "▲ medium   remedy",
            "· low      snoozed",
            "● high     resolved",
        ]
        assert "run 01KA…007F is silent" in desk.lines[3]
        assert "3 below flapping The provider loca" in desk.lines[4]
        assert "maria" in desk.lines[4]
        assert "×12" in desk.lines[3]
        assert desk.lines[3].rstrip().endswith("1:12")
        assert "1 high, 1 medium, 1 low · healing auto · circuit open: runs" in desk.title


async def test_what_went_wrong_is_acknowledged_with_two_keys_among_five_hundred() -> None:
    async with console(storm()) as desk:
        await desk.press("3")
        assert len(desk.list._subjects) == 500
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == [AckIncidents((IncidentRef(ident(7000), 3),))]
        assert desk.notice == "● 1 incident acknowledged."


async def test_in_triage_the_same_keys_act_on_an_incident() -> None:
    async with console(world(hung())) as desk:
        await desk.ready()
        assert "1 needs you" in desk.title
        assert desk.lines[3].startswith("▌✖ incident high       run 01KA…007F is silent")
        await desk.press("a")
        await desk.wait()
        assert desk.control.sent == [AckIncidents((HUNG,))]
        assert "nothing needs you" in desk.title
        assert "acked" in desk.lines[3]
        await desk.press("a")
        assert "acknowledged by pavel" in desk.notice
        await desk.press("o")
        assert desk.control.sent[-1] == AssignIncidents((IncidentRef(ident(7001), 4),), "pavel")


async def test_triage_tells_the_cause_and_what_is_done_about_it() -> None:
    async with console(normal()) as desk:
        await desk.press("j", "j", "j")
        assert "No heartbeat for 1 min in the phase stream." in desk.text
        assert "now        cancel_run failed, next try 10:42 (30 s)" in desk.text


async def test_all_that_are_listed_are_acknowledged_at_once_after_a_question() -> None:
    async with console(storm()) as desk:
        await desk.press("3", "slash")
        await desk.type("severity:critical")
        await desk.press("enter")
        await desk.ready()
        await desk.press("A")
        assert "Acknowledge 125 incidents?" in desk.box
        assert "that match severity:critical" in desk.box
        assert "with the 980 below them" in desk.box
        await desk.press("enter")
        assert desk.control.sent == [], "the safe button has the focus"
        await desk.press("A", "tab", "enter")
        (sent,) = desk.control.sent
        assert isinstance(sent, AckIncidents)
        assert len(sent.incidents) == 125
        assert sent.incidents[0] == IncidentRef(ident(7000), 3)


async def test_owning_and_letting_go() -> None:
    async with console(world(hung())) as desk:
        await desk.press("3")
        await desk.ready()
        assert "o own" in desk.footer
        await desk.press("o")
        await desk.wait()
        assert "pavel" in desk.lines[3]
        assert "o let go" in desk.footer
        await desk.press("o")
        assert [one.assignee for one in desk.control.sent if isinstance(one, AssignIncidents)] == ["pavel", ""]


async def test_snoozing_asks_for_how_long_and_why_and_can_be_undone() -> None:
    async with console(world(hung(children=3))) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("s")
        assert "Say why it can wait first" in desk.box
        await desk.press("ctrl+u")
        await desk.type("5s")
        assert "1 min to 30 days" in desk.box
        await desk.press("ctrl+u")
        await desk.type("2h")
        await desk.press("enter")
        await desk.type("the pager is moved")
        assert "until 12:42 (2 h); back sooner if it gets worse. So are the 3 below it." in desk.box
        await desk.press("enter", "tab", "enter")
        assert desk.control.sent == [SnoozeIncidents((HUNG,), 7_200, "the pager is moved")]
        await desk.wait()
        assert "snoozed" in desk.lines[3]
        assert "s wake" in desk.footer
        await desk.press("s")
        assert desk.control.sent[-1] == SnoozeIncidents((IncidentRef(ident(7001), 4),), 0)


async def test_a_note_stays_in_the_timeline() -> None:
    async with console(world(hung())) as desk:
        await desk.press("3", "n", "escape", "n")
        await desk.ready()
        await desk.press("n")
        await desk.type("told the owner")
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == [NoteIncident(IncidentRef(ident(7001)), "told the owner")]
        await desk.press("enter")
        await desk.wait(2)
        await desk.press("G")
        assert "note by pavel: told the owner" in desk.text


async def test_a_remedy_is_shown_before_it_is_begun_and_followed_in_the_detail() -> None:
    async with console(normal()) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("m")
        assert "cancel_run: medium risk, reaches the session, by itself, 2 left" in desk.box
        assert "of agent-ci on openai/gpt-5.4 is cancelled." in desk.box
        assert "Tried 1 time before, last failed." in desk.box
        await desk.press("enter")
        assert desk.control.sent == [], "the safe button has the focus"
        await desk.press("m", "tab", "enter")
        assert desk.control.sent == [RunRemedy(HUNG, "cancel_run")]
        await desk.wait()
        assert desk.list.opened
        assert "verifying" in desk.text
        await desk.press("m")
        assert "a remedy is running" in desk.notice


async def test_of_several_remedies_one_is_chosen_and_one_that_needs_a_word_is_asked_for() -> None:
    base = world(hung())
    trouble = replace(base.trouble, remedies={ident(7001): (PROBE, PAUSE)})
    async with console(replace(base, trouble=trouble)) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("m")
        desk.focus("remedy")
        await desk.press("right")
        assert "pause_job: medium risk, reaches the session, needs an approval" in desk.box
        assert "[ Ask for it ]" in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [RunRemedy(HUNG, "pause_job")]


async def test_where_there_is_no_remedy_it_is_said() -> None:
    base = world(hung())
    async with console(replace(base, trouble=replace(base.trouble, remedies={}))) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("m")
        assert desk.dialog == ""
        assert "There is no remedy for it" in desk.notice


@pytest.mark.parametrize(("holds", "force", "said"), [(True, True, "It is still present"), (False, False, "not hold")])
async def test_closing_says_whether_it_is_still_present(holds: bool, force: bool, said: str) -> None:
    async with console(world(hung(holds=holds))) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("R")
        assert said in desk.box
        await desk.press("enter")
        assert desk.control.sent == []
        await desk.press("R", "tab", "enter")
        assert desk.control.sent == [ResolveIncidents((HUNG,), force=force)]
        await desk.wait()
        assert "resolved" in desk.lines[3]
        await desk.press("a")
        assert len(desk.control.sent) == 1


async def test_a_dialog_says_when_its_incident_changed_meanwhile() -> None:
    async with console(world(hung())) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("R")
        trouble = desk.control.world.trouble
        desk.control.change(trouble=replace(trouble, incidents=(hung(version=4, severity="critical"),)))
        await desk.wait()
        assert "It changed meanwhile (open, critical)" in desk.box


async def test_what_changed_just_now_is_not_acted_on_and_what_was_refused_is_told() -> None:
    async with console(world(hung())) as desk:
        await desk.press("3")
        await desk.ready()
        trouble = desk.control.world.trouble
        desk.control.change(trouble=replace(trouble, incidents=(hung(version=4, severity="critical"),)))
        await desk.wait(0.25)
        await desk.press("a")
        assert desk.control.sent == []
        assert "Look again" in desk.notice
        await desk.ready()
        desk.control.results.append(CommandResult("conflict", "It changed meanwhile."))
        await desk.press("a")
        assert "It changed meanwhile." in desk.notice


async def test_the_selection_follows_the_incident_when_a_graver_one_comes() -> None:
    async with console(world(hung())) as desk:
        await desk.press("3")
        chosen = desk.list.table.selected_key
        trouble = desk.control.world.trouble
        graver = incident(2, "critical", "the journal is stuck")
        desk.control.change(trouble=replace(trouble, incidents=(graver, hung())))
        await desk.wait()
        assert "the journal is stuck" in desk.lines[3]
        assert desk.list.table.selected_key == chosen


async def test_the_detail_says_all_in_words() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "enter")
        said = desk.text
        await desk.press("G")
        said += desk.text
        for words in ("last beat  4:00 ago", "progress   5:00 ago", "cancel_run", "timeline", "opened: severity high"):
            assert words in said, words
        assert "Incidents › 01KA…017F" in desk.title


async def test_filtering_by_state_severity_domain_and_assignee() -> None:
    async with console(normal()) as desk:
        await desk.press("3")
        for text, count in (
            ("state:resolved", 1),
            ("state:snoozed", 1),
            ("severity:high", 2),
            ("domain:provider", 1),
            ("assignee:maria", 1),
            ("assignee:nobody", 3),
            ("text:pager", 1),
        ):
            desk.list.set_filter(text)
            assert len(desk.list._subjects) == count, text


async def test_sorting() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "S")
        assert "by age" in desk.title
        first = next(iter(desk.list._subjects.values()))
        assert isinstance(first, IncidentView)
        await desk.press("S", "S", "S")
        assert "by " not in desk.title


async def test_jumping_to_what_it_is_about() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "J")
        await desk.wait()
        assert desk.front.NAME == "runs"
        assert desk.list.table.selected_key == f"run:{ident(2000)}"
        await desk.press("3", "j", "J")
        await desk.wait()
        assert desk.front.NAME == "models"
        assert desk.list.table.selected_key == "provider:local"


@pytest.mark.parametrize(
    ("family", "subject", "related", "place"),
    [
        ("heartbeat:background_task", "T", {"task": "T", "run": "R"}, ("jobs", "task:T")),
        ("heartbeat:cron_job", "J", {"job": "J", "run": "R"}, ("jobs", "job:J")),
        ("job:faulted", "J", {}, ("jobs", "job:J")),
        ("task:poison", "T", {}, ("jobs", "task:T")),
        ("approval", "A", {"approval": "A"}, ("approvals", "approval:A")),
        ("provider:none", "m", {"model": "m"}, ("models", "model:m")),
        ("heartbeat:external", "crawler", {"external": "crawler"}, None),
        ("storage:journal", "", {}, None),
    ],
)
def test_every_kind_of_subject_has_its_place(
    family: str, subject: str, related: dict[str, str], place: tuple[str, str] | None
) -> None:
    assert place_of(incident(1, "low", "x", family=family, subject=subject, related=related)) == place


async def test_what_is_gone_where_it_jumps_to_is_said() -> None:
    async with console(world(hung(related={"run": "gone"}))) as desk:
        await desk.press("3", "J")
        await desk.wait(3)
        assert desk.front.NAME == "runs"
        assert "not listed here any more" in desk.notice


async def test_the_palette_finds_incidents() -> None:
    async with console(normal()) as desk:
        await desk.press("colon")
        await desk.type("incident medium")
        await desk.press("enter")
        await desk.wait()
        assert desk.front.NAME == "incidents"
        assert desk.list.table.selected_key == f"incident:{ident(7017)}"


async def test_a_viewer_sees_the_keys_dimmed() -> None:
    async with console(replace(normal(), operator=operator(role="viewer"))) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("a", "A", "s", "o", "n", "m", "R", "M")
        assert desk.control.sent == []
        assert desk.dialog == ""
        assert "viewer" in desk.notice


async def test_the_mode_is_set_for_one_feature_and_shown() -> None:
    async with console(normal()) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("M")
        desk.focus("mode")
        await desk.press("o")
        assert "no remedy begins by itself" in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [SetHealingMode("runs", "observe_only")]
        await desk.wait()
        assert "healing auto, runs observe only" in desk.title


async def test_a_resolved_incident_ends_in_the_list_and_a_snapshot_wins_over_an_older_page() -> None:
    ended = hung(state="resolved", resolved_at=NOW - MINUTE, resolved_by="palyra", reason="condition_cleared")
    base = world(incident(2, "low", "still open", opened_at=NOW - HOUR))
    async with console(replace(base, trouble=replace(base.trouble, others=(ended,)))) as desk:
        await desk.press("3")
        assert [key_of(one) for one in desk.list._subjects.values()] == [
            f"incident:{ident(7002)}",
            f"incident:{ident(7001)}",
        ]


async def test_how_soon_trouble_was_found_known_and_over_is_told_by_severity_and_window() -> None:
    async with console(normal()) as desk:
        await desk.press("3")
        await desk.ready()
        assert "MTTA" not in desk.title
        await desk.press("t")
        assert desk.dialog == "MeasuresDialog"
        for window in ("24h", "7d", "30d"):
            assert f"{window} " in desk.box
        assert "all 38 9 2 0.3 s 2:11 8:42" in desk.box
        await desk.press("escape")
        assert desk.dialog == ""
    async with console(normal(), size=(120, 40)) as desk:
        await desk.press("3")
        await desk.ready()
        assert "MTTA 2:11 · MTTR 8:42 in 7d" in desk.title


async def test_it_is_given_to_another_operator() -> None:
    async with console(world(hung(children=3))) as desk:
        await desk.press("3")
        await desk.ready()
        await desk.press("O")
        assert desk.dialog == "AssignDialog"
        assert "It is nobody's then. So are the 3 below it." in desk.box
        await fill(desk, name="pavel")
        assert "It is pavel's then." in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [AssignIncidents((HUNG,), "pavel")]
