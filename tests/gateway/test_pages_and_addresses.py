"""Whom a request is meant for, and who had a browser send it: by its address, its Host, and what browsers say."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from palyra.config.serving import GatewayConfig
from palyra.gateway.callers import Doorkeeper, bare_host
from palyra.gateway.errors import RefusedError
from tests.gateway.stand_in import AUTHORISED, CHAT, TOKEN, StandInHouse, serving

PAGE = "https://console.example"
EVIL = "http://evil.example"

ADDRESSES = {
    "http://localhost/v1/models": ("localhost", 200, ""),
    "HTTP://LocalHost:7142/v1/models": ("localhost:7142", 200, ""),
    "http://[::1]:7142/v1/models?limit=1": ("[::1]:7142", 200, ""),
    "http://localhost/v1/models?a=http://evil.example/": ("localhost", 200, ""),
    "http://localhost/healthz": ("localhost", 200, ""),
    "http://localhost": ("localhost", 404, "unknown_path"),
    "http://localhost?x=/v1/models": ("localhost", 404, "unknown_path"),
    "http://localhost//v1/models": ("localhost", 404, "unknown_path"),
    "http://localhost/v1/models?key=x": ("localhost", 400, "invalid_field"),
    "http://evil.example/v1/models": ("evil.example", 403, "host_not_allowed"),
    "http://127.0.0.1/v1/models": ("localhost", 400, "invalid_header"),
    "http://localhost:1/v1/models": ("localhost", 400, "invalid_header"),
    "http://localhost/v1/models#": ("evil.example", 400, "invalid_header"),
    "http://user@localhost/v1/models": ("localhost", 400, "invalid_header"),
    "http://user:word@localhost/v1/metrics": ("user:word@localhost", 403, "host_not_allowed"),
    "http://localhost@evil.example/v1/models": ("localhost", 400, "invalid_header"),
    "https://localhost/v1/models": ("localhost", 400, "invalid_header"),
    "ftp://localhost/v1/models": ("localhost", 400, "invalid_header"),
    "http:///v1/models": ("localhost", 400, "invalid_header"),
    "//localhost/v1/models": ("localhost", 404, "unknown_path"),
    "/http://localhost/v1/models": ("localhost", 404, "unknown_path"),
}


async def test_a_whole_address_counts_where_it_and_the_host_name_one_place() -> None:
    async with serving() as door:
        for address, (host, status, code) in ADDRESSES.items():
            answer = await door.ask("GET", address, AUTHORISED, host=host)
            assert answer.status == status, (address, answer)
            assert not code or answer.error["code"] == code, (address, answer)


OLD = {
    b"GET /healthz HTTP/1.0\r\n": 403,
    b"GET http://localhost/healthz HTTP/1.0\r\n": 400,
    b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n": 200,
    b"GET /healthz HTTP/1.1\r\n": 400,
    b"GET /healthz HTTP/1.1\r\nHost:\r\n": 403,
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n": 400,
    b"GET http://localhost/healthz HTTP/1.1\r\n": 400,
    b"GET localhost/healthz HTTP/1.1\r\nHost: localhost\r\n": 400,
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n": 404,
    b"CONNECT localhost:7142 HTTP/1.1\r\nHost: localhost\r\n": 404,
}
"""Requests that name no host, or in another way; the oldest clients need name none, and cannot be told apart from those
who would rather not say."""


async def test_a_host_is_named_once_by_everybody() -> None:
    async with serving() as door:
        for said, status in OLD.items():
            caller = await door.caller()
            caller.send(said + b"\r\n")
            assert (await caller.answer()).status == status, said
            caller.close()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:", "localhost"),
        ("localhost.:7142", "localhost"),
        ("localhost..", "localhost."),
        ("localhost:99999", "localhost"),
        ("localhost:999999", ""),
        ("localhost:-1", ""),
        ("localhost:+1", ""),
        ("localhost: 1", ""),
        ("localhost:٣", ""),
        ("localhost:0x50", ""),
        ("user@localhost", "user@localhost"),
        ("localhost/", "localhost/"),
        ("local host", "local host"),
        ("[localhost]", ""),
        ("[127.0.0.1]", ""),
        ("[[::1]]", ""),
        ("[::1]x", ""),
        ("[::1]:7142:1", ""),
        ("[fe80::1%25eth0]:1", "fe80::1%25eth0"),
        ("", ""),
    ],
)
def test_a_name_is_what_stands_before_the_port(host: str, name: str) -> None:
    assert bare_host(host) == name


def test_a_zone_is_this_machines_own_name_for_a_wire() -> None:
    """Whoever calls by such an address leaves the zone out, or would name a wire of the machine that calls."""
    keeper = Doorkeeper(GatewayConfig(), "fe80::1%eth0")
    keeper.check(CIMultiDictProxy(CIMultiDict(Host="[fe80::1]:7142")), None)
    for other in ("[fe80::1%25eth0]", "[fe80::1%eth0]", "[fe80::2]"):
        with pytest.raises(RefusedError, match="not known by that Host"):
            keeper.check(CIMultiDictProxy(CIMultiDict(Host=other)), None)


def sent_by(site: str, mode: str = "", dest: str = "", origin: str = "") -> dict[str, str]:
    given = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Origin": origin}
    return {name: said for name, said in given.items() if said}


BROWSERS = {
    "an image": (sent_by("cross-site", "no-cors", "image"), 403),
    "a script": (sent_by("cross-site", "no-cors", "script"), 403),
    "a silent fetch": (sent_by("cross-site", "no-cors", "empty"), 403),
    "a frame": (sent_by("cross-site", "navigate", "iframe"), 403),
    "an object": (sent_by("cross-site", "navigate", "object"), 403),
    "a page of another port": (sent_by("same-site", "no-cors", "empty"), 403),
    "a fetch": (sent_by("cross-site", "cors", "empty", EVIL), 403),
    "a fetch of an allowed page": (sent_by("cross-site", "cors", "empty", PAGE), 200),
    "an allowed page that says where it is not": (
        sent_by("cross-site", "no-cors", "image", f"{PAGE}.evil.example"),
        403,
    ),
    "a socket": (sent_by("cross-site", "websocket", "websocket", EVIL), 403),
    "what a browser may say one day": (sent_by("elsewhere", "no-cors", "empty"), 403),
    "a link": (sent_by("cross-site", "navigate", "document"), 200),
    "a line typed": (sent_by("none", "navigate", "document"), 200),
    "an extension": (sent_by("none", "cors", "empty"), 200),
    "its own page": (sent_by("same-origin", "cors", "empty"), 200),
    "its own page in a sandbox": (sent_by("same-origin", "cors", "empty", "null"), 403),
    "no browser": ({}, 200),
}


async def test_what_a_page_of_another_site_asks_without_saying_its_origin_is_refused_too() -> None:
    doors = ("/metrics", "/healthz", "/v1/models", "/console/v1/runs", "/nowhere")
    async with serving(StandInHouse(allowed_origins=(PAGE,))) as door:
        for what, (headers, status) in BROWSERS.items():
            for path in doors:
                answer = await door.ask("GET", path, {**AUTHORISED, **headers})
                refused = answer.status == 403 and answer.error["code"] == "origin_not_allowed"
                assert refused is (status == 403), (what, path, answer)
                assert not [name for name in answer.headers if name.startswith("access-control")], (what, path)


FORMS = {
    "a form": "application/x-www-form-urlencoded",
    "a form of files": "multipart/form-data; boundary=x",
    "a plain form": "text/plain",
    "what a page may not send unasked": "application/json",
}


async def test_no_page_posts_anything_with_or_without_a_key() -> None:
    """Browsers name the origin of each POST, and ask before they send what a form could not."""
    paths = ("/v1/chat/completions", "/console/v1/runs/X/cancel", "/console/v1/heartbeats", "/console/v1/memory")
    pages = (EVIL, "null", "http://localhost:8000", "http://127.0.0.1")
    async with serving(StandInHouse(allowed_origins=(PAGE,))) as door:
        for path in paths:
            for kind in FORMS.values():
                for page, key in zip(pages, ({}, AUTHORISED, {"x-api-key": TOKEN}, {"Cookie": TOKEN}), strict=True):
                    sent = {**key, "Origin": page, "Referer": f"{PAGE}/", "Content-Type": kind}
                    answer = await door.ask("POST", path, sent, CHAT)
                    assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed"), (path, kind, answer)
            for page, status in ((EVIL, 403), (PAGE, 405)):
                asking = {"Origin": page, "Access-Control-Request-Method": "POST", "Sec-Fetch-Mode": "cors"}
                answer = await door.ask("OPTIONS", path, asking)
                assert answer.status == status, (path, page, answer)
                assert not [name for name in answer.headers if name.startswith("access-control")]
        twice = await door.caller()
        lines = f"Origin: {PAGE}\r\nOrigin: {EVIL}\r\nAuthorization: Bearer {TOKEN}\r\n"
        twice.send(f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        assert (await twice.answer()).status == 403
        assert door.runner.asked == []
