"""Callers served with a certificate: official clients, callers that do not encrypt, and ones that take their time."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import openai
import pytest

from palyra.core.clock import Clock, ManualClock, SystemClock
from palyra.core.errors import StateError
from palyra.gateway.server import Gateway
from palyra.gateway.tls import MalformedCertificateError, first_certificate, valid_until
from palyra.providers.wires import Wire
from palyra.runs.request import Client, ClientGoneError, Outcome, RunRequest
from tests.gateway.certificates import make
from tests.gateway.stand_in import AUTHORISED, CHAT, TOKEN, Caller, Door, StandInHouse, plain, report, serving, until
from tests.gateway.test_official_clients import COMPLETION, MESSAGE, streams_chat

PATH = "/v1/chat/completions"
Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def pair(directory: Path) -> Pair:
    return make(directory, "good")


@pytest.fixture
def clock() -> Clock:
    return ManualClock()


@pytest.fixture
async def door(pair: Pair, clock: Clock) -> AsyncIterator[Door]:
    """A gateway with a certificate and room for two callers."""
    house = StandInHouse(tls_cert=pair[0], tls_key=pair[1], max_connections=2, stream_buffer=64 * 1024)
    async with serving(house, clock) as door:
        yield door


def trusting(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair[0]))


async def encrypted(door: Door, pair: Pair) -> Caller:
    reader, writer = await asyncio.open_connection(
        door.host, door.port, ssl=trusting(pair), server_hostname="localhost", limit=64 * 1024 * 1024
    )
    return Caller(reader, writer, "localhost")


async def answered(door: Door, pair: Pair) -> int:
    """The status a caller gets who does everything right."""
    caller = await encrypted(door, pair)
    caller.request("POST", PATH, AUTHORISED, CHAT)
    status = (await caller.answer()).status
    caller.close()
    return status


async def test_official_clients_are_served_encrypted(door: Door, pair: Pair) -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        if request.parsed.stream:
            return await streams_chat(request, client)
        return plain(json.dumps(MESSAGE if request.parsed.wire is Wire.MESSAGES else COMPLETION).encode())

    door.runner.script = script
    assert door.gateway.url == f"https://127.0.0.1:{door.port}"
    async with openai.DefaultAsyncHttpxClient(verify=trusting(pair), trust_env=False) as http:
        asking = openai.AsyncOpenAI(base_url=f"{door.gateway.url}/v1", api_key=TOKEN, http_client=http)
        answer = await asking.chat.completions.create(model="one", messages=[{"role": "user", "content": "hi"}])
        stream = await asking.chat.completions.create(
            model="one", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        text = "".join([piece.choices[0].delta.content or "" async for piece in stream])
    async with anthropic.DefaultAsyncHttpxClient(verify=trusting(pair), trust_env=False) as http:
        other = anthropic.AsyncAnthropic(base_url=door.gateway.url, api_key=TOKEN, http_client=http)
        message = await other.messages.create(model="one", max_tokens=64, messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == text == "Hello."
    assert message.content[0].type == "text"


async def test_other_machines_are_served_encrypted_without_being_asked(pair: Pair, clock: Clock) -> None:
    async with serving(StandInHouse(bind="0.0.0.0:0", tls_cert=pair[0], tls_key=pair[1]), clock) as door:
        door.host = "127.0.0.1"
        assert await answered(door, pair) == 200


@pytest.mark.parametrize(
    "words", [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\x00"]
)
async def test_who_does_not_encrypt_is_sent_away_and_leaves_its_place(
    door: Door, pair: Pair, words: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        caller = await door.caller()
        caller.send(words)
        caller.writer.write_eof()
        told = await caller.reader.read()
        assert not told.startswith(b"HTTP")
    assert await answered(door, pair) == 200
    assert len(door.runner.asked) == 1
    assert not caplog.records


async def test_who_never_agrees_on_encryption_loses_its_place_in_the_end(
    door: Door, pair: Pair, clock: ManualClock
) -> None:
    silent, half = await door.caller(), await door.caller()
    half.send(b"\x16\x03\x01\x02\x00\x01")
    await until(lambda: clock.waiting == 2)
    waiting = asyncio.ensure_future(answered(door, pair))
    await clock.advance(9.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert await silent.ended()
    assert await half.ended()
    assert await waiting == 200


async def test_who_leaves_before_agreeing_leaves_its_place_at_once(door: Door, pair: Pair) -> None:
    for _ in range(4):
        (await door.caller()).leave()
    assert await answered(door, pair) == 200


async def test_closing_does_not_wait_for_who_never_agrees(pair: Pair, clock: Clock) -> None:
    async with serving(StandInHouse(tls_cert=pair[0], tls_key=pair[1]), clock) as door:
        caller = await door.caller()
        assert isinstance(clock, ManualClock)
        await until(lambda: clock.waiting == 1)
    assert await caller.ended()
    assert clock.waiting == 0


def endless(door: Door, ended: asyncio.Event) -> None:
    """From now on every answer is a stream that ends when its caller is gone."""

    async def script(request: RunRequest, client: Client) -> Outcome:
        await client.begin(report(), {})
        try:
            while True:
                await client.write(b"x" * 65_536)
        except ClientGoneError:
            ended.set()
        return Outcome(report(), "cancelled", "client_gone")

    door.runner.script = script


async def test_a_caller_that_stops_reading_an_encrypted_stream_counts_as_gone(
    door: Door, pair: Pair, clock: ManualClock
) -> None:
    ended = asyncio.Event()
    endless(door, ended)
    caller = await encrypted(door, pair)
    caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
    caller.request("POST", PATH, AUTHORISED, {**CHAT, "stream": True})
    await until(lambda: clock.waiting == 1)
    await clock.advance(59)
    assert not ended.is_set()
    await clock.advance(2)
    await ended.wait()
    caller.leave()
    await until(lambda: door.gateway.running == 0)
    door.runner.script = None
    assert await answered(door, pair) == 200


async def test_a_caller_that_reads_an_encrypted_stream_slowly_is_not_taken_for_gone(
    pair: Pair, clock: ManualClock
) -> None:
    """Everything that waits is handed to the socket's own transport in one go, and leaves that one bit by bit."""
    ended = asyncio.Event()
    house = StandInHouse(tls_cert=pair[0], tls_key=pair[1], stream_buffer=16 * 1024 * 1024)
    async with serving(house, clock) as door:
        endless(door, ended)
        with await asyncio.to_thread(secured, door, pair) as slow:
            body = json.dumps({**CHAT, "stream": True}).encode()
            fields = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
            slow.sendall(f"POST {PATH} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await until(lambda: clock.waiting == 1)
            for _ in range(16):
                await asyncio.to_thread(taken, slow, 2 * 1024 * 1024)
                await clock.advance(40)
                assert not ended.is_set()
        await ended.wait()


def secured(door: Door, pair: Pair) -> ssl.SSLSocket:
    plain_socket = socket.create_connection((door.host, door.port))
    return trusting(pair).wrap_socket(plain_socket, server_hostname="localhost")


def taken(slow: ssl.SSLSocket, size: int) -> None:
    while size > 0:
        size -= len(slow.recv(min(size, 65_536)))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("no certificate file", ("none.pem", "cannot be read", "gateway.tls_cert")),
        ("no key file", ("none.pem", "cannot be read", "gateway.tls_key")),
        ("a directory", ("cannot be read", "gateway.tls_key")),
        ("the key as certificate", ("holds no certificate", "gateway.tls_cert")),
        ("the certificate as key", ("holds no private key", "gateway.tls_key")),
        ("another's key", ("does not belong to", "gateway.tls_key")),
        ("an old certificate", ("ended at 2021-01-01T00:00:00Z", "Renew it")),
        ("a locked key", ("locked with a pass phrase", "gateway.tls_key")),
        ("a cut certificate", ("broken certificate",)),
        ("a garbled certificate", ("broken certificate",)),
        ("a garbled key", ("cannot be used", "gateway.tls_key")),
    ],
)
def test_what_cannot_serve_is_explained_without_a_word_of_the_key(
    pair: Pair, directory: Path, tmp_path: Path, what: str, told: tuple[str, ...]
) -> None:
    certificate, key = unusable(what, pair, tmp_path)
    with pytest.raises(StateError) as caught:
        served(certificate, key)
    said = f"{caught.value}"
    assert caught.value.code == "certificate_unusable"
    for words in told:
        assert words in said
    assert caught.value.__cause__ is None
    if key.is_file():
        for line in key.read_text().splitlines():
            assert line not in said


