"""A wall clock that was days ahead and is set right again."""

from tests.end_to_end.premises import DAY_MS, Premises, chat

PLAIN = chat(max_tokens=100)


async def test_what_memory_forgot_in_the_future_is_counted_again_from_the_journal(here: Premises) -> None:
    await here.add_budget("hour", "2", metric_kind="requests", interval_kind="hourly")
    now = here.clock.now_ms()
    assert (await here.ask(PLAIN)).status == 200
    here.set_wall(now + 3 * DAY_MS)
    assert (await here.ask(PLAIN)).status == 200
    here.set_wall(now)
    # Nothing is held blindly in the meantime.
    assert (await here.ask(PLAIN)).status == 500
    await here.advance(1.5)
    await here.until(lambda: not here.engine.ledger.books.behind(now))
    assert here.counted("hour", "*") == (1, 0)
    assert (await here.ask(PLAIN)).status == 200
    assert (await here.ask(PLAIN)).status == 402
    assert (await here.ledger()).ok
