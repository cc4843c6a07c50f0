"""What consoles see of providers and models: on a running engine, over the socket's codec, and without an engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from palyra.config.load import interpret
from palyra.config.model import LoadedConfig
from palyra.control import codec
from palyra.control.commands import ClearCredential, DiscoverModels
from palyra.control.local import LocalControl
from palyra.control.offline import offline_control
from palyra.control.queries import AuditQuery
from palyra.control.serving import BreakerView, CredentialView, DiscoveryView, LeaseView, ModelView, ProviderView
from palyra.control.serving_queries import ServingQuery
from palyra.control.snapshots import OperatorView, Topic
from palyra.core.clock import ManualClock
from palyra.core.events import Event
from palyra.core.redact import Secret
from palyra.engine import Engine, Installation
from palyra.house import House, open_house
from palyra.providers.credentials import Credential, Offer, Pool
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.leases import Lease
from palyra.providers.ways import AttemptEnd
from tests.support.model_lists import ModelLists

KEY = "sk-test-serving-0001"
CONFIG = """
version = 1
[providers.acme]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key_env = "ACME_KEY"
[providers.off]
kind = "anthropic"
enabled = false
[providers.bare]
kind = "anthropic"
[[models]]
provider = "acme"
upstream = "m-1"
aliases = ["fast"]
max_context = 5000
[[models]]
provider = "acme"
upstream = "m-2"
enabled = false
[[models]]
provider = "acme"
upstream = "vectors"
role = "embeddings"
[[pricing]]
provider = "acme"
model = "m-1"
input = "0.25"
output = "2"
"""


def configured(base: str) -> LoadedConfig:
    loaded = interpret(CONFIG.format(base=base).encode(), Path("palyra.toml"), {}, {})
    assert loaded.config is not None, loaded.problems
    return loaded.config


@asynccontextmanager
async def a_house(directory: Path, server: ModelLists, clock: ManualClock) -> AsyncIterator[House]:
    installation = Installation(configured(server.base_url), directory)
    async with open_house(installation, clock, {"ACME_KEY": KEY}, serving=False) as house:
        yield house


def control_of(house: House) -> LocalControl:
    return LocalControl(house.face, OperatorView("maria", "admin", "uid"))


async def told(engine: Engine, kind: str, clock: ManualClock, seconds: float) -> None:
    """Moves the clock and waits for an event of that kind."""
    heard = asyncio.Event()

    def listen(event: Event) -> None:
        if event.kind == kind:
            heard.set()

    leave = engine.events.subscribe(listen)
    await clock.advance(seconds)
    await heard.wait()
    leave()


async def providers(control: LocalControl) -> dict[str, ProviderView]:
    return {view.provider_id: view for view in (await control.snapshot([])).providers}


async def models(control: LocalControl) -> dict[str, ModelView]:
    return {view.model_id: view for view in (await control.snapshot([Topic.MODELS])).models}


async def test_providers_are_told_with_all_that_concerns_them(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1", "found"]).serving() as server, a_house(tmp_path, server, clock) as house:
        control, engine = control_of(house), house.engine
        before = await providers(control)
        await told(engine, "provider.models", clock, 1)
        after = await providers(control)
        assert (before["acme"].health, after["acme"].health) == ("unknown", "ok")
        assert after["acme"] == ProviderView(
            provider_id="acme",
            kind="openai_compatible",
            health="ok",
            models=2,
            base_url=f"{server.base_url}/v1",
            breaker=BreakerView("closed", 0, None),
            leases=LeaseView(0, 4, 0),
            credentials=(CredentialView("env:ACME_KEY", "eligible", last_used=clock.now_ms(), leases=LeaseView(0, 2)),),
            discovery=DiscoveryView(True, 2, False, clock.now_ms(), ""),
        )
        assert (after["off"].health, after["off"].detail) == ("disabled", "switched off in the configuration")
        assert after["bare"].health == "missing_auth"
        assert "api_key_env" in after["bare"].detail
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert KEY not in str(await control.snapshot(list(Topic)))


async def test_what_attempts_come_to_is_seen(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists().serving() as server, a_house(tmp_path, server, clock) as house:
        engine, control = house.engine, control_of(house)
        for _ in range(5):
            engine.care.heard(AttemptEnd("acme", first_byte_ms=1500, model="acme/m-1"))
        limited = ProviderError(ErrorClass.RATE_LIMITED, "429", upstream_status=429, retry_after_ms=60_000)
        used = engine.credentials.choose("acme", clock.now_ms())
        granted = await engine.leases.acquire("acme", "primary_interactive", lambda room: used)
        assert isinstance(granted, Lease)
        assert granted.credential is not None
        engine.credentials.report(granted.credential, ErrorClass.RATE_LIMITED, 60_000)
        engine.care.heard(AttemptEnd("acme", error=limited))
        down = ProviderError(ErrorClass.TRANSIENT_UPSTREAM, "503", upstream_status=503)
        for _ in range(3):
            permit = engine.breakers.of("acme").enter()
            assert permit is not None
            permit.fail()
            engine.care.heard(AttemptEnd("acme", error=down))
        acme = (await providers(control))["acme"]
        assert (acme.health, acme.serves, acme.last_error) == ("down", False, "transient_upstream")
        assert acme.breaker == BreakerView("open", 3, clock.now_ms() + 30_000)
        assert (acme.p50_ms, acme.latency, acme.success_percent < 80) == (1500, "standard", True)
        assert acme.leases == LeaseView(1, 4, 0)
        (credential,) = acme.credentials
        assert (credential.state, credential.cooling_until) == ("cooling_down", clock.now_ms() + 60_000)
        assert (credential.usable, credential.last_error, credential.leases.in_use) == (True, "rate_limited", 1)
        assert (await models(control))["acme/m-1"].latency == "standard"
        granted.release()


async def test_models_are_told_with_their_price_and_where_they_are_known_from(tmp_path: Path) -> None:
    clock = ManualClock()
    listed: list[str | dict[str, Any]] = [
        {"id": "m-1", "max_model_len": 9000, "supported_parameters": ["tools"]},
        "found",
    ]
    async with ModelLists(listed).serving() as server, a_house(tmp_path, server, clock) as house:
        control = control_of(house)
        assert list(await models(control)) == ["acme/m-1", "acme/vectors", "acme/m-2"]
        await told(house.engine, "provider.models", clock, 1)
        found = await models(control)
        assert list(found) == ["acme/m-1", "acme/vectors", "acme/found", "acme/m-2"]
        one = found["acme/m-1"]
        assert (one.input_usd, one.output_usd, one.price, one.priced) == ("0.25", "2", "low", True)
        assert (one.max_context, one.aliases, one.source, one.is_default) == (5000, ("fast",), "config", True)
        assert one.capabilities == ("streaming", "tools", "vision")
        assert (found["acme/vectors"].role, found["acme/vectors"].is_default) == ("embeddings", True)
        other = found["acme/found"]
        assert (other.source, other.routed, other.priced, other.price) == ("discovery", False, False, "standard?")
        assert (found["acme/m-2"].enabled, found["acme/m-2"].routed) == (False, False)
        again = await models(control)
        assert all(again[name] is view for name, view in found.items())
        server.status = 503
        await told(house.engine, "provider.models", clock, 300)
        stale = await models(control)
        assert (stale["acme/found"].source, stale["acme/m-1"].source) == ("stale", "config")
        assert (await providers(control))["acme"].discovery.stale


async def test_the_socket_carries_it_all(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["found"]).serving() as server, a_house(tmp_path, server, clock) as house:
        await told(house.engine, "provider.models", clock, 1)
        shot = await control_of(house).snapshot(list(Topic))
    assert codec.decode_snapshot(codec.encode_snapshot(shot)) == shot
    assert shot.models


async def test_notes_of_credentials_and_the_configuration_are_told_without_an_engine(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["found"]).serving() as server:
        async with a_house(tmp_path, server, clock) as house:
            used = house.engine.credentials.choose("acme", clock.now_ms())
            assert used is not None
            assert not hasattr(used, "why")
            house.engine.credentials.report(replace(used), ErrorClass.AUTH_INVALID)
        config = configured(server.base_url)
        async with offline_control(config, tmp_path, None, clock, {"ACME_KEY": KEY}) as control:
            shot = await control.snapshot([Topic.MODELS])
        async with offline_control(config, tmp_path, None, clock, {"ACME_KEY": "sk-another-key"}) as control:
            other = await control.snapshot([])
        async with a_house(tmp_path, server, clock) as house:
            again = (await providers(control_of(house)))["acme"]
    seen = {view.provider_id: view for view in shot.providers}
    assert (seen["acme"].health, seen["acme"].credentials[0].state) == ("missing_auth", "rejected")
    assert (again.health, again.credentials[0].state) == ("missing_auth", "rejected")
    assert (seen["off"].health, seen["bare"].health) == ("disabled", "missing_auth")
    assert [view.model_id for view in shot.models] == ["acme/m-1", "acme/vectors", "acme/m-2"]
    assert {view.provider_id: view for view in other.providers}["acme"].credentials[0].state == "eligible"


async def test_a_refused_credential_gets_another_chance_from_an_admin(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists().serving() as server, a_house(tmp_path, server, clock) as house:
        control = control_of(house)
        used = house.engine.credentials.choose("acme", clock.now_ms())
        assert isinstance(used, Credential)
        house.engine.credentials.report(used, ErrorClass.PERMISSION_DENIED)
        assert (await providers(control))["acme"].health == "missing_auth"
        clear = ClearCredential("acme", "env:ACME_KEY")
        approver = LocalControl(house.face, OperatorView("ann", "approver", "uid"))
        assert (await approver.send(clear)).status == "denied"
        result = await control.send(clear)
        assert (result.status, result.message) == ("accepted", "Credential env:ACME_KEY of acme is eligible.")
        assert (await providers(control))["acme"].health == "unknown"
        for wrong in (ClearCredential("acme", "other"), ClearCredential("nobody", "x")):
            assert (await control.send(wrong)).status == "not_found"
        audit = await control.ask(AuditQuery())
        assert audit.ok


async def test_when_credentials_end_is_counted(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1"]).serving() as server, a_house(tmp_path, server, clock) as house:
        offers = [
            Offer(name, Secret(f"sk-test-ending-{name}"), expires_at=None if ends is None else clock.now_ms() + ends)
            for name, ends in (("over", 0), ("soon", 300_000), ("later", 90_000_000), ("never", None))
        ]
        house.engine.credentials.configure({"acme": Pool(tuple(offers)), "off": Pool(), "bare": Pool()})
        answer = await control_of(house).ask(ServingQuery())
        (acme,) = [one for one in answer.providers if one.provider_id == "acme"]
        assert [one.expiry for one in acme.credentials] == ["expired", "le_5m", "gt_24h", "no_expiry"]
        assert {name: count for name, count in answer.credential_expiry.items() if count} == {
            "expired": 1,
            "le_5m": 1,
            "gt_24h": 1,
            "no_expiry": 1,
        }


async def test_an_account_that_is_spent_is_an_issue_and_one_that_is_asked_to_wait_is_none(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1"]).serving() as server, a_house(tmp_path, server, clock) as house:
        control, credentials = control_of(house), house.engine.credentials
        credential = credentials.choose("acme", clock.now_ms())
        assert isinstance(credential, Credential)

        async def issues() -> list[str]:
            return [one.message for one in (await control.ask(ServingQuery())).issues if one.subject == "acme"]

        credentials.report(credential, ErrorClass.RATE_LIMITED)
        assert await issues() == []
        credentials.report(credential, ErrorClass.QUOTA_EXCEEDED)
        assert await issues() == ["its account is spent (env:ACME_KEY)"]
        clock.tick(1_800)
        assert await issues() == []


async def test_a_provider_is_asked_for_its_models_on_demand(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["found"]).serving() as server, a_house(tmp_path, server, clock) as house:
        control = control_of(house)
        result = await control.send(DiscoverModels("acme"))
        assert (result.status, result.message) == ("accepted", "acme lists 1 model.")
        assert "acme/found" in await models(control)
        server.status = 401
        failed = await control.send(DiscoverModels("acme"))
        assert (failed.status, failed.data) == ("conflict", {"models": "1", "stale": "true", "class": "auth_invalid"})
        assert failed.message.endswith("The 1 model it listed before stay known.")
        assert (await control.send(DiscoverModels("off"))).status == "invalid"
        assert (await control.send(DiscoverModels("nobody"))).status == "not_found"


async def test_nobody_is_asked_any_more_once_no_work_is_taken(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["found"]).serving() as server, a_house(tmp_path, server, clock) as house:
        await told(house.engine, "provider.models", clock, 1)
        await house.engine.drain()
        await clock.advance(1000)
        assert len(server.asked) == 1
