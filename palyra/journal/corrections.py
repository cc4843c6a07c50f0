"""What an attempt used once its corrections are counted: the first row of usage and the differences that cite it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from palyra.journal.rows import UsageRow

Rates = tuple[dict[str, Any], ...]
"""Parts of a charge as a usage row stores them: unit, count, usd, per."""


def as_corrected(first: UsageRow, corrections: Iterable[UsageRow]) -> UsageRow:
    """The first row with every correction added; its flags name them."""
    row = first
    for one in corrections:
        row = replace(
            row,
            input_total=row.input_total + one.input_total,
            cache_read=row.cache_read + one.cache_read,
            output_total=row.output_total + one.output_total,
            rates=_summed((*row.rates, *one.rates)),
            charge=None if row.charge is None else row.charge + (one.charge or 0),
            flags=(*row.flags, *one.flags),
        )
    return row


def attempts_of(rows: Sequence[UsageRow]) -> dict[str, UsageRow]:
    """The usage of each hold of a run as it was corrected last; `rows` are all of the run, in their order."""
    return {
        row.hold_id: as_corrected(row, [one for one in rows if one.corrects == row.hold_id])
        for row in rows
        if not row.corrects
    }


def rates_between(before: Rates, after: Rates) -> Rates:
    """The parts which, added to those before, give those after."""
    taken_back = tuple({**part, "count": -part["count"]} for part in before)
    return _summed((*taken_back, *after))


def _summed(parts: Iterable[dict[str, Any]]) -> Rates:
    counts: dict[tuple[str, Decimal, int], dict[str, Any]] = {}
    for part in parts:
        key = (part["unit"], Decimal(part["usd"]), part["per"])
        known = counts.get(key)
        counts[key] = part if known is None else {**known, "count": known["count"] + part["count"]}
    return tuple(part for part in counts.values() if part["count"])
