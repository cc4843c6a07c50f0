"""What another limit would have meant, asked of a real engine with what its own budget screen knows."""

from palyra.control.queries import BudgetQuery
from palyra.control.replays import ReplayQuery, replay
from palyra.core.clock import SystemClock
from palyra.tui.dialogs.what_if import result_lines, tried
from palyra.tui.widgets.lines import lines_text
from tests.end_to_end.premises import DAY_MS, Premises, chat


async def test_a_lower_limit_would_have_stopped_what_passed(here: Premises) -> None:
    await here.add_budget("desk", "5", metric_kind="requests", soft_limit="4")
    for _ in range(3):
        assert (await here.ask(chat(max_tokens=100))).status == 200
    await here.rest()
    (view,) = [one for one in (await here.control.ask(BudgetQuery("desk"))).counters if one.scope_value == "*"]
    fields = tried((await here.control.ask(BudgetQuery("desk"))).fields, "1")
    now = here.clock.now_ms()
    query = ReplayQuery("01KWHATIF", (fields,), since=now - DAY_MS, until=now + 1)
    # The replay runs in a process of its own, which takes real time.
    answer = await replay(here.control, query, SystemClock())
    assert (answer.requests, answer.denied_before, answer.denied_after) == (3, 0, 2)
    words = " ".join(lines_text(result_lines(answer, view, "1")).split())
    assert "With 1 request for desk, 2 requests of 3 would have gone otherwise" in words
    assert "It first bites on" in words
    same = await replay(
        here.control, ReplayQuery("01KTHESAME", (tried(fields, "5"),), since=now - DAY_MS, until=now + 1), SystemClock()
    )
    assert same.differences == 0
    assert "none of 3 recorded requests" in lines_text(result_lines(same, view, "5"))
