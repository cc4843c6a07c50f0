"""Every command, told nothing but hostile text: what it prints is text, and nothing that a terminal obeys."""

import io
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from palyra.cli.app import build_app
from palyra.cli.conduct import conduct
from palyra.cli.doctor import run as run_doctor
from palyra.cli.launch import GatewayDoor, Place
from palyra.cli.options import BAD_INPUT, DONE, NOT_FOUND, REFUSED
from palyra.control.protocol import Control
from palyra.core.errors import BadInputError, ConflictError, EngineGoneError, NotFoundError, PalyraError, StateError
from palyra.core.values import value
from palyra.main import Launcher
from tests.support.hostile import ATTACKS, LONG, HostileControl, Inventor, answers, obeyed

EVERYTHING = " ".join(ATTACKS.values())
FORGED = re.compile(r"^FORGED", re.MULTILINE)
"""A line that somebody's text began."""

PROGRESS = "\r\x1b[K"
ROW_END = "\r\n"
"""`PROGRESS` takes the line back that told how far something has come; the other ends a row of an export."""

UNASKED = {
    ("serve",): "an engine, which tells of itself alone",
    ("demo",): "a console",
    ("doctor",): "reads files, not an engine",
    ("run",): "asks the gateway",
    ("runs", "watch"): "goes on for ever",
    ("config", "check"): "reads files, not an engine",
    ("config", "init"): "writes a file of its own",
    ("config", "migrate"): "reads files, not an engine",
    ("config", "path"): "reads files, not an engine",
    ("models", "set"): "writes names that it was given",
    ("schedule", "next"): "reckons by itself",
    ("windows", "show"): "reckons by itself",
    ("approvals", "request"): "asks the gateway if it names a key",
}
"""Commands that tell nothing an engine says, each for its reason. Those that read files are looked at below."""

GIVEN: Mapping[tuple[str, ...], Sequence[str]] = {
    ("access", "flags", "set"): ["web", "off"],
    ("access", "operators", "add"): ["ana", "--role=viewer"],
    ("access", "operators", "set"): ["ana", "--role=viewer"],
    ("approvals", "allow"): ["A", "--scope=once"],
    ("auth", "add"): ["p", "--provider=x", "--vault-ref=global/x"],
    ("budgets", "add"): ["b", "--hard-limit=1"],
    ("budgets", "edit"): ["b", "--hard-limit=1"],
    ("incidents", "dead-letters", "discard"): ["D"],
    ("incidents", "dead-letters", "retry"): ["D"],
    ("incidents", "mode"): ["connectors", "auto"],
    ("incidents", "remedy"): ["I", "r", "--yes"],
    ("jobs", "add"): ["j", "--every=1h", "--prompt=x"],
    ("jobs", "edit"): ["j", "--every=2h"],
    ("jobs", "review"): ["F", "run"],
    ("keys", "set"): ["k", "--name=x"],
    ("memory", "forget"): ["N"],
    ("models", "explain"): ["--prompt=x"],
    ("pricing", "cost"): ["USAGE", "--provider=p", "--model=m"],
    ("runs", "cancel"): ["R"],
    ("runs", "show"): ["R", "--content"],
    ("tasks", "add"): ["echo"],
    ("tasks", "cancel"): ["T"],
    ("tasks", "pause"): ["T"],
    ("tasks", "resume"): ["T"],
    ("tasks", "retry"): ["T"],
    ("usage", "correct"): ["R", "--reason=x", "--cost=1"],
    ("vault", "abandon"): ["--secrets=2"],
    ("vault", "get"): ["global/x", "--reveal"],
}
"""What a command is given besides what it requires."""

OWN_LINES = {("tasks", "show"), ("runs", "show")}
"""Commands that show a text in lines of its own."""

OWN_SHAPE = {("explain",), ("pricing", "cost")}
"""Commands whose JSON is taken from a record by its members."""


class Hostile:
    """Launches nothing: what a command reaches is an engine that lies."""

    control: Control

    @asynccontextmanager
    async def reading(self, place: Place) -> AsyncIterator[Control]:
        yield self.control

    acting = reading

    @asynccontextmanager
    async def running(self, place: Place) -> AsyncIterator[Control | None]:
        yield self.control

    @asynccontextmanager
    async def gateway(self, place: Place) -> AsyncIterator[GatewayDoor]:
        raise StateError(f"No gateway: {EVERYTHING}.", fix=EVERYTHING)
        yield

    def set_defaults(self, path: Path, models: Mapping[str, str]) -> tuple[str, ...]:
        return (EVERYTHING,)

    def serve(self, place: Place, *, bind: str | None, ready_file: Path | None) -> int:
        raise AssertionError

    def demo(self, state_dir: Path | None, *, ascii_only: bool | None) -> int:
        raise AssertionError


class Refusing(HostileControl):
    """One that raises what it may raise."""

    KINDS: tuple[type[PalyraError], ...] = (BadInputError, NotFoundError, ConflictError, EngineGoneError, StateError)

    async def answer(self, query: Any) -> Any:
        raise self.error()

    async def snapshot(self, topics: Any) -> Any:
        raise self.error()

    async def send(self, command: Any) -> Any:
        raise self.error()

    def error(self) -> PalyraError:
        self.asked.add(str(len(self.asked)))
        return self.KINDS[len(self.asked) % len(self.KINDS)](f"Not so: {EVERYTHING}", fix=EVERYTHING)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by its words."""
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from leaves(below, (*path, name))
        else:
            yield (*path, name), below


def words_for(path: tuple[str, ...], command: Any, usage: Path) -> list[str]:
    if path in GIVEN:
        return [*path, *(str(usage) if word == "USAGE" else word for word in GIVEN[path])]
    words = list(path)
    for one in command.params:
        if one.required:
            text = "1h" if one.name == "for_" else "7"
            words += [text] if one.param_type_name == "argument" else [one.opts[0], text]
    return words


class Screen(io.TextIOWrapper):
    """A terminal, as far as who writes to it can tell."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


