"""A price row from its fields as text, as commands and consoles hand it on."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from palyra.config.kinds import Kind
from palyra.config.names import Moment
from palyra.config.pricing_rows import RATES, UsagePricingRecord
from palyra.config.problem import Fault
from palyra.core.errors import BadInputError

_KINDS: dict[str, tuple[str, Kind]] = {
    str(info.validation_alias or name): (name, next(kind for kind in info.metadata if isinstance(kind, Kind)))
    for name, info in UsagePricingRecord.model_fields.items()
}


def parse_price(fields: Mapping[str, str]) -> UsagePricingRecord:
    """Raises BadInputError with every field at fault."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, text in fields.items():
        if name not in _KINDS:
            faults.append(f"{name}: a price has no such field.")
            continue
        key, kind = _KINDS[name]
        try:
            values[key] = kind.read(_moment(text) if isinstance(kind, Moment) else text)
        except Fault as fault:
            faults.append(f"{name}: {fault.message}. {fault.fix}.")
    faults += [f"{name}: a price needs one." for name in ("provider", "model") if not fields.get(name)]
    stated = [rate for rate in RATES if rate in values]
    if not faults and bool(stated) == ("discount" in values):
        faults.append("discount: a row has rates, or a discount, and not both.")
    if faults:
        raise BadInputError(" ".join(faults))
    return UsagePricingRecord(**values)


def _moment(text: str) -> object:
    """What a file would hold; text that is no moment stays text, which is refused."""
    try:
        return date.fromisoformat(text) if len(text) == len("2026-01-01") else datetime.fromisoformat(text)
    except ValueError:
        return text