def served(certificate: Path, key: Path) -> None:
    async def opening() -> None:
        gateway = Gateway(StandInHouse(tls_cert=certificate, tls_key=key), SystemClock())
        gateway.open()
        await gateway.close()

    asyncio.run(opening())


def unusable(what: str, pair: Pair, here: Path) -> Pair:
    certificate, key = pair
    broken = here / "broken.pem"
    body = certificate.read_text().splitlines()
    match what:
        case "no certificate file":
            return here / "none.pem", key
        case "no key file":
            return certificate, here / "none.pem"
        case "a directory":
            return certificate, here
        case "the key as certificate":
            return key, key
        case "the certificate as key":
            return certificate, certificate
        case "another's key":
            return certificate, make(here, "other")[1]
        case "an old certificate":
            return make(here, "old", ends="20210101000000Z")
        case "a locked key":
            return make(here, "locked", pass_phrase="open sesame")
        case "a cut certificate":
            broken.write_text("\n".join(body[:4]))
        case "a garbled certificate":
            broken.write_text("\n".join([body[0], "A" * 64, body[-1]]))
        case "a garbled key":
            lines = key.read_text().splitlines()
            broken.write_text("\n".join([lines[0], "A" * 64, lines[-1]]))
            return certificate, broken
    return broken, key


def test_a_certificates_end_is_read_in_both_ways_it_is_written(directory: Path, pair: Pair) -> None:
    near, _ = make(directory, "near", ends="20491231235959Z")
    assert valid_until(first_certificate(near.read_bytes())) == 2_524_607_999_000
    assert valid_until(first_certificate(pair[0].read_bytes())) == 2_840_140_800_000


def test_no_beginning_of_a_certificate_is_taken_for_one(pair: Pair) -> None:
    whole = first_certificate(pair[0].read_bytes())
    for length in range(len(whole)):
        with pytest.raises(MalformedCertificateError):
            valid_until(whole[:length])
