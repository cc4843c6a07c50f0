"""Keeping secrets out of what leaves a subsystem: snapshots, logs, errors, reports, diffs, audit records, webhooks.

Three layers, applied together and before any truncation: values known to be secret are replaced wherever they occur,
in plain, percent-encoded, base64 or JSON-escaped form; fields whose name says secret lose their value; texts lose what
looks like a credential (`Bearer x`, provider keys, web tokens, private keys, the user part of an address).
"""

import base64
import dataclasses
import hmac
import re
from collections.abc import Mapping
from typing import NoReturn

from palyra.core.known_secrets import MIN_KNOWN, REDACTED, KnownSecrets

MAX_ERROR = 1024
"""Error texts are cut at this many characters."""

MOST_READ = 32 * 1024
"""Of a longer error text no more is looked at: a megabyte takes a second, and more than its beginning is never told."""

LONGEST_CUT = 16 * 1024
"""What is left of a secret that the end of what is looked at cut in two, at most."""

MAX_DEPTH = 64

_MASK = "********"


class Secret:
    """A secret value that never renders: `str`, `repr` and formatting show a mask, and it cannot be pickled.

    Making one also makes its value known to `redact`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        remember(value)

    def reveal(self) -> str:
        """The secret itself: to be handed on, never shown."""
        return self._value

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode("utf-8", "replace"), other._value.encode("utf-8", "replace"))

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


_known = KnownSecrets()


def remember(secret: str) -> None:
    """Makes `redact` replace this value wherever it occurs from now on; values under 8 characters are left out."""
    _known.add(secret)


def knowledge() -> object:
    """What is known to be secret, as a key: whatever was redacted under one key stays as it came out."""
    return _known, len(_known)


def redact(text: str) -> str:
    """`text` with every known secret and everything that looks like a credential replaced by `[redacted]`."""
    if not text:
        return text
    text = _PEM.sub(REDACTED, text)
    text = _known.hide(text)
    if "://" in text:
        text = _URL.sub(_bare_url, text)
    if _may_name(text):
        text = _NAMED_VALUE.sub(_nameless_value, text)
    text = _SCHEME_VALUE.sub(_schemeless_value, text)
    return _TELLING.sub(REDACTED, text)


def redact_error(error: object) -> str:
    """The text of an error, redacted and then cut at 1,024 characters with `… (+N)`. One that was cut stays so."""
    said = str(error)
    text = redact(said[:MOST_READ])
    unread = max(0, len(said) - MOST_READ)
    if not unread and (len(text) <= MAX_ERROR or _CUT.fullmatch(text, MAX_ERROR) is not None):
        return text
    told = text[: min(MAX_ERROR, max(0, len(text) - LONGEST_CUT))] if unread else text[:MAX_ERROR]
    return f"{told}… (+{len(text) + unread - len(told)})"


_CUT = re.compile(r"… \(\+\d{1,12}\)")


def redact_data(data: object) -> object:
    """A copy of nested data without its secrets: mappings, sequences, sets and dataclasses are walked.

    Strings under a name that says secret are replaced whole, all others go through `redact`; numbers, booleans and
    None stay. Mappings and dataclasses come back as dicts, sequences and sets as lists, any other object as its
    redacted text.
    """
    return _redact_data(data, hide=False, depth=0)


def names_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: `x-api-key`, `clientSecret`; not `total_tokens`, `secret_ref`."""
    return _SECRET_NAME.search(name) is not None


def _redact_data(data: object, *, hide: bool, depth: int) -> object:
    if data is None or isinstance(data, bool | int | float):
        return data
    if isinstance(data, Secret) or depth > MAX_DEPTH:
        return REDACTED
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        data = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    if isinstance(data, Mapping):
        return {
            redact(key) if isinstance(key, str) else key: _redact_data(
                value, hide=_hides(str(key), inside=hide), depth=depth + 1
            )
            for key, value in data.items()
        }
    if isinstance(data, list | tuple | set | frozenset):
        return [_redact_data(item, hide=hide, depth=depth + 1) for item in data]
    if isinstance(data, bytes | bytearray):
        data = bytes(data).decode("utf-8", "replace")
    text = data if isinstance(data, str) else str(data)
    return REDACTED if hide and text else redact(text)


