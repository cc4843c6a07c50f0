"""Keeping secrets out of what leaves a subsystem: snapshots, logs, errors, reports, diffs, audit records, webhooks.

Three layers, applied together and before any truncation: values known to be secret are replaced wherever they occur,
in plain, percent-encoded, base64 or JSON-escaped form; fields whose name says secret lose their value; texts lose what
looks like a credential (`Bearer x`, provider keys, web tokens, private keys, the user part of an address).
"""

import base64
import dataclasses
import hmac
import json
import re
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"

MIN_KNOWN = 8
"""Shorter secrets are not searched for: they would blank out ordinary words."""

MAX_PATTERN = 512
"""Longer secrets (certificates, accounts of services) are searched for in their usual forms, not in every mixture of
encodings: the patterns for that grow with the secret."""

MAX_ERROR = 1024
"""Error texts are cut at this many characters."""

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


class KnownSecrets:
    """The secret values of this process and the patterns that find them, however they are written.

    Patterns are made when a text is looked at next, not with each value: a vault may hold thousands.
    """

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._fresh = True
        self._long: tuple[str, ...] = ()
        self._short: tuple[str, ...] = ()
        self._plain: re.Pattern[str] | None = None
        self._percent: re.Pattern[str] | None = None

    def add(self, secret: str) -> None:
        new = {text for text in (secret, secret.strip()) if len(text) >= MIN_KNOWN and text not in REDACTED}
        values = self._values | new
        if values != self._values:
            self._values = values
            self._fresh = False

    def hide(self, text: str) -> str:
        if not self._fresh:
            self._learn()
        for form in self._long:
            text = text.replace(form, REDACTED)
        if self._plain is None:
            return text
        text = self._plain.sub(REDACTED, text)
        if "%" not in text and "+" not in text:
            return text
        if self._percent is None:
            self._percent = re.compile("|".join(map(_percent_form, self._short)))
        return self._percent.sub(REDACTED, text)

    def _learn(self) -> None:
        self._fresh = True
        longest_first = sorted(self._values, key=lambda text: (-len(text), text))
        self._long = tuple(form for text in longest_first if len(text) > MAX_PATTERN for form in _long_forms(text))
        self._short = tuple(text for text in longest_first if len(text) <= MAX_PATTERN)
        self._plain = self._percent = None
        if self._short:
            self._plain = re.compile("|".join(form for text in self._short for form in _written_forms(text)))


_known = KnownSecrets()


def remember(secret: str) -> None:
    """Makes `redact` replace this value wherever it occurs from now on; values under 8 characters are left out."""
    _known.add(secret)


def redact(text: str) -> str:
    """`text` with every known secret and everything that looks like a credential replaced by `[redacted]`."""
    if not text:
        return text
    text = _PEM.sub(REDACTED, text)
    text = _known.hide(text)
    if "://" in text:
        text = _URL.sub(_bare_url, text)
    text = _NAMED_VALUE.sub(_nameless_value, text)
    text = _SCHEME_VALUE.sub(_schemeless_value, text)
    return _TELLING.sub(REDACTED, text)


def redact_error(error: object) -> str:
    """The text of an error, redacted and then cut at 1,024 characters with `… (+N)`."""
    text = redact(str(error))
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]}… (+{len(text) - MAX_ERROR})"


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


def _written_forms(secret: str) -> list[str]:
    """Patterns for a secret as it is, escaped in JSON, and inside base64 text at each of the three alignments."""
    forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    patterns = [re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))]
    raw = secret.encode("utf-8", "surrogatepass")
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode()
        # The first and last characters also carry bits of the neighbours, so they are matched as any character.
        shared_start = (0, 2, 3)[offset]
        shared_end = (0, 3, 2)[(offset + len(raw)) % 3]
        core = encoded[shared_start : len(encoded) - shared_end]
        urlsafe = re.sub("[+/]", lambda match: {"+": "[+-]", "/": "[/_]"}[match[0]], core)
        patterns.append(("[\\w+/-]" if shared_start else "") + urlsafe + ("[\\w+/-]?={0,2}" if shared_end else ""))
    return patterns


def _long_forms(secret: str) -> list[str]:
    """A secret as it is, escaped in JSON, percent-encoded, and inside base64 text at each of the three alignments."""
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode()
        core = encoded[(0, 2, 3)[offset] : len(encoded) - (0, 3, 2)[(offset + len(raw)) % 3]]
        forms |= {core, core.translate(_URLSAFE)}
    return sorted(forms, key=lambda form: (-len(form), form))


_URLSAFE = str.maketrans("+/", "-_")


def _percent_form(secret: str) -> str:
    """A pattern for a secret in an address, with any of its characters percent-encoded and spaces as `+`."""
    return "".join(_percent_char(char) for char in secret)


def _percent_char(char: str) -> str:
    encoded = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    return f"(?:{re.escape(char)}|(?i:{encoded}){'|[+]' if char == ' ' else ''})"


def _bare_url(match: re.Match[str]) -> str:
    address = _USER_INFO.sub("", match["address"].partition("#")[0])
    path, mark, query = address.partition("?")
    return "://" + path + mark + "&".join(map(_bare_parameter, query.split("&")))


def _bare_parameter(parameter: str) -> str:
    name, mark, value = parameter.partition("=")
    return name + mark + REDACTED if value and names_secret(name) else parameter


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
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[A-Za-z0-9_-]{8,}"
    r"|pl[ko]_[A-Za-z0-9_-]{8,}"
    r"|eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r")"
)
"""Keys that show by their form: of providers, of gateway and operators, and signed web tokens."""
