"""Kinds of values: what a key accepts, how the environment spells it, and how a refusal reads.

A kind is put into a model's field as `Annotated[int, Whole(1, 100)]`. It reads values only while a configuration is
being loaded (see `LOADING`); a model made in code takes its typed values (milliseconds, bytes, nano-dollars) as they
are.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from palyra.config.amounts import (
    DAY,
    SECOND,
    parse_duration,
    parse_size,
    read_usd,
    spell_duration,
    spell_size,
)
from palyra.config.problem import Code, Fault
from palyra.config.suggest import nearest
from palyra.core.money import Usd, decimal_usd
from palyra.core.redact import REDACTED, Secret, redact
from palyra.core.values import value

LOADING = object()
"""The validation context that tells the kinds to read what a file or variable holds."""

_SHOWN = 60
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")


class Kind:
    """Base of all kinds."""

    @property
    def noun(self) -> str:
        """What was expected, for a message."""
        return "a value"

    @property
    def hint(self) -> str:
        """What to write instead."""
        return ""

    @property
    def accepts(self) -> str:
        """What can be written, in a few words: `1 to 64`."""
        return self.noun

    @property
    def example(self) -> object:
        """A value a file could hold: it completes a broken row while its other keys are checked."""
        return None

    @property
    def secret(self) -> bool:
        """Whether messages must not show the value."""
        return False

    def read(self, value: object) -> object:
        """The typed value of what a file holds. Raises Fault."""
        raise NotImplementedError

    def from_text(self, text: str) -> object:
        """What a file would hold where a variable holds `text`. Raises Fault."""
        return text

    def read_in(self, value: object, siblings: dict[str, Any]) -> object:
        """As `read`, knowing the values of the keys declared before this one in the same table."""
        del siblings
        return self.read(value)

    def spell(self, value: Any) -> object:
        """The inverse of `read`: what a file would hold, as JSON data."""
        return value

    def spell_in(self, value: Any, siblings: Mapping[str, Any]) -> object:
        """As `spell`, knowing the typed values of the same table."""
        del siblings
        return self.spell(value)

    def wrong(self, value: object) -> Fault:
        """The refusal of a value of another type."""
        shown = "" if self.secret else f", got {show(value)}"
        return Fault(Code.WRONG_TYPE, f"{self.noun} was expected{shown}", self.hint)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._validate)

    def _validate(self, value: object, info: ValidationInfo) -> object:
        if info.context is not LOADING:
            return value
        try:
            return self.read_in(value, info.data)
        except Fault as fault:
            parts = {"message": fault.message, "fix": fault.fix, "suggestions": fault.suggestions}
            raise PydanticCustomError(fault.code.value, "{message}", parts) from None


_USER_INFO = re.compile(r"^[^\s/@]*:[^\s/]*@")
"""A user and a password before a host, where no scheme tells that it is an address."""


def without_user(text: str) -> str:
    """A host and port, or something else, without the user and password that stand before them."""
    return _USER_INFO.sub(f"{REDACTED}@", text)


def show(value: object) -> str:
    """A value of a file, short enough for a message; its own spelling where it has one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Before it is cut: what is left of a credential would not be known for one.
        text = without_user(redact(value))
        return json.dumps(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…", ensure_ascii=False)
    if isinstance(value, int | Decimal):
        # A number of thousands of digits must not be spelled out: Python refuses to, and nobody would read it.
        exponent = (
            value.bit_length() if isinstance(value, int) else abs(value.adjusted()) + len(value.as_tuple().digits)
        )
        return str(value) if exponent < 200 else "a number of many digits"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"a {type(value).__name__}"


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


@value
class Flag(Kind):
    """true or false."""

    noun = "true or false"
    hint = "Write one of the two, without quotes"
    example = True

    def read(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise self.wrong(value)

    def from_text(self, text: str) -> bool:
        match text.lower():
            case "true" | "1":
                return True
            case "false" | "0":
                return False
        raise self.wrong(text)


@value
class Whole(Kind):
    """A whole number within [low, high]."""

    low: int
    high: int = 2**63 - 1

    noun = "a whole number"

    @property
    def accepts(self) -> str:
        return f"{self.low} to {self.high}" if self.high < 2**63 - 1 else f"{self.low} or more"

    @property
    def hint(self) -> str:
        return f"Write a whole number {self._range}"

    @property
    def _range(self) -> str:
        return f"from {self.low} to {self.high}" if self.high < 2**63 - 1 else f"of at least {self.low}"

    def read(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(value)
        if not self.low <= value <= self.high:
            raise Fault(Code.OUT_OF_RANGE, f"{show(value)} is outside {self.low}-{self.high}", self.hint)
        return value

    def from_text(self, text: str) -> int:
        if _WHOLE.fullmatch(text) is None:
            raise self.wrong(text)
        return int(text)


@value
class Ratio(Kind):
    """A number within [low, high], kept as float: a threshold, never money."""

    low: int
    high: int

    noun = "a number"

    @property
    def accepts(self) -> str:
        return f"{self.low} to {self.high}"

    @property
    def hint(self) -> str:
        return f"Write a number from {self.low} to {self.high}"

    def read(self, value: object) -> float:
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            raise self.wrong(value)
        # Ordering not-a-number raises, so finiteness is asked first.
        if (isinstance(value, Decimal) and not value.is_finite()) or not self.low <= value <= self.high:
            raise Fault(Code.OUT_OF_RANGE, f"{show(value)} is outside {self.low}-{self.high}", self.hint)
        return float(value)

    def from_text(self, text: str) -> Decimal:
        if _NUMBER.fullmatch(text) is None:
            raise self.wrong(text)
        return Decimal(text)


@value
class Text(Kind):
    """Text of `low` to `high` characters (or UTF-8 bytes)."""

    low: int = 1
    high: int = 256
    in_bytes: bool = False
    example: object = "example"

    noun = "text"
    hint = "Write text in quotes"

    @property
    def accepts(self) -> str:
        return f"{self.low} to {self.high} {'bytes' if self.in_bytes else 'characters'}"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        size = len(value.encode("utf-8", "replace")) if self.in_bytes else len(value)
        if not self.low <= size <= self.high:
            unit = "bytes" if self.in_bytes else "characters"
            raise Fault(
                Code.OUT_OF_RANGE,
                f"{size} {unit} is outside {self.low}-{self.high}",
                f"Write text of {self.low} to {self.high} {unit}",
            )
        return value


@value
class Choice(Kind):
    """One word of a closed list."""

    choices: type[StrEnum]

    noun = "one of a closed list of words"

    @property
    def example(self) -> str:
        return list(self.choices)[-1].value

    @property
    def accepts(self) -> str:
        return _or([choice.value for choice in self.choices])

    @property
    def hint(self) -> str:
        return f"Write one of: {', '.join(choice.value for choice in self.choices)}"

    def spell(self, value: StrEnum) -> str:
        return value.value

    def read(self, value: object) -> StrEnum:
        if not isinstance(value, str):
            raise self.wrong(value)
        try:
            return self.choices(value)
        except ValueError:
            near = nearest(value, [choice.value for choice in self.choices])
            raise Fault(Code.UNKNOWN_CHOICE, f"{show(value)} is not known", self.hint, near) from None


@value
class Duration(Kind):
    """Milliseconds within [low, high], from `"1h30m"` or whole seconds."""

    low: int
    high: int = 366 * DAY

    noun = "a duration"

    @property
    def accepts(self) -> str:
        return f"{spell_duration(self.low)} to {spell_duration(self.high)}"

    @property
    def hint(self) -> str:
        return (
            f'Write a duration like "90s" or "1h30m" (units d, h, m, s, ms) or whole seconds, '
            f"from {spell_duration(self.low)} to {spell_duration(self.high)}"
        )

    def spell(self, value: int) -> str:
        return spell_duration(value)

    def read(self, value: object) -> int:
        if isinstance(value, str):
            try:
                milliseconds = parse_duration(value)
            except ValueError:
                raise self.wrong(value) from None
        elif isinstance(value, int) and not isinstance(value, bool):
            milliseconds = value * SECOND
        else:
            raise self.wrong(value)
        if not self.low <= milliseconds <= self.high:
            limits = f"{spell_duration(self.low)} to {spell_duration(self.high)}"
            raise Fault(Code.OUT_OF_RANGE, f"{show(value)} is outside {limits}", self.hint)
        return milliseconds

    def from_text(self, text: str) -> object:
        return int(text) if _WHOLE.fullmatch(text) else text


@value
class Size(Kind):
    """Bytes within [low, high], from `"64MiB"` or a whole number."""

    low: int = 0
    high: int = 2**53

    noun = "a size"

    @property
    def accepts(self) -> str:
        return f"{spell_size(self.low)} to {spell_size(self.high)}"

    @property
    def hint(self) -> str:
        limits = f"{spell_size(self.low)} to {spell_size(self.high)}"
        return f'Write a size like "64MiB" (units B, KiB, MiB, GiB) or a number of bytes, from {limits}'

    def spell(self, value: int) -> str:
        return spell_size(value)

    def read(self, value: object) -> int:
        if isinstance(value, str):
            try:
                size = parse_size(value)
            except ValueError:
                raise self.wrong(value) from None
        elif isinstance(value, int) and not isinstance(value, bool):
            size = value
        else:
            raise self.wrong(value)
        if not self.low <= size <= self.high:
            limits = f"{spell_size(self.low)} to {spell_size(self.high)}"
            raise Fault(Code.OUT_OF_RANGE, f"{show(value)} is outside {limits}", self.hint)
        return size

    def from_text(self, text: str) -> object:
        return int(text) if _WHOLE.fullmatch(text) else text


@value
class Amount(Kind):
    """Nano-dollars, from a decimal number or string of dollars."""

    noun = "an amount in US dollars"
    hint = 'Write dollars with at most 9 decimals, like 12.50 or "12.50"'

    @property
    def accepts(self) -> str:
        return "dollars, at most 9 decimals"

    def spell(self, value: Usd) -> str:
        return decimal_usd(value)

    def read(self, value: object) -> Usd:
        return read_usd(value)


@value
class Listing(Kind):
    """A list of values of one kind."""

    item: Kind
    most: int = 1000

    noun = "a list"

    @property
    def accepts(self) -> str:
        return f"a list; each {self.item.accepts}"

    @property
    def hint(self) -> str:
        return f"Write a list in brackets; each entry is {self.item.noun}"

    @property
    def secret(self) -> bool:
        return self.item.secret

    def spell(self, value: tuple[Any, ...]) -> list[object]:
        return [self.item.spell(entry) for entry in value]

    def read(self, value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise self.wrong(value)
        if len(value) > self.most:
            raise Fault(Code.OUT_OF_RANGE, f"{len(value)} entries are too many", f"Write at most {self.most}")
        read: list[object] = []
        for number, entry in enumerate(value, start=1):
            try:
                read.append(self.item.read(entry))
            except Fault as fault:
                raise Fault(fault.code, f"entry {number}: {fault.message}", fault.fix, fault.suggestions) from None
        return tuple(read)

    def from_text(self, text: str) -> list[object]:
        if not text.strip():
            return []
        if text.lstrip().startswith("["):
            try:
                entries = json.loads(text, parse_float=Decimal)
            except (ValueError, RecursionError):
                raise Fault(Code.WRONG_TYPE, "this is no JSON list", self.hint) from None
            return list(entries)
        return [self.item.from_text(entry.strip()) for entry in text.split(",")]


@value
class SecretText(Kind):
    """A secret given in the open; it is never shown again."""

    noun = "text"
    hint = "Write the key in quotes, or better name a variable that holds it in api_key_env"
    secret = True

    def spell(self, value: Secret) -> str:
        return str(value)

    def read(self, value: object) -> Secret:
        if not isinstance(value, str):
            raise self.wrong(value)
        if not value.strip() or len(value) > 65_536:
            raise Fault(Code.OUT_OF_RANGE, "a key has 1 to 65536 characters", self.hint)
        return Secret(value)


@value
class AnyTable(Kind):
    """A table whose content is another room's business."""

    noun = "a table"

    def read(self, value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            raise self.wrong(value)
        return value
