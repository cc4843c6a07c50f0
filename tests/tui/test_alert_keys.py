"""Alerts on Triage: the key acts by what is selected; answering, going there, and what no longer needs a person."""

from dataclasses import replace

from palyra.control.commands import AckAlert, SnoozeAlert
from palyra.control.snapshots import AlertView, CommandResult
from tests.tui.desk import SMALL, console
from tests.tui.fake_incidents import Trouble
from tests.tui.fake_views import NOW, budget, ident, operator
from tests.tui.fake_worlds import World, normal

HOUR, MINUTE = 3_600_000, 60_000


def an_alert(number: int, **fields: object) -> AlertView:
    made = AlertView(
        ident(5000 + number),
        "budget_alert",
        "warning",
        f"budget-{number} is past its soft limit: $40.10 of $45.00",
        NOW - number * MINUTE,
        NOW - MINUTE,
        subject_kind="budget",
        subject="team-day",
        sentences=("Settled $40.10, held $0.00: $40.10 of $45.00.", "It begins anew at 00:00 (Europe/Prague)."),
        payload={"policy_id": "team-day", "scope_value": "*"},
        occurrences=12,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def world(*alerts: AlertView) -> World:
    return replace(normal(), approvals=(), alerts=alerts, trouble=Trouble())


async def test_an_alert_offers_its_own_keys_and_no_decision() -> None:
    async with console(normal()) as desk:
        await desk.press("G")
        await desk.ready()
        assert "a allow once" not in desk.footer
        assert "a acknowledge" in desk.footer
        await desk.press("d", "A", "u")
        assert desk.control.sent == []
        assert desk.dialog == ""


async def test_the_same_key_allows_an_approval_and_acknowledges_an_alert() -> None:
    async with console(normal()) as desk:
        assert "a allow once" in desk.footer
        assert "acknowledge" not in desk.footer
        await desk.press("G")
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == [AckAlert(ident(5001), 1)]
        assert desk.notice.startswith("● Acknowledged: ")


async def test_what_is_known_stays_listed_but_needs_nobody() -> None:
    async with console(world(an_alert(1), an_alert(2))) as desk:
        await desk.ready()
        assert "2 need you" in desk.title
        await desk.press("a")
        await desk.wait()
        assert "1 needs you" in desk.title
        assert "acked" in desk.lines[3]
        assert "a acknowledge" in desk.footer
        await desk.ready()
        await desk.press("a")
        assert len(desk.control.sent) == 1
        assert "acknowledged by" in desk.notice


async def test_snoozing_asks_for_how_long_and_says_until_when() -> None:
    async with console(world(an_alert(1))) as desk:
        await desk.ready()
        await desk.press("s")
        assert "Snooze this alert?" in desk.text
        assert "It is quiet until 11:42" in desk.box
        await desk.press("ctrl+u")
        await desk.type("8 weeks")
        assert "is no duration" in desk.text
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == []
        await desk.press("shift+tab")
        await desk.press("escape")
        await desk.press("s", "ctrl+u")
        await desk.type("30m")
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == [SnoozeAlert(ident(5001), 1800, 1)]
        await desk.wait()
        assert "snoozed" in desk.lines[3]
        assert "nothing needs you" in desk.title


async def test_a_dialog_says_when_its_alert_changed_meanwhile() -> None:
    async with console(world(an_alert(1))) as desk:
        await desk.ready()
        await desk.press("s")
        desk.control.change(alerts=(an_alert(1, version=2, severity="danger"),))
        await desk.wait()
        assert "It changed meanwhile (open, danger). Close this and look again." in desk.box
        desk.control.change(alerts=())
        await desk.wait()
        assert "It changed meanwhile (resolved)" in desk.text


async def test_what_changed_meanwhile_is_not_answered() -> None:
    async with console(world(an_alert(1))) as desk:
        await desk.ready()
        desk.control.results.append(CommandResult("stale", "The alert changed meanwhile; it is danger."))
        await desk.press("a")
        assert "changed meanwhile" in desk.notice


async def test_its_count_may_rise_while_a_key_is_pressed() -> None:
    async with console(world(an_alert(1))) as desk:
        await desk.ready()
        desk.control.change(alerts=(an_alert(1, occurrences=13, last_seen=NOW, payload={"settled": 1}),))
        await desk.wait()
        await desk.press("a")
        assert desk.control.sent == [AckAlert(ident(5001), 1)]


async def test_a_severity_that_rose_just_now_holds_the_key_back() -> None:
    async with console(world(an_alert(1))) as desk:
        await desk.ready()
        desk.control.change(alerts=(an_alert(1, severity="danger", version=2),))
        await desk.wait()
        await desk.press("a")
        assert desk.control.sent == []
        assert "Look again" in desk.notice


async def test_the_detail_says_all_in_words() -> None:
    async with console(world(an_alert(1)), size=SMALL) as desk:
        await desk.press("enter")
        for said in ("budget alert", "Settled $40.10", "It begins anew", "12 times", "team-day", "warning"):
            assert said in desk.text


async def test_a_budgets_alert_leads_to_the_budget() -> None:
    budgets = (budget("aaa", 0, 0, 10), budget("team-day", 9, 0, 10))
    async with console(replace(world(an_alert(1)), budgets=budgets)) as desk:
        await desk.press("7", "1")
        await desk.press("J")
        await desk.wait()
        assert "Budgets" in desk.title
        assert any(row.startswith("▌") and "team-day" in row for row in desk.lines)


async def test_a_models_alert_leads_to_its_runs() -> None:
    alert = an_alert(1, kind="price_unknown", subject_kind="model", subject="openai/gpt-5.4", payload={})
    async with console(world(alert)) as desk:
        await desk.press("J")
        await desk.wait()
        assert "Runs" in desk.title
        assert "model:openai/gpt-5.4" in desk.title


async def test_a_providers_alert_leads_nowhere() -> None:
    alert = an_alert(1, kind="provider_health", subject_kind="provider", subject="openai", payload={})
    async with console(world(alert)) as desk:
        assert "J jump" not in desk.footer
        await desk.press("J")
        await desk.wait()
        assert "Triage" in desk.title


async def test_a_viewer_sees_the_keys_dimmed() -> None:
    async with console(replace(world(an_alert(1)), operator=operator(role="viewer"))) as desk:
        await desk.ready()
        await desk.press("a", "s")
        assert desk.control.sent == []
        assert desk.dialog == ""
        assert "viewer" in desk.notice
