"""Alerts of a running house: what raises and what ends them, how they are answered, what a kill leaves of them."""

from collections.abc import Mapping
from typing import Any

import pytest

from palyra.control.commands import AckAlert, EditPolicy, SnoozeAlert
from palyra.control.offline import offline_control
from palyra.control.queries import AlertsQuery
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import AlertView, Topic
from palyra.core.clock import ManualClock
from palyra.core.money import decimal_usd
from palyra.vault.records import Role
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, DAY_MS, HAIKU, MINI, Premises, chat, configuration, message
from tests.end_to_end.test_starting_again import copy_state
from tests.support.upstream import Reply, Upstream

ASKED = chat(max_tokens=100)
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOON = 1_795_348_800_000
"""2026-11-22 12:00 UTC."""


async def judged(here: Premises, kind: str = "") -> tuple[AlertView, ...]:
    """The alerts once everything that happened so far has been judged."""
    await here.rest()
    while True:
        await here.engine.watch.tick()
        if not here.engine.watch.hearing.touched:
            break
    alerts = (await here.control.snapshot([])).alerts
    return tuple(alert for alert in alerts if kind in ("", alert.kind))


async def the_one(here: Premises, kind: str = "") -> AlertView:
    (alert,) = await judged(here, kind)
    return alert


async def spend(here: Premises, body: Mapping[str, Any] = ASKED) -> int:
    """The cost of one plain request."""
    before = (await here.usage()).total.cost_nano_usd
    answer = await here.ask(body)
    assert answer.status == 200
    return (await here.usage()).total.cost_nano_usd - before


