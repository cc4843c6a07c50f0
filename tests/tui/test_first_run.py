"""An empty console teaches how to point a client here; the key itself is never shown."""

import subprocess
from dataclasses import replace

import pytest

from palyra.tui.details.teach import exports, quoted, shell_lines
from tests.tui.desk import console
from tests.tui.fake_views import engine
from tests.tui.fake_worlds import empty

KEY_FILE = "/home/ops/.local/state/palyra/gateway-key.txt"


@pytest.mark.parametrize("key", ["1", "2", "4", "5"])
async def test_empty_screens_teach(key: str) -> None:
    async with console(empty()) as desk:
        await desk.press(key)
        text = desk.text
        assert "http://127.0.0.1:8787" in text
        assert KEY_FILE in text
        assert "export OPENAI_BASE_URL=http://127.0.0.1:8787/v1" in text
        assert f"export OPENAI_API_KEY=$(cat {KEY_FILE})" in text
        assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:8787" in text
        assert "palyra demo" in text
        assert "plk_" not in text


async def test_who_sees_the_demo_is_not_sent_to_the_demo() -> None:
    async with console(replace(empty(), engine=engine(demo=True))) as desk:
        assert "copies these lines" in desk.text
        assert "palyra demo" not in desk.text


async def test_before_the_gateway_is_open_there_is_nothing_to_paste() -> None:
    world = replace(empty(), engine=engine(phase="starting", gateway_url=""))
    async with console(world) as desk:
        assert "not open yet" in desk.text
        assert "export" not in desk.text
        await desk.press("y")
        assert "nothing to copy yet" in desk.notice


async def test_y_copies_the_lines_to_paste() -> None:
    async with console(empty()) as desk:
        await desk.press("y")
        assert desk.app.clipboard == shell_lines(engine())
        assert desk.app.clipboard.count("export ") == 4


async def test_empty_budgets_teach_how_to_make_one() -> None:
    async with console(empty()) as desk:
        await desk.press("7")
        assert "No budgets yet" in desk.text
        assert "[[budgets]]" in desk.text
        await desk.press("n")
        assert desk.dialog == "PolicyDialog"


LONG_PATH = "/srv/" + "deep/" * 14 + "gateway-key.txt"


async def test_a_long_path_is_shown_on_a_line_of_its_own() -> None:
    async with console(replace(empty(), engine=engine(key_file=LONG_PATH))) as desk:
        assert "export OPENAI_API_KEY=$(cat \\" in desk.text


def test_a_long_path_is_continued_as_shells_allow() -> None:
    path = LONG_PATH
    openai, _ = exports(engine(key_file=path), 76)
    script = "\n".join(openai).replace(path, "/dev/null") + '\necho "key:$OPENAI_API_KEY:"'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "key::\n"


@pytest.mark.parametrize("text", ["/plain/path", "/with space/it's", "$(rm -rf)", "`x`", ";echo", "", "a\nb"])
def test_paths_are_one_word_to_a_shell(text: str) -> None:
    done = subprocess.run(["/bin/sh", "-c", f"printf %s {quoted(text)}"], capture_output=True, text=True, check=True)
    assert done.stdout == text


async def test_before_the_first_snapshot_the_console_says_it_starts() -> None:
    async with console(empty()) as desk:
        desk.app.bridge.latest = None
        desk.front.refresh_frame()
        await desk.settle()
        assert "A –  I –" in desk.status
