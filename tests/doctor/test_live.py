"""Beside a running engine: it answers for its journal, and what it holds is not called left over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from palyra.config.load import interpret
from palyra.control.doctor import Asked, Report, Where, doctor, report_json
from palyra.control.doctor_queries import JournalExaminationQuery
from palyra.control.offline import offline_control
from palyra.core.clock import ManualClock
from palyra.engine import Installation
from palyra.house import House, open_house
from palyra.journal.schema import LATEST
from tests.support.upstream import Upstream

CONFIG = """\
version = 1

[gateway]
bind = "127.0.0.1:0"

[providers.acme]
kind = "openai_compatible"
base_url = "{base}/v1"

[[models]]
provider = "acme"
upstream = "m-1"

[[probes]]
id = "up"
target = "{base}/v1/models"

[[probes]]
id = "down"
target = "{base}/nothing/here"
critical = true
"""


def write_config(root: Path, text: str) -> Where:
    path = root / "palyra.toml"
    path.write_text(text)
    path.chmod(0o600)
    return Where(path, root / "state", {"HOME": str(root)}, system_file=root / "none.toml")


@asynccontextmanager
async def a_house(where: Where, clock: ManualClock) -> AsyncIterator[House]:
    assert where.config is not None
    assert where.state_dir is not None
    loaded = interpret(where.config.read_bytes(), where.config, {}, {})
    assert loaded.config is not None, loaded.problems
    async with open_house(Installation(loaded.config, where.state_dir, where.config), clock, {}) as house:
        yield house


async def looked(where: Where, clock: ManualClock, **flags: Any) -> tuple[dict[str, Any], int]:
    def hear(report: Report) -> None:
        assert report.generated_at_ms == clock.now_ms()

    report, code = await doctor(Asked(**flags), where, clock, hear)
    return report_json(report), code


async def test_a_running_engine_answers_for_its_journal_and_nothing_of_it_is_left_over(tmp_path: Path) -> None:
    clock = ManualClock()
    where = write_config(tmp_path, 'version = 1\n\n[gateway]\nbind = "127.0.0.1:0"\n')
    async with a_house(where, clock) as house:
        document, code = await looked(where, clock, strict=True)
        assert document["engine"] == {"running": True, "pid": house.engine.pid}
    assert code == 0
    assert [one for one in document["findings"] if one["severity"] != "info"] == []
    assert {check["status"] for check in document["checks"]} == {"pass", "fail"}

    after, code = await looked(where, clock, strict=True)
    assert code == 0
    assert after["engine"] == {"running": False}
    assert after["findings"] == document["findings"]


async def test_the_same_question_is_answered_with_and_without_an_engine(tmp_path: Path) -> None:
    clock = ManualClock()
    where = write_config(tmp_path, 'version = 1\n\n[gateway]\nbind = "127.0.0.1:0"\n')
    assert where.state_dir is not None
    async with a_house(where, clock) as house:
        control = house.control_for(house.own_identity("", {}))
        live = await control.ask(JournalExaminationQuery(deep=True, limit_s=None))
        config = house.engine.config
        boot_id = house.engine.boot_id
    async with offline_control(config, where.state_dir, None, clock, {}) as offline:
        still = await offline.ask(JournalExaminationQuery())
    assert live.boot_id == boot_id
    assert still.boot_id == ""
    for told in (live.examined, still.examined):
        assert told.version == LATEST
        assert told.problems == {}
        assert told.audit is not None
        assert told.audit.ok


async def test_what_is_online_is_asked_only_when_that_is_wanted(tmp_path: Path, upstream: Upstream) -> None:
    upstream.models = ["m-1"]
    clock = ManualClock()
    where = write_config(tmp_path, CONFIG.format(base=upstream.base_url))
    document, code = await looked(where, clock, online=True, strict=True)
    assert code == 1
    told = {check["id"]: check["status"] for check in document["checks"]}
    assert (told["providers.reachable"], told["probes.up"], told["probes.down"]) == ("pass", "pass", "fail")
    (down,) = [one for one in document["findings"] if one["check"] == "probes.down"]
    assert (down["severity"], "404" in down["message"]) == ("blocking", True)

    await upstream.stop()
    document, code = await looked(where, clock, online=True, only=("providers.reachable", "probes.up"))
    assert {(one["check"], one["object"], one["severity"]) for one in document["findings"]} == {
        ("providers.reachable", "acme", "warning"),
        ("probes.up", "up", "warning"),
    }
    assert code == 0
    document, code = await looked(where, clock, strict=True)
    assert code == 0
    assert not {check["id"] for check in document["checks"]} & {"providers.reachable", "probes.up", "probes.down"}


async def test_a_provider_without_a_list_of_models_is_reachable(tmp_path: Path, upstream: Upstream) -> None:
    upstream.models = None
    where = write_config(tmp_path, CONFIG.format(base=upstream.base_url))
    document, _ = await looked(where, ManualClock(), online=True, only=("providers.reachable",))
    assert [(check["id"], check["status"]) for check in document["checks"]] == [("providers.reachable", "pass")]
