"""Asking for room from the Budgets screen, and deciding on what was asked for in words."""

from dataclasses import replace

import pytest

from palyra.control.commands import DecideApproval, EditPolicy, RequestOverride
from palyra.control.snapshots import CommandResult
from tests.tui.desk import LARGE, console
from tests.tui.fake_budgets import asked_for_room
from tests.tui.fake_views import ident, operator
from tests.tui.fake_worlds import World, normal
from tests.tui.test_budgets_keys import fill

REASON = "The nightly report failed twice and the board meets at nine. " * 3


def asking(reason: str = REASON) -> World:
    """The first approval was asked for by a key in words."""
    world = normal()
    first, *others = world.approvals
    return replace(world, approvals=(asked_for_room(first, reason), *others))


async def test_o_asks_for_room_in_the_selected_budget() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        assert "o ask…" in desk.footer
        await desk.press("o")
        assert desk.dialog == "RequestDialog"
        assert "reason: a person has to know why" in desk.box
        await fill(desk, principal="maria", amount="5.00", reason="thesis due")
        assert "maria asks for $5.00 more than its limit in research-day, in every session" in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [RequestOverride(("research-day",), "maria", "", "5.00", "thesis due")]
        assert desk.dialog == ""
        assert "is open" in desk.notice


async def test_whom_a_budget_counts_is_filled_in() -> None:
    async with console(normal()) as desk:
        await desk.press("7")
        await desk.ready()
        await desk.press("o")
        await fill(desk, reason="thesis due")
        assert "maria asks for room in maria-month" in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [RequestOverride(("maria-month",), "maria", "", "", "thesis due")]


async def test_which_of_several_counters_has_to_be_named() -> None:
    world = normal()
    per_model = replace(world.budgets[1], policy_id="per-model", scope_kind="model", scope_value="*", settled=10**11)
    async with console(replace(world, budgets=(per_model,))) as desk:
        await desk.press("7")
        await desk.ready()
        await desk.press("o")
        await fill(desk, reason="more")
        assert "which: name the model that is meant" in desk.box
        await fill(desk, which="openai/gpt-5.4")
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [RequestOverride(("per-model=openai/gpt-5.4",), reason="more")]


@pytest.mark.parametrize(("amount", "says"), [("x", "amount"), ("0", "asks for nothing")])
async def test_a_wrong_amount_is_not_sent(amount: str, says: str) -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("o")
        await fill(desk, reason="r", amount=amount)
        assert says in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == []
        assert desk.app.focused is not None
        assert desk.app.focused.id == "amount"


async def test_what_the_engine_refuses_stays_in_the_form() -> None:
    async with console(normal()) as desk:
        desk.control.results = [CommandResult("conflict", "This was denied less than 60 s ago.", "Ask again in 12 s.")]
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("o")
        await fill(desk, reason="r")
        desk.focus("act")
        await desk.press("enter")
        assert "denied less than 60 s ago. Ask again in 12 s." in desk.box
        await desk.press("escape")
        assert desk.dialog == ""


async def test_budgets_that_refuse_nothing_cannot_be_asked() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j", "j", "j", "j")
        await desk.ready()
        await desk.press("o")
        assert desk.dialog == ""
        assert "it only warns" in desk.notice
        await desk.press("j")
        await desk.ready()
        await desk.press("o")
        assert "it is switched off" in desk.notice


async def test_space_switches_off_naming_what_ends() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("space")
        assert desk.dialog == "ConfirmDialog"
        assert "It stops limiting anything at once. Voids 1 grant: session of agent-ci" in desk.box
        await desk.press("enter")
        assert desk.control.sent == []
        await desk.press("space", "right", "enter")
        assert desk.control.sent == [EditPolicy("research-day", {"enabled": "false"}, 3)]
        await desk.press("G")
        await desk.ready()
        await desk.press("space")
        assert "Switch the budget trial on?" in desk.box
        await desk.press("right", "enter")
        assert desk.control.sent[-1] == EditPolicy("trial", {"enabled": "true"}, 3)


