"""The harness itself, in small: deaths that nothing is lost by, mistakes that it finds, and lines that show them again.

`python -m tests.faults` plays as many as are wanted; `pytest -m soak tests/faults` ten thousand.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.doctor.patients import in_memory
from tests.faults.passing import Failing, Passing, Write
from tests.faults.plan import SIDES, deaths_of, life_of
from tests.support.process import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
TALLY = re.compile(
    r"seed (\d+): ([\d,]+) (?:kills|power cuts) \(([\d,]+) before, ([\d,]+) after, ([\d,]+) torn; ([\d,]+) of them"
)
LEFT = re.compile(r"(\d+) writes stayed (\d+) in part (\d+) were lost and (\d+) of \d+ changes of names")
CLEAN = "0 lost, 0 open, 0 twice, ledger clean, audit clean"


def faults(place: Path, *words: str) -> tuple[int, str]:
    """The command's exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--place", str(place), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**ENVIRONMENT, "PYTHONHASHSEED": "0"},
        cwd=ROOT,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture
def place() -> Iterator[Path]:
    with in_memory() as directory:
        yield directory


def counts(said: str) -> Sequence[int]:
    """Kills, and those before, after and within a write, and those of a next start."""
    match = TALLY.search(said)
    assert match is not None, said
    return [int(number.replace(",", "")) for number in match.groups()[1:]]


@pytest.mark.parametrize("power", [(), ("--power",)], ids=["killed", "power cut"])
def test_nothing_is_lost_by_deaths_and_full_disks(place: Path, power: Sequence[str]) -> None:
    code, said = faults(place, "--seed", "8", "--kills", "70", "--deaths", "10", *power)
    assert code == 0, said
    assert CLEAN in said
    assert counts(said)[0] >= 70
    assert all(number > 10 for number in counts(said)), said
    assert "failed writes: none" not in said
    if power:
        stayed, in_part, lost, names = map(int, LEFT.findall(said.replace(",", ""))[0])
        assert min(stayed, in_part, lost) > 50
        assert names > 5


@pytest.mark.parametrize("planted", [("told_too_early",), ("commits_unsynced", "--power")], ids=lambda words: words[0])
def test_a_mistake_is_found_and_its_line_shows_it_again(place: Path, planted: Sequence[str]) -> None:
    code, said = faults(place, "--seed", "2", "--kills", "300", "--at-most", "1", "--plant", *planted)
    assert code == 1, said
    (line,) = re.findall(r"again: python -m tests\.faults (.+)", said)
    (first,) = re.findall(r"seed 2, life .*: \d+ faults\n(?:  .+\n)+?(?=  again)", said)
    again, told = faults(place, *line.split())
    assert again == 1, told
    assert first in told


def test_a_shim_that_sees_nothing_says_so(tmp_path: Path) -> None:
    """Where SQLite cannot be stood in front of, nothing is played."""
    blind = (
        "import tests.faults.sqlite_shim as s; s.SqliteShim._table = lambda _, usual: s._Methods.from_address(usual)"
    )
    run = "from tests.faults.zygote import prepare; prepare()"
    done = subprocess.run(
        [sys.executable, "-c", f"{blind}\n{run}"],
        env=ENVIRONMENT,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ShimError" in done.stderr


def test_a_life_is_drawn_from_its_seed_and_number_alone() -> None:
    assert life_of(3, 5) == life_of(3, 5)
    assert (
        len({(life_of(seed, number).acts, life_of(seed, number).failing) for seed in (1, 2) for number in range(40)})
        > 20
    )
    trail = ["write a"] * 200 + ["rename b"] + ["write a"] * 200
    some = list(deaths_of(life_of(3, 5), trail, 60))
    assert some == list(deaths_of(life_of(3, 5), trail, 60))
    assert len(set(some)) == 60
    assert {death.write for death in some if death.write == 201}, "what is written seldom is not hit"
    every = list(deaths_of(life_of(3, 5), trail[:7], 0))
    assert {(death.write, death.side) for death in every} == {(write, side) for write in range(1, 8) for side in SIDES}


@pytest.mark.parametrize(
    ("failing", "kind", "expected"),
    [
        (Failing(3, 5, 28), "write", [3, 4, 5]),
        (Failing(3, 5, 28, "sync"), "write", []),
        (Failing(3, 5, 28, "sync"), "sync", [3, 4, 5]),
    ],
)
def test_a_disk_fails_where_it_is_told_to_and_takes_what_it_has_room_for(
    failing: Failing, kind: str, expected: list[int]
) -> None:
    passing, failed = Passing(), []
    done: list[int] = []
    passing.begin(Path("/home"), None, [failing])
    for number in range(1, 8):
        try:
            passing.by(kind, "/home/journal.db", 100, done.append)
        except OSError as error:
            failed.append((number, error.errno))
    assert failed == [(number, failing.error) for number in expected]
    assert done == [50 if number in expected else 100 for number in range(1, 8)]
    assert passing.by("write", "/elsewhere/journal.db", 9, lambda size: size) == 9
    assert passing.count == 7


def test_writes_of_two_processes_are_told_alike(tmp_path: Path) -> None:
    digests = set()
    for pid in (77, 31_415):
        passing = Passing()
        with passing.watching(tmp_path) as writes:
            passing.by("create", f"{tmp_path}/audit.head.tmp.{pid}", 0, lambda size: size)
            passing.by("write", f"{tmp_path}/engine.lock", pid, lambda size: size)
        assert writes[0] == Write(1, "create", "audit.head.tmp")
        digests.add(passing.digest)
    assert len(digests) == 1


@pytest.mark.soak
@pytest.mark.parametrize("words", [("10000",), ("5000", "--power")], ids=["killed", "power cut"])
def test_thousands_of_deaths_lose_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str]
) -> None:
    code, said = faults(place, "--seed", "7", "--jobs", "2", "--kills", *words)
    with capsys.disabled():
        sys.stdout.write(f"\n{said.splitlines()[-1]}\n")
    assert code == 0, said
