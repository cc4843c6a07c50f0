"""What Prometheus is told, read back as Prometheus would read it."""

import asyncio

import anthropic
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from palyra.control.commands import CorrectUsage
from palyra.gateway.callers import is_near
from palyra.vault.records import Role
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, HAIKU, MINI, Premises, chat, message
from tests.end_to_end.tools import issue
from tests.support.upstream import Reply, Upstream

Labels = frozenset[tuple[str, str]]
Told = dict[tuple[str, Labels], float]


async def scrape(here: Premises) -> Told:
    caller = await here.caller()
    caller.request("GET", "/metrics", {})
    answer = await caller.answer()
    caller.close()
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(answer.body.decode())
        for sample in family.samples
    }


def of(told: Told, name: str, **labels: str) -> float:
    return told.get((name, frozenset(labels.items())), 0.0)


async def test_requests_tokens_and_money_are_counted(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    assert (await here.ask(chat(max_tokens=100))).status == 200
    assert (await here.ask(chat(max_tokens=100, stream=True))).status == 200
    assert (await here.ask(chat(model=ACME))).status == 200
    assert (await here.ask({"model": MINI})).status == 400
    await here.rest()
    told = await scrape(here)
    chats = "/v1/chat/completions"
    assert of(told, "palyra_requests_total", endpoint=chats, status="200") == 3
    assert of(told, "palyra_requests_total", endpoint=chats, status="400") == 1
    assert of(told, "palyra_request_seconds_count", endpoint=chats) == 4
    assert of(told, "palyra_first_byte_seconds_count", endpoint=chats) == 1
    assert of(told, "palyra_gateway_overhead_seconds_count", endpoint=chats) == 2
    usage = await here.usage()
    for entry in usage.breakdown:
        labels = {"provider": entry.key.partition("/")[0], "model": entry.key}
        numbers = entry.numbers
        assert of(told, "palyra_tokens_total", direction="input", **labels) == numbers.input_tokens
        assert of(told, "palyra_tokens_total", direction="output", **labels) == numbers.output_tokens
        assert of(told, "palyra_cost_usd_total", **labels) == pytest.approx(numbers.cost_nano_usd / 1e9)
    assert {entry.key for entry in usage.breakdown} == {MINI, ACME}
    assert of(told, "palyra_price_unknown_total", model=ACME) == 1
    assert of(told, "palyra_holds_ended_total", state="settled") == 3
    assert of(told, "palyra_provider_attempts_total", provider="openai", **{"class": "ok"}) == 2
    assert of(told, "palyra_holds_open") == of(told, "palyra_held_usd") == 0
    assert of(told, "palyra_journal_commit_seconds_count") > 0
    assert of(told, "palyra_breaker_state", provider="openai") == 0


async def test_a_correction_downwards_takes_nothing_from_a_counter(here: Premises) -> None:
    """A counter that goes down would be read as one that began anew, and all of it as spent once more."""
    assert (await here.ask(chat(max_tokens=100))).status == 200
    await here.rest()
    before = await scrape(here)
    (run,) = await here.runs()
    assert run.cost_nano_usd is not None
    asked = CorrectUsage(run.run_id, "the invoice says so", input_tokens=1, output_tokens=0)
    assert (await here.control.send(asked)).status == "accepted"
    after = await scrape(here)
    labels = {"provider": "openai", "model": MINI}
    for name, more in (
        ("palyra_cost_usd_total", {}),
        ("palyra_tokens_total", {"direction": "input"}),
        ("palyra_tokens_total", {"direction": "output"}),
    ):
        assert of(after, name, **labels, **more) == of(before, name, **labels, **more) > 0
    corrected = run.cost_nano_usd / 1e9 + of(after, "palyra_corrected_usd", **labels)
    assert corrected == pytest.approx((await here.usage()).total.cost_nano_usd / 1e9)


async def test_budgets_approvals_and_parked_requests_show(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    await here.add_budget("desk", "0", action="approval_required")
    await here.add_budget("wide", "10")
    asked = asyncio.create_task(here.ask(chat(max_tokens=10)))
    approval = await here.parked()
    told = await scrape(here)
    assert (of(told, "palyra_parked_requests"), of(told, "palyra_approvals_pending")) == (1, 1)
    await here.deny(approval.approval_id)
    assert (await asked).status == 402
    told = await scrape(here)
    assert (of(told, "palyra_parked_requests"), of(told, "palyra_approvals_pending")) == (0, 0)
    assert of(told, "palyra_approvals_total", decision="deny") == 1
    assert of(told, "palyra_decisions_total", outcome="approval_required", mode="enforced") == 1
    assert ("palyra_budget_used_ratio", frozenset({("policy", "wide")})) in told


async def test_failures_of_a_provider_show_with_their_class(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[retries]\nmax = 0\n[failover]\nenabled = false\n")
    upstream.replies.append(Reply(status=529, error_body=b'{"type": "error", "error": {"type": "overloaded_error"}}'))
    client = here.anthropic(max_retries=0)
    with pytest.raises(anthropic.APIStatusError):
        await client.messages.create(**message(model=HAIKU))
    told = await scrape(here)
    assert of(told, "palyra_provider_attempts_total", provider="anthropic", **{"class": "transient_upstream"}) == 1
    assert of(told, "palyra_requests_total", endpoint="/v1/messages", status="503") == 1


async def test_no_label_says_who_asked(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    key = here.new_key("secretive", "dora", tags={"team": "hidden"})
    headers = {"X-Palyra-Session": "quiet-session", "X-Palyra-Tags": "case=closed"}
    assert (await here.ask(chat(), headers=headers, key=key)).status == 200
    await here.rest()
    for _, labels in await scrape(here):
        for _, value in labels:
            assert not {"dora", "hidden", "quiet-session", "closed", "secretive"} & set(value.split("/"))


@pytest.mark.parametrize(
    ("peer", "near"),
    [
        (("127.0.0.1", 5), True),
        (("::1", 5, 0, 0), True),
        (("::1%lo", 5, 0, 0), True),
        (("::ffff:127.0.0.1", 5, 0, 0), True),
        (("::ffff:10.0.0.1", 5, 0, 0), False),
        (("10.0.0.1", 5), False),
        (("fe80::1%eth0", 5, 0, 2), False),
        ("", False),
        (None, False),
    ],
)
def test_only_callers_of_this_machine_are_near(peer: object, near: bool) -> None:
    assert is_near(peer) is near


async def test_from_afar_only_operators_look(here: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palyra.gateway.server.is_near", lambda _peer: False)

    async def asked(token: str) -> tuple[int, str]:
        caller = await here.caller()
        caller.request("GET", "/metrics", {"Authorization": f"Bearer {token}"} if token else {})
        answer = await caller.answer()
        caller.close()
        return answer.status, "" if answer.status == 200 else answer.error["code"]

    viewer = issue(here, "viewer", Role.VIEWER)
    assert await asked(viewer) == (200, "")
    for nobody in ("", "plo_viewer_" + "A" * 43, viewer[:-1], "plk_default_" + "A" * 43):
        assert await asked(nobody) == (401, "invalid_api_key")
    assert await asked(here.key) == (403, "role_missing")
    here.engine.access.set_flag("console_read", False)
    assert await asked(viewer) == (403, "feature_off")


async def test_how_late_jobs_began_shows(opened: Opener) -> None:
    here = await opened("[scheduler]\nenabled = true\n")
    ended = asyncio.Event()
    here.engine.events.subscribe(lambda event: ended.set() if event.kind == "job.ended" else None)
    await here.advance(3_600)
    await ended.wait()
    told = await scrape(here)
    assert of(told, "palyra_scheduler_lateness_seconds_count") > 0
