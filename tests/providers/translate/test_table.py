"""Which wire a model is asked on, by what it speaks and what its caller speaks."""

from collections.abc import Collection

import pytest

from palyra.providers.translate.crossing import Crossing, UncarriedError
from palyra.providers.translate.table import READINGS, REQUESTS, WRITINGS, Crossings, spoken
from palyra.providers.wires import Wire
from tests.providers.translate.answers import request


@pytest.mark.parametrize(
    ("caller", "wires", "wire"),
    [
        (Wire.CHAT, {Wire.CHAT, Wire.MESSAGES}, Wire.CHAT),
        (Wire.MESSAGES, {Wire.CHAT, Wire.MESSAGES}, Wire.MESSAGES),
        (Wire.CHAT, {Wire.MESSAGES}, Wire.MESSAGES),
        (Wire.MESSAGES, {Wire.CHAT, Wire.RESPONSES}, Wire.CHAT),
        (Wire.RESPONSES, {Wire.CHAT, Wire.RESPONSES}, Wire.RESPONSES),
        (Wire.RESPONSES, {Wire.CHAT, Wire.MESSAGES}, Wire.CHAT),
        (Wire.RESPONSES, {Wire.MESSAGES}, Wire.MESSAGES),
        (Wire.CHAT, {Wire.EMBEDDINGS}, None),
        (Wire.EMBEDDINGS, {Wire.CHAT}, None),
        (Wire.CHAT, set(), None),
    ],
)
def test_the_wire_that_is_spoken(caller: Wire, wires: Collection[Wire], wire: Wire | None) -> None:
    assert spoken(caller, wires) is wire


def test_whatever_crosses_there_finds_its_way_back() -> None:
    for caller, upstream in REQUESTS:
        assert caller in WRITINGS
        assert upstream in READINGS


def test_a_request_is_put_in_other_words_once() -> None:
    crossings = Crossings(request(Wire.CHAT))
    made = crossings.to(Wire.MESSAGES)
    assert isinstance(made, Crossing)
    assert crossings.to(Wire.MESSAGES) is made
    stopped = Crossings(request(Wire.CHAT, n=2)).to(Wire.MESSAGES)
    assert isinstance(stopped, UncarriedError)
    assert stopped.field == "n"
