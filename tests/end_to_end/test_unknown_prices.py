"""A model whose price nobody knows: never worth nothing, and each budget by its own rule."""

import asyncio
from decimal import Decimal

import pytest

from palyra.control.queries import RunDetail
from palyra.core.money import NANO
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, Premises, chat
from tests.end_to_end.test_streams import TEN, delivered, long
from tests.support.upstream import Upstream

ASKED = chat(model=ACME, max_tokens=100)
DOLLAR = 1_000_000_000


async def check_flat(here: Premises, detail: RunDetail, flat: int) -> None:
    (attempt,) = detail.attempts
    assert (attempt.price_state, attempt.bound_nano_usd, attempt.actual_nano_usd) == ("unknown_flat", None, None)
    assert detail.run.cost_nano_usd == flat
    (usage,) = await here.engine.journal.readers.usage_of_run(detail.run.run_id)
    assert (usage.price_state, usage.charge) == ("unknown_flat", flat)
    (part,) = usage.rates
    assert (part["unit"], Decimal(part["usd"]) * part["count"] / part["per"] * NANO) == ("flat", flat)
    assert (await here.usage()).total.cost_nano_usd == flat


async def test_a_flat_dollar_is_held_and_charged(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "2.5", interval_kind="daily")
    gate = asyncio.Event()
    upstream.default.gate = gate
    waiting = asyncio.create_task(here.ask(ASKED))
    await upstream.wait_for_requests(1)
    assert here.counted("day", "*") == (0, DOLLAR)
    gate.set()
    answer = await waiting
    assert (answer.status, "price_unknown_flat" in answer.headers["x-palyra-reason"]) == (200, True)
    assert "x-palyra-bound-usd" not in answer.headers
    assert here.counted("day", "*") == (DOLLAR, 0)
    await check_flat(here, await here.run(), DOLLAR)
    assert [(await here.ask(ASKED)).status for _ in range(2)] == [200, 402]
    assert (await here.ask(chat(max_tokens=100))).status == 200


async def test_a_stream_is_a_flat_dollar_too_however_long(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[runs]\ndefault_output_tokens = 20\nslice_tokens = 16\n")
    await here.add_budget("day", "1", interval_kind="daily")
    upstream.default = long()
    answer = await here.ask({**ASKED, "stream": True, "max_tokens": 5_000})
    assert delivered(answer.body) == TEN * 40
    assert here.counted("day", "*") == (DOLLAR, 0)
    await check_flat(here, await here.run(), DOLLAR)


async def test_block_refuses_and_says_why(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("known", "100", on_unknown_price="block")
    refused = await here.ask(ASKED)
    assert (refused.status, refused.error["type"], refused.error["code"]) == (
        402,
        "budget_exceeded",
        "price_unknown_blocked",
    )
    assert refused.error["message"] == (
        "Budget known blocks models whose price nobody knows. It would pass with the model openai/gpt-4o-mini."
    )
    assert (await here.ask(chat(max_tokens=100))).status == 200
    assert len(upstream.seen) == 1


async def test_allow_counts_tokens_and_shows_the_run_as_unpriced(here: Premises) -> None:
    await here.add_budget("money", "1", on_unknown_price="allow")
    await here.add_budget("tokens", "5000", metric_kind="total_tokens")
    answer = await here.ask(ASKED)
    assert (answer.status, answer.headers["x-palyra-outcome"]) == (200, "price_unknown")
    assert "x-palyra-cost-usd" not in answer.headers
    detail = await here.run()
    assert (detail.run.cost_nano_usd, detail.attempts[0].price_state) == (None, "unknown")
    assert (here.counted("money", "*"), here.counted("tokens", "*")) == ((0, 0), (16, 0))
    total = (await here.usage()).total
    assert (total.unpriced, total.cost_nano_usd, total.total_tokens) == (1, 0, 16)


async def test_without_any_budget_it_is_unpriced_and_not_free(here: Premises) -> None:
    await here.ask(ASKED)
    assert (await here.run()).run.cost_nano_usd is None
    assert (await here.usage()).total.unpriced == 1


async def test_each_budget_counts_by_its_own_rule(here: Premises) -> None:
    await here.add_budget("half", "10", on_unknown_price="flat:0.5")
    await here.add_budget("two", "10", on_unknown_price="flat:2")
    await here.add_budget("none", "10", on_unknown_price="allow")
    await here.ask(ASKED)
    await here.rest()
    assert [here.counted(name, "*")[0] for name in ("half", "two", "none")] == [DOLLAR // 2, 2 * DOLLAR, 0]
    await check_flat(here, await here.run(), 2 * DOLLAR)


async def test_an_override_makes_it_known(opened: Opener) -> None:
    here = await opened('[[pricing]]\nprovider = "own"\nmodel = "acme-*"\ninput = "2"\noutput = "10"\n')
    answer = await here.ask(ASKED)
    assert answer.headers["x-palyra-cost-usd"] == "0.000064"
    assert (await here.run()).attempts[0].price_state == "known"


async def test_a_free_model_is_known_to_be_free(opened: Opener) -> None:
    here = await opened('[[models]]\nprovider = "own"\nupstream = "tiny"\nfree = true\n')
    await here.add_budget("none", "0")
    answer = await here.ask({**ASKED, "model": "tiny"})
    assert (answer.status, answer.headers["x-palyra-cost-usd"]) == (200, "0.00")
    assert (await here.run()).attempts[0].price_state == "free"


@pytest.mark.parametrize("named", ["flat", "allow"])
async def test_a_grant_serves_a_model_without_a_price(here: Premises, named: str) -> None:
    rule = "flat:1" if named == "flat" else "allow"
    await here.add_budget("desk", "0", action="approval_required", on_unknown_price=rule)
    refused = await here.ask(ASKED, {"X-Palyra-Park": "0"})
    if named == "allow":
        assert refused.status == 200
        return
    assert refused.status == 402
    approval = await here.pending()
    assert (approval.excess, approval.bound_nano_usd) == (DOLLAR, None)
    await here.allow(approval.approval_id)
    assert (await here.ask(ASKED)).status == 200
    assert here.counted("desk", "*")[0] == DOLLAR
