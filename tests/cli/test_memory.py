"""`palyra memory`: notes kept, found, counted and forgotten from the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.test_commands import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path)


def add(shell: Shell, text: str, *words: str) -> str:
    told = shell.json("memory", "add", text, *words)
    assert told["status"] == "accepted"
    note_id: str = told["data"]["note_id"]
    return note_id


def test_notes_are_kept_listed_found_and_forgotten(shell: Shell) -> None:
    assert shell("memory", "list") == "No notes.\n"
    disk = add(shell, "Disk three is loud.", "--scope", "job:nightly", "--tag", "disk", "--ttl", "12h")
    cat = add(shell, "The office cat\nis called Mimir.", "--ttl", "none", "--owner", "bob")
    again = shell.json("memory", "add", "Disk three is loud.", "--scope", "job:nightly")
    assert (again["data"]["note_id"], again["data"]["fresh"]) == (disk, "false")
    page = shell.json("memory", "list")
    assert [note["note_id"] for note in page["notes"]] == [cat, disk]
    assert (page["notes"][0]["owner"], page["notes"][0]["expires_at"]) == ("bob", None)
    assert (page["notes"][1]["owner"], page["notes"][1]["tags"]) == ("local", ["disk"])
    listed = shell("memory", "list", "--scope", "global")
    assert "The office cat is called Mimir." in listed
    assert disk not in listed
    assert shell.json("memory", "list", "--limit", "1")["next_cursor"] == cat
    assert f"--cursor {cat}" in shell("memory", "list", "--limit", "1")
    assert [note["note_id"] for note in shell.json("memory", "list", "--cursor", cat)["notes"]] == [disk]
    found = shell.json("memory", "search", "how loud are disks", "--limit", "1")
    assert [note["note_id"] for note in found["notes"]] == [disk]
    assert "Mimir" in shell("memory", "search", "the cat", "--owner", "bob")
    assert shell("memory", "search", "the cat", "--scope", "job:other") == "No notes.\n"
    assert shell("memory", "forget", disk) == "1 note forgotten.\n"
    shell("memory", "forget", disk, code=3)
    assert shell.json("memory", "forget", "--scope", "global", "--yes")["data"] == {"count": "1"}
    assert shell.json("audit", "verify")["ok"] is True


def test_what_cannot_be_done_is_told_in_words(shell: Shell) -> None:
    assert "Did you mean job?" in shell("memory", "add", "x", "--scope", "jobs:nightly", code=2)
    assert "Name the job." in shell("memory", "add", "x", "--scope", "job", code=2)
    assert "90 days" in shell("memory", "add", "x", "--ttl", "91d", code=2)
    assert "--ttl" in shell("memory", "add", "x", "--ttl", "soon", code=2)
    assert "16,384 bytes" in shell("memory", "add", "x" * 16_385, code=2)
    assert "Add --yes" in shell("memory", "forget", "--scope", "job", code=2)
    assert "Either ids or --scope" in shell("memory", "forget", code=2)
    assert "Either ids or --scope" in shell("memory", "forget", "a", "--scope", "job", "--yes", code=2)
    assert "nothing to look for" in shell("memory", "search", " ", code=2)
    assert "no such scope" in shell("memory", "list", "--scope", "attic", code=2)
    assert "no note absent" in shell("memory", "forget", "absent", code=3)


def test_statistics_tell_limits_vectors_and_the_next_vacuum(shell: Shell) -> None:
    add(shell, "Disk three is loud.", "--scope", "job:nightly")
    add(shell, "The cat is called Mimir.")
    told = shell.json("memory", "stats")
    assert (told["notes"], told["by_scope"]) == (2, {"global": 1, "job": 1})
    assert (told["vectors_indexed"], told["vectors_pending"]) == (2, 0)
    assert (told["embeddings_model"], told["dimensions"], told["vacuum_overdue"]) == ("words-64", 64, False)
    assert (told["max_entries"], told["max_bytes"], told["ttl_days"]) == (10_000, 64 * 1024 * 1024, 90)
    assert told["vacuum_due_at"] > told["maintenance_due_at"] - 300_000
    text = shell("memory", "stats")
    assert "2 notes, 43 bytes (global 1, job 1)" in text
    assert "0 0 * * 0" in text


def test_a_note_is_shown_without_doing_harm(shell: Shell) -> None:
    app = shell._app
    places = ["--state-dir", str(shell.state_dir), "--config", str(shell.config)]
    given = CliRunner().invoke(app, ["memory", "add", "-", *places], input="title \x1b]0;owned\x07 and \x1b[2J")
    assert given.exit_code == 0
    listed = shell("memory", "list")
    assert "\x1b" not in listed
    assert "\x07" not in listed
    (note,) = shell.json("memory", "list")["notes"]
    assert "\x1b" not in note["text"]
