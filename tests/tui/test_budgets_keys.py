"""Budgets: the fullest first; made, changed and removed in checked dialogs."""

from dataclasses import replace

from palyra.control.commands import AddPolicy, EditPolicy, RemovePolicy
from palyra.control.snapshots import CommandResult
from palyra.control.usage_queries import UsageQuery
from palyra.core.usage_filter import UsageFilter
from palyra.tui.details.days import days_of_budget, days_query
from palyra.tui.dialogs.policy import summary
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_views import DAY, NOW, operator, run
from tests.tui.fake_worlds import normal


async def fill(desk: Desk, **fields: str) -> None:
    """Writes into the fields of the open form."""
    for name, text in fields.items():
        desk.focus(name)
        await desk.press("ctrl+u")
        await desk.type(text)


async def test_the_fullest_is_first_and_the_disabled_last() -> None:
    async with console(normal()) as desk:
        await desk.press("7")
        names = [line[3:20].split()[0] for line in desk.lines[3:9]]
        assert names == ["maria-month", "research-day", "team-day", "ci-month", "tokens-hour", "trial"]
        assert "6 counters" in desk.title


async def test_counters_of_one_budget_are_told_apart_and_no_amount_is_cut_at_80_columns() -> None:
    world = normal()
    first = world.budgets[0]
    each = tuple(
        replace(first, policy_id="person-day", scope_kind="user", scope_value=who, settled=59_104_201, held=12_690_001)
        for who in ("maria", "support-bot", "jonas")
    )
    async with console(replace(world, budgets=each)) as desk:
        await desk.press("7")
        rows = desk.lines[3:6]
        assert [row.split()[2] for row in rows] == ["maria", "support-bot", "jonas"]
        assert all("$0.0718" in row and "…" not in row for row in rows), "settled and held, as the gauge counts them"


async def test_amounts_are_in_the_unit_of_what_is_counted() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j", "j", "j", "j", "enter")
        text = desk.text
        assert "input and output tokens" in text
        assert "412 k tok" in text
        assert "only warns" in text


async def test_why_it_refused_is_told_in_words() -> None:
    reasons = ("budget_exceeded", "budget_denied", "budget_approval_required", "no_candidate", "something_new")
    refused = tuple(
        run(number, "refused", f"n{number}", "m/m", None, reason=reason) for number, reason in enumerate(reasons)
    )
    async with console(replace(normal(), runs=refused, older_runs=()), size=(120, 60)) as desk:
        await desk.press("7", "enter")
        told = [line.partition(" · ")[2].strip() for line in desk.lines if " m/m · " in line]
    assert told == [
        "past what it allows",
        "a person said no",
        "a person has to allow it",
        "no model could serve it",
        "something new",
    ]


async def test_below_a_short_list_stand_the_days_before_asked_for_once() -> None:
    async with console(normal(), size=LARGE) as desk:

        def asked() -> list[UsageFilter]:
            return [query.where for query in desk.control.asked if isinstance(query, UsageQuery)]

        desk.control.asked.clear()
        await desk.press("7")
        assert "maria-month  cost of user maria · last 14 days, Europe/Prague" in desk.text
        assert "Sun 11-22  $6.168750047  188 req  522 k tok" in desk.lines[37]
        assert asked() == [UsageFilter(user="maria")]
        await desk.wait(50)
        assert len(asked()) == 1, "pulled snapshots ask nothing"
        await desk.press("j", "j", "j", "j")
        assert "tokens-hour  tokens of global · last 14 days" in desk.text
        await desk.wait(61)
        assert asked()[-1] == asked()[-2] == UsageFilter(), "only what is old is asked for again"
        await desk.press("enter")
        assert "last 14 days" not in desk.text
    async with console(normal()) as desk:
        await desk.press("7", "j")
        assert not [query for query in desk.control.asked if isinstance(query, UsageQuery)]


def test_days_are_told_of_whom_usage_is_told_apart_by() -> None:
    first = normal().budgets[0]
    days = days_of_budget(replace(first, scope_kind="tag", scope_value="team=core"))
    assert days is not None
    query = days_query(days, NOW)
    assert query.where == UsageFilter(tag="team=core")
    assert ((query.until or 0) - (query.since or 0), query.timezone) == (14 * DAY, "Europe/Prague")
    assert days_of_budget(replace(first, scope_kind="user", scope_value="*")) is None


