"""Driver, compositor and snapshots build on this Textual and no other."""

import re
from importlib.metadata import requires, version

import textual


def test_textual_is_exactly_the_pinned_one() -> None:
    pins = [line for line in requires("palyra") or () if re.match(r"textual\b", line)]
    assert pins == ["textual==8.2.8"]
    assert version("textual") == textual.__version__ == "8.2.8"
