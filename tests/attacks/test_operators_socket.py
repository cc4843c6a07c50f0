"""Anything said on the operators' socket: each question is answered or refused in words, and the engine goes on."""

import json
from dataclasses import fields
from typing import Any, get_args

import aiohttp
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.control.codec import ANSWERS, COMMANDS, QUERY, SNAPSHOT
from tests.attacks.bodies import HOSTILE, NUMBERS, TEXTS, written
from tests.attacks.depth import attacks
from tests.attacks.target import Target

STATUSES = {200, 400, 403, 404, 409, 503}
QUERIES = sorted(ANSWERS, key=lambda kind: kind.__name__)
RUNNING = frozenset({"ConnectionQuery", "ReplayQuery"})
"""Those that ask providers or start a process: their numbers of turns are not the loop's own."""


def kind_of(query: type) -> str:
    """The name that a question goes by."""
    (kind,) = [one for one in fields(query) if one.name == "kind"]
    return str(get_args(kind.type)[0] if get_args(kind.type) else kind.default)


@st.composite
def questions(draw: st.DrawFn) -> str:
    query = draw(st.sampled_from([one for one in QUERIES if one.__name__ not in RUNNING]))
    data: dict[str, Any] = {"kind": kind_of(query)}
    for one in fields(query):
        if one.name != "kind" and draw(st.booleans()):
            data[one.name] = draw(HOSTILE)
    if draw(st.integers(0, 9)) == 0:
        data[draw(st.text(max_size=5))] = draw(HOSTILE)
    return written(data)


SAID = st.one_of(questions(), questions(), questions(), st.sampled_from((*NUMBERS, *TEXTS)), st.text(max_size=20))


@attacks(40)
def test_every_question_is_answered_or_refused_in_words(attacked: Target, depth: settings) -> None:
    @depth
    @given(path=st.sampled_from((QUERY, QUERY, QUERY, COMMANDS, SNAPSHOT, "/x")), said=SAID)
    def play(path: str, said: str) -> None:
        async def one() -> None:
            socket = attacked.here.house.doors().socket
            body = said.encode("utf-8", "replace")
            # A command that anybody could mean is none of these: they carry the kinds of questions.
            connector = aiohttp.UnixConnector(socket)
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.post(f"http://engine{path}", data=body) as answer,
            ):
                told = await answer.read()
            assert answer.status in STATUSES, (answer.status, told)
            data = json.loads(told)
            assert b"Traceback" not in told
            if answer.status != 200:
                attacked.harmless(told)
                assert data["error"]["message"]
            await attacked.at_rest()
            attacked.nothing_unheard()

        attacked.run(one())

    play()
    attacked.run(attacked.books())
