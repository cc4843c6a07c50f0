"""The console as the configuration wants it: of its own file for looks, of the engine's for how people are called."""

import asyncio
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from palyra.config.load import LoadResult
from palyra.config.model import LoadedConfig
from palyra.config.operations import Switch
from palyra.console import Console, _log_of, draws_ascii, habits
from palyra.control.notice_queries import NoticeView
from palyra.control.snapshots import Snapshot, Topic
from palyra.control.text_queries import RunTexts, RunTextsQuery, RunTextView
from palyra.control.usage_queries import UsageQuery
from palyra.core.clock import Clock
from palyra.core.errors import StateError
from palyra.core.local_zone import local_zone
from palyra.opening import at_a_terminal, check_terminal
from palyra.tui.frame.herald import QUIET_SECONDS, Herald
from palyra.tui.habits import Habits
from palyra.tui.widgets.lines import lines_text
from tests.config.loading import load, sound
from tests.tui.desk import Desk, console
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import normal


class OnTerminal(Console):
    """The console of a process, with what it writes to its terminal beside the screen."""

    def __init__(
        self,
        control: FakeControl,
        *,
        clock: Clock,
        screen: LoadedConfig,
        state_dir: Path,
        read_own: Callable[[], LoadResult] | None = None,
    ) -> None:
        super().__init__(control, screen, state_dir, clock, read_only=False, ascii_only=None, read_own=read_own)
        self.rung: list[str] = []
        self.read_again = asyncio.Event()
        self._herald = Herald(self.rung.append)

    async def _mount_screens(self) -> None:
        pass

    async def _read_again(self, read: Callable[[], LoadResult]) -> None:
        await super()._read_again(read)
        self.read_again.set()


async def test_an_attached_console_calls_as_the_engine_it_shows_is_configured_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    told: dict[str, Any] = {"bell": Switch.OFF, "osc9": Switch.OFF}
    notices: list[NoticeView] = []
    bare = FakeControl.snapshot

    async def snapshot(control: FakeControl, topics: Collection[Topic]) -> Snapshot:
        found = await bare(control, topics)
        return replace(found, engine=replace(found.engine, **told), notices=tuple(notices))

    monkeypatch.setattr(FakeControl, "snapshot", snapshot)
    # Its own file, which the engine does not read, wants to be called.
    screen = sound("[notifications]\nbell = 'on'\nosc9 = 'on'\n")
    options: dict[str, Any] = {"screen": screen, "state_dir": tmp_path}
    async with console(normal(), attached=True, app_class=OnTerminal, **options) as desk:
        app = desk.app
        assert isinstance(app, OnTerminal)

        async def rings() -> str:
            """What the terminal gets at the next grave notice."""
            app.rung.clear()
            number = len(notices) + 1
            notices.append(NoticeView(number, NOW, "opened", "high", f"incident:{number}", "silent", urgent=True))
            await desk.wait(QUIET_SECONDS + 1)
            return "".join(text for text in app.rung if not text.startswith("\x1b]2;"))

        assert await rings() == ""
        told["bell"] = Switch.ON
        assert await rings() == "\x07"
        told["osc9"] = Switch.ON
        assert (await rings()).startswith("\x07\x1b]9;")
        # In recovery mode no engine says anything: it stays as it was.
        told.update(bell=None, osc9=None)
        assert (await rings()).startswith("\x07\x1b]9;")


async def test_times_are_told_in_the_zone_of_the_console_and_days_are_those_of_the_house() -> None:
    world = normal()
    assert world.engine.timezone == "UTC"
    async with console(world, habits=Habits("Asia/Tokyo")) as desk:
        assert " JST" in desk.status
        await desk.press("0")
        rows = [line for line in desk.lines if "JST" in line]
        assert rows == [desk.status]
        assert desk.front.zone == "Asia/Tokyo"
        await desk.press("4")
        assert desk.front.zone == "UTC"
        asked = [query for query in desk.control.asked if isinstance(query, UsageQuery)]
        assert {query.timezone for query in asked} == {"UTC"}
        await desk.press("7", "n")
        assert desk.dialog == "PolicyDialog"
        assert "UTC" in desk.box


