"""What is published: a wheel and a source distribution that hold what they must, nothing else, and always the same."""

import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.shipping.building import ROOT, build

BESIDE = {"palyra.toml.example", "README.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    directory = tmp_path_factory.mktemp("source")
    with tarfile.open(build(ROOT, "sdist", directory / "built")) as archive:
        archive.extractall(directory, filter="data")
    (source,) = directory.glob("palyra-*")
    return source


def files(directory: Path) -> set[str]:
    found = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(directory.parent)) for path in found}


def test_the_wheel_is_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = (name for name in names if name.endswith("/METADATA"))
        told = Parser().parsestr(archive.read(about).decode())
    described = {name for name in names if name.startswith(about.partition("/")[0])}
    assert names - described == files(ROOT / "palyra")
    assert {"py.typed", "app.tcss"} <= {Path(name).name for name in names}
    assert any(name.endswith("licenses/LICENSE") for name in described)
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_payload() == (ROOT / "README.md").read_text()


def test_the_source_distribution_has_what_tests_need_and_makes_the_same_wheel(
    unpacked: Path, wheel: Path, tmp_path: Path
) -> None:
    assert files(unpacked / "tests") == files(ROOT / "tests")
    held = {path.name for path in unpacked.iterdir()}
    assert held == BESIDE | {"palyra", "tests", "benchmarks", "screenshots"}
    again = build(unpacked, "wheel", tmp_path)
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()
