"""One command for everything that is measured, and pages that name only what it takes."""

import argparse
import re
import shlex
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from benchmarks import __main__ as every
from benchmarks.command import parser, rows_in, size_of
from benchmarks.measured import Found, Measured, Rounds
from benchmarks.registry import NAMES, benchmark
from benchmarks.table import HEAD, lines, markdown, markdown_head

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"python -m benchmarks(?:\.(\w+))?((?:[ \t]+[^`\n|]*)?)")
"""A command in a page, up to where its line or its code ends."""


def test_every_benchmark_is_in_the_one_command() -> None:
    modules = [path for path in (ROOT / "benchmarks").glob("*.py") if "\nBENCHMARK = " in path.read_text()]
    assert {path.stem for path in modules} == set(NAMES)
    for name in NAMES:
        one = benchmark(name)
        assert one.name == name
        assert one.quick != one.size, f"{name} has no smaller size for a look"
        # What the one command passes on, each of them takes; sizes given win over those of a look.
        given = every.passed_on(every.parser().parse_args(["--quick"]))
        first = next(field.name for field in fields(one.size) if type(getattr(one.size, field.name)) is int)
        chosen = parser(one).parse_args([*given, f"--{first.replace('_', '-')}=3", "--json=found.json"])
        assert asdict(size_of(one, chosen)) == {**asdict(one.quick), first: 3}


def test_pages_name_commands_that_there_are() -> None:
    parsers: dict[str, argparse.ArgumentParser] = {
        "": every.parser(),
        **{name: parser(benchmark(name)) for name in NAMES},
    }
    named = NAMED.findall((ROOT / "README.md").read_text())
    assert named
    for name, options in named:
        assert name in parsers, f"there is no benchmark {name}"
        words = shlex.split(options, comments=True)
        try:
            parsers[name].parse_args(words)
        except SystemExit:
            pytest.fail(f"python -m benchmarks{name and f'.{name}'} does not take {options}")


def test_only_what_was_asked_for_runs_and_nothing_else_is_taken() -> None:
    assert every.names("ledger, gateway") == ("gateway", "ledger")
    with pytest.raises(argparse.ArgumentTypeError, match="there is no speed"):
        every.names("gateway,speed")


@pytest.mark.parametrize(
    ("rounds", "goal", "more", "verdict"),
    [
        ((1.0, 2.0, 3.0), 3.0, False, "met"),
        ((1.0, 2.0, 3.0), 2.0, False, "met, not always"),
        ((1.0, 2.0, 3.0), 1.5, False, "MISSED, not always"),
        ((1.0, 2.0, 3.0), 0.5, False, "MISSED"),
        ((1.0, 2.0, 3.0), 1.0, True, "met"),
        ((1.0, 2.0, 3.0), 3.5, True, "MISSED"),
        ((2.0,), 2.0, True, "met"),
        ((2.0,), None, False, ""),
        ((0.0,), 0.0, False, "met"),
    ],
)
def test_a_goal_is_met_where_every_round_meets_it(
    rounds: tuple[float, ...], goal: float | None, more: bool, verdict: str
) -> None:
    found = Rounds([{"x": one} for one in rounds])
    row = found.row("x", "x", least=goal) if more else found.row("x", "x", most=goal)
    assert row.verdict == verdict


def test_a_ratio_is_that_of_the_rounds_and_a_table_tells_all_of_a_row() -> None:
    found = Rounds([{"ours": 2.0, "floor": 1.0}, {"ours": 30.0, "floor": 10.0}, {"ours": 8.0, "floor": 2.0}])
    row = found.row("processor time", "ours", "ms", most=5, beside={"a floor": "floor"})
    assert (row.value, row.beside[0].value, row.beside[0].ratio) == (8.0, 2.0, 3.0)
    (line,) = lines([row])
    assert " ".join(line.split()) == "processor time 8 (2–30) ms ≤ 5 ms MISSED, not always 3 × a floor (2)"
    head, rule, first, second = [*markdown_head(), *markdown("python -m x", [row, Measured("a | b", 1234.5, "/s")])]
    assert (
        first == "| `python -m x` | processor time | 8 (2–30) ms | ≤ 5 ms | **missed**, not always | 3 × a floor (2) |"
    )
    assert second == "|  | a \\| b | 1,234 /s |  |  |  |"
    assert head.count("|") == rule.count("|") == first.count("|") == len(HEAD) + 1


def test_what_took_nothing_has_no_ratio() -> None:
    rounds = [{"ours": 2.0, "floor": 0.0}, {"ours": 3.0, "floor": -0.5}]
    assert Rounds(rounds).row("added", "ours", "ms", beside={"a floor": "floor"}).ratio == "? × a floor (-0.25)"
    assert Rounds([*rounds, {"ours": 3.0, "floor": 1.5}]).row("x", "ours", beside={"y": "floor"}).ratio == "2 × y (0)"


def test_what_a_command_wrote_is_told_as_it_was_found() -> None:
    rows = (Rounds([{"x": 1.0, "y": 4.0}]).row("x", "x", "ms", least=1, beside={"y": "y"}), Measured("z", 3))
    assert rows_in({**asdict(Found(rows)), "command": "python -m x"}) == rows


def test_a_benchmark_that_failed_is_told_and_the_others_too() -> None:
    good = every.Told(
        "ledger", {**asdict(Found((Measured("a hold", 4.5, "µs", 5),), notes=("Noted.",))), "took_s": 2.0}
    )
    bad = every.Told("gateway", {}, "ended with 1")
    about = [("Machine", "a machine"), ("Command", "python -m benchmarks")]
    text = list(every.as_text(about, [bad, good]))
    assert "python -m benchmarks.gateway: not measured, it ended with 1" in text
    assert "  a hold  4.50 µs  ≤ 5 µs  met  0.9 of the goal" in text
    page = list(every.as_markdown(about, [bad, good]))
    assert page[1] == "- Command: `python -m benchmarks`"
    assert page[-2:] == ["", "Noted."]
    assert page[-3] == "| `python -m benchmarks.ledger` | a hold | 4.50 µs | ≤ 5 µs | met | 0.9 of the goal |"
