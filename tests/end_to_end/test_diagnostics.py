"""A whole house tells what it is doing, the same everywhere, and what is wrong goes again by itself."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from palyra.config.model import LoadedConfig
from palyra.config.serving import GatewayConfig
from palyra.control.diagnostics_answers import diagnosis_json
from palyra.control.diagnostics_queries import Diagnosis, DiagnosticsQuery
from palyra.control.offline import offline_control
from palyra.control.remote import RemoteControl
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import BadInputError, EngineGoneError
from palyra.core.redact import remember
from palyra.diagnostics.failure import FailureClass, Source
from palyra.diagnostics.reasons import ReasonCode, State
from palyra.doctor.manifest import Manifest, RunKind, RunState, manifest_json
from palyra.doctor.runs import MANIFEST, DoctorLock, Who, run_dir
from palyra.engine import Installation
from palyra.house import open_house
from palyra.vault.records import Role
from tests.diagnostics.samples import DISK, MIB
from tests.end_to_end.asking import ask, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, MINI, Premises, chat
from tests.end_to_end.tools import error_of, tools
from tests.healing.webhooks.receiver import Answer, receiving
from tests.support.upstream import Reply, Upstream

CANARY = "canary-7e1d0b42ff90"


async def told(here: Premises, *sections: str) -> Diagnosis:
    """A new snapshot."""
    await here.advance(1)
    return await here.control.ask(DiagnosticsQuery(sections, fresh=True))


def codes(section: Any) -> list[str]:
    return [reason.code.value for reason in section.reasons]


def incidents(here: Premises) -> set[str]:
    return {record.key for record in here.engine.healing.book.live()}


async def test_a_fresh_start_without_any_key_is_ok(tmp_path: Path) -> None:
    clock = ManualClock()
    config = LoadedConfig(gateway=GatewayConfig(bind="127.0.0.1:0"))
    async with open_house(Installation(config, tmp_path), clock, {}) as house:
        await clock.advance(1)
        found = await house.engine.diagnosing.diagnostics.snapshot()
    serving = found.sections.model_provider
    assert serving is not None
    assert serving.data is not None
    assert (serving.state, serving.data.providers[0].credential_source) == (State.OK, "none_needed")
    assert (found.overall.state, found.overall.root_causes) == (State.OK, ())
    assert found.schema_version == 1
    assert {name: section.collector.value for name, section in found.sections.each().items() if section.error} == {}
    assert len(found.sections.each()) == 16


async def test_a_breaker_that_opens_is_told_of_until_its_probe_succeeds(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[retries]\nmax = 0\n[breaker]\nfailures = 2\n[failover]\nenabled = false\n")
    upstream.default = Reply(status=500, error_body=b'{"error": {"message": "it broke: Bearer abc"}}')
    for _ in range(2):
        assert (await ask(here)).status >= 500
    found = await told(here)
    serving = found.sections.model_provider
    assert serving is not None
    assert serving.data is not None
    one = next(provider for provider in serving.data.providers if provider.id == "openai")
    assert (serving.state, codes(serving)) == (State.DEGRADED, ["provider_down"])
    assert (one.health, one.breaker.state, one.breaker.opened_total) == ("down", "open", 1)
    assert one.breaker.retry_at == (one.breaker.opened_at or 0) + one.breaker.cooldown_ms
    assert one.errors_total == {"transient_upstream": 2}
    assert one.last_error is not None
    assert "Bearer abc" not in one.last_error.message
    assert found.overall.root_causes == ("provider:openai",)
    looked = found.sections.observability
    assert looked is not None
    assert looked.data is not None
    (failure,) = looked.data.recent_failures
    assert (failure.source, failure.subject, failure.class_, failure.count) == (
        Source.PROVIDER,
        "openai",
        "transient_upstream",
        2,
    )
    assert failure.failure_class is FailureClass.UPSTREAM
    assert failure.correlation["run"] in {run.run_id for run in await here.runs()}
    upstream.default = Reply()
    await here.advance(31)
    assert (await ask(here)).status == 200
    await here.advance(600)
    serving = (await told(here)).sections.model_provider
    assert serving is not None
    assert (serving.state, serving.reasons) == (State.OK, ())


async def test_one_of_several_providers_without_credential_leaves_the_gateway_serving(opened: Opener) -> None:
    here = await opened('[providers.bare]\nkind = "anthropic"\napi_key_env = "NOT_SET"\n')
    found = await told(here)
    serving = found.sections.model_provider
    assert serving is not None
    assert (serving.state, codes(serving)) == (State.DEGRADED, ["missing_auth"])
    assert serving.reasons[0].subjects == ("bare",)
    assert (await ask(here)).status == 200
    assert found.overall.state is State.DEGRADED


PROBED = """
[[probes]]
id = "browser"
component = "browser"
target = "{target}"
critical = true
interval = "60s"
timeout = "30s"
"""


async def looked_at(here: Premises, seconds: float) -> str:
    """The state of the probe after the check that is due by then. Its answer takes no time of this clock."""
    prober = here.engine.diagnosing.prober
    before = prober.data()[0].last_at
    await here.advance(seconds)
    while prober.data()[0].last_at == before:
        await here.written()
    return prober.data()[0].state


async def test_a_critical_service_that_refuses_three_times_is_an_incident_until_it_answers(opened: Opener) -> None:
    async with receiving() as receiver:
        target = receiver.url
        here = await opened(PROBED.format(target=target))
        assert await looked_at(here, 1) == "up"
    # Nobody listens there any more.
    assert [await looked_at(here, 60) for _ in range(3)] == ["up", "up", "down"]
    found = await told(here)
    looked = found.sections.observability
    assert looked is not None
    assert looked.data is not None
    assert (looked.state, codes(looked)) == (State.FAILED, ["critical_probe_down"])
    (probe,) = looked.data.probes
    assert (probe.state, probe.consecutive_failures, probe.target, probe.uptime_24h) == ("down", 3, target, 0.25)
    assert (looked.data.components["browser"].down, looked.data.components["browser"].failures_15m) == (1, 3)
    assert looked.data.recent_failures[0].failure_class is FailureClass.NETWORK
    assert looked.data.failure_classes["network"].last_15m == 3
    assert found.overall.state is State.DEGRADED
    assert "probe:browser" in found.overall.root_causes
    await here.advance(15)
    assert "probe:browser" in incidents(here)
    await here.written()
    assert [row.state for row in await here.engine.journal.readers.probes()] == ["down"]
    (incident,) = [one for one in here.engine.healing.book.live() if one.key == "probe:browser"]
    looked = (await told(here, "observability")).sections.observability
    assert looked is not None
    assert looked.data is not None
    assert looked.data.recent_failures[0].correlation == {"probe": "browser", "incident": incident.incident_id}


async def test_a_webhook_that_fails_two_hundred_times_in_a_minute_is_one_failure(opened: Opener) -> None:
    async with receiving() as receiver:
        receiver.usual = Answer(503, "busy")
        hook = f'[[notifications.webhook]]\nname = "ops"\nurl = "{receiver.url}"\nevents = ["approval_requested"]\n'
        here = await opened(hook)
        await closed(here)
        await ask(here, park="0")
        await receiver.until(1)
        while not here.engine.diagnosing.failures.recent():
            await here.written()
        (first,) = here.engine.diagnosing.failures.recent()
        assert (first.source, first.subject, first.failure_class) == (Source.WEBHOOK, "ops", FailureClass.UPSTREAM)
        (row,) = here.engine.notices.courier.pending()
        for _ in range(199):
            here.engine.notices.courier.failed(replace(row, status=503, error="busy"))
        found = await here.control.ask(DiagnosticsQuery(("observability",)))
    looked = found.sections.observability
    assert looked is not None
    assert looked.data is not None
    (failure,) = looked.data.recent_failures
    assert failure.count == 200


async def test_texts_of_others_are_shown_without_secrets_and_numbers_stay(opened: Opener) -> None:
    here = await opened()
    here.engine.diagnosing.failures.record(
        Source.GATEWAY, "/v1/chat/completions", "internal_error", "Bearer abc, total_tokens: 42"
    )
    async with tools(here) as tool:
        data = await tool["viewer"].data("diagnostics?section=observability")
    (failure,) = data["sections"]["observability"]["data"]["recent_failures"]
    assert failure["message"] == "Bearer [redacted], total_tokens: 42"
    assert failure["class"] == "internal_error"


async def test_a_full_disk_is_what_the_house_fails_of(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await opened()
    full = replace(DISK.filesystems[0], free_bytes=MIB)
    monkeypatch.setattr(here.engine.diagnosing.disks, "look", lambda state, config: (full,))
    found = await told(here)
    assert (found.overall.state, found.overall.root_causes) == (State.FAILED, ("disk",))
    async with tools(here) as tool:
        answer = await tool["viewer"]("GET", "diagnostics")
        assert (answer.status_code, answer.json()["overall"]["state"]) == (200, "failed")
        ready = await tool["viewer"]("GET", "../../readyz")
        assert ready.status_code == 200


async def test_a_loop_that_stood_still_is_told_of_for_a_minute(opened: Opener) -> None:
    here = await opened()
    await here.advance(1)
    assert isinstance(here.clock, ManualClock)
    here.clock.tick(0.05)
    here.clock.tick(1.2)
    await settle_loop()
    found = await told(here, "event_loop")
    section = found.sections.event_loop
    assert section is not None
    assert section.data is not None
    assert (section.state, codes(section)[0]) == (State.FAILED, ReasonCode.STALLED.value)
    assert section.data.longest_stall is not None
    assert 1_150 <= section.data.longest_stall.ms <= 1_350
    assert section.data.stalls_over_1s_total == 1
    await here.advance(61)
    again = (await told(here, "event_loop")).sections.event_loop
    assert again is not None
    assert again.data is not None
    assert (again.state, again.data.longest_stall) == (State.OK, section.data.longest_stall)


async def test_two_hundred_calls_at_once_are_one_collection(opened: Opener) -> None:
    here = await opened()
    before = here.engine.diagnosing.diagnostics.collections
    found = await asyncio.gather(*(here.control.ask(DiagnosticsQuery()) for _ in range(200)))
    assert here.engine.diagnosing.diagnostics.collections == before + 1
    assert all(one == found[0] for one in found)


async def test_requests_a_budget_refused_are_no_failures(opened: Opener) -> None:
    here = await opened()
    await here.add_budget("none", "0", action="block")
    for _ in range(6):
        assert (await ask(here)).status == 402
    found = await told(here)
    looked, gateway = found.sections.observability, found.sections.gateway
    assert looked is not None
    assert looked.data is not None
    assert looked.data.recent_failures == ()
    assert gateway is not None
    assert gateway.data is not None
    assert (gateway.state, gateway.data.status_5m["402"], gateway.data.requests_5m) == (State.OK, 6, 6)
    governance = found.sections.governance
    assert governance is not None
    assert governance.data is not None
    assert governance.data.decisions_5m.get("refused", 0) + governance.data.decisions_5m.get("blocked", 0) == 6


async def test_what_failed_is_known_to_the_next_engine(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[retries]\nmax = 0\n[failover]\nenabled = false\n")
    upstream.default = Reply(status=401, error_body=b'{"error": {"message": "no"}}')
    await ask(here)
    before = here.engine.diagnosing.failures.recent()
    assert [one.failure_class for one in before] == [FailureClass.CREDENTIAL]
    await here.close()
    again = await opened("[retries]\nmax = 0\n[failover]\nenabled = false\n")
    assert again.engine.diagnosing.failures.recent() == before


# Over HTTP


async def test_over_http_as_the_rules_say(opened: Opener) -> None:
    here = await opened()
    async with tools(here) as tool:
        viewer = tool["viewer"]
        answer = await viewer("GET", "diagnostics")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        data = answer.json()
        assert (data["schema_version"], data["engine"]["phase"], len(data["sections"])) == (1, "ready", 16)
        assert data["health_graph"]["edges"][0] == {"from": "gateway", "to": "governance", "kind": "all"}
        part = await viewer.data("diagnostics?section=journal,disk&fresh=true")
        assert (list(part["sections"]), "health_graph" in part) == (["journal", "disk"], False)
        assert part["overall"]["state"] == data["overall"]["state"]
        near = await viewer("GET", "diagnostics?section=jornal")
        assert near.status_code == 400
        assert "journal" in error_of(near)["message"]
        assert error_of(near)["param"] == "section"
        assert (await viewer("GET", "diagnostics?fresh=perhaps")).status_code == 400
        assert (await viewer("POST", "diagnostics")).status_code == 405
        here.engine.phase = "starting"
        early = await viewer("GET", "diagnostics")
        here.engine.phase = "ready"
        assert (early.status_code, error_of(early)["code"]) == (503, "engine_starting")
        assert "starting" in error_of(early)["message"]
        here.engine.access.set_flag("console_read", False)
        assert (await viewer("GET", "diagnostics")).status_code == 403
    async with httpx.AsyncClient(base_url=here.url, trust_env=False) as client:
        assert (await client.get("/console/v1/diagnostics")).status_code == 401


# The same everywhere


async def test_every_consumer_shows_one_and_the_same_snapshot(opened: Opener) -> None:
    here = await opened()
    await ask(here, chat(model=ACME))
    local = await told(here)
    remote = RemoteControl(here.state_dir, operator="", environ={})
    try:
        assert await remote.ask(DiagnosticsQuery()) == local
    finally:
        await remote.close()
    async with tools(here) as tool:
        assert await tool["viewer"].data("diagnostics") == json.loads(json.dumps(diagnosis_json(local)))


async def test_without_an_engine_there_is_nothing_to_observe(tmp_path: Path) -> None:
    async with offline_control(LoadedConfig(), tmp_path, None, ManualClock()) as control:
        with pytest.raises(EngineGoneError, match="observe a running engine"):
            await control.ask(DiagnosticsQuery())
        with pytest.raises(BadInputError, match="Did you mean journal"):
            await control.ask(DiagnosticsQuery(("jornal",)))


async def test_no_secret_is_in_any_form_of_a_snapshot(opened: Opener, upstream: Upstream) -> None:
    remember(CANARY)
    async with receiving() as receiver:
        receiver.usual = Answer(400, f"token {CANARY} is unknown")
        here = await opened(
            f'[providers.leaky]\nkind = "openai_compatible"\nbase_url = "{upstream.base_url}"\napi_key = "{CANARY}"\n'
            f'[[models]]\nprovider = "leaky"\nupstream = "x"\n'
            f'[[probes]]\nid = "p"\ntarget = "{receiver.url}/{CANARY}"\n'
            f'[[notifications.webhook]]\nname = "ops"\nurl = "{receiver.url}/{CANARY}"\n'
            f"[retries]\nmax = 0\n[failover]\nenabled = false\n"
        )
        upstream.default = Reply(status=400, error_body=json.dumps({"error": {"message": f"bad {CANARY}"}}).encode())
        await ask(here, chat(model="leaky/x"))
        await ask(here, chat(model=MINI))
        await closed(here)
        await ask(here, park="0")
        await receiver.until(1)
        here.engine.diagnosing.hearing.gateway("other", f"RuntimeError: {CANARY}")
        found = await told(here)
        async with tools(here) as tool:
            text = (await tool["viewer"]("GET", "diagnostics")).text
    assert found.sections.observability is not None
    assert CANARY not in repr(found)
    assert CANARY not in json.dumps(diagnosis_json(found))
    assert CANARY not in text
    assert "leaky" in text
    await here.written()
    assert CANARY not in repr(await here.engine.journal.readers.failures())


async def test_who_may_look_is_a_viewer(opened: Opener) -> None:
    here = await opened()
    found = await here.operator("eve", Role.VIEWER).ask(DiagnosticsQuery(("governance",)))
    assert list(found.sections.each()) == ["governance"]


async def test_a_repair_is_unfinished_only_once_nobody_works_on_it(opened: Opener) -> None:
    here = await opened()

    def begun(run_id: str) -> None:
        directory = run_dir(here.state_dir, run_id)
        directory.mkdir(parents=True)
        manifest = Manifest(
            run_id, RunKind.REPAIR, RunState.RUNNING, 5, "1", "ada", "uid", str(here.state_dir), "", "0" * 64, False
        )
        (directory / MANIFEST).write_bytes(manifest_json(manifest))

    async def recovery() -> tuple[State, tuple[str, ...]]:
        section = (await told(here, "recovery")).sections.recovery
        assert section is not None
        assert section.data is not None
        return section.state, section.data.unfinished

    assert await recovery() == (State.DISABLED, ())
    older, newer = "01J00000000000000000000001", "01J00000000000000000000002"
    begun(newer)
    lock = DoctorLock(here.state_dir)
    lock.acquire(Who("ada", "uid", ""), newer, 5)
    assert await recovery() == (State.OK, ())
    begun(older)
    assert await recovery() == (State.FAILED, (older,))
    lock.release()
    assert await recovery() == (State.FAILED, (newer, older))
