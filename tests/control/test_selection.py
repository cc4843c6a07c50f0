"""Explaining a selection: the engine's own plan, told in full, of which nothing is kept and nothing held."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palyra.config.load import interpret
from palyra.config.model import LoadedConfig
from palyra.control import codec
from palyra.control.connections import Caller
from palyra.control.local import LocalControl
from palyra.control.offline import offline_control
from palyra.control.queries import DecisionQuery, RunQuery
from palyra.control.selection import own_scope
from palyra.control.serving_queries import SelectionAnswer, SelectionQuery
from palyra.control.snapshots import OperatorView
from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError, NotFoundError
from palyra.engine import Installation
from palyra.house import House, open_house
from palyra.providers.credentials import Pool
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.request import parse_request
from palyra.providers.ways import AttemptEnd
from palyra.providers.wires import Wire
from palyra.runs.request import RunRequest

CONFIG = b"""
version = 1
[providers.house]
kind = "deterministic"
[providers.other]
kind = "deterministic"
[[models]]
provider = "house"
upstream = "large"
tools = true
max_context = 100000
vision = true
[[models]]
provider = "other"
upstream = "small"
max_context = 200
[[pricing]]
provider = "house"
model = "large"
input = "3"
output = "12"
[[pricing]]
provider = "other"
model = "small"
input = "0.30"
output = "1.20"
[[budgets]]
policy_id = "house-day"
interval_kind = "daily"
hard_limit = "0.01"
"""
HARD = "analyze the architecture and investigate the security regression " * 60


def configured(config: bytes = CONFIG) -> LoadedConfig:
    loaded = interpret(config, Path("palyra.toml"), {}, {})
    assert loaded.config is not None, loaded.problems
    return loaded.config


@asynccontextmanager
async def a_house(
    directory: Path, clock: ManualClock, config: bytes = CONFIG
) -> AsyncIterator[tuple[House, LocalControl]]:
    installation = Installation(configured(config), directory / "state")
    async with open_house(installation, clock, {}, serving=False) as house:
        yield house, LocalControl(house.face, OperatorView("maria", "viewer", "uid"))


async def test_the_same_plan_is_made_for_a_request_that_is_sent(tmp_path: Path) -> None:
    clock = ManualClock()
    async with a_house(tmp_path, clock) as (house, control):
        told = await control.ask(SelectionQuery("hello there", max_tokens=20))
        body = b'{"model": "auto", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 20}'
        request = RunRequest(own_scope(), parse_request(Wire.CHAT, body))
        outcome = await house.engine.runner.execute(request, Caller())
        made = await control.ask(DecisionQuery(outcome.report.decision_id))
        assert told.actual_model == made.body["actual_model"] == "other/small"
        assert told.reason_codes == tuple(made.body["reason_codes"])
        assert told.sentences == made.sentences
        assert told.bound_nano_usd == made.body["estimate"]["bound_nano_usd"]
        assert told.candidates[0].bound_nano_usd == told.bound_nano_usd
        assert [item.policy_id for item in told.evaluations] == ["house-day"]
        assert (told.outcome, told.action, told.live) == (made.outcome, made.body["action"], True)


async def test_the_score_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    async with a_house(tmp_path, ManualClock()) as (_, control):
        plain = await control.ask(SelectionQuery("hello"))
        asked = await control.ask(SelectionQuery("analyze security", json_mode=True, vision=True))
        assert set(plain.parts) == {"bytes", "tokens", "json", "images", "keywords"}
        assert plain.score == pytest.approx(sum(plain.parts.values()), abs=1e-3)
        assert asked.parts | {"bytes": 0, "tokens": 0} == {
            "bytes": 0,
            "tokens": 0,
            "json": 0.2,
            "images": 0.15,
            "keywords": 0.1,
        }
        assert asked.score > plain.score


async def test_models_that_cannot_serve_come_last_with_their_reasons(tmp_path: Path) -> None:
    async with a_house(tmp_path, ManualClock()) as (_, control):
        told = await control.ask(SelectionQuery(HARD, tools=True))
        assert [one.model_id for one in told.candidates] == ["house/large", "other/small"]
        chosen, passed_over = told.candidates
        assert (chosen.chosen, chosen.reasons, chosen.tier) == (True, (), "premium")
        assert passed_over.reasons == ("capability_missing", "context_too_long")
        assert passed_over.expected_nano_usd is None


async def test_nothing_is_held_kept_or_used_up(tmp_path: Path) -> None:
    clock = ManualClock()
    async with a_house(tmp_path, clock) as (house, control):
        ledger = house.engine.ledger
        now = clock.now_ms()
        before = (ledger.version, ledger.counters(now), ledger.counters(now + 86_400_000))
        asked = SelectionQuery(HARD, at=now + 90_000_000)
        first = await control.ask(asked)
        assert await control.ask(asked) == first
        assert (ledger.version, ledger.counters(now), ledger.counters(now + 86_400_000)) == before
        assert ledger.open_holds() == ()
        assert await house.engine.journal.readers.spent_on_day(now, "UTC") == 0


async def test_what_a_budget_would_refuse_is_told_with_what_would_pass(tmp_path: Path) -> None:
    async with a_house(tmp_path, ManualClock()) as (_, control):
        told = await control.ask(SelectionQuery(HARD * 10, model="house/large"))
        assert (told.action, told.outcome) == ("blocked", "blocked")
        assert told.evaluations[0].status == "blocked"
        assert told.evaluations[0].projected > 10_000_000
        (grant,) = [item for item in told.counterfactual if item.kind == "grant"]
        assert (grant.policy_id, grant.metric_kind) == ("house-day", "estimated_cost_usd")
        assert grant.amount is not None
        assert grant.amount >= told.evaluations[0].projected - 10_000_000


async def test_an_answer_that_would_be_made_to_fit_is_told_its_ceiling(tmp_path: Path) -> None:
    async with a_house(tmp_path, ManualClock()) as (_, control):
        told = await control.ask(SelectionQuery("hello", model="house/large", max_tokens=100_000))
        assert told.action == "proceed"
        assert "output_clamped" in told.reason_codes
        assert told.max_tokens is not None
        assert 64 < told.max_tokens < 1_000


async def test_a_provider_that_is_down_is_passed_over(tmp_path: Path) -> None:
    async with a_house(tmp_path, ManualClock()) as (house, control):
        assert (await control.ask(SelectionQuery("hello"))).actual_model == "other/small"
        for _ in range(3):
            way = house.engine.ways.take("other", "primary_interactive")
            assert way is not None
            assert hasattr(way, "end")
            way.end(AttemptEnd("other", error=ProviderError(ErrorClass.PROVIDER_TIMEOUT, "slow")))
        told = await control.ask(SelectionQuery("hello"))
        reasons = {one.model_id: one.reasons for one in told.candidates}
        assert reasons["other/small"] == ("breaker_open",)
        assert told.actual_model == "house/large"
        assert told.sentences[-1] == "The provider other failed too often; it is tried again in 30 s."
        # As for a request: another model answers for the one that was asked for and cannot be reached.
        named = await control.ask(SelectionQuery("hello", "other/small"))
        assert (named.actual_model, "failover_to_secondary" in named.reason_codes) == ("house/large", True)


async def test_where_no_other_may_answer_a_model_that_is_down_is_the_end(tmp_path: Path) -> None:
    config = CONFIG + b"[failover]\nenabled = false\n"
    async with a_house(tmp_path, ManualClock(), config) as (house, control):
        house.engine.credentials.configure({"other": Pool(detail="no credential is set")})
        told = await control.ask(SelectionQuery("hello", "other/small"))
        assert (told.actual_model, told.action) == ("", "blocked")
        assert told.sentences[-1] == "The provider other has no usable credential: no credential is set."


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "nobody"}, NotFoundError, 'no model "nobody"'),
        ({"task_class": "chores"}, BadInputError, "no task class"),
        ({"max_tokens": 0}, BadInputError, "max_tokens"),
        ({"at": 1}, BadInputError, "has passed"),
        ({"prompt": "x" * 600_000}, BadInputError, "512 KiB"),
    ],
)
async def test_what_cannot_be_explained_is_refused(
    tmp_path: Path, changes: Any, error: type[Exception], words: str
) -> None:
    async with a_house(tmp_path, ManualClock()) as (_, control):
        with pytest.raises(error, match=words):
            await control.ask(replace(SelectionQuery("hello"), **changes))


async def test_without_an_engine_configuration_and_journal_tell_the_same(tmp_path: Path) -> None:
    clock = ManualClock()
    asked = SelectionQuery("hello there", max_tokens=20)
    async with a_house(tmp_path, clock) as (house, control):
        body = b'{"model": "auto", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}'
        outcome = await house.engine.runner.execute(RunRequest(own_scope(), parse_request(Wire.CHAT, body)), Caller())
        assert (await control.ask(RunQuery(outcome.report.run_id))).run.state == "completed"
        told = await control.ask(asked)
    async with offline_control(configured(), tmp_path / "state", None, clock) as offline:
        at_rest = await offline.ask(asked)
    assert at_rest == replace(told, live=False)
    decoded = codec.decode_answer(codec.encode_answer(at_rest))
    assert isinstance(decoded, SelectionAnswer)
    assert decoded == at_rest
