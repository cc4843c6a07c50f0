"""Which addresses may be called, and where the gateway may listen."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.problem import Fault
from palyra.config.urls import Reach, is_loopback_bind, reach_of, reach_of_host, refusal, split_host_port, split_url
from tests.config.loading import found, load, sound


def provider(url: str, *, allow_private: bool = False) -> str:
    private = "allow_private = true\n" if allow_private else ""
    return f'[providers.p]\nkind = "openai_compatible"\n{private}base_url = "{url}"\n'


PUBLIC = ["https://api.example.com/v1", "https://8.8.8.8", "https://[2606:4700::1111]:8443/x", "https://intranet/v1"]
LOOPBACK = [
    "http://localhost:8000/v1",
    "http://127.0.0.1",
    "http://127.9.9.9:1",
    "http://[::1]:1/v1",
    "http://a.localhost",
]
PRIVATE = [
    "https://10.0.0.5/v1",
    "https://192.168.1.1",
    "https://172.16.0.1",
    "https://169.254.169.254",
    "https://100.64.0.1",
    "https://0.0.0.0",
    "https://[fd00::1]",
    "https://[fe80::1]",
    "https://[::ffff:10.0.0.5]",
    "https://[::]",
    "https://224.0.0.1",
]


@pytest.mark.parametrize("url", PUBLIC + LOOPBACK)
def test_https_anywhere_and_http_to_loopback(url: str) -> None:
    assert sound(provider(url)).providers["p"].base_url == url.rstrip("/")


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_need_leave_and_then_http_will_do(url: str) -> None:
    plain = url.replace("https", "http")
    for each in (url, plain):
        assert found(provider(each)) == [("bad_url", "providers.p.base_url")]
        assert sound(provider(each, allow_private=True)).providers["p"].base_url == each


@pytest.mark.parametrize("url", ["http://api.example.com", "http://8.8.8.8"])
def test_http_does_not_leave_the_machine(url: str) -> None:
    assert found(provider(url)) == [("bad_url", "providers.p.base_url")]


def test_leave_for_private_addresses_is_none_for_public_http() -> None:
    assert found(provider("http://8.8.8.8", allow_private=True)) == [("bad_url", "providers.p.base_url")]
    # A name's address is known only once it is resolved; it is judged then.
    assert sound(provider("http://llm.internal/v1", allow_private=True)).providers["p"].base_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x",
        "api.example.com",
        "//api.example.com",
        "https://",
        "https:///v1",
        "https://user:secret@api.example.com",
        "https://user@api.example.com",
        "https://@api.example.com",
        "https://api.example.com/?q=1",
        "https://api.example.com/?",
        "https://api.example.com/#f",
        "https://api.example.com:0",
        "https://api.example.com:65536",
        "https://api.example.com:x",
        "https://api.example.com:",
        "https://[::1",
        "https://[::g]",
        "https://[fe80::1%25eth0]",
        "https://1.2.3",
        "https://127.1",
        "https://2130706433",
        "https://0x7f.0.0.1",
        "https://010.0.0.1",
        "https://256.1.1.1",
        "https://exa mple.com",
        "https://ex\\u0009ample.com",
        "https://exämple.com",
        "https://-x.example",
        "https://x..example",
        "https://x/\\\\y",
        "https://x/<y>",
        "javascript:alert(1)",
        "https://" + "x" * 2048,
    ],
)
def test_what_is_no_such_address_is_refused_without_repeating_it(url: str) -> None:
    result = load(provider(url, allow_private=True))
    (problem,) = result.problems
    assert (problem.code, problem.key) == ("bad_url", "providers.p.base_url")
    assert "secret" not in str(problem)


def test_an_address_is_not_blamed_while_leave_for_it_cannot_be_read() -> None:
    text = provider("http://10.0.0.5").replace("base_url", 'allow_private = "yes"\nbase_url')
    assert found(text) == [("wrong_type", "providers.p.allow_private")]


def test_a_trailing_slash_is_dropped() -> None:
    assert sound(provider("https://api.example.com/v1//")).providers["p"].base_url == "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
        ("::ffff:8.8.8.8", Reach.PUBLIC),
        ("10.1.2.3", Reach.PRIVATE),
        ("::ffff:192.168.0.1", Reach.PRIVATE),
        ("0.0.0.0", Reach.PRIVATE),
        ("255.255.255.255", Reach.PRIVATE),
        ("ff02::1", Reach.PRIVATE),
        ("fec0::1", Reach.PRIVATE),
        ("::", Reach.PRIVATE),
        ("64:ff9b::a00:1", Reach.PRIVATE),
        ("64:ff9b::808:808", Reach.PUBLIC),
        ("2002:a00:1::", Reach.PRIVATE),
        ("2002:808:808::1", Reach.PUBLIC),
        ("::10.0.0.1", Reach.PRIVATE),
        ("::127.0.0.1", Reach.LOOPBACK),
    ],
)
def test_how_far_an_address_is_away(address: str, reach: Reach) -> None:
    assert reach_of(ipaddress.ip_address(address)) is reach


@pytest.mark.parametrize(
    ("host", "reach"), [("LOCALHOST.", Reach.LOOPBACK), ("x.example", None), ("mylocalhost", None)]
)
def test_a_name_says_little_about_its_reach(host: str, reach: Reach | None) -> None:
    assert reach_of_host(host) is reach


def test_the_address_a_name_resolves_to_is_judged_by_the_same_rules() -> None:
    assert refusal("https", Reach.PUBLIC, allow_private=False) == ""
    assert refusal("https", Reach.PRIVATE, allow_private=False) != ""
    assert refusal("http", Reach.PRIVATE, allow_private=True) == ""
    assert refusal("http", Reach.PUBLIC, allow_private=True) != ""
    assert refusal("http", Reach.LOOPBACK, allow_private=False) == ""


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_an_address_or_a_fault(text: str) -> None:
    for candidate in (text, f"https://{text}", f"http://[{text}]"):
        with suppress(Fault):
            assert split_url(candidate).hostname
            assert not set("@?#\\ ") & set(candidate)


@pytest.mark.parametrize(
    ("bind", "parts"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:80", ("localhost", 80)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[0:0::0]:80", ("::", 80)),
    ],
)
def test_a_listening_address_is_taken_apart(bind: str, parts: tuple[str, int]) -> None:
    assert split_host_port(bind) == parts


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.8.8.8:1", "localhost:1", "[::1]:1", "[::ffff:127.0.0.1]:1"])
def test_listening_on_loopback_needs_nothing(bind: str) -> None:
    assert is_loopback_bind(bind)
    assert sound(f'[gateway]\nbind = "{bind}"\n').gateway.bind == bind


@pytest.mark.parametrize("bind", ["0.0.0.0:1", "[::]:1", "192.168.0.1:1", "palyra.example:1"])
@pytest.mark.parametrize("leave", ["", "allow_remote = true\n", 'tls_cert = "/c"\ntls_key = "/k"\n'])
def test_listening_elsewhere_needs_tls_or_leave(bind: str, leave: str) -> None:
    text = f'[gateway]\n{leave}bind = "{bind}"\n'
    assert found(text) == ([] if leave else [("insecure_bind", "gateway.bind")])


def test_a_flag_is_held_to_the_same_rule() -> None:
    assert found("", flags={"gateway.bind": "0.0.0.0:1"}) == [("insecure_bind", "gateway.bind")]


@pytest.mark.parametrize(("given", "absent"), [("tls_cert", "tls_key"), ("tls_key", "tls_cert")])
def test_certificate_and_key_come_together(given: str, absent: str) -> None:
    assert found(f'[gateway]\n{given} = "/x"\nbind = "0.0.0.0:1"\n') == [("missing", f"gateway.{absent}")]
