"""`palyra audit`: what was done, as a list, as a file."""

import csv
import io
import json
from pathlib import Path

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
    rows = list(csv.DictReader(io.StringIO(shell("audit", "export", "--all", "--format", "csv"))))
    assert [row["digest"] for row in rows] == [one["digest"] for one in everything]
