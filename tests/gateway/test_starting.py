"""A gateway whose engine is not ready yet."""

from tests.gateway.stand_in import CHAT, MESSAGES, StandInHouse, serving


async def test_an_engine_that_is_starting_says_so_and_takes_no_work() -> None:
    house = StandInHouse()
    house.phase = "starting"
    async with serving(house) as door:
        ready = await door.ask("GET", "/readyz", {})
        alive = await door.ask("GET", "/healthz", {})
        chat = await door.ask("POST", "/v1/chat/completions", None, CHAT)
        counting = await door.ask("POST", "/v1/messages/count_tokens", None, MESSAGES)
        house.phase = "ready"
        after = await door.ask("POST", "/v1/chat/completions", None, CHAT)
    assert (ready.status, ready.json["reasons"], alive.status) == (503, ["starting"], 200)
    for answer in (chat, counting):
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "engine_draining", "5")
        assert "is starting" in answer.error["message"]
    assert after.status == 200
