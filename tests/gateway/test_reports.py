"""What work outside may say of itself, and what is refused, each field by its name."""

import json
from typing import Any

import pytest

from palyra.gateway.errors import RefusedError
from palyra.gateway.heartbeats import MAX_BODY, read_report
from palyra.healing.reporters import KEEP, Report, Status
from tests.gateway.stand_in import Door, RawAnswer, StandInHouse, serving

FULL = {
    "id": "etl.nightly:1_2-3",
    "summary": "nightly load",
    "status": "failing",
    "interval_seconds": 300,
    "grace_seconds": 0,
    "progress": 0,
    "stall_seconds": 86_400,
}


def read(**fields: Any) -> Report:
    return read_report(json.dumps({"id": "etl", **fields}).encode())


def faults(**fields: Any) -> list[str]:
    with pytest.raises(RefusedError) as refused:
        read(**fields)
    assert refused.value.refusal.status == 400
    told: Any = refused.value.refusal.palyra["faults"]
    return [fault["field"] for fault in told]


def test_every_field_is_read() -> None:
    assert read_report(json.dumps(FULL).encode()) == Report(
        "etl.nightly:1_2-3", Status.FAILING, "nightly load", 300_000, 0, 86_400_000, 0
    )


def test_what_is_left_out_stays_and_what_is_null_is_taken_back() -> None:
    assert read() == Report("etl", Status.OK, KEEP, KEEP, KEEP, KEEP, None)
    assert read(summary=None, interval_seconds=None, grace_seconds=None, stall_seconds=None) == Report(
        "etl", Status.OK, "", None, None, None, None
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None),
        ("id", ""),
        ("id", "a" * 129),
        ("id", "a/b"),
        ("id", "a b"),
        ("id", "é"),
        ("id", 7),
        ("summary", 7),
        ("status", "fine"),
        ("status", True),
        ("interval_seconds", 0),
        ("interval_seconds", 86_401),
        ("interval_seconds", "300"),
        ("interval_seconds", 1.5),
        ("interval_seconds", True),
        ("stall_seconds", 0),
        ("stall_seconds", 86_401),
        ("progress", -1),
        ("progress", 1 << 53),
        ("progress", "many"),
        ("ids", "etl"),
    ],
)
def test_a_field_that_cannot_be_is_named(field: str, value: object) -> None:
    assert faults(**{field: value}) == [field]


@pytest.mark.parametrize("value", [-1, 86_401, "1"])
def test_grace_has_its_limits_too(value: object) -> None:
    assert faults(interval_seconds=10, grace_seconds=value) == ["grace_seconds"]


def test_grace_goes_with_an_interval() -> None:
    assert faults(interval_seconds=None, grace_seconds=5) == ["grace_seconds"]


def test_all_faults_are_told_at_once() -> None:
    assert faults(id="", status="x", progress=-1) == ["id", "status", "progress"]


def test_a_long_summary_is_cut() -> None:
    assert read(summary="s" * 1000).summary == "s" * 200


async def test_nothing_reaches_the_house_of_what_is_refused() -> None:
    house = StandInHouse()
    house.access.flag = lambda name: name == "external_heartbeats"
    async with serving(house) as door:
        bad = await post(door, {"id": "etl", "interval_seconds": 0})
        large = await post(door, {"id": "etl", "summary": "s" * MAX_BODY})
        assert (bad.status, large.status) == (400, 413)
        assert house.reporters.reports == []
        good = await post(door, {"id": "etl"})
        assert (good.status, good.json) == (200, {"id": "etl", "status": "ok", "next_due_unix_ms": 60_000})
        assert [principal for principal, _ in house.reporters.reports] == ["local"]


async def test_the_feature_may_be_off() -> None:
    house = StandInHouse()
    async with serving(house) as door:
        answer = await post(door, {"id": "etl"})
        assert (answer.status, answer.json["error"]["code"]) == (403, "feature_off")
        assert house.reporters.reports == []


async def post(door: Door, body: dict[str, Any]) -> RawAnswer:
    return await door.ask("POST", "/console/v1/heartbeats", body=body)
