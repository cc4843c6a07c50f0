"""Kinds of names: ids, models, references, zones, paths, instants. Each says its form in its refusal."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from palyra.config.kinds import Kind, show
from palyra.config.problem import Code, Fault
from palyra.core.values import value
from palyra.core.vault_refs import VAULT_REF as VAULT_REF_FORM
from palyra.core.windows import nearest_zones, zone_names

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_PATH = 4096


@value
class Name(Kind):
    """Text of a fixed form. `form` describes it for people, `refused` holds words of that form that are taken."""

    pattern: re.Pattern[str]
    form: str
    example: object = "example"
    refused: tuple[str, ...] = ()
    secret: bool = False
    code: Code = Code.WRONG_TYPE

    noun = "text"

    @property
    def accepts(self) -> str:
        return self.form

    @property
    def hint(self) -> str:
        return f"Write {self.form}"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        if self.pattern.fullmatch(value) is None:
            raise Fault(self.code, f"{'this' if self.secret else show(value)} is not spelled as it must be", self.hint)
        if value in self.refused:
            raise Fault(self.code, f"{show(value)} is reserved", "Choose another name")
        return value


ID = Name(
    re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}"),
    "1 to 64 of a-z 0-9 _ . - beginning with a letter or digit",
)
PROVIDER_ID = Name(
    re.compile(r"(?!.*__)[a-z0-9][a-z0-9_-]{0,63}"),
    "1 to 64 of a-z 0-9 _ - beginning with a letter or digit, without a double underscore",
)
MODEL_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}")
MODEL_ID = Name(
    MODEL_FORM,
    "1 to 128 of A-Z a-z 0-9 _ . : / @ - beginning with a letter or digit",
    example="example/model",
    refused=("auto",),
)
MODEL_CHOICE = Name(MODEL_FORM, 'a model id or "auto"', example="auto")
PRICED_MODEL = Name(
    re.compile(r"(?=.)[A-Za-z0-9_.:/@-]{0,128}\*?"),
    "a model's upstream name, or the start of one followed by *",
    example="example-*",
)
PRICED_PROVIDER = Name(
    re.compile(rf"\*|{PROVIDER_ID.pattern.pattern}"), "the id of a [providers.<id>] table, or *", example="*"
)
TAG = Name(
    re.compile(r"[a-z0-9_.-]{1,32}=.{1,64}"),
    "name=value, the name of 1 to 32 of a-z 0-9 _ . -, the value of 1 to 64 characters",
    example="team=example",
)
PERSON = Name(re.compile(r"[A-Za-z0-9._:@-]{1,128}"), "1 to 128 of A-Z a-z 0-9 . _ : @ -")
LABEL = Name(re.compile(r"[A-Za-z0-9._:@/-]{1,128}"), "1 to 128 of A-Z a-z 0-9 . _ : @ / -")
HOST = Name(re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}"), "a host name or address, without scheme or path")
ORIGIN = Name(
    re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://[A-Za-z0-9._:\[\]-]{1,255}/?"),
    "the origin of a page: scheme, host and port without a path, like https://console.example",
    example="https://console.example",
)
VARIABLE = Name(
    re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}"),
    "the name of an environment variable; the key itself belongs into that variable",
    secret=True,
)
VAULT_REF = Name(
    VAULT_REF_FORM,
    "a vault reference such as global/openai-key; the key itself belongs into the vault",
    secret=True,
    code=Code.BAD_REFERENCE,
)
PROFILE_ID = Name(ID.pattern, "the id of an auth profile, 1 to 64 of a-z 0-9 _ . -", secret=True)


@value
class Zone(Kind):
    """An IANA time zone of the tzdata package; `local` only where the host's own zone may be meant."""

    local: bool = False

    noun = "the name of a time zone"
    hint = 'Write an IANA name like "Europe/Prague", or "UTC"'

    @property
    def accepts(self) -> str:
        return "an IANA time zone, or local" if self.local else "an IANA time zone"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        if value == "UTC" or (self.local and value == "local") or value in zone_names():
            return value
        raise Fault(Code.UNKNOWN_CHOICE, f"{show(value)} is no IANA zone", self.hint, nearest_zones(value[:64]))


@value
class FilePath(Kind):
    """A path. A relative one counts from the state directory; `~` is not expanded."""

    noun = "a path"
    hint = "Write the path in quotes, from the root or from the state directory"

    def spell(self, value: Path) -> str:
        return str(value)

    def read(self, value: object) -> Path:
        if not isinstance(value, str):
            raise self.wrong(value)
        if value.lstrip().startswith("-----BEGIN"):
            raise Fault(Code.OUT_OF_RANGE, "this is what stands in such a file, not its path", self.hint)
        if not value or len(value) > _MAX_PATH or "\0" in value or value.startswith("~"):
            raise Fault(Code.OUT_OF_RANGE, f"{show(value)} is no path that can be opened", self.hint)
        return Path(value)


@value
class Moment(Kind):
    """UTC unix ms, from a TOML date-time with an offset, or (unless `exact`) a date meaning its UTC midnight."""

    exact: bool = False

    noun = "a date-time"

    @property
    def accepts(self) -> str:
        return "a date-time with an offset" if self.exact else "a date-time with an offset, or a UTC date"

    @property
    def hint(self) -> str:
        date_too = "" if self.exact else ", or a UTC date like 2026-12-24"
        return f"Write it without quotes and with an offset, like 2026-12-24T18:00:00+01:00{date_too}"

    def spell(self, value: int) -> str:
        """Of the form that TOML writes without quotes."""
        moment = _EPOCH + timedelta(milliseconds=value)
        return moment.isoformat(timespec="milliseconds" if value % 1000 else "seconds").replace("+00:00", "Z")

    def read(self, value: object) -> int:
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise Fault(Code.WRONG_TYPE, f"{value.isoformat()} has no offset", self.hint)
            return (value - _EPOCH) // timedelta(milliseconds=1)
        if isinstance(value, date) and not self.exact:
            return (value - _EPOCH.date()).days * 86_400_000
        raise self.wrong(value)
