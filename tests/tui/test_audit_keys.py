"""Audit: what people did, newest first, and every key of it."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palyra.control.audit_queries import AuditEntry, AuditLogQuery, AuditProgress, AuditProgressQuery
from palyra.control.queries import AuditAnswer, AuditQuery
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_audit import entry, long_audit
from tests.tui.fake_doctor import EARLIER
from tests.tui.fake_views import HOUR, MINUTE, NOW, ident
from tests.tui.fake_worlds import empty, normal, storm
from tests.tui.test_usage_dialogs import finished


async def test_what_people_did_comes_without_decisions_about_requests_unless_asked_for() -> None:
    async with console(normal()) as desk:
        await desk.press("0")
        assert [line.split()[1:4] for line in desk.lines[3:10]][:3] == [
            ["pavel", "access", "operator"],
            ["ana", "job", "paused"],
            ["ana", "incident", "acknowledged"],
        ]
        assert " 1 of 7 " in desk.title
        assert "not verified" in desk.title
        await desk.press("a")
        assert "with decisions · 1 of 17" in desk.title
        asked = [query.deeds for query in desk.control.asked if isinstance(query, AuditLogQuery)]
        assert (asked[0], asked[-1]) == (True, False)
        await desk.press("a")
        assert " 1 of 7 " in desk.title


async def test_new_entries_come_by_themselves_and_the_cursor_stays_on_its_own() -> None:
    async with console(normal()) as desk:
        await desk.press("0", "j")
        before = desk.list.table.selected_key
        desk.control.change(audit=(*desk.control.world.audit, entry(199, "policy", "removed", "ana", "old-budget")))
        await desk.jump(1)
        assert desk.list.table.selected_key == before
        assert desk.lines[3].split()[1:4] == ["ana", "policy", "removed"]
        asked = len(desk.control.asked)
        await desk.jump(1)
        assert len(desk.control.asked) == asked, "nothing happened, nothing is asked"


def held(desk: Desk) -> list[int]:
    return [one.seq for one in desk.list.items(desk.snapshot) if isinstance(one, AuditEntry)]


async def test_the_whole_chain_is_reached_through_a_list_of_five_hundred() -> None:
    async with console(storm()) as desk:
        await desk.press("0")
        assert "100+ shown" in desk.title
        await desk.press(*["pagedown"] * 6)
        assert held(desk) == list(range(1_199, 1_199 - len(held(desk)), -1))
        assert len(held(desk)) == 200
        await desk.press("G")
        assert held(desk) == list(range(len(held(desk)), 0, -1))
        assert desk.list.table.selected_key == "audit:1"
        desk.control.change(audit=(*desk.control.world.audit, entry(1_200, "policy", "edited", "ana", "b")))
        await desk.jump(1)
        assert held(desk) == list(range(len(held(desk)), 0, -1)), "what is read does not move"
        while held(desk)[0] < 1_000:
            await desk.press("pageup")
            assert held(desk) == list(range(held(desk)[0], held(desk)[-1] - 1, -1))
            assert len(held(desk)) <= 500
        await desk.press("g")
        assert held(desk)[0] == 1_200, "the first entry is the newest there is"
        assert desk.control.most_in_flight == 1


async def test_the_journal_looks_for_words_fields_and_times() -> None:
    async with console(storm()) as desk:
        await desk.press("0", "slash")
        await desk.type("actor:op-3 subject:budget-1 ")
        await desk.type("since:3d")
        await desk.press("enter")
        query = [one for one in desk.control.asked if isinstance(one, AuditLogQuery)][-1]
        assert [(one.field, one.value) for one in query.terms] == [("who", "op-3"), ("to", "budget-1")]
        assert query.since == NOW - 3 * 24 * 60 * MINUTE
        assert held(desk) == [
            seq
            for seq in range(1_199, 0, -1)
            if seq % 7 == 3
            and f"budget-{seq % 50}".startswith("budget-1")
            and NOW - (200 - seq) * 7 * MINUTE >= (query.since or 0)
        ]
        assert f"/ actor:op-3 subject:budget-1 since:3d  1 of {len(held(desk))} " in desk.title
        await desk.press("slash")
        await desk.type(" until:noon")
        await desk.press("enter")
        assert "until:noon is no time; write it like 24h, 2026-11-22" in desk.notice
        await desk.press("escape")
        assert held(desk)[0] == 1_199


async def test_more_than_a_page_at_once_leaves_no_gap() -> None:
    async with console(storm()) as desk:
        await desk.press("0", "G")
        flood = tuple(entry(number, "policy", "edited", "ana", "b") for number in range(1_200, 1_400))
        desk.control.change(audit=(*desk.control.world.audit, *flood))
        await desk.jump(1)
        await desk.press("g")
        numbers = [one.seq for one in desk.list.items(desk.snapshot) if isinstance(one, AuditEntry)]
        assert numbers == list(range(1_399, 1_399 - len(numbers), -1))


async def test_the_chain_is_verified_and_what_was_found_stays() -> None:
    async with console(normal()) as desk:
        await desk.press("0", "V")
        assert "42 entries: the chain holds." in desk.text
        assert "chain whole at 10:42Z · 1 of 7" in desk.title
        assert sum(isinstance(query, AuditQuery) for query in desk.control.asked) == 1


async def test_a_check_tells_how_far_it_is_and_esc_stops_it() -> None:
    async with console(normal()) as desk:
        await desk.press("0")
        gate = asyncio.Event()
        answer = desk.control._answer

        async def slow(query: Any) -> Any:
            desk.control.asked.append(query)
            if isinstance(query, AuditQuery):
                await gate.wait()
            return answer(query)

        desk.control.answer = slow  # type: ignore[method-assign]
        await desk.press("V")
        assert "verifying ░░░░░░░░░░░░ 0 %" in desk.title
        desk.control.change(followed=AuditProgress(20_000, 50_000))
        await desk.wait(2)
        assert "verifying ████▊░░░░░░░ 40 % · 10,000 entries/s · 3 s left · esc stops" in desk.title
        await desk.press("V")
        assert "it is being verified" in desk.notice
        await desk.press("escape")
        assert "The check was stopped" in desk.notice
        assert "not verified" in desk.title
        gate.set()
        polls = sum(isinstance(query, AuditProgressQuery) for query in desk.control.asked)
        await desk.wait(2)
        assert sum(isinstance(query, AuditProgressQuery) for query in desk.control.asked) == polls
        await desk.press("V")
        assert "chain whole" in desk.title


async def test_a_broken_chain_is_told_with_where(monkeypatch: pytest.MonkeyPatch) -> None:
    world = normal()
    world.audit = (entry(17, "policy", "removed", "ana", "old-budget"), *world.audit)
    async with console(world, size=LARGE) as desk:
        answer = desk.control._answer
        broken = AuditAnswer(False, 42, "", 17, "row 17 does not fit its digest and the row before it")

        def told(query: Any) -> Any:
            return broken if isinstance(query, AuditQuery) else answer(query)

        monkeypatch.setattr(desk.control, "_answer", told)
        await desk.press("0", "V")
        assert "Broken at entry 17 of 42 entries: row 17 does not fit" in desk.text
        assert "chain broken at 10:42Z" in desk.title
        (row,) = [line for line in desk.lines if "✖ policy removed" in line]
        assert "ana" in row
        desk.list.find("audit:17")
        await desk.settle()
        await desk.press("enter")
        assert "The chain cannot be trusted from here on: row 17 does not fit" in desk.text


async def test_opened_an_entry_tells_all_that_was_written_down() -> None:
    async with console(normal(), size=LARGE) as desk:
        await desk.press("0")
        await desk.press("enter")
        for words in ("access operator added", "approver", "attestation", "digest of this entry"):
            assert words in desk.text
        assert "Audit › entry 198" in desk.title


async def test_from_an_entry_to_what_it_is_about() -> None:
    world = normal()
    approval = world.approvals[0]
    world.audit = (entry(7, "approval", "opened", "palyra", approval.approval_id),)
    async with console(world) as desk:
        await desk.press("0")
        await desk.jump(1)
        await desk.press("J")
        assert desk.app.screen.name == "approvals"
        assert desk.list.table.selected_key == f"approval:{approval.approval_id}"


async def test_from_an_entry_to_the_run_of_the_doctor_the_budget_or_the_decision() -> None:
    world = normal()
    world.audit = (
        entry(7, "repair", "applied", "unix:ana", EARLIER),
        entry(8, "policy", "edited", "pavel", "team-day"),
        entry(9, "decision", "allowed", "agent-ci", ident(3_001)),
    )
    async with console(world) as desk:
        await desk.press("0", "a", "g")
        assert "jump" not in desk.footer
        await desk.press("x")
        assert desk.dialog == "DecisionDialog"
        await desk.press("escape", "j", "J")
        assert (desk.app.screen.name, desk.list.filter.text) == ("budgets", "budget:team-day")
        assert "team-day" in desk.lines[3]
        await desk.press("0", "G", "J")
        assert "Diagnostics › runs of the doctor" in desk.title
        assert desk.list.table.selected_key == f"repair:{EARLIER}"


async def test_an_entry_about_nothing_that_is_listed_offers_no_jump() -> None:
    world = normal()
    world.audit = (entry(7, "engine", "started", "palyra", ident(1)),)
    async with console(world) as desk:
        await desk.press("0")
        assert "jump" not in desk.footer
        await desk.press("J")
        assert desk.app.screen.name == "audit"


async def test_it_is_written_to_a_file(tmp_path: Path) -> None:
    world = normal()
    world.engine = replace(world.engine, state_dir=str(tmp_path))
    async with console(world) as desk:
        await desk.press("0", "e")
        assert "what people and Palyra did, each with its digest" in desk.box
        await desk.press("right")
        desk.focus("act")
        await desk.press("enter")
        await finished(desk)
        assert "7 entries in" in desk.box
    (file,) = (tmp_path / "exports").iterdir()
    told = json.loads(file.read_bytes())
    assert [one["seq"] for one in told] == [198, 189, 184, 168, 167, 156, 141]
    assert told[0]["data"]["role"] == "approver"


async def test_what_the_filter_shows_is_written_on_all_its_pages(tmp_path: Path) -> None:
    world = normal()
    world.engine = replace(world.engine, state_dir=str(tmp_path))
    world.audit = long_audit()
    async with console(world) as desk:
        await desk.press("0", "slash")
        await desk.type("who:op-3 since:10h")
        await desk.press("enter", "G", "e")
        assert "Export what the filter shows of the audit" in desk.box
        assert "only what / who:op-3 since:10h lets through" in desk.box
        await desk.press("right")
        desk.focus("act")
        await desk.press("enter")
        await finished(desk)
    (file,) = (tmp_path / "exports").iterdir()
    told = json.loads(file.read_bytes())
    wanted = [one for one in reversed(long_audit()) if one.actor == "op-3" and one.at >= NOW - 10 * HOUR]
    assert 100 < len(wanted) < len(long_audit()) // 7
    assert [one["seq"] for one in told] == [one.seq for one in wanted]


async def test_an_empty_one_teaches() -> None:
    async with console(empty()) as desk:
        await desk.press("0")
        assert "Nothing is written down yet." in desk.text