@pytest.mark.parametrize(
    ("environ", "link", "zone"),
    [
        ({"TZ": "Europe/Prague"}, None, "Europe/Prague"),
        ({"TZ": ":Europe/Prague"}, "/usr/share/zoneinfo/Asia/Tokyo", "Europe/Prague"),
        ({"TZ": "/usr/share/zoneinfo/Europe/Prague"}, None, "Europe/Prague"),
        ({"TZ": "CET-1CEST"}, "/usr/share/zoneinfo/Asia/Tokyo", "UTC"),
        ({}, "/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        ({"TZ": ""}, "../usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"),
        ({}, "/elsewhere", "UTC"),
        ({}, None, "UTC"),
    ],
)
def test_local_is_the_zone_of_the_machine(tmp_path: Path, environ: dict[str, str], link: str | None, zone: str) -> None:
    localtime = tmp_path / "localtime"
    if link is not None:
        localtime.symlink_to(link)
    assert local_zone(environ, localtime) == zone


def test_the_console_takes_zone_and_prompts_from_its_configuration() -> None:
    asked = sound("[console]\ntimezone = 'Asia/Tokyo'\nshow_prompts = true\n").console
    assert habits(asked, {"TZ": "Europe/Prague"}) == Habits("Asia/Tokyo", show_prompts=True)
    assert habits(LoadedConfig().console, {"TZ": "Europe/Prague"}) == Habits("Europe/Prague")


@pytest.mark.parametrize(
    ("told", "configured", "lang", "ascii_only"),
    [
        (None, "", "C", True),
        (None, "", "en_US.UTF-8", False),
        (None, "ascii = false", "C", False),
        (None, "ascii = true", "en_US.UTF-8", True),
        (False, "ascii = true", "C", False),
        (True, "ascii = false", "en_US.UTF-8", True),
    ],
)
def test_it_draws_with_ascii_as_told_else_as_configured_else_by_the_locale(
    told: bool | None, configured: str, lang: str, ascii_only: bool
) -> None:
    asked = sound(f"[console]\n{configured}\n").console
    assert draws_ascii(told, asked, {"LANG": lang}) is ascii_only


async def test_keys_theme_and_clock_are_taken_up_when_the_configuration_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    first = sound("[console]\ntimezone = 'UTC'\n[console.keys]\n'go.runs' = 'f5'\n")
    options: dict[str, Any] = {"screen": first, "state_dir": tmp_path}
    async with console(normal(), app_class=OnTerminal, **options) as desk:
        app = desk.app
        assert isinstance(app, OnTerminal)
        await desk.press("f5")
        assert desk.front.NAME == "runs"
        await desk.press("T")
        picked = app.theme
        await app.follow(sound("[console]\ntimezone = 'UTC'\n[console.keys]\n'go.jobs' = 'f6'\n'go.audit' = 'f6'\n"))
        await desk.settle()
        assert app.theme == picked, "the file says nothing new of it"
        await desk.press("f5")
        assert desk.front.NAME == "runs"
        await desk.press("f6")
        assert desk.front.NAME == "jobs"
        await desk.press("5")
        assert desk.front.NAME == "runs"
        await desk.jump(30)
        assert "[console.keys] go.audit: f6 is already" in desk.notice
        fresh = "[console]\ntheme = 'palyra-light'\ntimezone = 'Europe/Prague'\nrefresh_hz = 1\n"
        await app.follow(sound(fresh))
        await desk.settle()
        assert (app.theme, app.memory.theme) == ("palyra-light", "")
        assert "+01" in desk.status or "CET" in desk.status or "Prague" in desk.status
        assert app.bridge.refresh_hz == 1
        await desk.press("f6", "4")
        assert desk.front.NAME == "usage"


async def test_an_attached_console_reads_its_own_file_again_when_the_engine_has_read_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    told: dict[str, Any] = {"boot_id": "one", "bell": Switch.OFF, "osc9": Switch.OFF}
    bare = FakeControl.snapshot

    async def snapshot(control: FakeControl, topics: Collection[Topic]) -> Snapshot:
        found = await bare(control, topics)
        return replace(found, engine=replace(found.engine, **told))

    monkeypatch.setattr(FakeControl, "snapshot", snapshot)
    file = ["[console]\ntimezone = 'UTC'\n"]
    reads: list[str] = []

    def read_own() -> LoadResult:
        reads.append(file[0])
        return load(file[0])

    options: dict[str, Any] = {"screen": sound(file[0]), "state_dir": tmp_path, "read_own": read_own}

    async with console(normal(), attached=True, app_class=OnTerminal, **options) as desk:
        app = desk.app
        assert isinstance(app, OnTerminal)

        async def shown() -> None:
            """The engine told of it, and the file was read off the loop."""
            await desk.wait(2)
            await app.read_again.wait()
            app.read_again.clear()
            await desk.settle()

        await desk.wait(3)
        assert desk.app.theme == "palyra-dark"
        assert not reads
        file[0] = (
            "[console]\ntheme = 'palyra-light'\ntimezone = 'Asia/Tokyo'\nascii = true\nkeys = {'go.runs' = 'f5'}\n"
        )
        told["configured_at"] = NOW
        await shown()
        assert desk.app.theme == "palyra-light"
        assert " JST" in desk.status
        assert desk.text.isascii()
        await desk.press("f5")
        assert desk.front.NAME == "runs"
        # What cannot be used changes nothing, and that is said.
        file[0] = "[console]\nthem = 'palyra-dark'\n"
        told["configured_at"] = NOW + 1
        await shown()
        assert "stays as it is: its configuration has 1 problem" in desk.notice
        assert desk.app.theme == "palyra-light"
        # Another engine came, which has read the file when it started.
        file[0] = ""
        told.update(boot_id="two", configured_at=None)
        await shown()
        assert (desk.app.theme, desk.app.keys) == ("palyra-dark", {})
        assert "\u25cf" in desk.status


async def test_an_attached_console_without_a_log_says_so_and_works(tmp_path: Path) -> None:
    own = tmp_path / LoadedConfig().logging.file
    own.with_stem(f"{own.stem}-console").mkdir(parents=True)
    options: dict[str, Any] = {"screen": LoadedConfig(), "state_dir": tmp_path}
    async with console(normal(), attached=True, app_class=OnTerminal, **options) as desk:
        assert isinstance(desk.app, OnTerminal)
        with _log_of(desk.app, LoadedConfig(), tmp_path):
            await desk.press("5")
            assert desk.front.NAME == "runs"
            assert "This console keeps no log. The log " in desk.notice


@pytest.mark.parametrize(
    ("environ", "terminal", "said", "helps"),
    [
        ({"TERM": "dumb"}, True, "TERM is dumb", "the commands of `palyra`"),
        ({"TERM": "dumb"}, False, "TERM is dumb", "the commands of `palyra`"),
        ({}, False, "no terminal", "palyra serve"),
    ],
)
def test_where_a_console_cannot_be_shown_nothing_is_started_that_nobody_could_see_or_end(
    environ: dict[str, str], terminal: bool, said: str, helps: str
) -> None:
    check_terminal({"TERM": "xterm"}, terminal=True)
    with pytest.raises(StateError, match=said) as raised:
        check_terminal(environ, terminal=terminal)
    assert helps in raised.value.fix


@pytest.mark.parametrize(
    ("keyboard", "output", "error", "there"),
    [
        (True, True, True, True),
        (True, False, True, True),
        (True, True, False, True),
        (False, True, True, False),
        (True, False, False, False),
    ],
)
def test_a_terminal_has_a_keyboard_and_a_screen(
    monkeypatch: pytest.MonkeyPatch, keyboard: bool, output: bool, error: bool, there: bool
) -> None:
    for name, terminal in (("stdin", keyboard), ("stdout", output), ("stderr", error)):
        monkeypatch.setattr(sys, name, Mock(isatty=lambda terminal=terminal: terminal))
    assert at_a_terminal() is there


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, RunTextView]:
    """What was kept of every run, by part."""
    found: dict[str, RunTextView] = {}
    others = FakeControl._answer

    def answer(control: FakeControl, query: Any) -> Any:
        if isinstance(query, RunTextsQuery):
            return RunTexts(query.run_id, tuple(found.values()))
        return others(control, query)

    monkeypatch.setattr(FakeControl, "_answer", answer)
    return found