def _hides(name: str, *, inside: bool) -> bool:
    return names_secret(name) or (inside and _NEVER_SECRET_NAME.search(name) is None)


def _bare_url(match: re.Match[str]) -> str:
    address = _USER_INFO.sub("", match["address"].partition("#")[0])
    path, mark, query = address.partition("?")
    return "://" + path + mark + "&".join(map(_bare_parameter, query.split("&")))


def _bare_parameter(parameter: str) -> str:
    name, mark, value = parameter.partition("=")
    return name + mark + REDACTED if value and names_secret(name) else parameter


def _may_name(text: str) -> bool:
    """Whether it may have the name of a secret: a quick look for a part of each that no upper case hides."""
    folded = text.casefold()
    return any(part in folded for part in _NAME_PARTS)


_NAME_PARTS = ("key", "word", "ecret", "token", "author", "cook")


def _nameless_value(match: re.Match[str]) -> str:
    quote = match["quote"]
    if quote is not None:
        return match["lead"] + quote + (REDACTED if match["quoted"] else "") + match["end"]
    if _HARMLESS_VALUE.fullmatch(match["bare"]) and not match["name"].lower().endswith("password"):
        return match[0]
    return match["lead"] + REDACTED


def _schemeless_value(match: re.Match[str]) -> str:
    scheme, space, value = match.groups()
    if scheme == "basic" and not _is_credentials(value):
        return match[0]
    return scheme + space + REDACTED


def _is_credentials(value: str) -> bool:
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


_NAME = r"(?:api[-_ ]?key|password|secret|token|authorization|cookie|private[-_ ]?key)"
_SECRET_NAME = re.compile(_NAME + r"$", re.IGNORECASE)
_NEVER_SECRET_NAME = re.compile(r"_(?:tokens|count|configured|ref|id|at|fingerprint)$", re.IGNORECASE)

_NAMED_VALUE = re.compile(
    rf"""
    (?P<lead>
        (?P<name> (?P<cookie>cookie) | {_NAME.replace(" ", "[ ]")} ) (?:\\?["'])?
        [ \t]{{0,8}} (?:=>|:=|[:=]) [ \t]{{0,8}}
        (?:\[[ \t]{{0,8}} (?=\\?["']))?
    )
    (?:
        (?P<quote>\\?["'])
        (?P<quoted> (?: (?!(?P=quote)) (?:\\.|.) )* (?=(?P=quote)) | [^\n]* )
        (?P<end>(?:(?P=quote))?)
      |
        (?P<bare>
            (?:(?:bearer|basic|digest|token)[ \t]+)? [^\s"'<>,;&]+
            (?(cookie) (?:;[ \t]{{0,8}}[^\s"'<>,;=]+=[^\s"'<>,;]*)* )
        )
    )
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""`name: value`, `name = "value"`, `"name": "value"`, the same escaped inside JSON; a cookie's pairs go together."""

_HARMLESS_VALUE = re.compile(r"(?:[-+]?\d[\d.]{0,6}|true|false|null|none)[\])}.]*", re.IGNORECASE)
"""A short number or a boolean is not a secret, whatever it is called; a password made of digits is."""

_SCHEME_VALUE = re.compile(r"\b((?i:bearer)|[Bb]asic|BASIC)([ \t]+)([^\s\"'<>,;]+)")
_URL = re.compile(r"://(?P<address>(?:(?!://)[^\s\"'<>`])+)")
_USER_INFO = re.compile(r"^[^/?#]*@")

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)

_TELLING = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=[0-9;\[]m))(?:"
    r"sk-[A-Za-z0-9_-]{8,}"
    r"|pl[ko]_[A-Za-z0-9_-]{8,}"
    r"|eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r")"
)
"""Keys that show by their form: of providers, of gateway and operators, and signed web tokens. What sets a terminal's
colour before one ends with an `m`."""

__all__ = [
    "MIN_KNOWN",
    "REDACTED",
    "KnownSecrets",
    "Secret",
    "knowledge",
    "names_secret",
    "redact",
    "redact_data",
    "redact_error",
    "remember",
]
