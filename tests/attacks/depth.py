"""How far attacks go: a few examples with every run of the tests, many with `-m soak`.

What fails is told smallest first, with a line that plays it again (`@reproduce_failure`).
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

MANY = int(os.environ.get("PALYRA_ATTACKS", "5000"))
"""Examples of each attack in a long run."""

_USUAL = settings(
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def attacks(few: int) -> pytest.MarkDecorator:
    """The test is played with `few` examples, and once more with many where long runs are asked for. Its parameter is
    named `depth`."""
    return pytest.mark.parametrize(
        "depth",
        [
            pytest.param(settings(_USUAL, max_examples=few), id="few"),
            pytest.param(settings(_USUAL, max_examples=MANY), id="many", marks=pytest.mark.soak),
        ],
    )
