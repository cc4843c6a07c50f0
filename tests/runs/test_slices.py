"""The budget of a stream: slices before their tokens, cuts where nothing is left, and what comes free in time."""

from fractions import Fraction

import pytest

from palyra.config.choices import RoutingMode
from palyra.core.clock import settle_loop
from palyra.governance.grants import GrantBook
from palyra.journal.changes import HoldGrown, Metered
from palyra.providers.wires import Wire
from palyra.runs.meter import StreamMeter
from palyra.runs.relay import Unlimited
from tests.governance.test_ledger import grant
from tests.runs.stage import BOUND, EXPECTED, House, growths, tokens_budget

DAY_MS = 86_400_000
PLENTY = tokens_budget(10**9)


async def test_the_next_slice_is_taken_when_half_of_the_last_is_used() -> None:
    """Two bytes are a token: 100 tokens are held, then 40 at a time."""
    house = House(PLENTY)
    stream = house.stream()
    seen = []
    for size in (100, 2, 138, 2, 78, 2, 78, 2):
        await stream.says(size)
        seen.append((stream.listener.shown // 2, stream.held))
    assert seen == [(50, 100), (51, 140), (120, 140), (121, 180), (160, 180), (161, 220), (200, 220), (201, 260)]
    assert (await stream.ends()).cut is False


async def test_nothing_is_taken_beyond_what_the_provider_was_told_to_send() -> None:
    """At four bytes a token 115 tokens are 460 bytes; what is shown beyond them was not kept to."""
    house = House(PLENTY)
    stream = house.stream(ceiling=115)
    await stream.says(104)
    assert stream.held == 115
    await stream.says(356)
    assert (stream.held, stream.listener.shown) == (115, 460)
    await stream.says(2)
    assert (stream.held, stream.listener.shown) == (275, 462)


async def test_a_provider_that_keeps_to_no_ceiling_is_stopped_by_the_budget() -> None:
    house = House(tokens_budget(BOUND + 150))
    stream = house.stream(ceiling=110)
    await stream.says(*[10] * 60)
    assert (await stream.done).cut
    assert (stream.listener.shown, stream.held) == (440, 110)


async def test_an_event_waits_for_the_slice_that_covers_it_to_be_written() -> None:
    house = House(PLENTY, instant=False)
    stream = house.stream()
    await stream.says(150, 40, 60)
    assert (stream.listener.shown, stream.held, house.journal.covered("h")) == (190, 140, 100)
    house.journal.write()
    await settle_loop(30)
    assert (stream.listener.shown, house.journal.covered("h")) == (250, 140)


async def test_an_event_that_needs_many_slices_waits_for_one_write() -> None:
    house = House(PLENTY, instant=False)
    stream = house.stream()
    await stream.says(4_000)
    assert (house.journal.waiting, stream.listener.shown, stream.held) == (1, 0, 2_020)
    house.journal.write()
    await settle_loop(30)
    assert stream.listener.shown == 4_000
    assert growths(house.journal.units, 100) == [1_920]


async def test_what_waits_for_its_slice_is_not_in_the_journals_reading() -> None:
    """A kill while a large event waits charges no more than what was held."""
    house = House(PLENTY, instant=False)
    stream = house.stream()
    await stream.says(80, 40_000)
    reading = stream.attempt.reading(house.ledger)
    assert reading is None or reading.metered_output == 20
    assert stream.meter.reading.output_tokens == 20
    house.journal.write(2)
    row = house.journal.store.rows["h"]
    assert row.metered_output is not None
    assert EXPECTED + row.metered_output <= row.bound_tokens


@pytest.mark.parametrize(("left", "shown"), [(0, 200), (1, 202), (39, 278), (40, 280), (41, 282), (100, 400)])
async def test_a_stream_is_cut_exactly_where_its_budget_ends(left: int, shown: int) -> None:
    house = House(tokens_budget(BOUND + 100 + left))
    stream = house.stream()
    await stream.says(*[2] * 300)
    assert (await stream.done).cut
    assert stream.listener.shown == shown
    assert (held := stream.held) == 100 + left
    assert house.told == [("room",)]
    assert stream.settle() == EXPECTED + -(-shown // 4) <= BOUND + held


async def test_a_stream_that_ends_in_time_is_told_nothing_of_the_slice_it_did_not_get() -> None:
    house = House(tokens_budget(BOUND + 100))
    stream = house.stream()
    await stream.says(150)
    assert (await stream.ends()).cut is False
    assert house.told == []


async def test_room_that_another_leaves_is_used_before_the_cut() -> None:
    house = House(tokens_budget(2 * BOUND + 300))
    other, _ = house.hold("other", 200)
    stream = house.stream()
    await stream.says(150, 50)
    assert stream.held == 100
    house.ledger.release(other.hold_id, at=house.clock.now_ms())
    await stream.says(100)
    assert (stream.listener.shown, stream.held) == (300, 180)
    assert house.told == []
    await stream.ends()


async def test_room_that_comes_free_is_taken_ahead_of_need() -> None:
    house = House(tokens_budget(2 * BOUND + 300))
    other, _ = house.hold("other", 200)
    stream = house.stream()
    await stream.says(150, 2)
    assert stream.held == 100
    house.ledger.release(other.hold_id, at=house.clock.now_ms())
    await stream.says(2)
    assert (stream.listener.shown, stream.held) == (154, 140)


async def test_a_limit_that_is_raised_in_time_keeps_a_stream_going() -> None:
    house = House(tokens_budget(BOUND + 100))
    stream = house.stream()
    await stream.says(198)
    house.change(tokens_budget(BOUND + 150, revision=2))
    await stream.says(60, 60)
    assert (await stream.done).cut
    assert (stream.listener.shown, stream.held) == (258, 140)


async def test_a_grant_that_comes_in_time_keeps_a_stream_going() -> None:
    grants = GrantBook([])
    house = House(tokens_budget(BOUND + 100), grants=grants)
    stream = house.stream()
    await stream.says(198)
    assert stream.held == 100
    grants.add(grant("g", 45, policy_id="room", metric="total_tokens", expires_at=house.clock.now_ms() + 60_000))
    await stream.says(60)
    await stream.says(60)
    assert (await stream.done).cut
    assert stream.listener.shown == 258
    row = house.ledger.open_hold("h")
    assert row is not None
    assert row.moves[0].drawn == (("g", 40),)


async def test_a_stream_that_outlives_its_window_stays_in_it() -> None:
    """The new day has room for everybody; the answer began in the old one."""
    house = House(tokens_budget(BOUND + 130))
    stream = house.stream()
    house.clock.tick(DAY_MS / 1000)
    await stream.says(*[2] * 200)
    assert (await stream.done).cut
    assert stream.listener.shown == 260
    counters = {state.window_start: state.held for state in house.ledger.counters(house.clock.now_ms())}
    assert list(counters.values()) == [BOUND + 130]
    assert min(counters) < house.clock.now_ms() - DAY_MS // 2
    house.hold("tomorrow", 130)


@pytest.mark.parametrize("mode", [RoutingMode.SUGGEST, RoutingMode.DRY_RUN])
async def test_looser_modes_take_every_slice_and_tell_once(mode: RoutingMode) -> None:
    house = House(tokens_budget(BOUND + 100), default_mode=mode)
    stream = house.stream()
    await stream.says(*[20] * 50)
    assert (await stream.ends()).cut is False
    assert (stream.listener.shown, house.told) == (1_000, [("room",)])


async def test_a_journal_that_breaks_ends_the_stream_where_it_was_written() -> None:
    house = House(PLENTY, instant=False)
    stream = house.stream()
    await stream.says(150)
    house.journal.broken = True
    house.journal.write()
    await stream.says(60)
    assert (await stream.done).cut
    assert (stream.listener.shown, house.told) == (150, [])


async def test_usage_that_is_reported_is_covered_as_far_as_there_is_room() -> None:
    """Tokens nobody saw were used all the same: no overrun where the budget has room, and no cut where it has none."""
    for hard, held in ((10**6, 740), (BOUND + 120, 100)):
        house = House(tokens_budget(hard))
        stream = house.stream()
        await stream.says(60)
        await stream.reports(700)
        assert (await stream.ends()).cut is False
        assert stream.held == held
        assert b"completion_tokens" in stream.listener.data


async def test_usage_in_an_event_that_is_not_sent_is_charged() -> None:
    house = House(tokens_budget(BOUND + 100))
    stream = house.stream()
    await stream.says(196)
    await stream.says(20, usage=103)
    assert (await stream.done).cut
    assert (stream.listener.shown, stream.meter.reading.output_tokens) == (196, 103)


async def test_a_known_model_gives_back_what_its_answers_hardly_need_and_grows_with_them() -> None:
    house = House(PLENTY)
    stream = house.stream(1_000, usual=240, slice_tokens=512)
    await settle_loop()
    assert stream.held == 120
    assert house.journal.covered("h") == 120
    for _ in range(200):
        await stream.says(20)
    sizes = growths(house.journal.units, 1_000)
    assert sizes[:4] == [-880, 30, 37, 46]
    assert sizes == [sizes[0], *sorted(sizes[1:])]
    assert max(sizes) == 512
    assert stream.held < 2_000 + 512 + 256


async def test_what_was_drawn_from_a_grant_is_not_given_back() -> None:
    grants = GrantBook([grant("g", 10**6, policy_id="room", metric="total_tokens", expires_at=None)])
    house = House(tokens_budget(BOUND), grants=grants)
    stream = house.stream(1_000, usual=240)
    await settle_loop()
    assert (stream.held, house.journal.units) == (1_000, [])


async def test_nothing_is_written_for_what_no_budget_counts() -> None:
    house = House()
    stream = house.stream(1_000, usual=240)
    await settle_loop()
    assert (stream.held, house.journal.units) == (1_000, [])


async def test_what_is_given_back_serves_others_at_once_and_is_written_before_them() -> None:
    house = House(tokens_budget(2 * BOUND + 1_200), instant=False)
    first = house.stream(1_000, usual=240)
    await settle_loop()
    assert first.held == 120
    other = house.stream(1_000, hold_id="other")
    assert other.held == 1_000
    await first.says(*[20] * 100)
    while house.journal.waiting:
        house.journal.write()
        await settle_loop(30)
    assert (await first.done).cut
    assert sum(row.bound_tokens for row in house.journal.store.rows.values()) <= 2 * BOUND + 1_200


async def test_a_slice_goes_with_the_reading_of_what_was_passed() -> None:
    house = House(PLENTY)
    stream = house.stream()
    await stream.says(90, 30)
    (unit,) = house.journal.units
    grown, metered = unit
    assert isinstance(grown, HoldGrown)
    assert isinstance(metered, Metered)
    assert metered.metered_output == 23
    assert stream.meter.reading.output_tokens == 30


async def test_unlimited_cover_never_ends() -> None:
    cover = Unlimited()
    cover.begins()
    assert cover.covers(10**9)
    assert await cover.reaches(10**9)


def test_a_slice_reaches_further_than_the_reading() -> None:
    meter = StreamMeter(Wire.CHAT, 10, Fraction(1, 4), Fraction(1, 2), unseen=30)
    assert meter.needed_for(0, None) == 0
    assert meter.needed_for(1_000, None) == 530
    meter.see(1_000, {"completion_tokens": 700, "prompt_tokens": 12})
    assert (meter.reading.input_tokens, meter.reading.output_tokens) == (12, 700)
    assert meter.needed_for(10, {"completion_tokens": 650}) == 700
    assert meter.needed_for(1_000, None) == 1_030


async def test_waiting_streams_hold_nobody_up() -> None:
    house = House(PLENTY, instant=False)
    one, other = house.stream(), house.stream(hold_id="other")
    await one.says(300)
    await other.says(80)
    assert (one.listener.shown, other.listener.shown) == (0, 80)
    while house.journal.waiting:
        house.journal.write()
        await settle_loop(30)
    assert one.listener.shown == 300


async def test_an_answer_whose_run_was_ended_over_its_head_ends_where_its_slices_do() -> None:
    house = House(PLENTY)
    stream = house.stream(1_000, usual=100)
    await stream.says(40)
    house.ledger.release("h", at=house.clock.now_ms())
    await stream.says(*[20] * 10)
    assert (await stream.done).cut
    assert (stream.listener.shown, house.told) == (100, [])
    late = House(PLENTY)
    begun = late.stream(1_000, usual=100)
    late.ledger.release("h", at=late.clock.now_ms())
    await begun.says(40)
    assert begun.listener.shown == 40
    assert (await begun.ends()).cut is False