async def test_n_makes_a_budget_once_it_is_right() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "n")
        assert desk.dialog == "PolicyDialog"
        assert "a budget needs an id" in desk.text
        await fill(desk, policy_id="Team Day")
        assert "is not spelled as it must be" in desk.box
        await fill(desk, policy_id="team-week", hard_limit="12.3456789012")
        assert "at most 9 decimals" in desk.box
        await fill(desk, hard_limit="45.00", timezone="Prague")
        assert "no IANA zone" in desk.text
        await fill(desk, timezone="Europe/Prague")
        assert "At most 45.00 US dollars daily for everything" in desk.box
        desk.focus("interval_kind")
        await desk.press("w")
        desk.focus("act")
        await desk.press_anew("enter", "enter")
        (command,) = desk.control.sent
        assert isinstance(command, AddPolicy)
        assert command.fields["policy_id"] == "team-week"
        assert command.fields["interval_kind"] == "weekly"
        assert command.fields["hard_limit"] == "45.00"
        assert desk.dialog == ""
        assert "team-week is in force" in desk.notice
        await desk.wait()
        assert "team-week" in desk.text


async def test_a_form_with_a_fault_is_not_sent_but_points_at_it() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "n")
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == []
        assert desk.app.focused is not None
        assert desk.app.focused.id == "policy_id"


async def test_what_the_engine_refuses_stays_in_the_form_with_its_words() -> None:
    async with console(normal()) as desk:
        desk.control.results = [CommandResult("invalid", "team-day is used by a budget of the config.", "Rename one.")]
        await desk.press("7", "n")
        await fill(desk, policy_id="team-dawn", hard_limit="1")
        desk.focus("act")
        await desk.press_anew("enter", "enter")
        assert desk.dialog == "PolicyDialog"
        assert "team-day is used by a budget of the config. Rename one." in desk.box


async def test_e_sends_only_what_changed_with_the_revision_seen() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("e")
        assert "nothing is changed yet" in desk.text
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == []
        await fill(desk, hard_limit="25.00")
        assert "Changed: limit. Voids 1 grant: session of agent-ci ($19.10 left)" in desk.box
        assert "and 1 pending approval: agent-ci (2 waiting). What was spent stays counted." in desk.box
        desk.focus("act")
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == [EditPolicy("research-day", {"hard_limit": "25.00"}, 3)]


async def test_limits_in_tokens_are_whole_numbers() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j", "j", "j", "j")
        await desk.ready()
        await desk.press("e")
        await fill(desk, hard_limit="1.5")
        assert "limit" in desk.text
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.sent == []


async def test_budgets_of_the_file_are_changed_there() -> None:
    async with console(normal()) as desk:
        await desk.press("7")
        await desk.ready()
        assert desk.notice == "e space del: declared in palyra.toml, change it there"
        await desk.press("e")
        assert desk.dialog == ""
        assert desk.notice == "▲ Edit the budget: declared in palyra.toml, change it there."


async def test_delete_asks_first() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("delete", "enter")
        assert desk.control.sent == []
        await desk.press("delete", "right", "enter")
        assert desk.control.sent == [RemovePolicy("research-day", 3)]
        await desk.wait()
        assert not any("research-day" in line for line in desk.lines[3:-2])


async def test_settling_does_not_hold_up_the_editing_keys() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        budgets = desk.control.world.budgets
        moved = tuple(replace(item, settled=item.settled + 1) for item in budgets)
        desk.control.change(budgets=moved)
        await desk.wait(0.25)
        await desk.press("e")
        assert desk.dialog == "PolicyDialog"


async def test_an_approver_may_not_make_budgets() -> None:
    async with console(replace(normal(), operator=operator("approver"))) as desk:
        await desk.press("7", "n")
        assert desk.dialog == ""
        assert desk.notice == "▲ New budget: needs the role admin, pavel is approver."


async def test_sort_orders() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "S")
        assert "by name" in desk.title
        assert desk.lines[3][3:].startswith("ci-month")
        await desk.press("S")
        assert desk.lines[3][3:].startswith("tokens-hour")


def test_one_is_told_as_one() -> None:
    values = {"policy_id": "calls", "scope_kind": "global", "interval_kind": "daily", "action": "block"}
    one = summary({**values, "metric_kind": "requests", "hard_limit": "1"})
    assert one == "At most 1 request daily for everything; when full it refuses."
    two = summary({**values, "metric_kind": "estimated_cost_usd", "hard_limit": "2"})
    assert two == "At most 2 US dollars daily for everything; when full it refuses."
