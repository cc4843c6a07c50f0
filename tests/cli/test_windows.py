"""`palyra windows show`: with and without an engine, for policies of the file and of operators."""

from pathlib import Path
from typing import Any

import pytest

from palyra.cli.windows import window_json
from palyra.core.instants import LATEST_MS
from palyra.core.windows import Interval
from tests.cli.test_commands import Shell
from tests.core.test_windows import at


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    made = Shell(tmp_path)
    made.config.write_text(
        'version = 1\n[[budgets]]\npolicy_id = "house"\nhard_limit = 100\ninterval_kind = "daily"\n'
        'timezone = "Europe/Prague"\n'
    )
    made("budgets", "add", "steady", "--hard-limit", "5", "--interval-kind", "rolling_24h")
    return made


def test_a_window_is_told_in_utc_and_in_the_policys_zone(shell: Shell) -> None:
    told = shell.json("windows", "show", "house", "--at", "2026-03-29T12:00:00Z")
    assert (told["start"], told["end"]) == (at("2026-03-28T23:00"), at("2026-03-29T22:00"))
    assert (told["start_utc"], told["end_utc"]) == ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")
    assert (told["start_local"], told["end_local"]) == ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00")
    assert (told["hours"], told["interval_kind"], told["timezone"]) == (23.0, "daily", "Europe/Prague")
    said = shell("windows", "show", "house", "--at", "2026-10-25")
    assert "lasts  25 h" in said
    assert "start  2026-10-24T22:00:00Z  local 2026-10-25T00:00:00+02:00" in said


def test_a_policy_an_operator_made_is_told_too_and_rolling_buckets_explained(shell: Shell) -> None:
    told = shell.json("windows", "show", "steady", "--at", "2026-11-22T10:00:30Z")
    assert (told["start"], told["end"]) == (at("2026-11-21T10:00"), at("2026-11-22T10:01"))
    assert told["bucket_ms"] == 60_000
    assert "counts until 2026-11-23T10:01:00Z" in told["explanation"]
    now = shell.json("windows", "show", "steady")
    assert now["start"] <= now["at"] < now["end"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["house", "--at", "tomorrow"], 2, "--at: 'tomorrow' is no instant; write it like"),
        (["house", "--at", "2026-02-30"], 2, "is no instant"),
        (["house", "--at", "9999-12-31"], 2, "beyond the year 9999"),
        (["hause"], 3, "'hause'"),
    ],
)
def test_what_cannot_be_shown_is_said_with_the_code_for_it(
    shell: Shell, words: list[str], code: int, said: str
) -> None:
    assert said in shell("windows", "show", *words, code=code)


@pytest.mark.parametrize(
    ("interval", "zone", "moment", "expected"),
    [
        ("lifetime", "UTC", "2026-11-22", {"start": 0, "end": None, "end_utc": None, "hours": None}),
        ("hourly", "Australia/Lord_Howe", "2026-04-04T15:10", {"hours": 1.5, "start_utc": "2026-04-04T14:00:00Z"}),
        ("daily", "Pacific/Apia", "2011-12-30T10:00", {"start_local": "2011-12-31T00:00:00+14:00", "hours": 24.0}),
        ("monthly", "UTC", "2028-02-29", {"hours": 29 * 24.0, "end_local": "2028-03-01T00:00:00+00:00"}),
        ("rolling_30d", "UTC", "2026-12-01T10:59:59.999", {"hours": 721.0, "at_utc": "2026-12-01T10:59:59.999Z"}),
    ],
)
def test_every_kind_of_window_can_be_told(interval: str, zone: str, moment: str, expected: dict[str, Any]) -> None:
    told = window_json("p", Interval(interval), zone, at(moment))
    assert {name: told[name] for name in expected} == expected


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Adak"])
@pytest.mark.parametrize("moment", [0, LATEST_MS - 400 * 86_400_000])
def test_the_ends_of_time_are_told_without_failing(interval: Interval, zone: str, moment: int) -> None:
    told = window_json("p", interval, zone, moment)
    assert told["end"] is None or told["start"] <= moment < told["end"]
