"""Every class of error, plain and streamed: retried or not, failed over or not, what the breaker, the credential, the
hold and the caller get."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from palyra.core.clock import settle_loop
from palyra.providers.breaker import BreakerState
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises, chat, events_of
from tests.gateway.stand_in import RawAnswer
from tests.support.faults import DROPS, ERROR_EVENT, MALFORMED, PROVIDERS, SECOND, SECOND_KEY, Faults, says, status
from tests.support.upstream import Reply, Upstream

SETTINGS = "[retries]\nmax = 1\n[failover]\nenabled = true\n"
HALF_AN_HOUR_MS = 1_800_000

LISTED = f'failover = ["{SECOND}"]\n'


class Row(NamedTuple):
    """A reply, and what follows from it. `told`: status and code; `credential`: its state afterwards."""

    reply: Callable[[], Reply]
    error_class: str
    retried: bool
    next: bool
    counted: bool
    told: tuple[int, str]
    credential: str = "eligible"
    hold: str = "released"


ROWS = {
    "expired": Row(
        lambda: status(401, says("the token is expired")),
        "auth_expired",
        False,
        True,
        False,
        (502, "upstream_auth"),
        "expired",
    ),
    "401": Row(lambda: status(401), "auth_invalid", False, True, False, (502, "upstream_auth"), "rejected"),
    "402": Row(lambda: status(402), "quota_exceeded", False, True, False, (502, "upstream_quota"), "cooling_down"),
    "quota": Row(
        lambda: status(429, says("You exceeded your current quota", "insufficient_quota")),
        "quota_exceeded",
        False,
        True,
        False,
        (502, "upstream_quota"),
        "cooling_down",
    ),
    "context": Row(
        lambda: status(400, says("maximum context length is 8192 tokens")),
        "context_window_exceeded",
        False,
        False,
        False,
        (400, "context_window_exceeded"),
    ),
    "policy": Row(
        lambda: status(400, says("no", "content_policy_violation")),
        "content_policy_blocked",
        False,
        False,
        False,
        (400, "content_policy_blocked"),
    ),
    "403": Row(lambda: status(403), "permission_denied", False, True, False, (502, "upstream_auth"), "rejected"),
    "429": Row(
        lambda: status(429, retry_after_ms="20"),
        "rate_limited",
        True,
        True,
        False,
        (429, "upstream_rate_limited"),
        "cooling_down",
    ),
    "408": Row(lambda: status(408), "transient_upstream", True, True, False, (502, "upstream_error")),
    "409": Row(lambda: status(409), "transient_upstream", True, True, False, (502, "upstream_error")),
    "500": Row(lambda: status(500), "transient_upstream", True, True, True, (502, "upstream_error")),
    "502": Row(lambda: status(502), "transient_upstream", True, True, True, (502, "upstream_error")),
    "503": Row(lambda: status(503), "transient_upstream", True, True, True, (503, "upstream_overloaded")),
    "504": Row(lambda: status(504), "transient_upstream", True, True, True, (502, "upstream_error")),
    "529": Row(lambda: status(529), "transient_upstream", True, True, True, (503, "upstream_overloaded")),
    "400": Row(lambda: status(400), "permanent_upstream", False, False, False, (400, "")),
    "404": Row(lambda: status(404), "permanent_upstream", False, True, False, (404, "")),
    "413": Row(lambda: status(413), "permanent_upstream", False, False, False, (413, "")),
    "418": Row(lambda: status(418), "permanent_upstream", False, False, False, (502, "upstream_error")),
    "422": Row(lambda: status(422), "permanent_upstream", False, False, False, (422, "")),
    "malformed": Row(
        lambda: MALFORMED, "malformed_response", False, True, False, (502, "malformed_response"), hold="settled"
    ),
    "drop": Row(lambda: DROPS, "network_unavailable", True, True, True, (503, "network_unavailable"), hold="settled"),
}
STREAMED = {
    **ROWS,
    "error-event": Row(
        lambda: ERROR_EVENT, "malformed_response", False, True, False, (502, "malformed_response"), hold="settled"
    ),
}
# A stream has no drop of its own here: the mock's first chunk, which shows no text, is out before it breaks.
del STREAMED["drop"]


@pytest.fixture
def faults(upstream: Upstream) -> Faults:
    return Faults(upstream)


def key_of(name: str) -> str:
    return f"sk-{name}-0123456789abcdefghijklmnop"


def a_provider_each(base_url: str, names: Iterable[str]) -> str:
    """A provider of its own for each, with one model that the backup may stand in for."""
    rows = [PROVIDERS.format(name=name, base=base_url, key=key_of(name)) + LISTED for name in names]
    return "".join(rows) + PROVIDERS.format(name="backup", base=base_url, key=SECOND_KEY)


async def after(here: Premises, body: dict[str, Any], **headers: str) -> RawAnswer:
    """A request whose attempts may rest in between. Steps are smaller than any credential's rest, so that none that
    begins amid one is over at its end."""
    asking = asyncio.create_task(here.ask(body, headers))
    while not asking.done():
        if any(run.resting for run in here.engine.runner.live):
            await here.advance(0.01)
        await asyncio.sleep(0)
    return await asking


@pytest.mark.parametrize("streaming", [False, True])
async def test_what_follows_from_each_class(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool
) -> None:
    rows = STREAMED if streaming else ROWS
    names = [f"{kind}-{name}" for name in rows for kind in ("alone", "followed")]
    here = await opened(SETTINGS + a_provider_each(upstream.base_url, names))
    await here.add_budget("day", "1", interval_kind="daily")
    for name, row in rows.items():
        await _alone(here, faults, f"alone-{name}", row, streaming=streaming)
        await _followed(here, faults, f"followed-{name}", row, streaming=streaming)


async def _alone(here: Premises, faults: Faults, name: str, row: Row, *, streaming: bool) -> None:
    """Nobody else is asked: what the caller is told, and what is remembered."""
    faults.always(key_of(name), row.reply())
    faults.asked.clear()
    settled_before, _ = here.counted("day", "*")
    body = chat(model=f"{name}/gpt-4o-mini", max_tokens=100, stream=streaming)
    answer = await after(here, body, **{"X-Palyra-Failover": "off"})
    attempts = 2 if row.retried else 1
    assert (answer.status, faults.asked) == (row.told[0], [key_of(name)] * attempts), name
    if row.told[1]:
        assert answer.error["code"] == row.told[1], name
        told = answer.error["palyra"]["attempts"]
        assert [(one["class"], one["credential"]) for one in told] == [(row.error_class, "api_key")] * attempts, name
    if answer.status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1, name
    detail = await here.run(answer.headers["x-palyra-run"])
    ended = (detail.run.state, detail.run.reason, detail.retry_count)
    assert ended == ("failed", row.error_class, attempts - 1), name
    assert [(one.state, one.error_class) for one in detail.attempts] == [(row.hold, row.error_class)] * attempts, name
    cost = detail.run.cost_nano_usd
    assert cost is not None
    assert (cost == 0) is (row.hold == "released"), name
    assert here.counted("day", "*") == (settled_before + cost, 0), name
    # Both attempts of a dispatch count once.
    assert here.engine.breakers.of(name).failures == row.counted, name
    (standing,) = here.engine.credentials.standings(name, here.clock.now_ms())
    assert standing.state == row.credential, name
    if row.error_class == "quota_exceeded":
        assert standing.until == here.clock.now_ms() + HALF_AN_HOUR_MS


async def _followed(here: Premises, faults: Faults, name: str, row: Row, *, streaming: bool) -> None:
    """The backup is there."""
    faults.always(key_of(name), row.reply())
    faults.asked.clear()
    settled_before, _ = here.counted("day", "*")
    answer = await after(here, chat(model=f"{name}/gpt-4o-mini", max_tokens=100, stream=streaming))
    attempts = 2 if row.retried else 1
    detail = await here.run(answer.headers["x-palyra-run"])
    if not row.next:
        assert (answer.status, faults.asked) == (row.told[0], [key_of(name)]), name
        return
    assert (answer.status, faults.asked) == (200, [*[key_of(name)] * attempts, SECOND_KEY]), name
    assert (answer.headers["x-palyra-model"], answer.headers["x-palyra-attempts"]) == (SECOND, str(attempts + 1))
    assert (detail.run.state, detail.run.model) == ("completed", SECOND), name
    failed = [(row.hold, row.error_class)] * attempts
    assert [(one.state, one.error_class) for one in detail.attempts] == [*failed, ("settled", "")], name
    charged = sum(one.actual_nano_usd or 0 for one in detail.attempts)
    assert detail.run.cost_nano_usd == charged, name
    assert here.counted("day", "*") == (settled_before + charged, 0), name
    if streaming:
        assert not any("error" in event for event in events_of(answer.body)), name
    assert here.engine.breakers.of("backup").failures == 0


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_provider_that_cannot_be_reached_is_tried_again_then_the_next(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool
) -> None:
    first = PROVIDERS.format(name="gone", base="http://127.0.0.1:9", key=key_of("gone")) + LISTED
    here = await opened(SETTINGS + first + a_provider_each(upstream.base_url, ()))
    await here.add_budget("day", "1", interval_kind="daily")
    answer = await after(here, chat(model="gone/gpt-4o-mini", max_tokens=100, stream=streaming))
    assert (answer.status, answer.headers["x-palyra-model"], faults.asked) == (200, SECOND, [SECOND_KEY])
    detail = await here.run(answer.headers["x-palyra-run"])
    assert [(one.state, one.error_class, one.status, one.course) for one in detail.attempts] == [
        ("released", "network_unavailable", None, ""),
        ("released", "network_unavailable", None, "retry"),
        ("settled", "", 200, "failover"),
    ]
    assert here.engine.breakers.of("gone").failures == 1


@pytest.mark.parametrize(
    ("streaming", "reply"), [(False, Reply()), (True, Reply(frames=(b"data: {}\n\n",)))], ids=["plain", "streamed"]
)
async def test_a_provider_that_falls_silent_costs_its_input_and_is_followed_by_the_next(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool, reply: Reply
) -> None:
    slow = PROVIDERS.format(name="slow", base=upstream.base_url, key=key_of("slow"))
    slow = slow.replace("[[models]]", 'total_timeout = "20s"\nfirst_byte_timeout = "20s"\n[[models]]') + LISTED
    here = await opened(
        "[retries]\nmax = 0\n[failover]\nenabled = true\n" + slow + a_provider_each(upstream.base_url, ())
    )
    await here.add_budget("day", "1", interval_kind="daily")
    reply.gate = asyncio.Event()
    faults.always(key_of("slow"), reply)
    asking = asyncio.create_task(here.ask(chat(model="slow/gpt-4o-mini", max_tokens=100, stream=streaming)))
    await upstream.wait_for_requests(1)
    await settle_loop()
    await here.advance(20)
    answer = await asking
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, SECOND)
    detail = await here.run(answer.headers["x-palyra-run"])
    silent, served = detail.attempts
    assert (silent.error_class, silent.state, served.error_class) == ("provider_timeout", "settled", "")
    assert silent.actual_nano_usd is not None
    assert silent.actual_nano_usd > 0
    assert detail.run.cost_nano_usd == silent.actual_nano_usd + (served.actual_nano_usd or 0)
    assert here.counted("day", "*") == (detail.run.cost_nano_usd, 0)
    assert here.engine.breakers.of("slow").failures == 1
    assert here.engine.breakers.of("slow").state is BreakerState.CLOSED
