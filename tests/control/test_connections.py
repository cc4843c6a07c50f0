"""Tests of connections, over real HTTP: what each answer of a provider means, and what is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from palyra.config.load import interpret
from palyra.control.commands import AddPolicy
from palyra.control.local import LocalControl
from palyra.control.queries import RunsQuery
from palyra.control.serving_queries import ConnectionQuery, ConnectionView
from palyra.control.snapshots import OperatorView
from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError, NotFoundError, PalyraError
from palyra.engine import Installation
from palyra.house import House, open_house
from palyra.providers.credentials import Credential
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.ways import AttemptEnd, Way
from tests.support.model_lists import ModelLists

KEY = "sk-test-connection-01"
CONFIG = """
version = 1
[providers.acme]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key_env = "ACME_KEY"
[providers.echo]
kind = "deterministic"
[providers.off]
kind = "anthropic"
enabled = false
[providers.bare]
kind = "anthropic"
[[models]]
provider = "acme"
upstream = "m-1"
aliases = ["fast"]
"""


@asynccontextmanager
async def a_house(directory: Path, base: str, clock: ManualClock) -> AsyncIterator[House]:
    loaded = interpret(CONFIG.format(base=base).encode(), Path("palyra.toml"), {}, {})
    assert loaded.config is not None, loaded.problems
    async with open_house(Installation(loaded.config, directory), clock, {"ACME_KEY": KEY}, serving=False) as house:
        yield house


def control_of(house: House, role: str = "approver") -> LocalControl:
    return LocalControl(house.face, OperatorView("maria", role, "uid"))


async def settled(true: Callable[[], bool]) -> None:
    """Lets others go on until something is so."""
    for _ in range(100_000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


async def told_of(house: House, query: ConnectionQuery) -> dict[str, ConnectionView]:
    return {one.provider_id: one for one in (await control_of(house).ask(query)).tests}


async def one(house: House, **fields: object) -> ConnectionView:
    query = ConnectionQuery("acme", refresh=True)
    for name, value in fields.items():
        setattr(query, name, value)
    return (await told_of(house, query))["acme"]


async def test_every_provider_is_asked_once_and_a_list_is_good_for_a_while(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1", "m-9"]).serving() as server, a_house(tmp_path, server.base_url, clock) as house:
        tests = await told_of(house, ConnectionQuery())
        assert {name: view.state for name, view in tests.items()} == {
            "acme": "ok",
            "echo": "ok",
            "off": "disabled",
            "bare": "missing_auth",
        }
        assert (tests["acme"].found, tests["acme"].cached, tests["echo"].found) == (2, False, 2)
        assert tests["bare"].action.startswith("Set its variable before Palyra starts")
        assert (await told_of(house, ConnectionQuery("acme")))["acme"].cached
        assert len(server.asked) == 1
        assert not (await one(house)).cached
        assert len(server.asked) == 2
        clock.tick(301)
        assert not (await told_of(house, ConnectionQuery("acme")))["acme"].cached


async def test_a_list_that_was_read_before_says_nothing_of_who_fails_since(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1"]).serving() as server, a_house(tmp_path, server.base_url, clock) as house:
        assert (await one(house)).state == "ok"
        for _ in range(3):
            way = house.engine.ways.take("acme", "primary_interactive")
            assert isinstance(way, Way)
            way.end(AttemptEnd("acme", error=ProviderError(ErrorClass.PROVIDER_TIMEOUT, "slow")))
        await server.stop()
        view = (await told_of(house, ConnectionQuery("acme")))["acme"]
        assert (view.state, view.cached) == ("network_failed", False)


async def test_models_of_the_configuration_that_are_not_listed_make_it_partial(tmp_path: Path) -> None:
    async with (
        ModelLists(["m-2"]).serving() as server,
        a_house(tmp_path, server.base_url, ManualClock()) as house,
    ):
        view = await one(house)
        assert (view.state, view.missing, view.found) == ("partial", ("acme/m-1",), 1)
        by_model = (await told_of(house, ConnectionQuery(model_id="fast")))["acme"]
        assert (by_model.state, by_model.model_id) == ("partial", "acme/m-1")


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (401, b'{"error": {"message": "no key Bearer abc12345"}}', "auth_failed"),
        (403, b"{}", "permission_denied"),
        (402, b"{}", "quota_exceeded"),
        (429, b"{}", "rate_limited"),
        (404, b"{}", "endpoint_missing"),
        (503, b"{}", "endpoint_failed"),
        (400, b"{}", "endpoint_failed"),
        (200, b"<html>", "malformed"),
    ],
)
async def test_what_an_answer_means(tmp_path: Path, status: int, body: bytes, state: str) -> None:
    server = ModelLists(["m-1"])
    server.status, server.raw = status, body
    async with server.serving(), a_house(tmp_path, server.base_url, ManualClock()) as house:
        view = await one(house)
        assert view.state == state
        assert view.detail
        assert view.action
        assert "abc12345" not in view.detail


async def test_nobody_there_and_nobody_in_time(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1"]).serving() as server, a_house(tmp_path, server.base_url, clock) as house:
        server.gate = asyncio.Event()
        test = asyncio.create_task(one(house, timeout_ms=2_000))
        await server.arrived.wait()
        await clock.advance(2)
        late = await test
        assert (late.state, late.took_ms) == ("timeout", 2_000)
        assert "2000 ms" in late.detail
        server.gate.set()
        await server.stop()
        assert (await one(house)).state == "network_failed"


async def test_credentials_that_rest_are_told_without_asking(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1"]).serving() as server, a_house(tmp_path, server.base_url, clock) as house:
        credential = house.engine.credentials.choose("acme", clock.now_ms())
        assert isinstance(credential, Credential)
        house.engine.credentials.report(credential, ErrorClass.RATE_LIMITED, 7_000)
        view = await one(house)
        assert (view.state, "7 s" in view.detail) == ("rate_limited", True)
        assert server.asked == []


@pytest.mark.parametrize(
    ("error_class", "state"),
    [
        (ErrorClass.AUTH_INVALID, "auth_failed"),
        (ErrorClass.AUTH_EXPIRED, "auth_failed"),
        (ErrorClass.PERMISSION_DENIED, "permission_denied"),
        (ErrorClass.QUOTA_EXCEEDED, "quota_exceeded"),
    ],
)
async def test_what_a_provider_said_of_its_credential_before_is_told_without_asking(
    tmp_path: Path, error_class: ErrorClass, state: str
) -> None:
    clock = ManualClock()
    async with ModelLists(["m-1"]).serving() as server, a_house(tmp_path, server.base_url, clock) as house:
        credential = house.engine.credentials.choose("acme", clock.now_ms())
        assert isinstance(credential, Credential)
        house.engine.credentials.report(credential, error_class)
        view = await one(house)
        assert (view.state, bool(view.action), server.asked) == (state, True, [])


async def test_a_request_is_sent_through_all_of_governance(tmp_path: Path) -> None:
    async with ModelLists([]).serving() as server, a_house(tmp_path, server.base_url, ManualClock()) as house:
        control = control_of(house)
        (view,) = (await control.ask(ConnectionQuery("echo", send=True))).tests
        assert (view.state, view.model_id, view.cost_nano_usd) == ("ok", "echo/echo", 0)
        (run,) = (await control.ask(RunsQuery())).runs
        assert (run.run_id, run.state, run.principal) == (view.run_id, "completed", "local")
        assert (await control.ask(ConnectionQuery("echo", send=True, model_id="echo/embed"))).tests[0].run_id == ""
        failed = await one(house, send=True)
        assert (failed.state, failed.model_id, failed.cost_nano_usd) == ("endpoint_missing", "acme/m-1", 0)
        assert (await control.ask(RunsQuery())).runs[0].run_id == failed.run_id


async def test_a_request_that_a_budget_refuses_is_told_apart(tmp_path: Path) -> None:
    async with a_house(tmp_path, "http://127.0.0.1:1", ManualClock()) as house:
        admin = control_of(house, "admin")
        fields = {"policy_id": "one", "metric_kind": "requests", "hard_limit": "1", "action": "block"}
        assert (await admin.send(AddPolicy(fields))).ok
        asked = ConnectionQuery("echo", send=True)
        assert (await admin.ask(asked)).tests[0].state == "ok"
        (refused,) = (await admin.ask(asked)).tests
        assert (refused.state, refused.cost_nano_usd) == ("refused", None)
        assert "Budget one" in refused.detail


async def test_an_answer_that_comes_too_late_is_charged_all_the_same(tmp_path: Path) -> None:
    clock = ManualClock()
    text = CONFIG.replace('kind = "deterministic"', 'kind = "deterministic"\nscript = [{{delay_ms = 3000}}]')
    loaded = interpret(text.format(base="http://127.0.0.1:1").encode(), Path("palyra.toml"), {}, {})
    assert loaded.config is not None, loaded.problems
    async with open_house(Installation(loaded.config, tmp_path), clock, {}, serving=False) as house:
        control = control_of(house)
        test = asyncio.create_task(control.ask(ConnectionQuery("echo", timeout_ms=1_000, send=True)))
        runs = house.engine.runner.live
        await settled(lambda: any(run.attempt is not None and run.attempt.progress.written for run in runs))
        await clock.advance(1)
        (late,) = (await test).tests
        assert (late.state, late.took_ms) == ("timeout", 1_000)
        await clock.advance(3)
        await runs.idle()
        (run,) = (await control.ask(RunsQuery())).runs
        assert (run.state, run.reason) == ("cancelled", "client_gone")
        assert run.output_tokens > 0


async def test_who_may_not_decide_may_not_send_but_test(tmp_path: Path) -> None:
    async with ModelLists(["m-1"]).serving() as server, a_house(tmp_path, server.base_url, ManualClock()) as house:
        viewer = control_of(house, "viewer")
        assert (await viewer.ask(ConnectionQuery("acme"))).tests[0].ok
        with pytest.raises(PalyraError, match="needs the role approver"):
            await viewer.ask(ConnectionQuery("acme", send=True))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (ConnectionQuery("nobody"), NotFoundError),
        (ConnectionQuery(model_id="nobody"), NotFoundError),
        (ConnectionQuery("echo", "fast"), BadInputError),
        (ConnectionQuery(timeout_ms=10), BadInputError),
    ],
)
async def test_what_cannot_be_tested_is_refused(tmp_path: Path, query: ConnectionQuery, error: type[Exception]) -> None:
    async with a_house(tmp_path, "http://127.0.0.1:1", ManualClock()) as house:
        with pytest.raises(error):
            await control_of(house).ask(query)
