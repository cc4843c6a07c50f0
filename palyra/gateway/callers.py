"""Who is asking: which hosts and origins are spoken to, and which key a request carries."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

from multidict import CIMultiDictProxy

from palyra.config.serving import GatewayConfig
from palyra.gateway.errors import forbidden, invalid, unauthorised
from palyra.gateway.ports import Access, Key

Headers = CIMultiDictProxy[str]

WHOLE_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
PORT = re.compile(r":[0-9]{0,5}")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OWN_PAGES = frozenset({"same-origin", "none"})
"""What browsers say of a request that no other site's page made. Source: Fetch Metadata Request Headers (W3C)."""
KEY_PREFIXES = ("plk_", "plo_")
KEY_PARAMETERS = frozenset(
    {"key", "api_key", "apikey", "api-key", "x-api-key", "token", "access_token", "authorization", "bearer"}
)


class Doorkeeper:
    """Lets in what was meant for this gateway: a web page that was tricked into calling it names another host."""

    def __init__(self, settings: GatewayConfig, address: str) -> None:
        # Callers leave an address's zone out: it means something on their machine only.
        address = address.partition("%")[0]
        self._hosts = (LOOPBACK_NAMES | {bare_host(host) for host in settings.allowed_hosts} | {address}) - {""}
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins)
        self._any_address = ipaddress.ip_address(address).is_unspecified
        self._scheme = "https" if settings.tls_cert else "http"
        self._known: str | None = None

    def check(self, headers: Headers, local: Any) -> None:
        """Raises RefusedError (403) for a Host that is not ours, and for what a web page asks that may not.

        `local` is the connection's own address. Browsers name a page's origin only in some requests; in the others
        the newer ones say that it was another site's.
        """
        host = headers.get("Host", "")
        if host != self._known:
            self._check_host(host, local)
            self._known = host
        if "Origin" in headers:
            allowed = all(origin.rstrip("/").lower() in self._origins for origin in headers.getall("Origin"))
        else:
            allowed = "Sec-Fetch-Site" not in headers or is_no_page(headers)
        if not allowed:
            raise forbidden("origin_not_allowed", "Web pages of this origin may not call. See gateway.allowed_origins.")

    def target(self, address: str, headers: Headers) -> str:
        """Path and query of a request whose address is a whole one, as proxies are asked (RFC 9112, section 3.2.2).

        Raises RefusedError (400) where it and the Host header do not name the same place: others might follow the
        other one.
        """
        found = WHOLE_ADDRESS.fullmatch(address)
        if found is None:
            return address
        scheme, authority, rest = found.groups()
        if scheme.lower() != self._scheme or authority.lower() != headers.get("Host", "").lower():
            raise invalid("invalid_header", "The request's address and its Host header name different places.")
        return rest if rest.startswith("/") else f"/{rest}"

    def _check_host(self, host: str, local: Any) -> None:
        name = bare_host(host)
        if name in self._hosts:
            return
        if self._any_address and local and name == plain_address(str(local[0])):
            return
        raise forbidden("host_not_allowed", "This gateway is not known by that Host. See gateway.allowed_hosts.")


def is_no_page(headers: Headers) -> bool:
    """Whether what a browser sent was asked for by no other site's page, but for one that it leads its reader to: that
    one is shown to the reader, and kept from the page."""
    if all(site in OWN_PAGES for site in headers.getall("Sec-Fetch-Site")):
        return True
    return headers.getall("Sec-Fetch-Mode", []) == ["navigate"] and headers.getall("Sec-Fetch-Dest", []) == ["document"]


def bare_host(host: str) -> str:
    """A Host header's name without its port and brackets, lower case; empty for what is none."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        return name.lower() if bracket and ":" in name and is_port(port) else ""
    name, colon, port = host.rpartition(":")
    if not colon:
        return host.lower().removesuffix(".")
    if ":" in name:
        return host.lower()
    return name.lower().removesuffix(".") if is_port(":" + port) else ""


def is_port(text: str) -> bool:
    """`:7142`, or nothing."""
    return not text or PORT.fullmatch(text) is not None


def check_query(query: str) -> None:
    """Refuses an address that carries a key: addresses end up in logs."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name).lower() in KEY_PARAMETERS or has_key(unquote_plus(value)) or has_key(unquote_plus(name)):
            raise invalid(
                "invalid_field",
                "Keys are not taken from the address. Send it as Authorization: Bearer, and replace it: "
                "addresses end up in logs.",
            )


def has_key(text: str) -> bool:
    """Whether a text may hold a key."""
    return any(prefix in text for prefix in KEY_PREFIXES)


def plain_address(address: str) -> str:
    """An address as a caller names it: one of the old protocol that a socket of both tells as `::ffff:127.0.0.1` is
    `127.0.0.1`."""
    try:
        mapped = ipaddress.IPv6Address(address.partition("%")[0]).ipv4_mapped
    except ValueError:
        return address
    return address if mapped is None else str(mapped)


def is_near(peer: Any) -> bool:
    """Whether a peer's address, as sockets tell it, is of this machine."""
    try:
        return ipaddress.ip_address(plain_address(str(peer[0])).partition("%")[0]).is_loopback
    except (TypeError, ValueError, IndexError):
        return False


def authenticate(headers: Headers, access: Access) -> Key:
    """The one key this request carries. Raises RefusedError (401), always the same."""
    tokens = set(presented(headers))
    if len(tokens) != 1:
        raise unauthorised()
    token = tokens.pop()
    key = access.authenticate(token) if token else None
    if key is None:
        raise unauthorised()
    return key


def presented(headers: Headers) -> Iterable[str]:
    """Every credential in the headers; an Authorization of another scheme counts as an empty one."""
    for value in headers.getall("Authorization", ()):
        scheme, _, token = value.strip().partition(" ")
        yield token.strip() if scheme.lower() == "bearer" else ""
    for value in headers.getall("x-api-key", ()):
        yield value.strip()
