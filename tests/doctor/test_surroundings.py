"""What Palyra stands on, as it is and as it should not be."""

import shutil
from importlib import metadata, resources
from pathlib import Path

import pytest

from palyra.doctor import surroundings
from palyra.doctor.surroundings import REQUIRED, differs_from_system, known_zone, look_around, package_fault

NOW = 1_795_348_800_000


def test_here_everything_is_in_order() -> None:
    around = look_around(None)
    assert around.packages == {}
    assert around.zones_missing == ""
    assert around.sqlite >= (3, 37)
    assert around.python >= (3, 11)


@pytest.mark.parametrize(
    ("installed", "needed", "fits"),
    [
        ("3.14.5", ">=3.14.5", True),
        ("3.14.10", ">=3.14.5", True),
        ("4.0", ">=3.14.5", True),
        ("3.14.4", ">=3.14.5", False),
        ("3.9.99", ">=3.14.5", False),
        ("8.2.8", "==8.2.8", True),
        ("8.2.9", "==8.2.8", False),
        ("2026.6.post1", ">=2026.6", True),
    ],
)
def test_a_package_has_to_be_of_the_version_that_is_needed(
    installed: str, needed: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "REQUIRED", {"json": ("json", needed)})
    monkeypatch.setattr(metadata, "version", lambda name: installed)
    assert (package_fault("json") == "") is fits


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "REQUIRED", {**REQUIRED, "nowhere": ("palyra_nowhere", ">=1")})
    assert look_around(None).packages == {"nowhere": "it is not installed; >=1 is needed"}


def test_zones_are_compared_by_what_they_say_of_the_days_to_come(tmp_path: Path) -> None:
    pinned = resources.files("tzdata").joinpath("zoneinfo")
    for name, other in (("Europe/Prague", "Europe/Prague"), ("Africa/Cairo", "UTC")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with resources.as_file(pinned.joinpath(*other.split("/"))) as file:
            shutil.copyfile(file, tmp_path / name)
    assert not differs_from_system("Europe/Prague", NOW, tmp_path)
    assert differs_from_system("Africa/Cairo", NOW, tmp_path)
    assert not differs_from_system("Asia/Tokyo", NOW, tmp_path)
    assert known_zone("Europe/Prague")
    assert not known_zone("Europe/Atlantis")
