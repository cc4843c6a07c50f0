"""A wall clock that was days ahead and is set right again."""

from tests.end_to_end.premises import DAY_MS, Premises, chat, message

PLAIN = chat(max_tokens=100)


async def test_what_memory_forgot_in_the_future_is_counted_again_from_the_journal(here: Premises) -> None:
    await here.add_budget("hour", "2", metric_kind="requests", interval_kind="hourly")
    now = here.clock.now_ms()
    assert (await here.ask(PLAIN)).status == 200
    here.set_wall(now + 3 * DAY_MS)
    assert (await here.ask(PLAIN)).status == 200
    here.set_wall(now)
    # Nothing is held blindly in the meantime.
    for body in (PLAIN, message()):
        refused = await here.ask(body)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert refused.error["code" if body is PLAIN else "type"] in ("journal_unavailable", "overloaded_error")
        assert "The clock was set back" in refused.error["message"]
    await here.advance(1.5)
    await here.until(lambda: not here.engine.ledger.books.behind(now))
    assert here.counted("hour", "*") == (1, 0)
    assert (await here.ask(PLAIN)).status == 200
    assert (await here.ask(PLAIN)).status == 402
    assert (await here.ledger()).ok
