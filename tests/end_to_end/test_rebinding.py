"""A web page that made its own name lead to this machine gets nothing from any door that listens on TCP."""

from pathlib import Path

from palyra.gateway.console_routes import ROUTES
from tests.end_to_end.premises import premises
from tests.support.upstream import Upstream

DOORS = [
    *((route.method, f"/console/v1/{route.path.replace('*', 'X')}") for route in ROUTES),
    ("GET", "/metrics"),
    ("GET", "/health"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/responses"),
]
HEADS = {
    "another name": b"Host: evil.example\r\n",
    "our port": b"Host: evil.example:{port}\r\n",
    "our address as a name's part": b"Host: 127.0.0.1.evil.example\r\n",
    "a user in front": b"Host: 127.0.0.1@evil.example\r\n",
    "a user behind": b"Host: evil.example@127.0.0.1\r\n",
    "two": b"Host: 127.0.0.1\r\nHost: evil.example\r\n",
    "two, ours last": b"Host: evil.example\r\nHost: 127.0.0.1\r\n",
    "none": b"",
    "an address as a number": b"Host: 2130706433\r\n",
    "an address in hexadecimal": b"Host: 0x7f.1\r\n",
    "letters of another script": "Host: lоcalhost\r\n".encode(),
    "an encoded name": b"Host: xn--lcalhost-64g\r\n",
    "a mapped address": b"Host: [::ffff:127.0.0.1]\r\n",
    "a list": b"Host: 127.0.0.1, evil.example\r\n",
    "a page's origin": b"Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n",
    "a page in a sandbox": b"Host: 127.0.0.1\r\nOrigin: null\r\n",
    "a page that does not say whose": b"Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
    "a page of another port": b"Host: 127.0.0.1\r\nOrigin: http://127.0.0.1:8000\r\n",
}


UNCLEAR = {"none", "two", "two, ours last"}
"""Refused before anybody asks which host is meant."""


async def test_no_door_answers_to_another_name(upstream: Upstream, tmp_path: Path) -> None:
    async with premises(upstream, tmp_path / "s") as here:
        port = here.url.rpartition(":")[2].encode()
        key = f"Authorization: Bearer {here.key}\r\n".encode()
        for method, path in DOORS:
            for what, head in HEADS.items():
                caller = await here.caller()
                body = b"Content-Length: 2\r\n\r\n{}" if method == "POST" else b"\r\n"
                caller.send(f"{method} {path} HTTP/1.1\r\n".encode() + head.replace(b"{port}", port) + key + body)
                answer = await caller.answer()
                caller.close()
                assert answer.status == (400 if what in UNCLEAR else 403), (method, path, what, answer)
                assert b"_not_allowed" in answer.body or what in UNCLEAR, (method, path, what, answer)
        caller = await here.caller()
        caller.send(b"GET /metrics HTTP/1.1\r\nHost: localhost.:%s\r\n\r\n" % port)
        assert (await caller.answer()).status == 200
