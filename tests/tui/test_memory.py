"""The console opens as it was left; what cannot be read is forgotten, never fatal."""

import stat
from pathlib import Path

import pytest

from palyra.tui.memory import Memory, load_memory, save_memory
from tests.tui.desk import console
from tests.tui.fake_worlds import normal


async def test_screen_theme_filter_and_order_come_back(tmp_path: Path) -> None:
    kept = tmp_path / "console.json"
    async with console(normal(), memory=kept) as desk:
        await desk.press("5", "T", "S", "slash")
        await desk.type("maria")
        await desk.press("enter")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    async with console(normal(), memory=kept) as desk:
        assert desk.front.NAME == "runs"
        assert desk.app.theme == "palyra-light"
        assert "by cost  / maria" in desk.title
        await desk.press("escape", "1")
    async with console(normal(), memory=kept) as desk:
        assert desk.front.NAME == "triage"
        assert not desk.list.filter


async def test_a_theme_that_nobody_chose_is_not_kept(tmp_path: Path) -> None:
    kept = tmp_path / "console.json"
    async with console(normal(), memory=kept, theme="palyra-cvd") as desk:
        assert desk.app.theme == "palyra-cvd"
    async with console(normal(), memory=kept, theme="palyra-contrast") as desk:
        assert desk.app.theme == "palyra-contrast"


async def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    async with console(normal()) as desk:
        await desk.press("5")
    async with console(normal()) as desk:
        assert desk.front.NAME == "triage"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"screen": 7, "theme": [], "filters": {"runs": 1}, "orders": 3}',
        b"x" * 70_000,
    ],
)
def test_a_file_that_cannot_be_understood_is_forgotten(tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "console.json"
    kept.write_bytes(content)
    assert load_memory(kept) == Memory()


async def test_a_screen_or_theme_that_no_longer_exists_is_forgotten(tmp_path: Path) -> None:
    kept = tmp_path / "console.json"
    save_memory(kept, Memory(screen="no-such", theme="no-such", orders={"triage": "no-such"}))
    async with console(normal(), memory=kept) as desk:
        assert desk.front.NAME == "triage"
        assert desk.app.theme == "palyra-dark"


def test_a_place_that_cannot_be_written_costs_only_the_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_memory(tmp_path / "missing" / "console.json", Memory())
    assert "could not be kept" in caplog.text
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.write_text("mine")
    save_memory(file / "console.json", Memory())
    assert caplog.text.count("could not be kept") == 2
    assert file.read_text() == "mine"
