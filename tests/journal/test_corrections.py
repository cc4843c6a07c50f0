"""A correction is a further row that cites the first: sums follow it, the first stays as it was."""

from dataclasses import replace
from typing import Any

import pytest

from palyra.journal.changes import Change, UsageRecorded
from palyra.journal.journal import Journal
from palyra.journal.rows import UsageRow
from palyra.journal.writer import UnitRefusedError
from tests.journal.samples import a_hold, a_run, a_usage, settled, taken

RUN = a_run()
HOLD = a_hold(RUN)
FIRST = a_usage(HOLD)


def correction(**changes: Any) -> UsageRow:
    """Another charge and fewer output tokens, as differences."""
    blank: dict[str, Any] = {
        "hold_id": "",
        "corrects": FIRST.hold_id,
        "input_total": 0,
        "cache_read": 0,
        "output_total": -100,
        "reasoning": 0,
        "charge": -60_000,
        "latency_ms": 0,
        "rates": ({"unit": "output_tokens", "count": -100, "usd": "0.6", "per": 1_000_000},),
    }
    return replace(FIRST, **(blank | changes))


async def settle(journal: Journal) -> None:
    changes: list[Change] = [*taken(RUN, HOLD), *settled(RUN, HOLD)]
    await journal.submit(changes)


async def test_sums_follow_a_correction_and_the_first_row_stays(journal: Journal) -> None:
    await settle(journal)
    await journal.submit([UsageRecorded(correction())])
    assert await journal.readers.usage_of_run(RUN.run_id) == (FIRST, correction())
    for until in (FIRST.at + 1, FIRST.at + 86_400_000):
        totals = await journal.readers.usage_totals(FIRST.at - 86_400_000, until)
        assert (totals.cost, totals.output_tokens, totals.attempts) == (390_000, 400, 1)
    (model,) = (await journal.readers.usage_breakdown(FIRST.at - 1, FIRST.at + 1)).entries
    assert (model.totals.cost, model.totals.attempts) == (390_000, 1)
    assert await journal.readers.rollup_differences() == ()


async def test_estimates_learn_from_attempts_not_from_corrections(journal: Journal) -> None:
    await settle(journal)
    await journal.submit([UsageRecorded(correction())])
    samples = [sample async for chunk in journal.readers.samples() for sample in chunk]
    assert [sample.output_total for sample in samples] == [FIRST.output_total]


@pytest.mark.parametrize(
    "wrong", [{"corrects": "no such hold"}, {"hold_id": HOLD.hold_id}, {"run_id": "another run"}, {"hold_id": "new"}]
)
async def test_a_correction_that_cites_nothing_is_refused(journal: Journal, wrong: dict[str, Any]) -> None:
    await settle(journal)
    with pytest.raises(UnitRefusedError):
        await journal.submit([UsageRecorded(correction(**wrong))])
    assert await journal.readers.usage_of_run(RUN.run_id) == (FIRST,)


async def test_a_correction_can_be_corrected_by_a_further_one(journal: Journal) -> None:
    await settle(journal)
    await journal.submit([UsageRecorded(correction()), UsageRecorded(correction(charge=60_000, output_total=100))])
    totals = await journal.readers.usage_totals(FIRST.at - 1, FIRST.at + 1)
    assert (totals.cost, totals.output_tokens, totals.attempts) == (450_000, 500, 1)


async def test_every_reading_of_a_body_is_kept(journal: Journal) -> None:
    readings = (
        {"name": "cache_capped", "usage": {"input_total": 100}, "charge": 1},
        {"name": "cache_besides", "usage": {"input_total": 350}, "charge": None},
    )
    await journal.submit([*taken(RUN, HOLD), *settled(RUN, HOLD, readings=readings)])
    (row,) = await journal.readers.usage_of_run(RUN.run_id)
    assert row.readings == readings
