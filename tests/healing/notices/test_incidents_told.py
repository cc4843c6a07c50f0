"""The loop and the notices together: how little people hear of much, and that they hear the truth in the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.pulse import WorkHeartbeatKind
from tests.healing.notices.test_telling import House, house
from tests.healing.stage import Stage, a_stage, healing_config

HOUR_S = 3600


Both = tuple[Stage, House]


@asynccontextmanager
async def both(
    tmp_path: Path, mode: str = "auto", relate: dict[str, str] | None = None, *, measured: bool = True
) -> AsyncIterator[Both]:
    async with house(tmp_path) as home:
        stage = await a_stage(
            healing_config(mode), clock=home.clock, relate=lambda heartbeat: relate or {}, measured=measured
        )
        stage.healing.on_event(lambda event: home.see(stage.healing.book.get(event.record.incident_id)))
        home.find = stage.healing.book.find
        try:
            yield stage, home
        finally:
            await stage.close()


async def test_two_hundred_runs_of_a_provider_that_is_down_are_one_notice(tmp_path: Path) -> None:
    async with both(tmp_path, "observe_only", {"provider": "openai"}) as (stage, home):
        down = Condition(Domain.PROVIDER, "provider:openai", Severity.HIGH, "openai is down", subject="openai")
        stage.healing.tell(down)
        await home.clock.advance(30)
        for number in range(200):
            stage.healing.heartbeats.record(WorkHeartbeatKind.RUN, f"r{number}", "a run")
        await home.clock.advance(180)
        (parent,) = [record for record in stage.incidents() if not record.parent_id]
        assert (parent.key, parent.children) == ("provider:openai", 200)
        assert home.heard() == home.queued() == [(f"incident:{parent.incident_id}", "opened")]


async def test_a_thousand_runs_that_fall_silent_at_once_are_one_notice(tmp_path: Path) -> None:
    async with both(tmp_path, "observe_only") as (stage, home):
        for number in range(1000):
            stage.healing.heartbeats.record(WorkHeartbeatKind.RUN, f"r{number}", "a run")
        await home.clock.advance(180)
        (parent,) = [record for record in stage.incidents() if not record.parent_id]
        assert parent.children == 1000
        assert home.heard() == [(f"incident:{parent.incident_id}", "opened")]


async def test_a_condition_that_holds_and_clears_all_day_is_told_five_times_at_most(tmp_path: Path) -> None:
    async with both(tmp_path, measured=False) as (stage, home):
        condition = Condition(Domain.SCHEDULER, "job:j1:faulted", Severity.HIGH, "j1 is broken", subject="j1")
        for _ in range(24 * 6):
            stage.healing.tell(condition)
            await home.clock.advance(300)
            stage.healing.clear(condition.key)
            await home.clock.advance(300)
        assert len(stage.healing.book) == 1
        assert 1 <= len(home.heard()) <= 5
        assert [event for _, event in home.heard()] == ["opened", "resolved", "reopened", "flapping"]
        await home.clock.advance(2 * HOUR_S)
        assert home.heard()[-1][1] == "stable"
        assert len(home.heard()) == 5


async def test_what_is_not_watched_is_not_told(tmp_path: Path) -> None:
    async with both(tmp_path, "disabled") as (stage, home):
        stage.healing.heartbeats.record(WorkHeartbeatKind.RUN, "r1", "a run")
        await home.clock.advance(180)
        assert home.heard() == []
