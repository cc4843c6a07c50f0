"""The dated `[[pricing]]` row."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from palyra.config.kinds import Amount, Kind, show
from palyra.config.names import PRICED_MODEL, PRICED_PROVIDER, Moment
from palyra.config.problem import Code, Fault
from palyra.config.section import Section
from palyra.core.money import Usd, decimals_of
from palyra.core.values import value

_DECIMAL = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,40})?")

TOKEN_RATES = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
)
"""Rates per million tokens."""

RATES = (*TOKEN_RATES, "web_search", "per_request")


@value
class Share(Kind):
    """A discount: a string from `"0"` to `"1"` with at most 9 decimals."""

    noun = "a share"
    hint = 'Write it in quotes from "0" to "1", like "0.15" for 15 % off'

    @property
    def accepts(self) -> str:
        return '"0" to "1"'

    def spell(self, value: Decimal) -> str:
        return f"{value:f}"

    def read(self, value: object) -> Decimal:
        if not isinstance(value, str) or _DECIMAL.fullmatch(value) is None:
            raise self.wrong(value)
        share = Decimal(value)
        if share > 1:
            raise Fault(Code.OUT_OF_RANGE, f"{show(value)} is outside 0-1", self.hint)
        if decimals_of(share) > 9:
            raise Fault(Code.PRECISION, f"{show(value)} has more than 9 decimals", "Round it to 9 decimals")
        return share


class UsagePricingRecord(Section):
    """One dated price, valid for `valid_from` <= t < `valid_to` (UTC unix ms; None is open).

    Rates are nano-dollars: per million tokens, per 1,000 uses (`web_search`), per request (`per_request`). None means
    the row says nothing about that part. With `discount` the row holds no rates: the package's card is taken times
    (1 - discount).
    """

    provider: Annotated[str, PRICED_PROVIDER]
    """Whose models."""
    model: Annotated[str, PRICED_MODEL]
    """The provider's own name of a model, or the start of names followed by *."""
    valid_from: Annotated[int | None, Moment()] = Field(default=None, validation_alias="from")
    """From when on, without quotes. Left out: always has been."""
    valid_to: Annotated[int | None, Moment()] = Field(default=None, validation_alias="to")
    """Until when; not part of it. Left out: for ever. Rows of one model must not overlap."""
    input: Annotated[Usd | None, Amount()] = None
    """Dollars per million tokens, as the next ones."""
    output: Annotated[Usd | None, Amount()] = None
    """Of the answer."""
    cache_read: Annotated[Usd | None, Amount()] = None
    """Read from the provider's cache."""
    cache_write: Annotated[Usd | None, Amount()] = None
    """Written into it."""
    cache_write_1h: Annotated[Usd | None, Amount()] = None
    """Written to stay an hour."""
    reasoning: Annotated[Usd | None, Amount()] = None
    """Thought, where it is priced apart."""
    audio_input: Annotated[Usd | None, Amount()] = None
    """Heard."""
    audio_output: Annotated[Usd | None, Amount()] = None
    """Spoken."""
    image_input: Annotated[Usd | None, Amount()] = None
    """Seen."""
    web_search: Annotated[Usd | None, Amount()] = None
    """Dollars per 1000 searches."""
    per_request: Annotated[Usd | None, Amount()] = None
    """Dollars per request."""
    discount: Annotated[Decimal | None, Share()] = None
    """Off the built-in price; takes the place of all rates."""

    def covers(self, at_ms: int) -> bool:
        """Whether the row is in force at an instant."""
        return (self.valid_from is None or self.valid_from <= at_ms) and (
            self.valid_to is None or at_ms < self.valid_to
        )

    @property
    def is_prefix(self) -> bool:
        """Whether `model` is the start of names rather than one name."""
        return self.model.endswith("*")
