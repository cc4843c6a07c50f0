"""Woken at three in the morning by a file that somebody broke: mended at the keyboard, clients served, and back."""

import signal

from tests.support.upstream import Upstream
from tests.toughness.programs import Installation
from tests.toughness.terminal import Terminal, assert_given_back, terminal
from tests.toughness.test_leaving import ask, ended_in_order

PAGE_DOWN, RIGHT, ENTER = "\x1b[6~", "\x1b[C", "\r"
REFUSALS = ("It changed just now", "Read it to its end first", "a run is under way")


async def pressed(term: Terminal, key: str, shows: str) -> None:
    """Presses a key until it has had its effect: where the console says why not, once more."""
    while True:
        term.type(key)
        await term.until(lambda: shows in term.text or any(refusal in term.text for refusal in REFUSALS))
        if shows in term.text:
            return
        # Another word takes the place of that one, so that the next refusal is told from it.
        term.type(PAGE_DOWN + "y")
        await term.shows("Copied")


async def agreed(term: Terminal, button: str, shows: str) -> None:
    """Has what is on the screen carried out: reads it to its end, asks for it, and agrees."""
    term.type(PAGE_DOWN * 3)
    await pressed(term, "f", f"[ {button} ]")
    term.type(PAGE_DOWN + RIGHT + ENTER)
    await term.shows(shows)


async def test_a_broken_file_is_mended_from_the_keyboard_and_clients_are_served(
    installation: Installation, upstream: Upstream
) -> None:
    config = installation.config
    assert config is not None
    sound = config.read_text()
    broken = sound.replace("[[budgets]]", "[[budgets")
    backup = config.with_name("palyra.toml.bak.1")
    backup.write_text(sound)
    config.write_text(broken)
    for path in (config, backup):
        path.chmod(0o600)
    line = broken.splitlines().index("[[budgets") + 1
    async with terminal(installation) as term:
        await term.shows(f"recovery · no gateway: palyra.toml line {line} is not valid", "config.syntax")
        assert not (installation.state_dir / "journal.db").exists()
        await term.shows("p repair")
        await pressed(term, "p", "[x] Restore")
        await agreed(term, "Apply", "The engine runs.")
        assert config.read_text() == sound
        await term.shows("● ready")
        term.type("1")
        url = await term.ready()
        assert (await ask(installation, url)).status_code == 200
        assert len(upstream.seen) == 1

        term.type("9")
        await term.shows("Diagnostics", "u undo")
        await pressed(term, "u", "Take back")
        await agreed(term, "Take it back", "undone")
        assert config.read_text() == broken
        await term.shows("● ready")
        assert (await ask(installation, url)).status_code == 200, "what runs goes on with what it was started with"
        term.type("q")
        assert await term.ended() == 0
        assert_given_back(term)
    assert b"Traceback" not in term.seen
    ended_in_order(installation)


async def test_a_signal_ends_recovery_mode_and_gives_the_terminal_back(installation: Installation) -> None:
    assert installation.config is not None
    installation.config.write_text("[gateway\n")
    for number in (signal.SIGTERM, signal.SIGHUP):
        async with terminal(installation) as term:
            await term.shows("recovery · no gateway: palyra.toml line 1 is not valid")
            term.send(number)
            assert await term.ended() == 0
            assert_given_back(term)
    assert not installation.state_dir.exists(), "nothing is made for a console that repairs nothing"
