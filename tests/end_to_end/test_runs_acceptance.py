"""What a run comes to by agreement: without a configuration, without a provider that can be reached, and by whom."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from palyra.core.clock import ManualClock
from palyra.core.events import Event
from palyra.engine import Installation
from palyra.house import open_house
from tests.config.loading import sound
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HELLO, Premises, chat
from tests.support.upstream import Upstream

ANY_PORT = '[gateway]\nbind = "127.0.0.1:0"\n'
GONE = """
[failover]
enabled = true
[[models]]
provider = "gone"
upstream = "gpt-4o-mini"
[providers.gone]
kind = "openai_compatible"
pricing_provider = "openai"
base_url = "http://127.0.0.1:9/v1"
discover = false
api_key = "sk-gone"
[[models]]
provider = "away"
upstream = "gpt-4o"
[providers.away]
kind = "openai_compatible"
pricing_provider = "openai"
base_url = "http://127.0.0.1:9/v1"
discover = false
api_key = "sk-away"
"""


async def test_a_first_hello_needs_no_configuration(tmp_path: Path, upstream: Upstream) -> None:
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(
            open_house(Installation(sound(ANY_PORT), tmp_path / "state"), clock, {})
        )
        here = Premises(house, clock, upstream, stack)
        states: list[str] = []

        def hear(event: Event) -> None:
            run = event.data.get("run")
            states.extend([] if run is None else [run.state.value])

        here.engine.events.subscribe(hear)
        answer = await here.ask({"model": "auto", "messages": HELLO})
        assert answer.status == 200
        await here.rest()
        detail = await here.run(answer.headers["x-palyra-run"])
        assert list(dict.fromkeys(states)) == ["pending", "running", "completed"]
        assert (detail.run.state, detail.run.reason, detail.run.cost_nano_usd) == ("completed", "stop", 0)
        assert [one.state for one in detail.attempts] == ["settled"]
        (usage,) = await here.engine.journal.readers.usage_of_run(detail.run.run_id)
        assert usage.charge == 0
        await here.check()


async def test_where_nobody_can_be_reached_nothing_is_held_or_charged(opened: Opener) -> None:
    here = await opened(GONE)
    await here.add_budget("day", "1", interval_kind="daily")
    key = here.new_key("far", "ann", allowed_models=("gone/*", "away/*"))
    answer = await here.ask(chat(model="gone/gpt-4o-mini", max_tokens=100), key=key)
    assert (answer.status, answer.error["code"]) == (503, "network_unavailable")
    await here.rest()
    detail = await here.run(answer.headers["x-palyra-run"])
    assert (detail.run.state, detail.run.reason, detail.run.cost_nano_usd) == ("failed", "network_unavailable", 0)
    assert [(one.model, one.state) for one in detail.attempts] == [
        ("gone/gpt-4o-mini", "released"),
        ("away/gpt-4o", "released"),
    ]
    assert here.counted("day", "*") == (0, 0)


async def test_a_header_against_a_pinned_channel_makes_no_run(here: Premises) -> None:
    key = here.new_key("ops", "ann", channel="slack:ops")
    caller: dict[str, Any] = {"headers": {"X-Palyra-Channel": "slack:dev"}, "key": key}
    answer = await here.ask(chat(), **caller)
    assert answer.status == 403
    assert "X-Palyra-Channel" in answer.error["message"]
    assert "slack:ops" in answer.error["message"]
    assert await here.runs() == ()
    assert (await here.ask(chat(), key=key, headers={"X-Palyra-Channel": "slack:ops"})).status == 200