@value
class Told:
    code: int
    output: str


LAUNCH = Hostile()
COMMAND = typer.main.get_command(build_app(LAUNCH))
COMMANDS = dict(leaves(COMMAND))


def invoke(control: Control, words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    """On a terminal; somebody says yes to whatever is asked."""
    LAUNCH.control = control
    screen, errors = Screen(), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO("y\n" * 3))
        patch.setattr("sys.stdout", screen)
        patch.setattr("sys.stderr", errors)
        code = COMMAND.main(list(words), standalone_mode=False)
    return Told(code, screen.shown + errors.getvalue())


@pytest.fixture
def usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of one request. Commands that look for a configuration find one that says nothing."""
    monkeypatch.setenv("PALYRA_CONFIG", str(tmp_path / "palyra.toml"))
    (tmp_path / "palyra.toml").write_text("version = 1\n")
    file = tmp_path / "usage.json"
    file.write_text('{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}')
    return file


def assert_harmless(told: Told, where: str, *, own_lines: bool = False) -> None:
    assert "a fault of its own" not in told.output, (where, told.output)
    found = obeyed(told.output.replace(PROGRESS, "").replace(ROW_END, "\n"))
    assert found is None, (where, found)
    assert own_lines or FORGED.search(told.output) is None, (where, told.output)


def look_at_all(seed: int, attacks: Sequence[str], usage: Path, patch: pytest.MonkeyPatch) -> None:
    """Every command once as a person reads it, once as a program does, and once refused."""
    asked: set[str] = set()
    for path, command in COMMANDS.items():
        if path in UNASKED:
            continue
        words = words_for(path, command, usage)
        control = HostileControl(Inventor(seed, attacks))
        told = invoke(control, words, patch)
        assert_harmless(told, " ".join(words), own_lines=path in OWN_LINES)
        assert told.code in (DONE, REFUSED, NOT_FOUND), (words, told)
        assert "~" in told.output or told.code == NOT_FOUND, f"{words} told nothing: {told}"
        asked |= control.asked
        assert_harmless(invoke(Refusing(Inventor(seed, attacks)), words, patch), f"{words} refused")
        if path not in OWN_SHAPE and any("--json" in one.opts for one in command.params):
            assert_harmless(
                invoke(HostileControl(Inventor(seed, attacks)), [*words, "--json"], patch), f"{words} --json"
            )
    assert {kind.__name__ for kind in answers()} - asked == CONSOLE_ONLY


CONSOLE_ONLY = {
    "AuditProgressQuery",
    "CancelReplay",
    "DoctorPreviewQuery",
    "DoctorReportQuery",
    "DoctorRunsQuery",
    "JournalExaminationQuery",
    "ReplayProgressQuery",
    "ScheduleQuery",
}
"""Questions that no command asks of an engine."""


def test_no_command_prints_what_a_terminal_obeys(usage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at_all(1, list(ATTACKS.values()), usage, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("attack", [*ATTACKS.values(), LONG], ids=[*ATTACKS, "long"])
@pytest.mark.parametrize("seed", range(2, 6))
def test_no_command_prints_any_of_it(seed: int, attack: str, usage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at_all(seed, [attack], usage, monkeypatch)


def test_what_is_wrong_with_usage_is_told_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    app = build_app(LAUNCH)
    for words in (["runs", f"--{EVERYTHING}"], [EVERYTHING], ["runs", "list", "--limit", EVERYTHING], ["runs", "show"]):
        assert conduct(app, words) == BAD_INPUT
        told = capsys.readouterr()
        assert "Error: " in told.err
        assert obeyed(told.out + told.err) is None
        assert FORGED.search(told.err) is None


def test_files_that_attack_are_told_of_harmlessly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in a configuration, and where it lies."""
    place = tmp_path / EVERYTHING.translate({0: None, ord("/"): None})[:80].encode("utf-8", "ignore").decode()
    place.mkdir()
    config = place / "palyra.toml"
    quoted = json.dumps(EVERYTHING.encode("utf-8", "ignore").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
    for text in (
        f"version = 1\n[gateway]\nbind = {quoted}\n[{quoted}]\n{quoted} = 1\n[providers.{quoted}]\nkind = {quoted}\n",
        f"version = {EVERYTHING}",
        "version = 1\n[gateway]\nbind = \x1b]0;MARKED\x07\x9b31m\u202e",
    ):
        config.write_bytes(text.encode("utf-8", "surrogatepass"))
        for words in (["config", "check"], ["config", "path"], ["config", "migrate", "--dry-run"], ["status"]):
            code = conduct(build_app(Launcher()), [*words, "--config", str(config), "--state-dir", str(place / "s")])
            told = capsys.readouterr()
            assert code != DONE or words == ["config", "path"]
            assert obeyed(told.out + told.err) is None, (words, text)
            assert FORGED.search(told.out + told.err) is None, (words, text, told)
        run_doctor(["--config", str(config), "--state-dir", str(place / "s")])
        told = capsys.readouterr()
        assert "Must be put right" in told.out
        assert obeyed(told.out + told.err) is None, text
