"""Rows to be tried: read like the configuration file's, refused like them, all at once."""

from pathlib import Path

import pytest

from palyra.config.pricing_text import parse_price
from palyra.config.trial_file import trial_rows
from palyra.core.errors import BadInputError

FILE = Path("tried.toml")


def test_rows_come_as_text_an_operator_could_have_typed() -> None:
    data = b"""
[[budgets]]
policy_id = "a"
hard_limit = 2.50
enabled = false
soft_limit = "70%"
[[pricing]]
provider = "nobody"
model = "m*"
input = 0.000000001
from = 2026-07-01
to = 2026-08-01T00:00:00+02:00
"""
    budgets, problems = trial_rows(data, FILE, "budgets")
    assert not problems
    assert budgets == [{"policy_id": "a", "hard_limit": "2.50", "enabled": "false", "soft_limit": "70%"}]
    (price,), problems = trial_rows(data, FILE, "pricing")
    assert not problems
    row = parse_price(price)
    assert (row.provider, row.model, row.input) == ("nobody", "m*", 1)
    assert (row.valid_from, row.valid_to) == (1_782_864_000_000, 1_785_535_200_000)


def test_every_problem_of_the_rows_is_told_with_its_line_and_no_other() -> None:
    data = b"""
[gateway]
bind = "nonsense"
[[budgets]]
policy_id = "a"
hard_limit = -1
[[budgets]]
policy_id = "a"
timezone = "Prague"
"""
    rows, problems = trial_rows(data, FILE, "budgets")
    assert rows == []
    assert {problem.key for problem in problems} == {
        "budgets[0].hard_limit",
        "budgets[1].hard_limit",
        "budgets[1].policy_id",
        "budgets[1].timezone",
    }
    assert all("tried.toml:" in str(problem) for problem in problems)
    assert trial_rows(data, FILE, "pricing") == ([], ())


@pytest.mark.parametrize("data", [b"[[budgets", b"\xff", b"budgets = 3"])
def test_a_file_that_is_none_is_told_as_such(data: bytes) -> None:
    rows, problems = trial_rows(data, FILE, "budgets")
    assert rows == []
    assert problems


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"provider": "a", "model": "b"}, "discount: a row has rates, or a discount"),
        ({"provider": "a", "model": "b", "input": "1", "discount": "0.1"}, "discount"),
        ({"model": "b", "input": "1"}, "provider: a price needs one"),
        ({"provider": "a", "model": "b", "input": "-1"}, "input"),
        ({"provider": "a", "model": "b", "input": "1", "from": "yesterday"}, "from"),
        ({"provider": "a", "model": "b", "imput": "1"}, "imput: a price has no such field"),
    ],
)
def test_a_price_that_cannot_be_is_refused(fields: dict[str, str], said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_price(fields)
    assert said in str(refused.value)


def test_a_discount_is_a_price() -> None:
    row = parse_price({"provider": "*", "model": "*", "discount": "0.15"})
    assert str(row.discount) == "0.15"
