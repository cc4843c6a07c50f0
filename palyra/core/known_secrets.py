"""Finding the secrets of this process in a text, however they are written: as they are, escaped in JSON,
percent-encoded, or inside base64.

There may be thousands of them and texts are looked at all the time, so what a text costs must not grow with their
number: each written form is filed under its last eight characters, and only those of which a text has these are looked
for in earnest.
"""

import base64
import json
import re
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from urllib.parse import quote, quote_plus, unquote

REDACTED = "[redacted]"

MIN_KNOWN = 8
"""Shorter secrets are not searched for: they would blank out ordinary words."""

MAX_PATTERN = 512
"""Longer secrets (certificates, accounts of services) are searched for in their usual forms, not in every mixture of
encodings: the patterns for that grow with the secret."""

_TAIL = MIN_KNOWN
_URLSAFE = str.maketrans("+/", "-_")


class KnownSecrets:
    """The secret values of this process. Values may be added from any thread."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._by_tail: dict[str, tuple[str, ...]] = {}
        self._adding = Lock()

    def __len__(self) -> int:
        return len(self._values)

    def add(self, secret: str) -> None:
        """Remembers a secret, in each form it may turn up in."""
        for text in {secret, secret.strip()}:
            if len(text) >= MIN_KNOWN and text not in REDACTED and text not in self._values:
                with self._adding:
                    self._values.add(text)
                    for tail in _tails(text):
                        self._by_tail[tail] = (*self._by_tail.get(tail, ()), text)

    def hide(self, text: str) -> str:
        """The text without the secrets in it."""
        if not self._by_tail:
            return text
        if found := self._told_of(text):
            for secret in found:
                if len(secret) > MAX_PATTERN:
                    for form in _long_forms(secret):
                        text = text.replace(form, REDACTED)
            text = _sub(_plain_pattern, found, text)
        if "%" not in text and "+" not in text:
            return text
        found = self._told_of(*{unquote(text), unquote(text.replace("+", " "))})
        for secret in found:
            if len(secret) > MAX_PATTERN:
                for form in _percent_forms(secret):
                    text = text.replace(form, REDACTED)
        return _sub(_percent_pattern, found, text)

    def _told_of(self, *texts: str) -> tuple[str, ...]:
        """The secrets of which a text has an end; the longest first, so that it goes whole."""
        by_tail = self._by_tail
        tails = {
            tail
            for text in texts
            for start in range(len(text) - _TAIL + 1)
            if (tail := text[start : start + _TAIL]) in by_tail
        }
        found = {secret for tail in tails for secret in by_tail[tail]}
        return tuple(sorted(found, key=lambda secret: (-len(secret), secret)))


def _tails(secret: str) -> set[str]:
    """What each of a secret's written forms ends with. In base64 that is before what it shares with its neighbour."""
    tails = {form[-_TAIL:] for form in _plain_forms(secret)}
    for offset in range(3):
        _, core, _ = _base64_core(secret, offset)
        tails |= {core[-_TAIL:], core[-_TAIL:].translate(_URLSAFE)}
    return tails


def _plain_forms(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}


def _base64_core(secret: str, offset: int) -> tuple[bool, str, bool]:
    """What base64 has of a secret that begins `offset` bytes into a group of three, and whether a character before and
    one after it also carry bits of the neighbours."""
    raw = secret.encode("utf-8", "surrogatepass")
    encoded = base64.b64encode(bytes(offset) + raw).decode()
    start = (0, 2, 3)[offset]
    end = (0, 3, 2)[(offset + len(raw)) % 3]
    return bool(start), encoded[start : len(encoded) - end], bool(end)


def _sub(pattern: Callable[[tuple[str, ...]], re.Pattern[str]], secrets: tuple[str, ...], text: str) -> str:
    short = tuple(secret for secret in secrets if len(secret) <= MAX_PATTERN)
    return pattern(short).sub(REDACTED, text) if short else text


@lru_cache(maxsize=64)
def _plain_pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(form for secret in secrets for form in _written_forms(secret)))


@lru_cache(maxsize=64)
def _percent_pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join("".join(map(_percent_char, secret)) for secret in secrets))


def _written_forms(secret: str) -> list[str]:
    """Patterns for a secret as it is, escaped in JSON, and inside base64 text at each of the three alignments."""
    patterns = [re.escape(form) for form in sorted(_plain_forms(secret), key=lambda form: (-len(form), form))]
    for offset in range(3):
        before, core, after = _base64_core(secret, offset)
        urlsafe = re.sub("[+/]", lambda match: {"+": "[+-]", "/": "[/_]"}[match[0]], core)
        patterns.append(("[\\w+/-]" if before else "") + urlsafe + ("[\\w+/-]?={0,2}" if after else ""))
    return patterns


def _long_forms(secret: str) -> list[str]:
    """A secret as it is, escaped in JSON, and inside base64 text at each of the three alignments."""
    forms = _plain_forms(secret)
    for offset in range(3):
        _, core, _ = _base64_core(secret, offset)
        forms |= {core, core.translate(_URLSAFE)}
    return sorted(forms, key=lambda form: (-len(form), form))


def _percent_forms(secret: str) -> list[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    return sorted({quote(raw, safe=""), quote(raw), quote_plus(raw)}, key=lambda form: (-len(form), form))


def _percent_char(char: str) -> str:
    """A pattern for a character in an address: as it is or percent-encoded, a space also as `+`."""
    encoded = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    return f"(?:{re.escape(char)}|(?i:{encoded}){'|[+]' if char == ' ' else ''})"
