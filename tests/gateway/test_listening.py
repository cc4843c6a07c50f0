import asyncio
import os
import socket
from pathlib import Path

import pytest

from palyra.core.clock import SystemClock
from palyra.core.errors import StateError
from palyra.gateway.holders import Holder, port_holder
from palyra.gateway.server import Gateway
from palyra.runs.request import Client, Outcome, RunRequest
from tests.gateway.stand_in import AUTHORISED, CHAT, StandInHouse, plain, serving, until

PATH = "/v1/chat/completions"


def opening(**gateway: object) -> StateError:
    with pytest.raises(StateError) as caught:
        Gateway(StandInHouse(**gateway), SystemClock()).open()
    return caught.value


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0"])
async def test_other_machines_are_not_served_in_the_clear_unless_asked(bind: str) -> None:
    error = opening(bind=bind)
    assert error.code == "insecure_bind"
    assert "gateway.tls_cert" in error.fix
    assert "gateway.allow_remote" in error.fix


async def test_remote_callers_are_served_when_allowed() -> None:
    async with serving(StandInHouse(bind="0.0.0.0:0", allow_remote=True)) as door:
        door.host = "127.0.0.1"
        assert (await door.ask("GET", "/healthz", host="localhost")).status == 200


async def test_port_0_picks_one_and_the_address_tells_which() -> None:
    async with serving() as door:
        assert door.gateway.url == f"http://127.0.0.1:{door.port}"
        assert door.port > 0


async def test_the_other_loopback_is_served_too() -> None:
    async with serving(StandInHouse(bind="[::1]:0")) as door:
        assert door.gateway.url == f"http://[::1]:{door.port}"
        answer = await door.ask("POST", PATH, None, CHAT, host=f"[::1]:{door.port}")
    assert answer.status == 200


async def test_a_taken_port_names_address_holder_and_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        error = opening(bind=bind)
    assert error.code == "port_taken"
    assert bind in error.message
    assert str(os.getpid()) in error.message
    assert "gateway.bind" in error.fix


async def test_a_port_is_free_again_once_the_gateway_has_closed() -> None:
    async with serving() as door:
        await door.ask("GET", "/healthz")
        bind = f"127.0.0.1:{door.port}"
    async with serving(StandInHouse(bind=bind)) as again:
        assert (await again.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize("bind", ["203.0.113.7:0", "no-such-host.invalid:0"])
async def test_an_address_that_is_not_ours_is_refused(bind: str) -> None:
    error = opening(bind=bind, allow_remote=True)
    assert bind in error.message
    assert "gateway.bind" in error.fix


@pytest.mark.parametrize("bind", ["7142", "host:", ":7142", "127.0.0.1:65536", "127.0.0.1:http"])
async def test_an_address_that_is_none_is_refused(bind: str) -> None:
    assert "HOST:PORT" in opening(bind=bind).fix


def test_nobody_holds_a_port_that_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        holder = port_holder(port)
    assert holder is not None
    assert holder.pid == os.getpid()
    assert port_holder(port) is None
    assert port_holder(port, tmp_path) is None


def test_the_holder_is_found_in_the_kernels_tables(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    columns = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    (tmp_path / "net" / "tcp").write_text(
        columns
        + "   0: 0100007F:1BE6 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n"
        + "   1: 0100007F:1BE6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1\n"
    )
    for pid, inode, name in (("70", "11", "client"), ("71", "22", "palyra\n")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd" / "5").symlink_to(f"socket:[{inode}]")
        (tmp_path / pid / "comm").write_text(name)
    assert port_holder(7142, tmp_path) == Holder(71, "palyra")


async def test_no_more_connections_are_accepted_than_allowed() -> None:
    async with serving(StandInHouse(max_connections=2)) as door:
        first, second, third = [await door.caller() for _ in range(3)]
        for caller in (first, second):
            caller.request("GET", "/healthz")
            assert (await caller.answer()).status == 200
        third.request("GET", "/healthz")
        answer = asyncio.ensure_future(third.answer())
        for _ in range(500):
            await asyncio.sleep(0)
        assert not answer.done()
        first.close()
        assert (await answer).status == 200


async def test_beyond_the_most_runs_a_request_is_asked_to_come_back() -> None:
    release = asyncio.Event()

    async def script(request: RunRequest, client: Client) -> Outcome:
        await release.wait()
        return plain()

    async with serving(StandInHouse(max_runs=1)) as door:
        door.runner.script = script
        waiting = await door.caller()
        waiting.request("POST", PATH, AUTHORISED, CHAT)
        await until(lambda: door.gateway.running == 1)
        refused = await door.ask("POST", PATH, None, CHAT)
        release.set()
        assert (await waiting.answer()).status == 200
        after = await door.ask("POST", PATH, None, CHAT)
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "too_many_runs", "1")
    assert after.status == 200


async def test_while_draining_runs_under_way_finish_and_new_ones_are_sent_away() -> None:
    release = asyncio.Event()

    async def script(request: RunRequest, client: Client) -> Outcome:
        await release.wait()
        return plain()

    house = StandInHouse()
    async with serving(house) as door:
        door.runner.script = script
        under_way = await door.caller()
        under_way.request("POST", PATH, AUTHORISED, CHAT)
        await until(lambda: door.gateway.running == 1)
        house.phase = "draining"
        refused = await door.ask("POST", PATH, None, CHAT)
        release.set()
        finished = await under_way.answer()
    assert (refused.status, refused.error["type"], refused.error["code"]) == (
        503,
        "overloaded_error",
        "engine_draining",
    )
    assert refused.headers["retry-after"] == "5"
    assert finished.status == 200


async def test_closing_ends_idle_connections_and_lets_an_answer_under_way_out() -> None:
    release = asyncio.Event()

    async def script(request: RunRequest, client: Client) -> Outcome:
        await release.wait()
        return plain()

    async with serving() as door:
        door.runner.script = script
        idle, under_way = await door.caller(), await door.caller()
        idle.request("GET", "/healthz")
        await idle.answer()
        under_way.request("POST", PATH, AUTHORISED, CHAT)
        await until(lambda: door.gateway.running == 1)
        closing = asyncio.ensure_future(door.gateway.close(patience=5))
        assert await idle.ended()
        with pytest.raises(ConnectionRefusedError):
            await door.caller()
        release.set()
        assert (await under_way.answer()).status == 200
        assert await under_way.ended()
        await closing
