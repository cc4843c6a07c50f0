import json
import logging
from pathlib import Path

from palyra.core.logs import EngineLog


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
    log = EngineLog(tmp_path / "palyra.log", style="json", level="warning")
    logging.getLogger("palyra.runs").info("too quiet")
    logging.getLogger("palyra.runs").error("run %s failed", "01K")
    log.close()
    logging.getLogger("palyra.runs").error("after the end")
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(line["level"], line["logger"], line["message"]) for line in lines] == [
        ("error", "palyra.runs", "run 01K failed")
    ]
