import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from palyra.core.errors import StateError
from palyra.core.logs import EngineLog, LogSettings


def test_lines_lose_secrets_and_control_bytes_tracebacks_included(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "logs" / "palyra.log")
    logger = logging.getLogger("palyra.providers.transport")
    logger.warning("authorization: Bearer abc12345 from \x1b]52;c;x\x07model")
    try:
        raise RuntimeError("api_key: sk-abcdef123456")
    except RuntimeError:
        logger.exception("broke")
    log.close()
    text = log.path.read_text()
    assert "abc12345" not in text
    assert "sk-abcdef123456" not in text
    assert "\x1b" not in text
    assert "Traceback" in text
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_json_lines_parse_and_a_closed_log_takes_no_more(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "palyra.log", LogSettings(style="json", level="warning"))
    logging.getLogger("palyra.runs").info("too quiet")
    logging.getLogger("palyra.runs").error("run %s failed", "01K")
    log.close()
    logging.getLogger("palyra.runs").error("after the end")
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(line["level"], line["logger"], line["message"]) for line in lines] == [
        ("error", "palyra.runs", "run 01K failed")
    ]


def test_libraries_are_heard_from_warnings_on(tmp_path: Path) -> None:
    with EngineLog(tmp_path / "palyra.log") as log:
        logging.getLogger("asyncio").warning("a task was lost")
        logging.getLogger("aiohttp.access").info("chatter")
    text = log.path.read_text()
    assert "a task was lost" in text
    assert "chatter" not in text


def test_a_fault_that_ends_the_program_is_the_last_line_and_an_error_for_people_is_none(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "palyra.log")
    with pytest.raises(StateError), log:
        raise StateError("The directory is gone.")
    assert log.path.read_text() == ""
    log = EngineLog(tmp_path / "palyra.log")
    with pytest.raises(ZeroDivisionError), log:
        raise ZeroDivisionError("a bug")
    assert log.path.read_text().splitlines()[-1] == "ZeroDivisionError: a bug"


def test_it_goes_on_in_another_file_with_other_settings_and_loses_no_line(tmp_path: Path) -> None:
    first, second = tmp_path / "palyra.log", tmp_path / "deeper" / "other.log"
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    logger = logging.getLogger("palyra.test")
    with EngineLog(first) as log:
        logger.info("one")
        log.configure(second, LogSettings(level="debug", style="json"))
        logger.debug("two")
        with pytest.raises(OSError, match=r"directory|exists"):
            log.configure(blocked / "below" / "palyra.log", LogSettings(level="error"))
        logger.debug("three")
        log.configure(first, LogSettings(level="warning"))
        logger.info("four")
        logger.warning("five")
    assert [line.rpartition(" ")[2] for line in first.read_text().splitlines()] == ["one", "five"]
    assert [json.loads(line)["message"] for line in second.read_text().splitlines()] == ["two", "three"]
    assert second.stat().st_mode & 0o777 == 0o600


LOST = """
import asyncio, gc, logging, sys, threading
from pathlib import Path
from palyra.core.logs import EngineLog, LogSettings, keep_terminal_clean

class Unruly:
    def __del__(self):
        raise ValueError("in a finaliser")

async def fails():
    raise ValueError("never retrieved")

def in_thread():
    raise ValueError("in a thread")

async def work():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    del task
    gc.collect()

keep_terminal_clean()
path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
log = None if path is None else EngineLog(path)
asyncio.run(work())
Unruly()
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
logging.getLogger("somebody").error("without a handler")
if log is not None:
    log.close()
"""


def test_what_goes_wrong_unnoticed_reaches_the_log_and_never_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "palyra.log"
    for arguments in ([str(path)], []):
        done = subprocess.run([sys.executable, "-c", LOST, *arguments], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", "")
    text = path.read_text()
    for words in ("never retrieved", "in a finaliser", "in a thread", "without a handler"):
        assert words in text
