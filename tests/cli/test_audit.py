"""`palyra audit`: what was done, as a list, as a file."""

import asyncio
import csv
import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from palyra.cli.audit import followed
from palyra.control.audit_queries import AuditProgress, AuditProgressQuery
from palyra.control.protocol import Control
from palyra.control.queries import AuditAnswer
from palyra.core.clock import ManualClock, settle_loop
from tests.cli.test_commands import Shell, shell

__all__ = ["shell"]


def test_what_was_done_is_listed_newest_first(shell: Shell) -> None:
    shell.json("run", "hello")
    shell.json("budgets", "add", "team-day", "--hard-limit", "5")
    shell.json("budgets", "edit", "team-day", "--hard-limit", "7")
    found = [one for one in shell.json("audit", "list", "--kind", "policy") if one["subject"] == "team-day"]
    assert len(found) == 2
    assert found[0]["seq"] > found[1]["seq"]
    assert found[0]["actor"]
    assert len(found[0]["digest"]) == 64
    assert "decision" not in {one["kind"] for one in shell.json("audit", "list")}
    assert "team-day" in shell("audit", "list")
    everything = shell.json("audit", "list", "--all", "--limit", "1000")
    assert "decision" in {one["kind"] for one in everything}
    assert [one["seq"] for one in everything] == list(range(len(everything), 0, -1))
    assert shell.json("audit", "list", "--all", "--limit", "2") == everything[:2]
    assert shell.json("audit", "list", "--all", "--before", "3") == everything[-2:]
    mine = shell.json("audit", "list", "--actor", found[0]["actor"], "--subject", "team-day", "--since", "1h")
    assert [one["seq"] for one in mine] == [one["seq"] for one in found]
    assert shell.json("audit", "list", "--actor", "nobody") == []
    assert shell.json("audit", "list", "--until", "1h") == []
    assert shell.json("audit", "list", "--since", "1d", "--until", "2000-01-01") == []
    assert "--since" in shell("audit", "list", "--since", "yesterday", code=2)


def test_an_unknown_kind_is_refused_with_those_there_are(shell: Shell) -> None:
    assert "policy" in shell("audit", "list", "--kind", "polcy", code=2)


def test_it_is_exported_whole(shell: Shell, tmp_path: Path) -> None:
    shell.json("run", "hello")
    everything = shell.json("audit", "list", "--all", "--limit", "1000")
    target = tmp_path / "audit.json"
    shell("audit", "export", str(target), "--all")
    exported = json.loads(target.read_bytes())
    assert [(one["seq"], one["digest"], one["data"]) for one in exported] == [
        (one["seq"], one["digest"], one["data"]) for one in everything
    ]
    assert target.stat().st_mode & 0o777 == 0o600
    target.chmod(0o644)
    assert "Use one of: csv, json, jsonl" in shell("audit", "export", str(target), "--format", "xml", code=2)
    lines = tmp_path / "audit.jsonl"
    shell("audit", "export", str(lines), "--all")
    assert [json.loads(line) for line in lines.read_text().splitlines()] == exported
    (tmp_path / "away").symlink_to(target)
    assert "away" in shell("audit", "export", str(tmp_path / "away"), code=5)
    assert "nowhere" in shell("audit", "export", str(tmp_path / "nowhere" / "a.csv"), code=5)
    assert json.loads(target.read_bytes()) == exported
    assert sorted(path.name for path in tmp_path.glob("a*")) == ["audit.json", "audit.jsonl", "away"]
    rows = list(csv.DictReader(io.StringIO(shell("audit", "export", "--all", "--format", "csv"))))
    assert [row["digest"] for row in rows] == [one["digest"] for one in everything]
    assert shell("audit", "verify").endswith("the chain is whole up to its head\n")
    with closing(sqlite3.connect(shell.state_dir / "journal.db", isolation_level=None)) as database:
        database.execute("DROP TRIGGER audit_is_never_edited")
        database.execute("UPDATE audit SET actor = 'mallory' WHERE seq = 2")
    assert "row 2 does not fit its digest" in shell("audit", "verify", code=1)
    assert shell.json("audit", "verify", code=1)["first_bad"] == 2


class Following:
    """A control whose check is half way until it is let go on."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def ask(self, query: object) -> object:
        if isinstance(query, AuditProgressQuery):
            return AuditProgress(500, 1_000)
        await self.gate.wait()
        return AuditAnswer(True, 1_000, "ok", None, "whole")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_terminal_sees_how_far_a_check_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock, control = Terminal(), ManualClock(), Following()
    monkeypatch.setattr(sys, "stderr", terminal)
    checking = asyncio.create_task(followed(cast(Control, control), clock))
    await settle_loop()
    assert terminal.getvalue() == ""
    await clock.advance(0.25)
    assert "following the chain" in terminal.getvalue()
    assert " 50%" in terminal.getvalue()
    control.gate.set()
    assert (await checking).rows == 1_000
    assert terminal.getvalue().endswith("\r\x1b[K")
