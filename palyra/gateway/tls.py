"""The certificate callers are served with: looked at before the doors open, and explained where it cannot serve."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from palyra.core.errors import StateError
from palyra.governance.explain import instant_text

CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
CERTIFICATE_END = b"-----END CERTIFICATE-----"
PRIVATE_KEY = b"PRIVATE KEY-----"

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class MalformedCertificateError(Exception):
    """The bytes are no X.509 certificate."""


def tls_context(cert: Path | None, key: Path | None, now_ms: int) -> ssl.SSLContext | None:
    """What callers are served with; None without a certificate. Raises StateError naming the file at fault, and never
    anything that stands in it."""
    if cert is None or key is None:
        return None
    chain, secret = _read(cert, "gateway.tls_cert"), _read(key, "gateway.tls_key")
    if CERTIFICATE not in chain:
        raise _unusable(f"{cert} holds no certificate in PEM", "Set gateway.tls_cert to a file that does.")
    if PRIVATE_KEY not in secret:
        raise _unusable(f"{key} holds no private key in PEM", "Set gateway.tls_key to a file that does.")
    try:
        ends = valid_until(first_certificate(chain))
    except (MalformedCertificateError, ValueError):
        raise _unusable(f"{cert} holds a broken certificate", "Get it again from whoever issued it.") from None
    if ends < now_ms:
        raise _unusable(f"The certificate {cert} ended at {instant_text(ends)}", "Renew it.")
    return _loaded(cert, key)


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unusable(f"{path} cannot be read: {error.strerror}", f"Check {setting}.") from None


def _loaded(cert: Path, key: Path) -> ssl.SSLContext:
    asked = False

    def pass_phrase() -> str:
        nonlocal asked
        asked = True
        return ""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key, password=pass_phrase)
    except (OSError, ValueError) as error:
        if asked:
            fix = "Set gateway.tls_key to a file without one, readable by this account alone."
            raise _unusable(f"The key {key} is locked with a pass phrase", fix) from None
        fix = "Check gateway.tls_cert and gateway.tls_key."
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise _unusable(f"The key {key} does not belong to the certificate {cert}", fix) from None
        raise _unusable(f"The certificate {cert} and its key {key} cannot be used", fix) from None
    return context


def _unusable(what: str, fix: str) -> StateError:
    return StateError(f"{what}.", fix=fix, code="certificate_unusable")


def first_certificate(chain: bytes) -> bytes:
    """The DER of the certificate that speaks for the gateway itself. Raises MalformedCertificateError, ValueError."""
    start = chain.index(CERTIFICATE)
    end = chain.find(CERTIFICATE_END, start)
    if end < 0:
        raise MalformedCertificateError
    return ssl.PEM_cert_to_DER_cert(chain[start : end + len(CERTIFICATE_END)].decode("ascii"))


def valid_until(der: bytes) -> int:
    """When a certificate ends, as unix ms: `notAfter`, the second instant of its validity. Raises
    MalformedCertificateError, ValueError. Source: RFC 5280, the fields of a certificate."""
    _, outer, _ = _element(der, 0, _SEQUENCE)
    _, place, _ = _element(der, outer, _SEQUENCE)
    tag, _, end = _element(der, place)
    if tag == _VERSION:
        place = end
    for _ in ("serial number", "signature algorithm", "issuer"):
        _, _, place = _element(der, place)
    _, validity, _ = _element(der, place, _SEQUENCE)
    _, _, second = _element(der, validity)
    tag, start, end = _element(der, second)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise MalformedCertificateError
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()) * 1000


def _element(der: bytes, place: int, wanted: int | None = None) -> tuple[int, int, int]:
    """An element's tag, where its content starts and where it ends."""
    if place + 2 > len(der) or wanted not in (None, der[place]):
        raise MalformedCertificateError
    length, start = der[place + 1], place + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[place + 2 : start], "big")
    if start + length > len(der):
        raise MalformedCertificateError
    return der[place], start, start + length
