"""Bytes that are nearly HTTP, on real connections to a real house: whatever comes, each request is answered once and
well, and only those go on that every other server would have read as the same requests."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.providers.wires import Wire
from tests.attacks.conversation import answers_in, as_others_read, speak, told_by_table
from tests.attacks.depth import attacks
from tests.attacks.heads import Sent, body, connections
from tests.attacks.target import Target


@pytest.fixture(scope="module")
def sent(attacked: Target) -> st.SearchStrategy[Sent]:
    host = attacked.here.url.removeprefix("http://").encode()
    return connections(host, attacked.here.key.encode())


def without_model(body: bytes) -> dict[str, object]:
    data: dict[str, object] = json.loads(body)
    return {name: value for name, value in data.items() if name != "model"}


@attacks(40)
def test_each_request_is_answered_once_and_only_what_all_read_alike_goes_on(
    attacked: Target, sent: st.SearchStrategy[Sent], depth: settings
) -> None:
    @depth
    @given(sent=sent, leaves=st.sampled_from([False] * 9 + [True]))
    def play(sent: Sent, leaves: bool) -> None:
        async def one() -> None:
            attacked.provider.heard.clear()
            heard = await speak(attacked, sent.pieces, leaves=leaves)
            attacked.harmless(heard)
            answers = answers_in(heard, bodiless=b"HEAD" in sent.data)
            for answer in answers:
                assert not answer.cut
                assert answer.status == 200 or 400 <= answer.status < 500, answer
                if answer.status != 200 and answer.body:
                    told_by_table(Wire.MESSAGES if answer.json.get("type") == "error" else Wire.CHAT, answer)
            others = as_others_read(sent.data)
            assert len(answers) <= len(others) + 1, (answers, others)
            gone_on = [without_model(one.body) for one in attacked.provider.heard]
            assert len(gone_on) <= len(others), others
            read = iter(others)
            for went in gone_on:
                assert any(one and without_model(one) == went for one in read), (went, others)
            await attacked.unharmed()

        attacked.run(one())

    play()
    attacked.run(attacked.books())


def test_line_ends_before_a_request_belong_to_none_and_odder_things_there_are_refused(attacked: Target) -> None:
    """RFC 9112, section 2.2: old clients send an empty line after a body, and the next request comes behind it."""
    host = attacked.here.url.removeprefix("http://").encode()
    asked = b"GET /v1/models HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n\r\n" % (
        host,
        attacked.here.key.encode(),
    )

    async def play() -> None:
        for ends in (b"", b"\r\n", b"\n", b"\r", b"\r\n\r\n"):
            answers = answers_in(await speak(attacked, (asked + ends + asked,)))
            assert [answer.status for answer in answers] == [200, 200], ends
            assert len(as_others_read(asked + ends + asked)) == 2
        for odd in (b" ", b"\t", b"\0", b"\x0b", b"\x0c", b"\r\n ", b"\xff"):
            answers = answers_in(await speak(attacked, (odd + asked,)))
            assert [answer.status for answer in answers] == [400], odd
            assert as_others_read(odd + asked) == []

    attacked.run(play())


def test_a_body_whose_framing_breaks_behind_a_whole_chunk_is_not_taken_for_a_whole_one(attacked: Target) -> None:
    """The caller's text is complete by then, only its end is not; whoever reads it already waits for more."""
    host = attacked.here.url.removeprefix("http://").encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ) % (host, attacked.here.key.encode())
    asked = body("caller-0")

    async def play() -> None:
        for end in (b"0\n\r\n", b"0\n\n", b"0\r\n\n", b"-0\r\n\r\n", b"zz\r\n"):
            attacked.provider.heard.clear()
            answers = answers_in(await speak(attacked, (head + b"%x\r\n%b" % (len(asked), asked), b"\r\n" + end)))
            assert [answer.status for answer in answers] == [400], end
            assert attacked.provider.heard == []
        await attacked.unharmed()

    attacked.run(play())
