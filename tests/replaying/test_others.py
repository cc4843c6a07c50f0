"""Which models stand in for those nobody looked at."""

import json

import pytest

from palyra.governance.replay_input import Decoder
from palyra.governance.replay_others import Others


class Made:
    """A log of a few plans, each with its shape: (seq, explicit, models with their cards, output tokens held)."""

    def __init__(self, *plans: tuple[int, str, tuple[tuple[str, int], ...], int]) -> None:
        self._plans = {seq: (explicit, models, bound) for seq, explicit, models, bound in plans}

    def first_of_shapes(self) -> list[tuple[int, int]]:
        return [(seq, seq) for seq in sorted(self._plans)]

    def name(self, name: int) -> str:
        explicit, models, _ = self._plans[name]
        rows = [[model, model[:3], model, "openai_compatible", "standard", ["busy"], card] for model, card in models]
        return json.dumps([explicit or "auto", explicit, models[0][0], False, 1, "primary_interactive", "", rows])

    def body(self, seq: int) -> str:
        bound = self._plans[seq][2]
        return json.dumps([0, None, [], [], [[0, [9, 0, 0], [], None, [9, 1], [bound] * 3 + [0], None, ""]], [], []])


PLANS = (
    (1, "one/a", (("one/a", 900),), 64),
    (2, "one/v", (("one/v", 900),), 0),
    (3, "two/b", (("two/b", 901),), 64),
    (4, "", (("one/a", 900), ("two/b", 901)), 64),
    (5, "two/b", (("two/b", 902),), 64),
)


@pytest.mark.parametrize(
    ("shape", "seq", "models"),
    [
        (1, 1, [("one/a", 900), ("two/b", 901)]),
        (1, 4, [("one/a", 900), ("two/b", 901)]),
        (1, 6, [("one/a", 900), ("two/b", 902)]),
        (3, 3, [("two/b", 901), ("one/a", 900)]),
        (2, 2, [("one/v", 900)]),
        (4, 4, [("one/a", 900), ("two/b", 901)]),
    ],
    ids=["before others were asked", "at the price of then", "at the price since", "of another", "vectors", "weighed"],
)
def test_a_named_model_has_the_others_of_its_kind_beside_it(
    shape: int, seq: int, models: list[tuple[str, int]]
) -> None:
    log = Made(*PLANS)
    decoder = Decoder(log)
    others = Others(log, decoder)
    found = decoder.shape(others.wider(shape, seq, log.body(shape)))
    assert [(one.model, one.card_name) for one in found.models] == models
    assert found.guessed == len(models) - len(decoder.shape(shape).models)
    assert [one.excluded for one in found.models[1:]] == [() if found.guessed else ("busy",)] * (len(models) - 1)
    assert (others.guessed, others.alone) == (found.guessed > 0, shape == 2)


def test_a_log_of_one_model_says_so() -> None:
    log = Made(PLANS[0])
    others = Others(log, Decoder(log))
    assert others.wider(1, 1, log.body(1)) == 1
    assert (others.guessed, others.alone) == (False, True)
