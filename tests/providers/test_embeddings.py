"""Reading what is to be embedded, and the built-in provider's vectors."""

import json
import math
import struct
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.providers import ScriptStep
from palyra.core.clock import ManualClock
from palyra.providers.deterministic import DeterministicProvider
from palyra.providers.embedding_echo import vector
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.reply import read_reply
from palyra.providers.request import ParsedRequest, RequestError, parse_request
from palyra.providers.upstream import UpstreamCall, UpstreamReply
from palyra.providers.wires import Wire
from tests.providers.bodies import compact


def parsed(**members: Any) -> ParsedRequest:
    return parse_request(Wire.EMBEDDINGS, compact({"model": "embed", "input": "hello", **members}))


async def reply(*steps: ScriptStep, **members: Any) -> UpstreamReply:
    body = compact({"model": "embed", "input": "hello", **members})
    call = UpstreamCall(Wire.EMBEDDINGS, "deterministic", "", {}, body, stream=False)
    return await DeterministicProvider(ManualClock(), steps).send(call)


async def answer(*steps: ScriptStep, **members: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(await (await reply(*steps, **members)).read())
    return data


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("hello", 7),
        ("žluť", 8),
        (["a", "bc"], 7),
        ([1, 22, 333], 12),
        ([[1], [2, 3]], 12),
        ("", 2),
    ],
)
def test_the_size_is_that_of_the_texts_and_four_bytes_a_token(given: object, size: int) -> None:
    request = parsed(input=given, user="someone", encoding_format="base64", dimensions=8)
    assert request.prompt.size == size
    assert (request.stream, request.max_tokens, request.choices) == (False, None, 1)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, json_values, json_values, json_values)
def test_whatever_is_sent_is_read_or_refused_by_name(asked: Any, dimensions: Any, form: Any, stream: Any) -> None:
    refused = ""
    try:
        assert parsed(input=asked, dimensions=dimensions, encoding_format=form, stream=stream).prompt.size >= 0
    except RequestError as error:
        refused = error.field
    assert refused in ("", "input", "dimensions", "encoding_format", "stream")
    assert refused or isinstance(asked, str | list)


@pytest.mark.parametrize("given", [None, [], {}, 7, [None], ["a", 1], [1, "a"], [[]], [[1], "a"], [-1], [True], [1.5]])
def test_no_other_form_of_input_is_taken(given: object) -> None:
    with pytest.raises(RequestError) as refused:
        parsed(input=given)
    assert (refused.value.code, refused.value.field) == ("invalid_field", "input")


@given(st.text(max_size=50), st.integers(1, 64))
def test_a_vector_has_length_one_in_single_precision(text: str, dimensions: int) -> None:
    numbers = vector(text, dimensions)
    assert len(numbers) == dimensions
    assert math.isclose(sum(number * number for number in numbers), 1, rel_tol=1e-5)
    assert numbers == struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *numbers))
    assert numbers == vector(text, dimensions)
    assert vector(text) != vector(text + "x")


def test_a_vector_stays_what_it_is() -> None:
    assert [round(number, 6) for number in vector("hello")[:3]] == [-0.073591, 0.123617, 0.153899]


@pytest.mark.parametrize("given", [["a", "b"], [[1, 2], [3]]])
async def test_base64_and_numbers_say_the_same(given: object) -> None:
    numbers = (await answer(input=given))["data"]
    packed = (await answer(input=given, encoding_format="base64"))["data"]
    for one, other in zip(numbers, packed, strict=True):
        assert one["index"] == other["index"]
        assert tuple(one["embedding"]) == struct.unpack("<64f", b64decode(other["embedding"]))


async def test_fewer_dimensions_can_be_asked_for_and_more_cannot() -> None:
    assert len((await answer(dimensions=3))["data"][0]["embedding"]) == 3
    refused = await reply(dimensions=65)
    assert refused.status == 400
    assert b"at most 64 dimensions" in await refused.read()


async def test_usage_is_a_quarter_of_the_bytes_and_every_token() -> None:
    assert (await answer(input=["žluť", "ab"]))["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert (await answer(input=[5, 6, 7]))["usage"]["prompt_tokens"] == 3


async def test_a_script_shapes_answers() -> None:
    assert "usage" not in await answer(ScriptStep(usage={}))
    assert (await answer(ScriptStep(usage={"prompt_tokens": 9})))["usage"] == {"prompt_tokens": 9}
    assert (await reply(ScriptStep(status=429, retry_after=7))).headers["retry-after"] == "7"
    with pytest.raises(ProviderError) as broken:
        read_reply(Wire.EMBEDDINGS, await (await reply(ScriptStep(malformed=True))).read())
    assert broken.value.error_class is ErrorClass.MALFORMED_RESPONSE


def test_an_answer_shows_nothing_and_tells_its_usage() -> None:
    body = compact({"object": "list", "data": [{"embedding": [1]}], "model": "m", "usage": {"prompt_tokens": 3}})
    heard = read_reply(Wire.EMBEDDINGS, body)
    assert (heard.visible_bytes, heard.usage, heard.model, heard.finish) == (0, {"prompt_tokens": 3}, "m", None)
    with pytest.raises(ProviderError):
        read_reply(Wire.EMBEDDINGS, b'{"choices": []}')
