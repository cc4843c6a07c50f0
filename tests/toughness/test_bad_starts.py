"""What stands in the way of a start is said in words, with what to do about it, and an exit code; never a traceback.
What the doctor can help with is no end of a console: it says so on its screen.
"""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.toughness.programs import Done, Installation
from tests.toughness.terminal import assert_given_back, modes, terminal

BAD_INPUT, REFUSED, NO_ENGINE = 2, 1, 5


@dataclass(frozen=True)
class Case:
    """An obstacle, and what is said about it."""

    name: str
    prepare: Callable[[Installation], list[str]]
    code: int
    words: tuple[str, ...]


def broken_toml(installation: Installation) -> list[str]:
    assert installation.config is not None
    installation.config.write_text("version = 1\n[gateway\nbind = 3\n")
    return []


def two_mistakes(installation: Installation) -> list[str]:
    assert installation.config is not None
    installation.config.write_text('version = 1\n[gateway]\nbnid = "127.0.0.1:0"\n\n[approvals]\nttl = "never"\n')
    return []


def missing_file(installation: Installation) -> list[str]:
    installation.config = Path("/nowhere/palyra.toml")
    return []


def state_dir_is_a_file(installation: Installation) -> list[str]:
    installation.state_dir.write_text("mine")
    return []


def state_dir_is_open_to_others(installation: Installation) -> list[str]:
    installation.state_dir.mkdir(mode=0o755)
    (installation.state_dir / "diary.txt").write_text("mine")
    return []


def state_dir_below_a_file(installation: Installation) -> list[str]:
    installation.state_dir.write_text("mine")
    installation.state_dir = installation.state_dir / "below"
    return []


def unwritable(installation: Installation) -> list[str]:
    """Nobody, not even root, makes directories there."""
    installation.state_dir = Path("/proc/palyra-state")
    return []


def foreign_journal(installation: Installation) -> list[str]:
    installation.state_dir.mkdir(mode=0o700)
    (installation.state_dir / "journal.db").write_bytes(b"this is no database, it is a letter\n" * 200)
    return []


CASES = (
    Case("broken TOML", broken_toml, BAD_INPUT, ("palyra.toml", "line 2")),
    Case("two mistakes", two_mistakes, BAD_INPUT, ("2 problems", "gateway.bnid", "bind", "approvals.ttl")),
    Case("missing file", missing_file, BAD_INPUT, ("/nowhere/palyra.toml",)),
    Case("state dir is a file", state_dir_is_a_file, NO_ENGINE, ("is no directory",)),
    Case("state dir open to others", state_dir_is_open_to_others, NO_ENGINE, ("chmod 700",)),
    Case("state dir below a file", state_dir_below_a_file, NO_ENGINE, ("cannot be used",)),
    Case("unwritable", unwritable, NO_ENGINE, ("/proc/palyra-state cannot be used", "may write")),
    Case("foreign journal", foreign_journal, NO_ENGINE, ("journal.db cannot be used",)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_server_says_what_stands_in_its_way(installation: Installation, case: Case) -> None:
    arguments = case.prepare(installation)
    done = installation.run("serve", "--bind", "127.0.0.1:0", *arguments)
    assert_said(done, case)


async def test_a_console_that_can_have_no_state_directory_says_so_at_once(installation: Installation) -> None:
    state_dir_below_a_file(installation)
    file = installation.state_dir.parent
    async with terminal(installation) as term:
        await term.shows("recovery", "Diagnostics")
        assert "starting" not in bytes(term.seen).decode()
        await term.shows("state.directory", "blocking")
        term.type("q")
        assert await term.ended() == 0
    assert file.read_text() == "mine"


async def test_a_console_says_that_nobody_has_that_name(installation: Installation) -> None:
    async with terminal(installation, "--operator", "nobody-of-that-name") as term:
        term.look()
        assert await term.ended() == REFUSED
        said = " ".join(bytes(term.seen).decode().split())
        assert "nobody-of-that-name" in said
        assert "Leave --operator" in said
        assert term.left == term.found
        assert not modes(bytes(term.seen)).get("1049")


def assert_said(done: Done, case: Case) -> None:
    assert done.code == case.code, done
    assert "Traceback" not in done.errors
    said = " ".join(done.errors.split())
    assert all(word in said for word in (*case.words, "`palyra doctor`", "`palyra-tui`")), said


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on: this very process."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


def test_a_port_that_is_taken_is_told_with_its_holder(installation: Installation, taken: int) -> None:
    done = installation.run("serve", "--bind", f"127.0.0.1:{taken}")
    assert done.code == NO_ENGINE
    assert f"127.0.0.1:{taken} is already in use by process {os.getpid()}" in done.errors
    assert "gateway.bind" in done.errors


async def test_a_console_whose_port_is_taken_says_so_and_serves_once_it_is_free(installation: Installation) -> None:
    assert installation.config is not None
    text = installation.config.read_text()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        installation.config.write_text(text.replace('bind = "127.0.0.1:0"', f'bind = "127.0.0.1:{taken}"'))
        async with terminal(installation) as term:
            await term.shows("recovery", f"127.0.0.1:{taken} is already in use")
            holder.close()
            term.type("E")
            await term.shows("The engine runs.")
            term.type("q")
            assert await term.ended() == 0
            assert_given_back(term)
    assert (installation.state_dir / "engine.lock").read_bytes() == b""


def test_a_state_directory_has_one_engine(installation: Installation) -> None:
    engine = installation.serve().ready()
    done = installation.run("serve", "--bind", "127.0.0.1:0")
    assert done.code == NO_ENGINE
    assert f"An engine already runs on {installation.state_dir} (pid {engine.pid})" in done.errors
    assert engine.stop() == 0
