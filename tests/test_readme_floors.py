"""The README's picture of the house is the contract that is checked, and names modules that are there."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text().partition("## Architecture\n")[2].partition("\n## ")[0]


def drawn() -> list[str]:
    """The floors as the README draws them, in the contract's own spelling."""
    picture = SECTION.partition("<!-- floors -->\n```text\n")[2].partition("```")[0]
    floors: list[str] = []
    for line in picture.splitlines():
        beside, room = re.fullmatch(r"(\| )?([a-z]+) {2,}\S.*", line).groups()  # type: ignore[union-attr]
        if beside:
            floors[-1] += f" | palyra.{room}"
        else:
            floors.append(f"palyra.{room}")
    return floors


def test_the_floors_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert drawn() == layers


def test_every_module_of_the_way_is_there() -> None:
    named = set(re.findall(r"`([a-z_/]+\.py)`", SECTION))
    assert len(named) > 15
    assert {name for name in named if not (ROOT / "palyra" / name).is_file()} == set()