async def test_a_soft_limit_warns_refusals_endanger_and_a_new_day_clears(here: Premises) -> None:
    cost = await spend(here)
    await here.add_budget("day", decimal_usd(100 * cost), soft_limit=decimal_usd(cost), interval_kind="daily")
    assert await judged(here) == ()
    await here.ask(ASKED)
    alert = await the_one(here, "budget_alert")
    assert (alert.severity, alert.state, alert.occurrences, alert.subject) == ("warning", "open", 1, "day")
    assert alert.payload["settled"] == 2 * cost
    await here.ask(ASKED)
    again = await the_one(here, "budget_alert")
    assert (again.alert_id, again.occurrences, again.version) == (alert.alert_id, 2, alert.version)

    await here.send(EditPolicy("day", {"hard_limit": decimal_usd(3 * cost), "soft_limit": decimal_usd(cost)}))
    refused = await here.ask(ASKED)
    assert refused.status == 402
    grave = await the_one(here, "budget_alert")
    assert (grave.severity, grave.payload["status"], grave.payload["refusals"]) == ("danger", "blocked", 1)
    assert grave.version == alert.version + 1
    assert any("did not let 1 request pass" in sentence for sentence in grave.sentences)

    here.set_wall(NOON + DAY_MS // 2)
    assert await judged(here) == ()
    page = await here.control.ask(AlertsQuery(resolved=True))
    assert {one.state for one in page.alerts} == {"resolved"}


async def test_a_refusal_counts_for_a_quarter_of_an_hour(here: Premises) -> None:
    await here.add_budget("shut", "0")
    assert (await here.ask(ASKED)).status == 402
    assert (await the_one(here)).severity == "danger"
    here.set_wall(NOON + 15 * MINUTE_MS - 1_000)
    assert (await the_one(here)).severity == "danger"
    here.set_wall(NOON + 16 * MINUTE_MS)
    assert await judged(here) == ()


async def test_a_policy_that_is_edited_or_removed_takes_its_alert_along(here: Premises) -> None:
    await here.add_budget("shut", "0")
    await here.ask(ASKED)
    assert len(await judged(here)) == 1
    off = await here.send(EditPolicy("shut", {"enabled": "false"}))
    assert off.message == "Budget shut is switched off at revision 2."
    assert await judged(here) == ()
    on = await here.send(EditPolicy("shut", {"enabled": "true"}))
    assert on.message == "Budget shut is in force at revision 3."


async def test_lower_limits_and_new_policies_are_judged_by_what_was_spent_before(opened: Opener) -> None:
    clock = ManualClock(NOON)
    here = await opened(clock=clock)
    cost = await spend(here)
    await here.add_budget("day", decimal_usd(100 * cost), interval_kind="daily")
    assert await judged(here) == ()
    await here.send(EditPolicy("day", {"soft_limit": decimal_usd(cost - 1)}))
    assert (await the_one(here, "budget_alert")).payload["settled"] == cost
    await here.close()
    text = f'[[budgets]]\npolicy_id = "file"\nsoft_limit = "{decimal_usd(cost - 1)}"\nhard_limit = 1\n'
    again = await opened(text, clock=clock)
    await clock.advance(1)
    assert {one.subject for one in await judged(again, "budget_alert")} == {"day", "file"}


async def test_what_is_acknowledged_stays_quiet_until_it_gets_worse(here: Premises) -> None:
    cost = await spend(here)
    await here.add_budget("day", decimal_usd(900 * cost), soft_limit=decimal_usd(cost), interval_kind="daily")
    await here.ask(ASKED)
    alert = await the_one(here, "budget_alert")
    stale = await here.control.send(AckAlert(alert.alert_id, alert.version + 1))
    assert stale.status == "stale"
    denied = await here.operator("vera", Role.VIEWER).send(AckAlert(alert.alert_id))
    assert denied.status == "denied"
    assert (await here.control.send(AckAlert("nothing"))).status == "not_found"
    done = await here.send(AckAlert(alert.alert_id, alert.version))
    assert done.message.startswith("Acknowledged: day is past its soft limit")
    assert (await here.control.send(AckAlert(alert.alert_id))).status == "conflict"

    told = len([event for event in here.events if event.kind == "alert.raised"])
    here.set_wall(NOON + HOUR_MS)
    await here.ask(ASKED)
    known = await the_one(here, "budget_alert")
    assert (known.state, known.acted_by, known.occurrences) == ("acknowledged", "ada", 2)
    assert told == len([event for event in here.events if event.kind == "alert.raised"])
    await here.send(EditPolicy("day", {"hard_limit": decimal_usd(2 * cost)}))
    assert (await here.ask(ASKED)).status == 402
    worse = await the_one(here, "budget_alert")
    assert (worse.state, worse.severity) == ("open", "danger")
    rows = [row for row in await here.engine.journal.readers.audit() if row.kind == "alert"]
    assert [(row.actor, row.subject, row.payload["verb"]) for row in rows] == [("ada", alert.alert_id, "acknowledged")]


async def test_what_is_put_away_comes_back_when_its_time_is_up_and_not_when_it_flaps(here: Premises) -> None:
    await here.add_budget("shut", "0")
    await here.ask(ASKED)
    alert = await the_one(here)
    assert (await here.control.send(SnoozeAlert(alert.alert_id, 0))).status == "invalid"
    done = await here.send(SnoozeAlert(alert.alert_id, 3600, alert.version))
    assert done.message.startswith("Snoozed until 13:00: shut refuses requests")
    here.set_wall(NOON + 20 * MINUTE_MS)
    cleared = await the_one(here)
    assert (cleared.state, cleared.snoozed_until) == ("snoozed", NOON + HOUR_MS)
    await here.ask(ASKED)
    assert (await the_one(here)).state == "snoozed"
    here.set_wall(NOON + HOUR_MS - MINUTE_MS)
    await here.ask(ASKED)
    assert (await the_one(here)).state == "snoozed"
    here.set_wall(NOON + HOUR_MS)
    back = await the_one(here)
    assert (back.alert_id, back.state, back.occurrences) == (alert.alert_id, "open", 3)


async def test_what_was_put_away_and_is_over_is_resolved_when_its_time_is_up(here: Premises) -> None:
    await here.add_budget("shut", "0")
    await here.ask(ASKED)
    alert = await the_one(here)
    await here.send(SnoozeAlert(alert.alert_id, 3600))
    here.set_wall(NOON + HOUR_MS)
    assert await judged(here) == ()
    gone = await here.control.send(AckAlert(alert.alert_id))
    assert (gone.status, "resolved" in gone.message) == ("conflict", True)


async def test_people_are_told_at_most_each_cooldown(opened: Opener) -> None:
    here = await opened('[governance]\nalert_cooldown = "5m"\n')
    await here.add_budget("shut", "0")
    told: list[int] = []
    for minute in range(12):
        here.set_wall(NOON + minute * MINUTE_MS)
        await here.ask(ASKED)
        told.append((await the_one(here)).notified_at or 0)
    assert sorted(set(told)) == [NOON, NOON + 5 * MINUTE_MS, NOON + 10 * MINUTE_MS]
    assert [event.at for event in here.events if event.kind == "alert.raised"] == sorted(set(told))


async def test_a_model_without_a_price_is_told_once_and_until_it_has_one(opened: Opener) -> None:
    here = await opened()
    for _ in range(2):
        await here.ask(chat(model=ACME, max_tokens=10))
        alert = await the_one(here, "price_unknown")
    assert (alert.occurrences, alert.subject_kind, alert.subject) == (2, "model", ACME)
    await here.send(AckAlert(alert.alert_id))
    await here.close()
    still = await opened()
    assert (await the_one(still)).state == "acknowledged"
    await still.close()
    priced = await opened('[[pricing]]\nprovider = "own"\nmodel = "acme-7b"\ninput = "1.00"\noutput = "1.00"\n')
    assert await judged(priced) == ()


async def test_one_model_doing_nearly_everything_is_unusual(here: Premises) -> None:
    for number in range(20):
        await here.ask(ASKED if number < 15 else message())
    assert await judged(here, "unusual_model_mix") == ()
    here.set_wall(NOON + MINUTE_MS)
    await here.ask(ASKED)
    alert = await the_one(here, "unusual_model_mix")
    assert (alert.subject, alert.payload["runs"], alert.payload["of_runs"]) == (MINI, 16, 21)
    here.set_wall(NOON + 2 * MINUTE_MS)
    await here.ask(message())
    assert await judged(here, "unusual_model_mix") == ()
    assert HAIKU


async def test_spending_that_doubles_is_told_once_all_of_the_look_back_is_recorded(opened: Opener) -> None:
    here = await opened('[governance]\nalert_lookback = "2h"\nspike_usd = "0.000000001"\n')
    assert await spend(here) > 1
    here.set_wall(NOON + 2 * HOUR_MS - 1)
    await spend(here)
    assert await judged(here, "cost_spike") == ()
    here.set_wall(NOON + 2 * HOUR_MS + 2 * MINUTE_MS)
    await spend(here)
    alert = await the_one(here, "cost_spike")
    assert alert.payload["newer_nano_usd"] > 2 * alert.payload["older_nano_usd"]
    here.set_wall(NOON + 4 * HOUR_MS)
    assert await judged(here, "cost_spike") == ()


DEAR = """
[defaults]
chat = "own/acme-7b"
[[pricing]]
provider = "own"
model = "acme-7b"
input = "90.00"
output = "90.00"
"""


async def test_routing_that_made_things_worse_is_told(opened: Opener, upstream: Upstream) -> None:
    here = await opened(DEAR)
    for _ in range(20):
        assert (await here.ask(chat(model=ACME, max_tokens=10))).status == 200
        routed = await here.ask(chat(model="auto", max_tokens=10))
        assert routed.headers["x-palyra-model"] == MINI
    assert await judged(here, "routing_regression") == ()
    upstream.default = Reply(status=400)
    for _ in range(3):
        await here.ask(chat(model="auto", max_tokens=10))
    here.set_wall(NOON + MINUTE_MS)
    alert = await the_one(here, "routing_regression")
    assert (alert.subject, alert.payload["runs"], alert.payload["failed"]) == (MINI, 23, 3)
    assert (alert.payload["default_model"], alert.payload["default_failed"]) == (ACME, 0)
    upstream.default = Reply()
    for _ in range(7):
        await here.ask(chat(model="auto", max_tokens=10))
    here.set_wall(NOON + 2 * MINUTE_MS)
    assert await judged(here, "routing_regression") == ()


async def test_estimates_that_are_far_off_are_told(here: Premises, upstream: Upstream) -> None:
    for number in range(50):
        upstream.default = Reply(input_tokens=3)
        await here.ask(ASKED)
        if number == 48:
            assert await judged(here, "estimate_drift") == ()
    here.set_wall(NOON + 2 * MINUTE_MS)
    alert = await the_one(here, "estimate_drift")
    assert (alert.subject, alert.payload["samples"]) == (MINI, 50)


async def test_a_budget_tells_where_it_is_going_also_after_a_restart(opened: Opener) -> None:
    clock = ManualClock(NOON - 10 * HOUR_MS)
    here = await opened(clock=clock)
    cost = await spend(here)
    await here.add_budget("day", decimal_usd(20 * cost), soft_limit="100%", interval_kind="daily")
    assert (await here.budget("day")).forecast is None
    for hour in (4, 7, 10):
        here.set_wall(NOON - 12 * HOUR_MS + hour * HOUR_MS)
        for _ in range(1 if hour < 10 else 5):
            await spend(here)
        await judged(here)
    here.set_wall(NOON)
    # Five in the newest three hours, and twelve are left: eight so far, twenty more at this pace.
    view = (await here.budget("day")).forecast
    assert view is not None
    assert (view.projected, view.limit, view.window_end) == (28 * cost, 20 * cost, NOON + 12 * HOUR_MS)
    assert view.reaches_at is not None
    assert abs(view.reaches_at - (NOON + 12 * 3 * HOUR_MS // 5)) < MINUTE_MS
    await judged(here)
    here.set_wall(NOON + 2 * MINUTE_MS)
    await spend(here)
    alert = await the_one(here, "budget_forecast")
    assert (alert.severity, alert.subject, alert.payload["policy_id"]) == ("warning", "day", "day")
    before = (await here.budget("day")).forecast
    await here.close()
    again = await opened(clock=clock)
    after = (await again.budget("day")).forecast
    assert after is not None
    assert before is not None
    assert (after.projected, after.reaches_at) == (before.projected, before.reaches_at)
    assert (await the_one(again, "budget_forecast")).alert_id == alert.alert_id


async def test_a_policy_made_within_a_window_knows_its_pace_at_once(here: Premises) -> None:
    here.set_wall(NOON - HOUR_MS)
    cost = await spend(here)
    here.set_wall(NOON)
    await here.add_budget("late", decimal_usd(100 * cost), interval_kind="daily")
    view = (await here.budget("late")).forecast
    assert view is not None
    assert (view.projected, view.reaches_at) == (cost + 4 * cost, None)


@pytest.mark.parametrize("answered", ["open", "acknowledged", "snoozed"])
async def test_a_kill_leaves_alerts_as_they_were_told(opened: Opener, answered: str) -> None:
    clock = ManualClock(NOON)
    here = await opened(clock=clock)
    await here.add_budget("shut", "0")
    await here.ask(ASKED)
    alert = await the_one(here)
    if answered == "acknowledged":
        await here.send(AckAlert(alert.alert_id))
    elif answered == "snoozed":
        await here.send(SnoozeAlert(alert.alert_id, 60))
    await here.written()
    copy_state(here, "killed")
    after = await opened(clock=clock, state="killed")
    (found,) = (await after.control.snapshot([])).alerts
    was = (await here.control.snapshot([])).alerts[0]
    assert found == was
    assert found.state == answered
    assert [one.state for one in await judged(after)] == [answered]
    clock.set_wall(NOON + MINUTE_MS)
    assert [one.state for one in await judged(after)] == [answered if answered != "snoozed" else "open"]
    clock.set_wall(NOON + 15 * MINUTE_MS)
    assert await judged(after) == ()


async def test_alerts_over_the_socket_and_without_an_engine(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("shut", "0")
    await here.ask(ASKED)
    alert = await the_one(here)
    remote = RemoteControl(here.state_dir, operator="", environ={})
    try:
        shot = await remote.snapshot([Topic.BUDGETS])
        assert shot.alerts == (alert,)
        assert shot.budgets == (await here.control.snapshot([Topic.BUDGETS])).budgets
        assert (await remote.ask(AlertsQuery())).alerts == (alert,)
        assert (await remote.send(SnoozeAlert(alert.alert_id, 600, alert.version))).ok
        (away,) = (await remote.ask(AlertsQuery(resolved=True))).alerts
        assert away.state == "snoozed"
        assert (await remote.send(AckAlert(alert.alert_id, alert.version))).status == "stale"
    finally:
        await remote.close()
    await here.written()
    async with offline_control(configuration(upstream), here.state_dir, None, here.clock) as control:
        assert (await control.ask(AlertsQuery())).alerts == (away,)
        assert (await control.snapshot([])).alerts == (away,)
        assert (await control.send(AckAlert(alert.alert_id))).status == "denied"
