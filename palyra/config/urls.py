"""Addresses a configuration may name: where the gateway listens, and which upstream addresses may be reached.

The rules for upstream: https anywhere; http to loopback; private addresses, by https or http, only with
`allow_private`. The same rules are asked again for the address a name resolves to, with `reach_of` and `refusal`.
"""

import ipaddress
import re
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from palyra.config.kinds import Kind, Text, show, without_user
from palyra.config.problem import Code, Fault
from palyra.core.redact import Secret
from palyra.core.values import value

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_NUMERIC = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)(?:\.(?:0[xX][0-9A-Fa-f]*|[0-9]+))*\.?")
_MAX_URL = 2048
_SECRET_PART = re.compile(r"(?=.*[0-9A-Z])[A-Za-z0-9_.~%-]{16,}")
_LAST_FOUR_BYTES = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""Networks whose addresses end with an IPv4 one; `::` and `::1` lie there too and are their own."""


class Reach(StrEnum):
    """How far an address is away."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"


def reach_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Reach:
    """Everything that is neither loopback nor globally routable counts as private, unspecified and multicast too.

    An IPv6 address that carries an IPv4 one leads where that leads.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local:
            return Reach.PRIVATE
        address = _carried(address) or address
    if address.is_loopback:
        return Reach.LOOPBACK
    return Reach.PUBLIC if address.is_global and not address.is_multicast else Reach.PRIVATE


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Of mapped addresses, of NAT64 (RFC 6052), of 6to4 (RFC 3056) and of the old compatible form (RFC 4291)."""
    if address.ipv4_mapped is not None or address.sixtofour is not None:
        return address.ipv4_mapped or address.sixtofour
    if any(address in network for network in _LAST_FOUR_BYTES) and int(address) > 1:
        return ipaddress.IPv4Address(address.packed[-4:])
    return None


def reach_of_host(host: str) -> Reach | None:
    """None for a name that only resolving it can place."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return Reach.LOOPBACK
    try:
        return reach_of(ipaddress.ip_address(host))
    except ValueError:
        return None


def refusal(scheme: str, reach: Reach | None, *, allow_private: bool) -> str:
    """Why an upstream address of this reach may not be called with this scheme; empty when it may.

    A name of unknown reach may be called by http only with `allow_private`: where it leads is asked when it resolves.
    """
    if reach is Reach.LOOPBACK:
        return ""
    if reach is Reach.PRIVATE and not allow_private:
        return "a private address needs allow_private = true"
    if scheme == "http" and not (allow_private and reach is not Reach.PUBLIC):
        return "http reaches only loopback, or a private address with allow_private = true"
    return ""


@value
class Url(Kind):
    """An http or https address without user-info, query or fragment; who may be reached is a rule of its table."""

    example: object = "https://example.invalid"
    secret = True

    noun = "an address"
    hint = 'Write it like "https://api.example.com/v1"'

    def spell(self, value: str) -> str:
        """With asterisks for what may be secret in its path."""
        parts = urlsplit(value)
        return parts._replace(
            path="/".join(str(Secret(one)) if is_secret_part(one) else one for one in parts.path.split("/"))
        ).geturl()

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        split_url(value)
        return value.rstrip("/")


@value
class Target(Text):
    """What a probe asks, by its kind: an address, `host:port` or the path of a socket."""

    high: int = 2048

    secret = True

    def spell(self, value: str) -> str:
        """With asterisks for what may be secret in the path of an address."""
        return Url().spell(value) if "://" in value else without_user(value)


def is_secret_part(part: str) -> bool:
    """Whether a part of a path is nobody's word."""
    return _SECRET_PART.fullmatch(part) is not None


def split_url(text: str) -> SplitResult:
    """The parts of an address of the form `Url` wants. Raises Fault, whose message never repeats the address."""

    def fault(message: str, fix: str = Url.hint) -> Fault:
        return Fault(Code.BAD_URL, message, fix)

    if (
        not text
        or len(text) > _MAX_URL
        or not text.isascii()
        or not text.isprintable()
        or set(text) & set(' \\"<>^`{|}')
    ):
        raise fault("an address has 1 to 2048 printable ASCII characters and no spaces")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise fault("this is no address: host or port cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise fault("the address must begin with https:// (or http:// for loopback)")
    if "@" in parts.netloc:
        raise fault("the address must not hold a user name or password", "Give the credential in its own key")
    if "?" in text or "#" in text:
        raise fault("the address must have no query and no fragment", "Remove everything from the ? or # on")
    if port == 0 or parts.netloc.endswith(":"):
        raise fault("the port must be 1 to 65535")
    _check_host(parts)
    return parts


def _check_host(parts: SplitResult) -> None:
    host = parts.hostname or ""
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise Fault(Code.BAD_URL, "the address in brackets is no IPv6 address", Url.hint) from None
        if "%" in host:
            raise Fault(Code.BAD_URL, "an address with a zone index cannot be used", Url.hint)
        return
    if _NUMERIC.fullmatch(host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise Fault(Code.BAD_URL, "the host looks like an IPv4 address and is none", Url.hint) from None
        return
    if _HOST_NAME.fullmatch(host) is None or len(host) > 253:
        raise Fault(Code.BAD_URL, "the host is no host name", Url.hint)


@value
class HostPort(Kind):
    """`host:port`, an IPv6 address in brackets; port 0 (where allowed) lets the system pick one. `secret`: what is none
    may be an address that holds one, and is not repeated."""

    low: int = 0
    secret: bool = False

    noun = "an address"
    hint = 'Write HOST:PORT, like "127.0.0.1:7142" or "[::1]:7142"'

    @property
    def accepts(self) -> str:
        return "HOST:PORT"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        try:
            _, port = split_host_port(value)
        except ValueError:
            shown = "this" if self.secret else show(value)
            raise Fault(Code.WRONG_TYPE, f"{shown} is no HOST:PORT", self.hint) from None
        if not self.low <= port <= 65_535:
            raise Fault(Code.OUT_OF_RANGE, f"port {port} is outside {self.low}-65535", self.hint)
        return value


def split_host_port(text: str) -> tuple[str, int]:
    """`"[::1]:7142"` as `("::1", 7142)`. Raises ValueError for what has not that form; any port number passes."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 6):
        raise ValueError(text)
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if _NUMERIC.fullmatch(host):
        return str(ipaddress.IPv4Address(host)), int(port)
    if _HOST_NAME.fullmatch(host) is None:
        raise ValueError(text)
    return host, int(port)


def is_loopback_bind(bind: str) -> bool:
    """Whether listening on `host:port` can be reached from this machine only."""
    return reach_of_host(split_host_port(bind)[0]) is Reach.LOOPBACK
