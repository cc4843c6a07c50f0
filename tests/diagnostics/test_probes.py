"""Services outside: what a check finds over real sockets, what that makes of a probe, and who is told."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.operations import ProbeComponent, ProbeConfig, ProbeKind
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.resolving import Address
from palyra.diagnostics.failure import FailureClass, Source, failure_class
from palyra.diagnostics.failures import FailureBook
from palyra.diagnostics.probe_checks import ProbeChecks
from palyra.diagnostics.probe_state import Checked, after, digest, fresh, probe_data, uptime_24h
from palyra.diagnostics.probing import FIRST_S, Prober
from palyra.journal.changes import Change
from palyra.journal.entity import EntityForgotten
from palyra.journal.observation_rows import ProbeRow
from palyra.vault.secrets import SecretSource
from tests.gateway.certificates import make
from tests.healing.webhooks.receiver import Answer, receiving
from tests.healing.webhooks.samples import SECRET, Vault

GOOD, BAD = Checked(4), Checked(5, "unreachable", "refused")
HOUR_S = 3_600


def a_probe(target: str = "http://127.0.0.1:3000/", **fields: Any) -> ProbeConfig:
    return ProbeConfig(**{"id": "browser", "target": target, **fields})


async def check(probe: ProbeConfig, vault: SecretSource | None = None, **options: Any) -> Checked:
    checks = ProbeChecks(vault or Vault(), ManualClock(), **options)
    try:
        return await checks.check(probe)
    finally:
        await checks.close()


class Guests:
    """Serves one connection until its other end leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        self.left.set()


# One check


async def test_a_status_that_is_expected_is_a_success_and_any_other_is_not() -> None:
    async with receiving() as receiver:
        assert await check(a_probe(f"{receiver.url}/health")) == Checked(0)
        assert receiver.got[0].path == "/health"
        receiver.usual = Answer(503, "busy", {"Location": "/elsewhere"})
        checked = await check(a_probe(receiver.url))
        assert (checked.code, checked.error) == ("bad_status", "it answered 503")
        assert (await check(a_probe(receiver.url, expect_status=(200, 503)))).ok
        receiver.usual = Answer(302, "", {"Location": "/elsewhere"})
        assert (await check(a_probe(receiver.url))).error == "it answered 302"
        assert {got.path for got in receiver.got} == {"/health", "/"}