async def test_x_shows_counters_grants_revisions_and_refusals() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j", "x")
        await desk.press("G")
        text = desk.text
        assert "Budgets › research-day" in text
        for words in (
            "session of agent-ci by pavel: $0.90 drawn of $20.00",
            "agent-ci openai/gpt-5.4, $0.84 over, low",
            "nightly openai/gpt-5.4 · budget blocked",
            "hard_limit 18.00 → 20.00",
            "by pavel: made",
        ):
            assert words in text
        await desk.press("escape", "k", "x")
        assert "declared in /home/ops/.config/palyra/palyra.toml" in desk.text


async def test_a_viewer_sees_why_not() -> None:
    async with console(replace(normal(), operator=operator("viewer"))) as desk:
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("o")
        assert desk.notice == "▲ Ask for room: needs the role approver, pavel is viewer."


# Deciding on what was asked for in words


async def test_it_is_listed_by_what_it_asks_for() -> None:
    async with console(asking()) as desk:
        await desk.press("2")
        row = next(line for line in desk.lines if "agent-ci" in line)
        assert "asks for room" in row
        assert "$5.00" in row
        await desk.press("1", "j", "j")
        assert "agent-ci asks for $5.00 more than the limit" in desk.text


async def test_its_detail_has_every_reason_and_no_prompt() -> None:
    async with console(asking()) as desk:
        await desk.press("2", "j", "j", "enter")
        text = " ".join(desk.text.split())
        assert "asks for $5.00 more than the limit" in text
        assert "asked by ci-runner (gateway key) The nightly report failed twice" in text
        assert "asked by ada (uid) I back this." in text
        assert "research-day $19.02 $0.31" in text
        for absent in ("prompt", "complexity", "wants", "would pass"):
            assert absent not in text


async def test_its_reason_has_to_be_read_before_it_is_allowed() -> None:
    async with console(asking(REASON * 20)) as desk:
        await desk.press("2", "j", "j")
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == []
        assert "here is all of it" in desk.notice
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == []
        assert "Read to the end first" in desk.notice
        await desk.press("G")
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1)]


async def test_the_dialog_offers_the_amount_that_was_asked_for() -> None:
    async with console(asking("short"), size=LARGE) as desk:
        await desk.press("2", "j", "j")
        await desk.ready()
        await desk.press("A", "a")
        assert "Allow agent-ci more room" in desk.box
        assert "Anybody may draw up to $5.00 over research-day until" in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1, scope="amount", amount=5_000_000_000)]


async def test_u_on_a_decided_approval_revokes_what_it_came_to() -> None:
    world = normal()
    (grant,) = world.grants
    linked = replace(world, grants=(replace(grant, approval_id=ident(1004)),))
    async with console(linked) as desk:
        await desk.press("2", "j", "j", "j", "j", "enter")
        await desk.ready()
        assert "session on research-day, $0.90 drawn of $20.00, ends" in desk.text
        assert "u revoke…" in desk.footer
        await desk.press("u", "right", "enter")
        assert [type(command).__name__ for command in desk.control.sent] == ["RevokeGrant"]


async def test_a_remedy_is_allowed_or_denied_and_nothing_else() -> None:
    world = normal()
    first, *others = world.approvals
    remedy = replace(
        asked_for_room(first, "Run r1 is silent.", None),
        principal="palyra",
        policy_ids=(),
        evaluations=(),
        excess_metric="",
        risk="medium",
        subject=f"remedy:{ident(7001)}:cancel_run",
    )
    async with console(replace(world, approvals=(remedy, *others))) as desk:
        await desk.press("2")
        await desk.ready()
        desk.list.find(f"approval:{remedy.approval_id}")
        await desk.settle()
        assert any("cancel_run" in one for one in desk.lines)
        await desk.press("enter")
        await desk.ready()
        assert "a allow " in desk.footer
        assert "allow…" not in desk.footer
        await desk.press("A")
        assert desk.dialog == ""
        await desk.press("d")
        assert "Deny the remedy cancel_run?" in desk.box
        assert "nothing more is tried by itself" in desk.box
        await desk.press("escape")
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == [DecideApproval(remedy.approval_id, "allow", remedy.version)]
