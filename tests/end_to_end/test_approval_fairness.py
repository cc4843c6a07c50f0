"""What one person's word is good for when callers press: one run, the one that waited, and a desk nobody can flood."""

from palyra.governance.approvals import PENDING_MOST
from tests.end_to_end.premises import Premises, chat
from tests.support.upstream import Upstream

LARGE = chat(max_tokens=1000)
AT_ONCE = {"X-Palyra-Park": "0"}


async def test_one_word_lets_one_run_through_however_little_it_cost(here: Premises) -> None:
    await here.add_budget("tight", "0.0001", action="approval_required")
    waiting = await here.call(LARGE)
    view = await here.parked()
    await here.allow(view.approval_id, scope="once")
    assert (await waiting.answer()).status == 200
    assert [(await here.ask(LARGE, AT_ONCE)).status for _ in range(3)] == [402, 402, 402]
    assert here.counted("tight", "*")[0] <= 100_000


async def test_the_run_that_waited_is_let_through_before_those_that_press(here: Premises) -> None:
    await here.add_budget("tight", "0.0001", action="approval_required")
    waiting = await here.call(LARGE)
    view = await here.parked()
    pressing = [await here.call(LARGE, AT_ONCE) for _ in range(10)]
    await here.allow(view.approval_id, scope="once")
    assert {(await one.answer()).status for one in pressing} == {402}
    assert (await waiting.answer()).status == 200


async def test_a_caller_with_ever_new_sessions_does_not_flood_the_desk(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("tight", "0", action="approval_required")
    answers = [await here.ask(chat(), {**AT_ONCE, "X-Palyra-Session": f"s{n}"}) for n in range(PENDING_MOST)]
    assert all(answer.error["palyra"]["approval_id"] for answer in answers)
    for park in ("0", "60"):
        refused = await here.ask(chat(), {"X-Palyra-Park": park, "X-Palyra-Session": "one-more"})
        assert (refused.status, refused.error["code"]) == (402, "budget_approval_required")
        assert not refused.error["palyra"].get("approval_id")
    assert len(here.engine.desk.pending()) == PENDING_MOST
    assert upstream.seen == []
