"""Approvals: pending, grants in force, decided; and every key of it."""

from dataclasses import replace

from palyra.control.commands import DecideApproval, RevokeGrant
from palyra.control.queries import ApprovalsQuery
from palyra.control.snapshots import ApprovalView
from palyra.core.money import NANO
from palyra.tui.widgets.live_table import MAX_ROWS
from tests.tui.desk import LARGE, console
from tests.tui.fake_views import HOUR, NOW, approval, ident
from tests.tui.fake_worlds import normal


async def test_pending_then_grants_then_decided_newest_first() -> None:
    async with console(normal()) as desk:
        await desk.press("2")
        states = [line[3:13].strip() for line in desk.lines[3:9]]
        assert states == ["2 waiting", "1 waiting", "pending", "grant", "allowed", "denied"]
        assert "3 pending · 1 grant in force" in desk.title


async def test_decided_ones_are_gone_through_to_the_first_there_was_and_back() -> None:
    def decided(number: int) -> ApprovalView:
        at = NOW - (100 + number) * HOUR
        told = {"status": "resolved", "decision": "allow", "decided_by": "ana", "resolved_at": at + 1}
        return approval(500 + number, f"old-{number}", "m/m", "day", 1, requested_at=at, **told)

    every = [decided(number) for number in range(750)]
    async with console(replace(normal(), decided=tuple(every)), size=(80, 60)) as desk:
        await desk.press("2")
        first = desk.list.table.selected_key
        for _ in range(3):
            await desk.press("pagedown")
        looked_at = desk.list.table.selected_key
        desk.control.change(approvals=desk.control.world.approvals[1:])
        await desk.wait()
        assert desk.list.table.selected_key == looked_at, "it stays while others come and go"
        await desk.press("G")
        assert desk.list.table.selected_key == f"approval:{every[-1].approval_id}"
        seen: list[str] = []
        while desk.list.table.selected_key != next(iter(desk.list._subjects)):
            listed = list(desk.list._subjects)
            assert len(listed) <= MAX_ROWS
            seen += [key for key in listed if key not in seen]
            await desk.press("pageup")
        assert {f"approval:{one.approval_id}" for one in every} <= set(seen)
        await desk.press("G", "g")
        assert desk.list.table.selected_key != first, "it was decided elsewhere"
        assert desk.lines[3].startswith("▌▲")
        pages = [one for one in desk.control.asked if isinstance(one, ApprovalsQuery)]
        assert {one.status for one in pages} == {"resolved"}
        assert max(one.limit for one in pages) == 100


async def test_the_detail_shows_every_breached_budget_and_the_estimate() -> None:
    async with console(normal()) as desk:
        await desk.press("2", "enter")
        await desk.wait(0)
        text = desk.text
        assert "Approvals › 01KA…017F" in text
        assert "agent-ci (key ci-runner)" in text
        assert "18.4 kB, ~4,600 tokens" in text
        assert "0.71, 6 tools, max 4,096" in text
        assert "a allow once (≤ $0.924)" in desk.footer
        for row in ("research-day", "ci-month"):
            assert row in text
        assert "$20.84   $20.00  00:00 (12 h)" in text
        assert "▁▂▂▅▄█▆   88 runs · $31.20 · 2 overrides" in text


async def test_a_wide_terminal_shows_the_detail_beside_the_list() -> None:
    async with console(normal(), size=LARGE) as desk:
        await desk.press("2")
        assert "this week" in desk.text
        assert "2 waiting" in desk.lines[3]
        await desk.press("j")
        assert "maria (key ci-runner)" in desk.text


async def test_allow_for_a_session() -> None:
    async with console(normal()) as desk:
        await desk.press("2")
        await desk.ready()
        await desk.press("A")
        assert desk.dialog == "AllowDialog"
        assert "agent-ci in session build-771 may go over research-day" in desk.box
        await desk.press("enter", "tab", "enter")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1, scope="session")]
        assert desk.dialog == ""


async def test_allow_for_a_time() -> None:
    async with console(normal()) as desk:
        await desk.press("2")
        await desk.ready()
        await desk.press("A", "t", "tab")
        await desk.press("backspace", "backspace")
        await desk.type("90d")
        assert "a grant lasts between 1 s and 30 days" in desk.text
        await desk.press("backspace", "backspace", "backspace")
        await desk.type("30m")
        assert "until 11:12 (30 min)" in desk.box
        assert "research-day by up to" in desk.box
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1, scope="timeboxed", duration_seconds=1_800)]


async def test_allow_an_amount() -> None:
    async with console(normal()) as desk:
        await desk.press("2")
        await desk.ready()
        await desk.press("A", "a", "tab", "ctrl+u")
        await desk.type("0")
        assert "an amount of nothing lets nothing pass" in desk.text
        await desk.press_anew("enter", "enter")
        assert desk.dialog == "AllowDialog", "a wrong amount is not sent"
        await desk.press("ctrl+u")
        await desk.type("5.25")
        assert "up to $5.25 over research-day" in desk.box
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1, scope="amount", amount=5_250_000_000)]
        assert NANO == 1_000_000_000


async def test_leaving_the_dialog_does_nothing() -> None:
    async with console(normal()) as desk:
        await desk.press("2")
        await desk.ready()
        for keys in (("A", "escape"), ("d", "escape"), ("d", "enter")):
            await desk.press(*keys)
            assert desk.dialog == "", keys
        assert desk.control.sent == []


async def test_deny_has_the_focus_on_the_safe_button_and_takes_a_reason() -> None:
    async with console(normal()) as desk:
        await desk.press("2")
        await desk.ready()
        await desk.press("d")
        assert desk.app.focused is not None
        assert desk.app.focused.id == "keep"
        assert "2 waiting clients get a refusal" in desk.box
        assert "what agent-ci asks over research-day in session build-771 is refused for 60 s" in desk.box
        await desk.press("shift+tab")
        await desk.type("too dear")
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == [DecideApproval(ident(1001), "deny", 1, reason="too dear")]


async def test_u_revokes_a_grant() -> None:
    async with console(normal()) as desk:
        await desk.press("2", "j", "j", "j")
        await desk.ready()
        assert "u revoke" in desk.footer
        assert "a allow once" not in desk.footer
        await desk.press("enter")
        assert "serves every request of that person in that session" in desk.text
        await desk.press("u")
        assert desk.dialog == "ConfirmDialog"
        assert "$0.90 of $20.00 on research-day is drawn and stays spent" in desk.box
        await desk.press("enter")
        assert desk.control.sent == []
        await desk.press("u", "right", "enter")
        assert desk.control.sent == [RevokeGrant(ident(4001))]
        await desk.wait()
        assert "0 grants in force" in desk.title


async def test_decided_ones_tell_how_they_ended() -> None:
    async with console(normal()) as desk:
        await desk.press("2", "G", "enter")
        await desk.wait(0)
        assert "✖ denied by pavel" in desk.text
        assert "use the smaller model" in desk.text
        assert "a allow once" not in desk.footer


async def test_running_out_is_counted_down() -> None:
    async with console(normal()) as desk:
        await desk.press("2")
        assert desk.lines[5].rstrip().endswith("3:10")
        await desk.wait(10)
        assert desk.lines[5].rstrip().endswith("3:00")
        assert HOUR == 3_600_000
