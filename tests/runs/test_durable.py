"""How runs ended gets written, whatever the journal makes of it."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.errors import JournalUnavailableError
from palyra.core.scope import Scope
from palyra.journal.changes import Change, HoldEnded, RunNoted, RunSaved, UsageRecorded
from palyra.journal.rows import UsageRow
from palyra.journal.tables import dumps
from palyra.journal.writer import Refused, UnitRefusedError
from palyra.runs.attempt import RAW_LIMIT, storable
from palyra.runs.durable import Durable, Unit
from tests.runs.test_live import a_row

ENDED = HoldEnded("01H", "settled", 5, 7, 3, 1, "provider", 0, False, ())
SAVED = RunSaved(a_row())
NOTED = RunNoted("01R", 5, "run_terminal", {})
USED = UsageRecorded(
    UsageRow(
        hold_id="01H",
        run_id="01R",
        attempt=1,
        at=5,
        provider="p",
        model="m",
        scope=Scope("local", "default:k", "k"),
        input_total=1,
        cache_read=0,
        write_5m=0,
        write_1h=0,
        output_total=1,
        reasoning=0,
        audio_in=0,
        audio_out=0,
        tool_uses=0,
        metered_input=1,
        metered_output=1,
        usage_source="provider",
        flags=("identity_U1",),
        price_state="known",
        rates=(),
        charge=7,
        raw={"prompt_tokens": float("nan")},
    )
)


class Journal:
    """Refuses units for one change in them, and writes nothing while it is away."""

    def __init__(self, at_fault: Callable[[Change], bool]) -> None:
        self._at_fault = at_fault
        self.away = False
        self.written: list[Change] = []
        self._left: list[tuple[Unit, Refused]] = []

    @property
    def behind(self) -> int:
        return len(self._left)

    def submit(self, unit: Unit, *, patient: bool = False, refused: Refused | None = None) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.away:
            future.set_exception(JournalUnavailableError("away"))
            if refused is not None:
                self._left.append((unit, refused))
            return future
        left, self._left = self._left, []
        for earlier, told in left:
            self.submit(earlier, refused=told).add_done_callback(lambda done: done.exception())
        if any(self._at_fault(change) for change in unit):
            error = UnitRefusedError("refused")
            future.set_exception(error)
            if refused is not None:
                refused(error)
        else:
            self.written += unit
            future.set_result(None)
        return future


def with_raw(change: Change) -> bool:
    return isinstance(change, UsageRecorded) and change.row.raw is not None


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize(
    ("at_fault", "written"),
    [
        (with_raw, {HoldEnded, UsageRecorded, RunSaved, RunNoted}),
        (lambda change: isinstance(change, RunNoted), {HoldEnded, UsageRecorded, RunSaved}),
        (lambda change: isinstance(change, UsageRecorded), {HoldEnded, RunSaved, RunNoted}),
        (lambda change: isinstance(change, RunSaved), {HoldEnded, UsageRecorded, RunNoted}),
    ],
    ids=["raw", "note", "usage", "run"],
)
async def test_a_refused_end_is_written_without_what_is_at_fault(
    at_fault: Callable[[Change], bool], written: set[type], away: bool
) -> None:
    journal = Journal(at_fault)
    durable = Durable(journal)
    journal.away = away
    durable.write([ENDED, USED, SAVED, NOTED])
    await durable.flush()
    assert durable.behind == away
    journal.away = False
    await durable.flush()
    assert {type(change) for change in journal.written} == written
    assert len(journal.written) == len(written)
    assert durable.behind == 0
    usage = [change.row.flags for change in journal.written if isinstance(change, UsageRecorded)]
    assert usage in ([], [("identity_U1",)])


async def test_a_refused_note_is_given_up() -> None:
    journal = Journal(lambda change: True)
    durable = Durable(journal)
    durable.write([NOTED])
    await durable.flush()
    assert (journal.written, durable.behind) == ([], 0)


async def test_who_waits_is_told_that_it_takes_longer_and_the_unit_is_written_all_the_same() -> None:
    journal = Journal(lambda change: False)
    durable = Durable(journal)
    journal.away = True
    with pytest.raises(JournalUnavailableError):
        await durable.wait([NOTED])
    journal.away = False
    await durable.flush()
    assert (journal.written, durable.behind) == ([NOTED], 0)


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), any_json))
def test_a_usage_object_can_be_stored_whatever_is_in_it(raw: dict[str, object]) -> None:
    assert dumps(storable(raw))


def test_a_usage_object_keeps_what_json_can_say() -> None:
    raw = {"prompt_tokens": 3, "cost": float("inf"), "details": [{"x": float("nan"), "y": 1.5}]}
    assert storable(raw) == {"prompt_tokens": 3, "cost": "inf", "details": [{"x": "nan", "y": 1.5}]}
    assert storable(None) is None


def test_a_usage_object_is_stored_within_limits() -> None:
    assert len(dumps(storable({"x": '"' * 10_000_000}))) <= 2 * RAW_LIMIT
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = {"x": deep}
    assert len(dumps(storable(deep))) < 200