async def test_a_port_nobody_listens_on_is_unreachable() -> None:
    guests = Guests()
    server = await asyncio.start_server(guests, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tcp = a_probe(f"127.0.0.1:{port}", kind=ProbeKind.TCP)
    assert (await check(tcp)).ok
    await guests.left.wait()
    server.close()
    await server.wait_closed()
    for probe in (tcp, a_probe(f"http://127.0.0.1:{port}/")):
        assert (await check(probe)).code == "unreachable"


async def test_a_socket_is_reached_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "s"
    probe = a_probe(str(path), kind=ProbeKind.UNIX)
    missing = await check(probe)
    assert (missing.code, "No such file" in missing.error) == ("unreachable", True)
    guests = Guests()
    server = await asyncio.start_unix_server(guests, path)
    assert (await check(probe)).ok
    await guests.left.wait()
    server.close()
    await server.wait_closed()


async def test_who_does_not_answer_in_time_is_left() -> None:
    clock, gate = ManualClock(), asyncio.Event()
    checks = ProbeChecks(Vault(), clock)
    async with receiving() as receiver:
        receiver.usual = Answer(gate=gate)
        asked = asyncio.create_task(checks.check(a_probe(receiver.url, timeout=2_000)))
        await receiver.until(1)
        await clock.advance(2)
        checked = await asked
        gate.set()
    await checks.close()
    assert checked == Checked(2_000, "timed_out", "did not answer within 2000 ms")


@asynccontextmanager
async def saying(*parts: bytes, forever: bytes = b"") -> AsyncIterator[str]:
    """A service that says this to whoever comes, whatever they ask; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.writelines(parts)
            while forever:
                writer.write(forever)
                await writer.drain()
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("parts", "forever", "code"),
    [
        ((), b"", "unreachable"),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), b"", "unreachable"),
        ((b"HTTP/1.1 200",), b"", "unreachable"),
        ((HEAD, b"Content-Length: 0\r\n\r\n"), b"", ""),
        ((HEAD, b"Content-Length: 99999999999\r\n\r\n"), bytes(65_536), ""),
        ((HEAD, b"Transfer-Encoding: chunked\r\n\r\nnonsense"), b"", ""),
        ((HEAD,), b"X-More: " + b"x" * 1_000 + b"\r\n", "unreachable"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b"", "bad_status"),
    ],
    ids=[
        "nothing",
        "another protocol",
        "half a line",
        "plain",
        "huge",
        "broken body",
        "endless head",
        "another status",
    ],
)
async def test_nothing_of_an_answer_counts_but_its_status(parts: tuple[bytes, ...], forever: bytes, code: str) -> None:
    async with saying(*parts, forever=forever) as url:
        checked = await check(a_probe(url))
    assert (checked.code, bool(checked.error)) == (code, bool(code))
    assert len(checked.error) <= 200


async def test_a_name_that_cannot_be_looked_up_is_a_fault_of_the_network() -> None:
    async def nobody(host: str, port: int) -> Sequence[Address]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    for probe in (a_probe("https://nowhere.invalid/"), a_probe("nowhere.invalid:80", kind=ProbeKind.TCP)):
        checked = await check(probe, addresses=nobody)
        assert (checked.code, "name resolution" in checked.error) == ("unreachable", True)
        assert failure_class(checked.code) is FailureClass.NETWORK


async def test_a_secret_goes_along_and_one_that_cannot_be_read_is_told() -> None:
    async with receiving() as receiver:
        assert (await check(a_probe(receiver.url, secret_ref="global/hook"), Vault())).ok
        assert receiver.got[0].headers["authorization"] == f"Bearer {SECRET}"
        locked = await check(a_probe(receiver.url, secret_ref="global/other"), Vault())
        assert (locked.code, SECRET in locked.error) == ("locked", False)
        assert len(receiver.got) == 1


class Lookup:
    """Every name is at these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = [ipaddress.ip_address(one) for one in addresses]

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        return self.addresses


async def test_a_secret_never_leaves_by_http_for_a_name_that_leads_elsewhere_by_now() -> None:
    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        probe = a_probe(f"http://localhost:{port}/", secret_ref="global/hook")
        checked = await check(probe, Vault(), addresses=Lookup("10.1.2.3"))
        assert checked.code == "address_refused"
        assert "10.1.2.3" in checked.error
        assert receiver.got == []
        assert (await check(probe, Vault(), addresses=Lookup("10.1.2.3", "127.0.0.1"))).ok
        assert receiver.got[0].headers["host"] == f"localhost:{port}"
    assert (await check(a_probe("http://nowhere.invalid/"), addresses=Lookup())).code == "unreachable"


async def test_a_certificate_nobody_vouches_for_is_no_answer(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "localhost")
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate, key)
    async with receiving(server_side) as receiver:
        port = receiver.url.rpartition(":")[2]
        probe = a_probe(f"https://localhost:{port}/")
        assert (await check(probe)).code == "unreachable"
        assert (await check(probe, trust=ssl.create_default_context(cafile=str(certificate)))).ok


# What checks make of a probe


def test_down_after_so_many_failures_and_up_after_so_many_successes() -> None:
    probe = a_probe(fail_after=3, recover_after=2)
    row, states = fresh(probe), []
    for checked in (BAD, BAD, BAD, GOOD, BAD, GOOD, GOOD, BAD, BAD, GOOD):
        row = after(row, probe, checked, 1_000)
        states.append(row.state)
    assert states == [*["unknown"] * 2, *["down"] * 4, *["up"] * 4]
    assert (row.failures, row.successes, row.version) == (0, 1, 10)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_it_is_down_exactly_from_the_last_long_row_of_failures_on(fine: list[bool], fail: int, recover: int) -> None:
    probe = a_probe(fail_after=fail, recover_after=recover)
    row = fresh(probe)
    expected = "unknown"
    for place, one in enumerate(fine, start=1):
        row = after(row, probe, GOOD if one else BAD, place)
        if place >= fail and not any(fine[place - fail : place]):
            expected = "down"
        if place >= recover and all(fine[place - recover : place]):
            expected = "up"
        assert row.state == expected
    assert row.version == len(fine)


def test_the_share_of_good_checks_is_that_of_a_day() -> None:
    probe, row, hour = a_probe(), fresh(a_probe()), 3_600_000
    assert uptime_24h(row, 0) is None
    for number in range(30):
        row = after(row, probe, BAD if number < 10 else GOOD, number * hour)
    assert len(row.hours) == 24
    assert uptime_24h(row, 29 * hour) == round(20 / 24, 4)
    assert uptime_24h(row, 80 * hour) is None


def test_what_is_told_of_a_probe_hides_what_its_target_may_hide() -> None:
    probe = a_probe(enabled=False)
    assert probe_data(probe, fresh(probe), 0).state == "disabled"
    assert digest(probe) != digest(a_probe("http://127.0.0.1:3001/"))
    assert "127" not in digest(probe)


# Looking at them


