"""For how long it is remembered who cannot be asked for usage, and for whom we ask at all."""

from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.providers.request import parse_request
from palyra.providers.usage_asking import UsageAsking, asked_by_us
from palyra.providers.wires import Wire
from tests.providers.bodies import chat, messages


async def test_a_refusal_holds_for_a_day_and_for_one_model() -> None:
    clock = ManualClock()
    asking = UsageAsking(clock)
    assert asking.hears("own", "a")
    asking.refused("own", "a")
    await clock.advance(24 * 3600 - 1)
    assert [asking.hears("own", "a"), asking.hears("own", "b"), asking.hears("other", "a")] == [False, True, True]
    await clock.advance(1)
    assert asking.hears("own", "a")


@pytest.mark.parametrize(
    ("wire", "upstream", "members", "ours"),
    [
        (Wire.CHAT, Wire.CHAT, {"stream": True}, True),
        (Wire.CHAT, Wire.CHAT, {"stream": True, "stream_options": None}, True),
        (Wire.CHAT, Wire.CHAT, {"stream": True, "stream_options": {"include_usage": True}}, False),
        (Wire.CHAT, Wire.CHAT, {}, False),
        (Wire.CHAT, Wire.MESSAGES, {"stream": True}, False),
        (Wire.MESSAGES, Wire.CHAT, {"stream": True}, True),
        (Wire.MESSAGES, Wire.MESSAGES, {"stream": True}, False),
    ],
)
def test_whether_we_ask(wire: Wire, upstream: Wire, members: dict[str, Any], ours: bool) -> None:
    body = chat(**members) if wire is Wire.CHAT else messages(**members)
    assert asked_by_us(parse_request(wire, body), upstream) is ours
