"""Budgets over real sockets: who gets in, who does not, and what they are told."""

import asyncio
import random
from typing import Any

import anthropic
import openai
import pytest

from palyra.control.commands import EditPolicy, RemovePolicy
from palyra.core.money import decimal_usd
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, chat, message, usd
from tests.gateway.stand_in import RawAnswer
from tests.support.upstream import Reply, Upstream

UNCLAMPED = "[governance]\nclamp_output = false\n"
MINI_OUTPUT = 600
"""Nano-dollars of one output token of gpt-4o-mini."""
ASKED = chat(max_tokens=100)


async def bound_of(here: Premises, body: dict[str, Any]) -> int:
    """What a request is held at (nano-dollars), asked while no budget is in the way."""
    answer = await here.ask(body)
    assert answer.status == 200
    return usd(answer.headers["x-palyra-bound-usd"])


async def settled(here: Premises, policy_id: str, scope_value: str = "*") -> int:
    await here.rest()
    amount, held = here.counted(policy_id, scope_value)
    assert held == 0
    return amount


def admitted(answers: list[RawAnswer]) -> int:
    return sum(answer.status == 200 for answer in answers)


async def test_of_many_at_once_as_many_get_in_as_fit(opened: Opener, upstream: Upstream) -> None:
    here = await opened(UNCLAMPED)
    key = here.new_key("proxy", "proxy", may_act_for=("r*",))
    bound = await bound_of(here, ASKED)
    hard = 5 * bound + bound // 2
    await here.add_budget("round", decimal_usd(hard), scope_kind="tag", scope_id="round=*")
    for seed in range(10):
        chance = random.Random(seed)
        await one_round(here, upstream, key, chance, f"r{seed}", hard, fitting=5)
        left = hard - await settled(here, "round", f"round=r{seed}")
        await one_round(here, upstream, key, chance, f"r{seed}", hard, fitting=left // bound)
        assert await settled(here, "round", f"round=r{seed}") < hard


async def one_round(
    here: Premises, upstream: Upstream, key: str, chance: random.Random, name: str, hard: int, fitting: int
) -> None:
    """Twelve requests come at once in some order, whole and streamed, while the provider answers none of them.

    Each round has its own principal, so that nothing is learned of how short these streams are.
    """
    headers = {"X-Palyra-Tags": f"round={name}", "X-Palyra-Principal": name}
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate)
    seen = len(upstream.seen)

    async def one() -> RawAnswer:
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        return await here.ask({**ASKED, "stream": chance.random() < 0.5}, headers, key=key)

    asked = [asyncio.create_task(one()) for _ in range(12)]
    await upstream.wait_for_requests(seen + fitting)
    refused: list[RawAnswer] = []
    for done in asyncio.as_completed(asked):
        refused.append(await done)
        if len(refused) == len(asked) - fitting:
            break
    assert [answer.status for answer in refused] == [402] * len(refused)
    assert sum(here.counted("round", f"round={name}")) <= hard
    gate.set()
    assert admitted(await asyncio.gather(*asked)) == fitting == len(upstream.seen) - seen


async def test_what_equals_the_limit_passes_and_a_nano_dollar_more_does_not(opened: Opener) -> None:
    here = await opened(UNCLAMPED)
    bound = await bound_of(here, ASKED)
    await here.add_budget("exact", decimal_usd(bound), scope_kind="session", scope_id="exact")
    await here.add_budget("short", decimal_usd(bound - 1), scope_kind="session", scope_id="short")
    passed = await here.ask(ASKED, {"X-Palyra-Session": "exact"})
    assert (passed.status, passed.headers["x-palyra-outcome"]) == (200, "soft_limit")
    refused = await here.ask(ASKED, {"X-Palyra-Session": "short"})
    assert refused.status == 402
    assert {"kind": "grant", "policy_id": "short", "amount": "0.000000001"} in refused.error["palyra"]["counterfactual"]