class Watch:
    """A prober whose checks come to what a test says."""

    def __init__(self, *probes: ProbeConfig) -> None:
        self.clock = ManualClock()
        self.says: dict[str, Checked] = {}
        self.asked: list[tuple[str, float]] = []
        self.told: list[Condition] = []
        self.cleared: list[str] = []
        self.written: list[Change] = []
        self.hangs: set[str] = set()
        self.failures = FailureBook(self.clock, iter([f"f{n:04d}" for n in range(999)]).__next__, self.written.extend)
        self.prober = Prober(
            probes,
            self._check,
            self.clock,
            self.failures,
            self.written.extend,
            tell=self.told.append,
            clear=self.cleared.append,
        )

    async def _check(self, probe: ProbeConfig) -> Checked:
        self.asked.append((probe.id, self.clock.monotonic()))
        if probe.id in self.hangs:
            await asyncio.get_running_loop().create_future()
        return self.says.get(probe.id, GOOD)

    def states(self) -> dict[str, str]:
        return {one.id: one.state for one in self.prober.data()}


@asynccontextmanager
async def watching(*probes: ProbeConfig, rows: Sequence[ProbeRow] = ()) -> AsyncIterator[Watch]:
    watch = Watch(*probes)
    watch.prober.restore(rows)
    task = asyncio.create_task(watch.prober.run())
    try:
        await settle_loop()
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_probe_that_is_refused_three_times_is_down_and_told_until_it_is_up() -> None:
    critical = a_probe(critical=True, component=ProbeComponent.BROWSER, interval=60_000)
    async with watching(critical) as watch:
        watch.says["browser"] = BAD
        await watch.clock.advance(FIRST_S + 60)
        assert (watch.states(), watch.told) == ({"browser": "unknown"}, [])
        await watch.clock.advance(60)
        assert watch.states() == {"browser": "down"}
        (condition,) = watch.told
        assert (condition.domain, condition.key, condition.severity, condition.kin) == (
            Domain.CONNECTOR,
            "probe:browser",
            Severity.HIGH,
            "probe",
        )
        (failure, *_) = watch.failures.recent()
        assert (failure.source, failure.failure_class) == (Source.PROBE, FailureClass.NETWORK)
        told = watch.prober.components(watch.prober.data())["browser"]
        assert (told.total, told.down, told.failures_15m) == (1, 1, 3)
        watch.cleared.clear()
        watch.says["browser"] = GOOD
        await watch.clock.advance(60)
        assert (watch.states(), watch.cleared) == ({"browser": "up"}, ["probe:browser"])
        assert [at for _, at in watch.asked] == [1, 61, 121, 181]


async def test_one_that_hangs_holds_up_no_other_and_is_asked_once_at_a_time() -> None:
    async with watching(a_probe(interval=5_000), a_probe(id="other", interval=5_000)) as watch:
        watch.hangs.add("browser")
        await watch.clock.advance(FIRST_S + 20)
        assert [name for name, _ in watch.asked].count("browser") == 1
        assert [name for name, _ in watch.asked].count("other") == 5
        assert watch.states() == {"browser": "unknown", "other": "up"}


async def test_what_was_found_is_known_after_a_restart_of_what_is_looked_at_still() -> None:
    probe = a_probe(recover_after=2)
    down = replace(fresh(probe), version=7, state="down", failures=4, error="refused")
    gone = ProbeRow("gone", 2, "x", "down")
    async with watching(probe, rows=[down, gone]) as watch:
        assert watch.states() == {"browser": "down"}
        assert [one.key for one in watch.told] == ["probe:browser"]
        assert any(isinstance(one, EntityForgotten) and one.key == ("gone",) for one in watch.written)
    moved = replace(down, target="another")
    async with watching(probe, rows=[moved]) as watch:
        assert (watch.states(), watch.told) == ({"browser": "unknown"}, [])
        await watch.clock.advance(FIRST_S)
        (saved,) = [one for one in watch.written if not isinstance(one, EntityForgotten)]
        assert 8 in saved.values  # type: ignore[union-attr]


async def test_probes_that_are_read_again_keep_what_is_known_and_end_what_is_gone() -> None:
    async with watching(a_probe(), a_probe(id="other", target="127.0.0.1:1", kind=ProbeKind.TCP)) as watch:
        await watch.clock.advance(FIRST_S)
        watch.says["other"] = BAD
        await watch.clock.advance(180)
        assert watch.states() == {"browser": "up", "other": "down"}
        watch.cleared.clear()
        watch.prober.configure([a_probe(critical=True), a_probe(id="new", enabled=False)])
        assert watch.states() == {"browser": "up", "new": "disabled"}
        assert "probe:other" in watch.cleared
        asked = len(watch.asked)
        await watch.clock.advance(120)
        assert {name for name, _ in watch.asked[asked:]} == {"browser"}
