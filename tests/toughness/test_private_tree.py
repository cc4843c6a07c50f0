"""Whatever way Palyra makes a file or a directory, others have no part in it, however the account is set up."""

import os
import stat
from pathlib import Path

import pytest

from tests.toughness.programs import Done, Installation

OTHERS = 0o077


def everybody() -> None:
    """What a process of a careless account begins with."""
    os.umask(0)


def group() -> None:
    os.umask(0o022)


def nobody() -> None:
    os.umask(0o077)


def modes(directory: Path) -> dict[str, str]:
    """Everything below, by its path, that others have a part in."""
    loose: dict[str, str] = {}
    for place, below, files in os.walk(directory):
        for name in [*below, *files]:
            found = os.lstat(Path(place, name))
            if stat.S_IMODE(found.st_mode) & OTHERS and not stat.S_ISLNK(found.st_mode):
                loose[str(Path(place, name).relative_to(directory))] = stat.filemode(found.st_mode)
    return loose


@pytest.mark.parametrize(
    "umask",
    ["everybody", pytest.param("group", marks=pytest.mark.soak), pytest.param("nobody", marks=pytest.mark.soak)],
)
async def test_nothing_that_is_made_is_open_to_others(installation: Installation, tmp_path: Path, umask: str) -> None:
    before = f"tests.toughness.test_private_tree:{umask}"
    made = tmp_path / "made"
    made.mkdir(mode=0o700)
    assert installation.config is not None
    given = installation.config.read_text()
    here = Installation(installation.nursery, made / "state", made / "palyra.toml", environ=installation.environ)

    async def run(*words: str) -> Done:
        return await here.command(*words, before=before)

    assert here.config is not None
    here.config.write_text(given)
    here.config.chmod(0o644)
    engine = here.serve(before=before).ready()
    assert [path for path in made.rglob("*") if path.is_socket()]
    for words in (
        ("run", "hello", "--model", "gpt-4o-mini"),
        ("keys", "add", "k", "--principal", "p"),
        ("access", "operators", "add", "ana", "--role", "viewer"),
        ("memory", "add", "a note"),
        ("models", "set", "--chat", "mock/gpt-4o-mini"),
        ("usage", "export", str(made / "usage.csv")),
        ("audit", "export", str(made / "audit.csv")),
    ):
        assert (await run(*words)).code == 0, words
    assert engine.stop() == 0
    here.close()
    # The file was somebody's own, readable for all, and so is what it was before: with the provider's key in it.
    assert set(modes(made)) == {"palyra.toml", "palyra.toml.bak.1"}
    assert (await run("doctor", "--repair")).code == 0
    assert modes(made) == {}
    names = {path.name for path in made.rglob("*")}
    assert names >= {"journal.db", "access_registry.json", "palyra.log", "usage.csv", "manifest.json"}