def opened(desk: Desk) -> str:
    """All that is told of what is selected, more than fits the screen."""
    subject = desk.list.subject
    assert subject is not None
    return lines_text(desk.list.detail(subject, 60))


async def test_a_prompt_is_shown_with_its_approval_only_where_that_is_wanted(kept: dict[str, RunTextView]) -> None:
    said = "user: Tell me \x1b[31mall\x1b[0m of it.\n" + "word " * 2_000
    kept["prompt"] = RunTextView("prompt", True, False, said, len(said))
    kept["answer"] = RunTextView("answer", True, False, "never shown in approvals", 24)
    async with console(normal(), size=(120, 60)) as desk:
        await desk.press("5", "2")
        assert "Tell me" not in desk.text
        assert not [query for query in desk.control.asked if isinstance(query, RunTextsQuery)]
        desk.app.habits = Habits(show_prompts=True)
        await desk.press("j")
        lines = opened(desk)
        assert "prompt, redacted, the beginning" in lines
        assert "user: Tell me" in lines
        assert "\x1b" not in lines
        assert lines.count("word") < 1_000
        assert "never shown" not in lines
        await desk.press("5", "j")
        lines = opened(desk)
        assert "user: Tell me" in lines
        assert "answer, redacted" in lines
        assert "never shown in approvals" in lines
        kept.clear()
        await desk.press("2", "k")
        lines = opened(desk)
        assert "not kept (runs.store_content)" in lines
