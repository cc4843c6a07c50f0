"""`palyra usage`: the same numbers for people and programs, with an engine and without one."""

import asyncio
import csv
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.core.clock import ManualClock, SystemClock
from palyra.core.scope import Scope
from palyra.journal.changes import DecisionMade, HoldTaken, RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from palyra.main import Launcher
from tests.journal.samples import DAY, HOUR, a_decision, a_hold, a_run, a_usage, ended

COMMANDS = ("timeline", "breakdown", "runs", "insights")
PEOPLE = ("ann", "bob", "=HYPERLINK(0)")


class Shell:
    """Runs commands on one installation whose history is known."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = SystemClock().now_ms()
        self._app = build_app(Launcher())
        (directory / "palyra.toml").write_text('version = 1\n[governance]\ntimezone = "Europe/Prague"\n')
        asyncio.run(self._fill())

    async def _fill(self) -> None:
        journal = await Journal.open(self.directory / "state", ManualClock())
        for number in range(12):
            at = self.now - HOUR - number * DAY // 4
            scope = Scope(PEOPLE[number % 3], f"s{number}", "k1", tags={"team": "red" if number % 2 else "blue"})
            run = ended(a_run(f"r{number:02}", scope=scope, accepted_at=at - 9, model=f"m{number % 2}"), finished_at=at)
            hold = a_hold(run, model=run.model)
            usage = a_usage(hold, at=at, charge=10**number, latency_ms=100 * number)
            decision = a_decision(run, at=at)
            await journal.submit([RunSaved(run), DecisionMade(decision), HoldTaken(hold), UsageRecorded(usage)])
        await journal.close()

    def __call__(self, *words: str, code: int = 0) -> str:
        places = ["--state-dir", str(self.directory / "state"), "--config", str(self.directory / "palyra.toml")]
        result = CliRunner().invoke(self._app, ["usage", *words, *places])
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result.output

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with pytest.MonkeyPatch.context() as patched:
        for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
            patched.delenv(name, raising=False)
        yield Shell(tmp_path_factory.mktemp("usage"))


def test_the_summary_has_totals_and_a_breakdown_to_the_nano_dollar(shell: Shell) -> None:
    answer = shell.json()
    assert (answer["total"]["requests"], answer["total"]["cost_nano_usd"]) == (4, 1_111)
    assert (answer["total"]["cost_usd"], answer["median_latency_ms"]) == ("0.000001111", 100)
    assert [(entry["key"], entry["numbers"]["cost_nano_usd"]) for entry in answer["breakdown"]] == [
        ("m1", 1_010),
        ("m0", 101),
    ]
    assert "last 24h: $0.000001111 · 4 requests" in shell()


def test_a_period_ends_where_it_is_said(shell: Shell) -> None:
    assert shell.json("--since", "12h", "--until", "12h")["total"]["requests"] == 2
    assert shell.json("--since", "2000-01-01", "--until", "2000-02-01")["total"]["requests"] == 0
    assert "1970-01-01" in shell("--since", "1d", "--until", "9999999d")


def test_a_timeline_has_local_days_and_leaves_none_out(shell: Shell) -> None:
    answer = shell.json("timeline", "--since", "10d", "--by", "user")
    assert (answer["bucket"], answer["timezone"]) == ("day", "Europe/Prague")
    assert len(answer["timeline"]) in (11, 12)
    assert sum(step["total"]["cost_nano_usd"] for step in answer["timeline"]) == 111_111_111_111
    assert {name for step in answer["timeline"] for name in step["series"]} == set(PEOPLE)
    hours = shell.json("timeline", "--since", "24h", "--zone", "Asia/Kolkata", "--bucket", "hour")
    assert len(hours["timeline"]) == 25
    assert shell("timeline", "--since", "10d").count("\n") >= 12


def test_a_breakdown_goes_on_at_its_cursor(shell: Shell) -> None:
    keys: list[str] = []
    cursor = ""
    for _ in range(3):
        page = shell.json("breakdown", "--by", "session", "--limit", "5", "--cursor", cursor)
        keys += [entry["key"] for entry in page["breakdown"]]
        cursor = page["next_cursor"]
    assert (keys, cursor) == ([f"s{number}" for number in reversed(range(12))], "")


def test_only_the_work_that_is_meant_counts(shell: Shell) -> None:
    def cost(*words: str) -> int:
        return int(shell.json("breakdown", *words)["total"]["cost_nano_usd"])

    assert cost("--user", "ann") == 1_001_001_001
    assert cost("--of", "tag=team=blue") == 10_101_010_101
    assert cost("--model", "m0", "--user", "ann") == 1_000_001
    assert cost("--session", "s3") == 1_000
    assert cost("--of", "session=s3", "--of", "job=") == 1_000


def test_the_runs_behind_the_numbers_are_listed_a_page_at_a_time(shell: Shell) -> None:
    first = shell.json("runs", "--since", "10d", "--limit", "9")
    rest = shell.json("runs", "--since", "10d", "--cursor", first["next_cursor"])
    assert [run["run_id"] for run in (*first["runs"], *rest["runs"])] == [f"r{number:02}" for number in range(12)]
    assert [
        run["run_id"] for run in shell.json("runs", "--since", "10d", "--model", "m1", "--user", "bob")["runs"]
    ] == [
        "r01",
        "r07",
    ]
    assert "r00" in shell("runs")


def test_insights_count_reasons_and_show_the_newest_decisions(shell: Shell) -> None:
    answer = shell.json("insights", "--limit", "3")
    assert answer["reasons"] == {"budget_ok": 4, "complexity_low": 4}
    assert [one["run_id"] for one in answer["decisions"]] == ["r11", "r10", "r09"]
    assert [entry["key"] for entry in answer["mix"]] == ["m1", "m0"]
    assert (answer["alerts"], answer["forecasts"]) == ([], [])
    assert "budget_ok" in shell("insights")


def test_an_export_has_every_attempt_to_the_nano_dollar(shell: Shell) -> None:
    rows = list(csv.DictReader(io.StringIO(shell("export", "--since", "10d"))))
    assert [int(row["charge_nano_usd"]) for row in rows] == [10**number for number in reversed(range(12))]
    assert [row["user"] for row in rows[:3]] == ["'=HYPERLINK(0)", "bob", "ann"]
    found = json.loads(shell("export", "--since", "10d", "--json", "--of", "key=k1"))
    assert [row["charge_nano_usd"] for row in found] == [10**number for number in reversed(range(12))]
    assert json.loads(shell("export", "--since", "2000-01-01", "--until", "2000-01-02", "--format", "json")) == []


@pytest.mark.parametrize("name", ["out.csv", "out.JSON"])
def test_an_export_to_a_file_is_for_its_owner_only_and_whole(shell: Shell, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("before")
    assert "12 attempts" in shell("export", str(path), "--since", "10d")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [name]
    text = path.read_text()
    rows = json.loads(text) if name.endswith("JSON") else list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 12


def test_an_export_that_fails_leaves_what_was_there(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")

    def fail(_: object) -> dict[str, object]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("palyra.control.export.columns", fail)
    assert "No space left" in shell("export", str(path), "--since", "10d", code=5)
    assert (path.read_text(), [one.name for one in tmp_path.iterdir()]) == ("before", ["out.csv"])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--since", "soon"), "--since"),
        (("--since", "2026-13-01"), "--since"),
        (("--by", "colour"), "--by"),
        (("timeline", "--bucket", "week"), "--bucket"),
        (("timeline", "--zone", "Prague"), 'did you mean "Europe/Prague"?\n'),
        (("timeline", "--since", "400d"), "366 days"),
        (("breakdown", "--of", "colour=red"), "--of"),
        (("breakdown", "--of", "tag=team"), "--of"),
        (("breakdown", "--cursor", "x"), "cursor"),
        (("runs", "--cursor", "x"), "cursor"),
        (("breakdown", "--cursor", '[1e400, 0, 0, "x"]'), "cursor"),
        (("breakdown", "--cursor", f'[{10**30}, 0, 0, "x"]'), "cursor"),
        (("runs", "--cursor", f"{10**30}.1"), "cursor"),
        (("timeline", "--since", "9999999d"), "366 days"),
        (("export", "--format", "xml"), "--format"),
        (("timeline", "--until", "2026-01-01", "--since", "2026-02-01"), "before it starts"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(shell: Shell, words: tuple[str, ...], named: str) -> None:
    assert named in shell(*words, code=2)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_a_table_without_json(shell: Shell, command: str) -> None:
    assert len(shell(command, "--since", "3d").splitlines()) > 2