async def test_a_refusal_says_why_and_what_would_pass(opened: Opener, upstream: Upstream) -> None:
    here = await opened(UNCLAMPED)
    bound = await bound_of(here, ASKED)
    room = bound - 40 * MINI_OUTPUT
    await here.add_budget("team-day", decimal_usd(room), interval_kind="daily")
    spent = (await here.usage()).total.cost_nano_usd
    answer = await here.ask(ASKED)
    assert answer.status == 402
    error = answer.error
    assert (error["type"], error["code"], error["param"]) == ("budget_exceeded", "budget_blocked", None)
    assert error["message"].startswith("Budget team-day would reach $")
    run = (await here.runs())[0]
    palyra = error["palyra"]
    assert palyra["run_id"] == run.run_id == answer.headers["x-palyra-run"] == answer.headers["x-request-id"]
    assert palyra["decision_id"] == run.decision_id == answer.headers["x-palyra-decision"]
    assert (palyra["approval_id"], palyra["outcome"]) == (None, "blocked")
    assert palyra["evaluations"] == [
        {
            "policy_id": "team-day",
            "scope": "*",
            "status": "blocked",
            "settled": decimal_usd(spent),
            "held": decimal_usd(0),
            "bound": decimal_usd(bound),
            "hard": decimal_usd(room),
            "window_end": "2026-11-23T00:00:00Z",
        }
    ]
    ways = {way["kind"]: way for way in palyra["counterfactual"]}
    assert ways["grant"]["amount"] == decimal_usd(spent + bound - room)
    tokens = ways["max_tokens"]["value"]
    assert tokens == 100 - -(-(spent + bound - room) // MINI_OUTPUT)
    assert "time" not in ways
    assert (run.state, run.reason) == ("refused", "budget_exceeded")
    assert len(upstream.seen) == 1
    assert (await here.ask(chat(max_tokens=tokens + 1))).status == 402
    assert (await here.ask(chat(max_tokens=tokens))).status == 200


async def test_waiting_for_the_next_window_is_named_where_it_helps(opened: Opener) -> None:
    here = await opened(UNCLAMPED)
    bound = await bound_of(here, ASKED)
    await here.add_budget("day", decimal_usd(bound), interval_kind="daily", timezone="Europe/Prague")
    refused = await here.ask(ASKED)
    ways = {way["kind"]: way for way in refused.error["palyra"]["counterfactual"]}
    assert ways["time"]["value"] == "2026-11-22T23:00:00Z"
    midnight = here.clock.now_ms() + 11 * 3_600_000
    here.set_wall(midnight - 1)
    assert (await here.ask(ASKED)).status == 402
    here.set_wall(midnight)
    assert (await here.ask(ASKED)).status == 200


async def test_official_clients_raise_their_ordinary_error_and_ask_once(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("none", "0")
    with pytest.raises(openai.APIStatusError) as by_openai:
        await here.openai(max_retries=2).chat.completions.create(model=MINI, messages=HELLO)
    assert by_openai.value.status_code == 402
    assert (by_openai.value.type, by_openai.value.code) == ("budget_exceeded", "budget_blocked")
    with pytest.raises(anthropic.APIStatusError) as by_anthropic:
        await here.anthropic(max_retries=2).messages.create(model=HAIKU, max_tokens=64, messages=HELLO)
    assert by_anthropic.value.status_code == 402
    body = by_anthropic.value.body
    assert isinstance(body, dict)
    assert body["type"] == "error"
    assert body["request_id"] == body["error"]["palyra"]["run_id"]
    assert body["error"]["type"] == "budget_exceeded"
    assert body["error"]["palyra"]["evaluations"][0]["policy_id"] == "none"
    assert [run.state for run in await here.runs()] == ["refused", "refused"]
    assert upstream.seen == []
    total = (await here.usage()).total
    assert (total.requests, total.refused, total.cost_nano_usd) == (2, 2, 0)


async def test_a_plain_answer_is_limited_to_what_fits(here: Premises, upstream: Upstream) -> None:
    bound = await bound_of(here, chat(max_tokens=1000))
    hard = bound - 700 * MINI_OUTPUT
    await here.add_budget("small", decimal_usd(hard), scope_kind="session", scope_id="s")
    clamped = await here.ask(chat(max_tokens=1000), {"X-Palyra-Session": "s"})
    assert clamped.status == 200
    assert clamped.headers["x-palyra-output-clamped"] == "300"
    assert "output_clamped" in clamped.headers["x-palyra-reason"]
    assert upstream.seen[-1].json["max_tokens"] == 300
    assert usd(clamped.headers["x-palyra-bound-usd"]) == hard
    detail = await here.run(clamped.headers["x-palyra-run"])
    assert detail.attempts[0].bound_nano_usd == hard


async def test_no_answer_is_limited_below_the_least_that_makes_sense(here: Premises, upstream: Upstream) -> None:
    bound = await bound_of(here, chat(max_tokens=1000))
    for left, status in ((64, 200), (63, 402)):
        session = f"left-{left}"
        await here.add_budget(
            session, decimal_usd(bound - (1000 - left) * MINI_OUTPUT), scope_kind="session", scope_id=session
        )
        assert (await here.ask(chat(max_tokens=1000), {"X-Palyra-Session": session})).status == status


async def test_a_plain_request_without_a_ceiling_gets_the_one_it_is_held_at(here: Premises, upstream: Upstream) -> None:
    open_ended, capped = await bound_of(here, chat()), await bound_of(here, chat(max_tokens=4096))
    assert open_ended == capped
    assert upstream.seen[0].json["max_tokens"] == 4096


async def test_soft_limits_and_advice_let_pass_and_say_so(here: Premises) -> None:
    bound = await bound_of(here, ASKED)
    await here.add_budget("soft", "1", soft_limit=decimal_usd(bound // 2), scope_kind="session", scope_id="soft")
    await here.add_budget("advice", "0", action="advise", scope_kind="session", scope_id="advice")
    soft = await here.ask(ASKED, {"X-Palyra-Session": "soft"})
    assert (soft.status, soft.headers["x-palyra-outcome"]) == (200, "soft_limit")
    assert "budget_soft_limit" in soft.headers["x-palyra-reason"]
    advised = await here.ask(ASKED, {"X-Palyra-Session": "advice"})
    assert (advised.status, advised.headers["x-palyra-outcome"]) == (200, "hard_limit")
    assert "x-palyra-would-block" not in advised.headers
    await here.engine.watch.tick()
    alerts = (await here.control.snapshot([])).alerts
    assert {(alert.kind, alert.severity, alert.payload["status"]) for alert in alerts if alert.subject == "advice"} == {
        ("budget_alert", "warning", "hard_limit")
    }


@pytest.mark.parametrize("mode", ["suggest", "dry_run"])
async def test_looser_modes_let_pass_and_count(opened: Opener, mode: str) -> None:
    here = await opened(f'[smart_routing]\ndefault_mode = "{mode}"\n')
    await here.add_budget("strict", "0")
    await here.add_budget("asks", "0", action="approval_required")
    answer = await here.ask(ASKED)
    assert answer.status == 200
    assert sorted(answer.headers["x-palyra-would-block"].split(", ")) == ["asks", "strict"]
    assert {"would_block", "would_require_approval", f"mode_{mode}"} <= set(
        answer.headers["x-palyra-reason"].split(", ")
    )
    assert (await settled(here, "strict")) == (await here.usage()).total.cost_nano_usd > 0
    assert await here.approvals() == ()
    decision = (await here.run()).decision
    assert decision is not None
    assert decision.body["counterfactual"]
    raised = await here.ask(ASKED, {"X-Palyra-Mode": "enforced"}, key=here.new_key("strict", "x", may_set_mode=True))
    assert raised.status == 402


async def test_a_key_cannot_lower_the_mode(here: Premises) -> None:
    await here.add_budget("none", "0")
    key = here.new_key("modes", "x", may_set_mode=True)
    refused = await here.ask(ASKED, {"X-Palyra-Mode": "suggest"}, key=key)
    assert refused.status == 402
    assert "mode_refused" in refused.headers["x-palyra-reason"]
    forbidden = await here.ask(ASKED, {"X-Palyra-Mode": "enforced"})
    assert (forbidden.status, forbidden.error["code"]) == (403, "mode_not_allowed")


async def test_one_budget_may_be_tried_while_the_others_hold(here: Premises) -> None:
    await here.add_budget("trial", "0", routing_override="mode:dry_run")
    await here.add_budget("firm", "1", metric_kind="requests")
    first = await here.ask(ASKED)
    assert (first.status, first.headers["x-palyra-would-block"]) == (200, "trial")
    second = await here.ask(ASKED)
    assert second.status == 402
    statuses = {item["policy_id"]: item["status"] for item in second.error["palyra"]["evaluations"]}
    assert statuses == {"trial": "blocked", "firm": "blocked"}
    assert second.error["message"].startswith("Budget firm would reach 2 requests of 1 request.")


@pytest.mark.parametrize(
    ("kind", "value", "inside", "outside"),
    [
        ("user", "guest-a", {"X-Palyra-Principal": "guest-a"}, {"X-Palyra-Principal": "guest-b"}),
        ("session", "s1", {"X-Palyra-Session": "s1"}, {}),
        ("channel", "slack:ops", {"X-Palyra-Channel": "slack:ops"}, {"X-Palyra-Channel": "slack:dev"}),
        ("agent", "writer", {"X-Palyra-Agent": "writer"}, {}),
        ("job", "nightly", {"X-Palyra-Job": "nightly"}, {"X-Palyra-Job": "weekly"}),
        ("tag", "team=red", {"X-Palyra-Tags": "team=red, x=y"}, {"X-Palyra-Tags": "team=blue"}),
    ],
)
async def test_a_budget_counts_its_own_scope_only(
    here: Premises, kind: str, value: str, inside: dict[str, str], outside: dict[str, str]
) -> None:
    key = here.new_key("proxy", "proxy", may_act_for=("guest-*",))
    await here.add_budget("one", "1", metric_kind="requests", scope_kind=kind, scope_id=value)
    asked = [(await here.ask(ASKED, headers, key=key)).status for headers in (outside, inside, outside, inside)]
    assert asked == [200, 200, 200, 402]
    assert (await here.budget("one", value)).settled == 1


async def test_keys_models_and_providers_have_budgets_too(here: Premises) -> None:
    other = here.new_key("other", "bea")
    for kind, value in (("key", "other"), ("model", HAIKU), ("provider", "own")):
        await here.add_budget(kind, "1", metric_kind="requests", scope_kind=kind, scope_id=value)
    assert [(await here.ask(ASKED, key=key)).status for key in (other, other, "")] == [200, 402, 200]
    assert [(await here.ask(message())).status for _ in range(2)] == [200, 402]
    assert [(await here.ask(chat(model="own/acme-7b"))).status for _ in range(2)] == [200, 402]


async def test_a_star_counts_each_value_apart_and_leaving_the_session_out_escapes_nothing(here: Premises) -> None:
    await here.add_budget("each", "1", metric_kind="requests", scope_kind="session")
    for session in ("s1", "s2", ""):
        headers = {"X-Palyra-Session": session} if session else {}
        assert [(await here.ask(ASKED, headers)).status for _ in range(2)] == [200, 402]
    assert (await here.budget("each", "default:default")).settled == 1


async def test_where_one_budget_blocks_nobody_is_asked(here: Premises) -> None:
    await here.add_budget("soft", "1", metric_kind="requests", soft_limit="1")
    await here.ask(ASKED)
    await here.add_budget("asks", "1", metric_kind="requests", action="approval_required")
    await here.add_budget("blocks", "1", metric_kind="requests")
    refused = await here.ask(ASKED)
    assert (refused.status, refused.error["type"]) == (402, "budget_exceeded")
    assert refused.error["palyra"]["approval_id"] is None
    assert await here.approvals() == ()


async def test_a_request_belongs_to_the_day_it_was_let_in(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "1", interval_kind="daily", timezone="Europe/Prague")
    midnight = 1_795_388_400_000
    here.set_wall(midnight - 1)
    upstream.default = Reply(gate=(gate := asyncio.Event()))
    waiting = asyncio.create_task(here.ask(ASKED))
    await upstream.wait_for_requests(1)
    here.set_wall(midnight + 3_000)
    gate.set()
    assert (await waiting).status == 200
    await here.rest()
    assert (await here.budget("day")).settled == 0
    here.set_wall(midnight - 1)
    assert (await here.budget("day")).settled > 0


async def test_what_costs_more_than_it_could_is_charged_all_the_same(here: Premises, upstream: Upstream) -> None:
    bound = await bound_of(here, ASKED)
    await here.add_budget("day", decimal_usd(2 * bound), scope_kind="session", scope_id="s")
    upstream.default = Reply(input_tokens=12, output_tokens=1_000)
    answer = await here.ask(ASKED, {"X-Palyra-Session": "s"})
    cost = 12 * 150 + 1_000 * MINI_OUTPUT
    assert usd(answer.headers["x-palyra-cost-usd"]) == cost > 2 * bound
    assert await settled(here, "day", "s") == cost
    (hold,) = await here.engine.journal.readers.holds_of_run(answer.headers["x-palyra-run"])
    assert hold.overrun == cost - bound
    assert (await here.ask(ASKED, {"X-Palyra-Session": "s"})).status == 402


async def test_tokens_are_counted_as_reported_and_held_for_every_choice(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("tokens", "10000", metric_kind="total_tokens")
    await here.ask(chat(max_tokens=5000))
    assert await settled(here, "tokens") == 16
    clamped = await here.ask(chat(max_tokens=10_000, n=2))
    assert clamped.status == 200
    most = upstream.seen[-1].json["max_tokens"]
    bound_input = 10_000 - 16 - 2 * most
    assert 0 < bound_input < 100


async def test_an_edit_takes_effect_at_once_and_forgets_nothing_spent(here: Premises) -> None:
    await here.add_budget("n", "1", metric_kind="requests")
    assert [(await here.ask(ASKED)).status for _ in range(2)] == [200, 402]
    await here.send(EditPolicy("n", {"hard_limit": "2"}, revision=1))
    assert [(await here.ask(ASKED)).status for _ in range(2)] == [200, 402]
    await here.send(EditPolicy("n", {"interval_kind": "hourly", "hard_limit": "3"}))
    assert (await here.budget("n")).settled == 2
    assert [(await here.ask(ASKED)).status for _ in range(2)] == [200, 402]
    stale = await here.control.send(EditPolicy("n", {"hard_limit": "9"}, revision=1))
    assert stale.status == "stale"
    await here.send(RemovePolicy("n"))
    assert (await here.ask(ASKED)).status == 200
    await here.add_budget("n", "4", metric_kind="requests")
    assert (await here.budget("n")).settled == 4
