"""Questions about prices: the same answers with an engine, over the socket and without one."""

import json
from pathlib import Path
from typing import Any

import pytest

from palyra.control.offline import offline_control
from palyra.control.prices import CostQuery, PriceCheckQuery, PriceQuery
from palyra.control.protocol import Control
from palyra.control.recordings import read_recording
from palyra.control.remote import RemoteControl
from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError
from tests.config.loading import sound
from tests.end_to_end.premises import HAIKU, configuration, message, premises
from tests.support.upstream import Reply, Upstream

ROW = '[[pricing]]\nprovider = "own"\nmodel = "acme-7b"\ninput = 1\noutput = 2\n'


def cost(provider: str, model: str, usage: dict[str, Any], **more: Any) -> CostQuery:
    return CostQuery(provider, model, "chat", json.dumps({"usage": usage}), **more)


QUESTIONS = (
    PriceQuery("acme-7b"),
    PriceQuery("claude-haiku-4-5", "anthropic", at=0),
    PriceQuery("grok-4"),
    cost("own", "acme-7b", {"prompt_tokens": 10, "completion_tokens": 5}),
    cost("openai", "gpt-4o-mini", {"prompt_tokens": 10, "completion_tokens": float("nan")}, visible_bytes=100),
    PriceCheckQuery(),
)


async def answers(control: Control) -> list[object]:
    return [await control.ask(question) for question in QUESTIONS]


async def test_every_console_gets_the_same_answers(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Upstream().serving() as upstream:
        async with premises(upstream, tmp_path, ROW, clock) as here:
            upstream.default = Reply(input_tokens=90)
            for _ in range(60):
                assert (await here.ask(message())).status == 200
            await here.rest()
            local = await answers(here.control)
            remote = RemoteControl(here.state_dir, operator="", environ={})
            try:
                assert await answers(remote) == local
            finally:
                await remote.close()
            check = await here.control.ask(PriceCheckQuery())
        async with offline_control(configuration(upstream, ROW), tmp_path, None, clock) as control:
            assert await answers(control) == local
    (finding,) = check.findings
    assert (finding.kind, finding.subject) == ("estimate_drift", f"anthropic: {HAIKU}")


async def test_prices_are_told_where_there_is_no_journal(tmp_path: Path) -> None:
    async with offline_control(sound(""), tmp_path / "none", None, ManualClock()) as control:
        answer = await control.ask(PriceQuery("gpt-4o-mini"))
        assert [price.provider for price in answer.prices] == ["openai"]
        assert (await control.ask(PriceCheckQuery())).ok


@pytest.mark.parametrize(
    "question",
    [
        cost("nobody", "m", {}),
        CostQuery("openai", "m", "soup", "{}"),
        CostQuery("openai", "m", "chat", "[]"),
        CostQuery("openai", "m", "chat", "{" * 100_000),
    ],
)
async def test_what_is_no_answer_of_a_provider_is_refused(tmp_path: Path, question: CostQuery) -> None:
    async with offline_control(sound(""), tmp_path, None, ManualClock()) as control:
        with pytest.raises(BadInputError):
            await control.ask(question)
        with pytest.raises(BadInputError, match="openai"):
            await control.ask(PriceQuery("m", "opnai"))


async def test_data_without_a_new_price_for_ninety_days_is_told(tmp_path: Path) -> None:
    clock = ManualClock()
    async with offline_control(sound(""), tmp_path, None, clock) as control:
        newest = (await control.ask(PriceCheckQuery())).package_prices_from
        clock.set_wall(1_798_761_600_000 + 90 * 86_400_000)
        assert (await control.ask(PriceCheckQuery())).ok
        clock.set_wall(1_798_761_600_000 + 90 * 86_400_000 + 1)
        (finding,) = (await control.ask(PriceCheckQuery())).findings
    assert newest <= clock.now_ms()
    assert finding.kind == "package_old"


def test_a_kind_of_answer_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInputError, match="soup"):
        read_recording(b'{"prompt_tokens": 1}', "soup")
