"""Single exchanges over real sockets: what a kept connection, an early answer or an odd one is good for."""

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import replace

import pytest

from palyra.providers.errors import ErrorClass
from tests.providers.calling import call, failure_of, raw_server, transport

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Scripted:
    """A server whose connections each answer so many requests, with what is told, and then close."""

    def __init__(self, *answers: bytes, each: int = 100) -> None:
        self.answers = list(answers)
        self.each = each
        self.heads: list[str] = []
        self.connections = 0
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for _ in range(self.each):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                await reader.readexactly(int(self.headers()["content-length"]) if head.startswith("POST") else 0)
                writer.write(self.answers.pop(0) if self.answers else OK)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        self.ended.set()

    def headers(self) -> Mapping[str, str]:
        """Of the newest request."""
        lines = self.heads[-1].split("\r\n")[1:-2]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


async def test_a_head_names_the_host_the_length_and_what_can_be_read() -> None:
    server = Scripted()
    async with raw_server(server) as url, transport() as carrier:
        await (await carrier.send(call(url, body=b'{"a":"\xc5\xbe"}'))).read()
        assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
        assert server.headers() == {
            "host": url.removeprefix("http://"),
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "palyra",
            "content-type": "application/json",
            "content-length": "10",
            "authorization": "Bearer provider-key",
        }
        listing = replace(call(url, body=b""), method="GET", url=f"{url}/v1/models?after=m%2F1", headers={})
        await (await carrier.send(listing)).read()
        assert server.heads[1].startswith("GET /v1/models?after=m%2F1 HTTP/1.1\r\n")
        assert "content-length" not in server.headers()


async def test_a_header_of_two_lines_is_never_sent() -> None:
    server = Scripted()
    async with raw_server(server) as url, transport() as carrier:
        for value in ("a\r\nx-smuggled: 1", "a\nb", "a\rb", "a\0b"):
            with pytest.raises(ValueError, match="one line"):
                await carrier.send(replace(call(url), headers={"x-told": value}))
        assert await (await carrier.send(call(url))).read() == b"ok"
        assert len(server.heads) == 1


async def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    server = Scripted(interim + OK, OK)
    async with raw_server(server) as url, transport() as carrier:
        for _ in range(2):
            reply = await carrier.send(call(url))
            assert (reply.status, await reply.read()) == (200, b"ok")
        assert server.connections == 1


async def test_a_packed_answer_is_unpacked_though_nobody_asked_for_it() -> None:
    packed = gzip.compress(b'{"said": 1}')
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n".encode()
    async with raw_server(Scripted(head + packed)) as url, transport() as carrier:
        assert await (await carrier.send(call(url))).read() == b'{"said": 1}'


async def test_a_connection_that_its_answer_ends_serves_no_other_call() -> None:
    server = Scripted(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    async with raw_server(server) as url, transport() as carrier:
        for _ in range(2):
            assert await (await carrier.send(call(url))).read() == b"ok"
        assert server.connections == 2


async def test_a_question_that_changes_nothing_is_asked_again_where_a_kept_connection_had_ended() -> None:
    server = Scripted(each=1)
    async with raw_server(server) as url, transport() as carrier:
        listing = replace(call(url, body=b""), method="GET", headers={})
        await (await carrier.send(listing)).read()
        # No turn of the loop in which the end of the kept connection could be heard of.
        assert await (await carrier.send(listing)).read() == b"ok"
        assert server.connections == 2


async def test_an_answer_that_comes_before_the_whole_body_was_taken_ends_the_connection() -> None:
    ended = asyncio.Event()
    taken = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        try:
            while piece := await reader.read(65_536):
                taken += len(piece)
        except ConnectionError:
            pass
        writer.close()
        ended.set()

    async with raw_server(refuse) as url, transport() as carrier:
        reply = await carrier.send(call(url, body=b"x" * 30_000_000))
        assert (reply.status, await reply.read()) == (413, b"big")
        await ended.wait()
        assert taken < 30_000_000


async def test_a_closed_reply_fails_whoever_reads_it() -> None:
    server = Scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
    async with raw_server(server) as url, transport() as carrier:
        reply = await carrier.send(call(url))
        reading = asyncio.create_task(failure_of(reply.read()))
        await asyncio.sleep(0)
        reply.close()
        assert (await reading).error_class is ErrorClass.NETWORK_UNAVAILABLE
        await server.ended.wait()
