"""Prompts that nobody waits for on a connection: streamed, collected, stopped, and told of to whoever asked."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from palyra.core.scope import Scope
from palyra.journal.changes import AuditAdded, Change
from palyra.journal.rows import RunRow
from palyra.runs.background import MAX_TEXT, BackgroundRuns, PromptAsk, PromptResult
from tests.end_to_end.asking import closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises, chat
from tests.end_to_end.test_streams import long
from tests.support.upstream import Reply, Upstream

NIGHT = Scope("nightly", "night", job="report")


class Desk:
    """Whoever asks: what it was told, and a line of its own that goes with each."""

    def __init__(self, here: Premises) -> None:
        self._here = here
        self.begun: list[RunRow] = []
        self.ended: list[PromptResult] = []
        self.beats: list[tuple[str, int]] = []
        self._changed = asyncio.Event()

    async def heard(self, phase: str, progress: int) -> None:
        """Waits for a sign of life."""
        while (phase, progress) not in self.beats:
            self._changed.clear()
            await self._changed.wait()

    def ask(self, **fields: Any) -> PromptAsk:
        asked = PromptAsk(
            "hello", NIGHT, "task", model=MINI, max_tokens=50, task_id="t1", run_id=self._here.engine.ids.new()
        )
        own = {"begun": self.hear_begun, "ended": self.hear_ended, "beat": self.hear_beat}
        return replace(asked, **{**own, **fields})

    def hear_begun(self, row: RunRow) -> Sequence[Change]:
        self.begun.append(row)
        return [AuditAdded(row.accepted_at, "task", row.run_id, "palyra", {"verb": "begun"})]

    def hear_ended(self, result: PromptResult) -> Sequence[Change]:
        self.ended.append(result)
        return [AuditAdded(1, "task", result.run_id, "palyra", {"verb": "ended"})]

    def hear_beat(self, phase: str, progress: int) -> None:
        self.beats.append((phase, progress))
        self._changed.set()


def runs_of(here: Premises, **options: Any) -> BackgroundRuns:
    engine = here.engine
    return BackgroundRuns(engine.runner, engine._durable, here.clock, engine.ids, engine.events, **options)


@pytest.fixture
def desk(here: Premises) -> Desk:
    return Desk(here)


async def test_an_answer_is_streamed_and_collected(here: Premises, desk: Desk, upstream: Upstream) -> None:
    ask = desk.ask(instructions="Be brief.", json=True)
    result = await runs_of(here).run(ask)
    assert (result.run_id, result.state, result.reason) == (ask.run_id, "completed", "stop")
    assert (result.text, result.cut, result.input_tokens, result.output_tokens) == ("Hello world.", False, 12, 4)
    sent = upstream.seen[0].json
    assert (sent["stream"], sent["response_format"], sent["max_tokens"]) == (True, {"type": "json_object"}, 50)
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]
    await here.rest()
    run = await here.engine.journal.readers.run(ask.run_id)
    assert run is not None
    assert (run.source, run.task_class, run.scope) == ("task", "background_automation", NIGHT)
    assert run.cost == result.cost_usd
    assert [row.run_id for row in desk.begun] == [ask.run_id]
    assert desk.ended == [result]


async def test_signs_of_life_tell_phases_and_progress(here: Premises, desk: Desk, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event(), gate_at=2)
    work = asyncio.create_task(runs_of(here).run(desk.ask()))
    await desk.heard("stream", 6)
    phases = list(dict.fromkeys(phase for phase, _ in desk.beats))
    assert phases == ["plan", "hold", "dispatch", "stream"]
    told = len(desk.beats)
    await here.advance(14.9)
    assert len(desk.beats) == told
    await here.advance(0.1)
    assert desk.beats[told:] == [("stream", 6)]
    upstream.default.gate.set()  # type: ignore[union-attr]
    await work
    told = len(desk.beats)
    await here.advance(60)
    assert len(desk.beats) == told


async def test_one_is_stopped_by_its_id(here: Premises, desk: Desk, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    runs = runs_of(here)
    ask = desk.ask()
    work = asyncio.create_task(runs.run(ask))
    await upstream.wait_for_requests(1)
    assert runs.cancel(ask.run_id, "parent_cancelled", "ada")
    result = await work
    assert (result.state, result.reason, result.text) == ("cancelled", "parent_cancelled", "")
    assert not runs.cancel(ask.run_id, "by_operator", "ada")
    assert (await here.run()).run.reason == "parent_cancelled"


async def test_one_is_stopped_while_its_notes_are_looked_for(here: Premises, desk: Desk, upstream: Upstream) -> None:
    looking, found = asyncio.Event(), asyncio.Event()

    async def recall(scope: Scope, text: str, most: int) -> Sequence[str]:
        looking.set()
        await found.wait()
        return ()

    runs = runs_of(here, recall=recall)
    ask = desk.ask(recall=3)
    work = asyncio.create_task(runs.run(ask))
    await looking.wait()
    assert runs.cancel(ask.run_id, "by_operator", "ada")
    found.set()
    assert (await work).state == "cancelled"
    assert [result.reason for result in desk.ended] == ["by_operator"]
    assert (desk.begun, upstream.seen) == ([], [])


async def test_notes_precede_the_prompt_as_quotes(here: Premises, desk: Desk, upstream: Upstream) -> None:
    async def recall(scope: Scope, text: str, most: int) -> Sequence[str]:
        assert (scope, text, most) == (NIGHT, "hello", 2)
        return ["one\ntwo", "three"]

    await runs_of(here, recall=recall).run(desk.ask(recall=2))
    first = upstream.seen[0].json["messages"][0]
    assert first["role"] == "system"
    assert first["content"].endswith("\n\n> one\n> two\n\n> three")


async def test_a_provider_that_fails_is_told_with_its_class_and_its_wait(
    here: Premises, desk: Desk, upstream: Upstream
) -> None:
    upstream.default = Reply(status=429, headers={"retry-after": "7"})
    result = await runs_of(here).run(desk.ask())
    assert (result.state, result.error_class, result.retry_after_s) == ("failed", "rate_limited", 7.0)
    assert result.message
    assert desk.ended == [result]


async def test_a_budget_that_refuses_is_told_with_its_decision(here: Premises, desk: Desk) -> None:
    await here.add_budget("desk", "0")
    result = await runs_of(here).run(desk.ask())
    detail = await here.run()
    assert (result.state, result.reason, result.error_class) == ("refused", "budget_exceeded", "")
    assert detail.decision is not None
    assert result.decision_id == detail.decision.decision_id
    assert [row.state for row in desk.begun] == ["refused"]


async def test_what_its_owner_writes_goes_with_the_run(here: Premises, desk: Desk) -> None:
    units: list[Sequence[Change]] = []
    here.engine.journal.listen(units.append)
    ask = desk.ask()
    await runs_of(here).run(ask)
    await here.rest()
    for verb, state in (("begun", "running"), ("ended", "completed")):
        (unit,) = [
            unit for unit in units if any(isinstance(one, AuditAdded) and one.payload == {"verb": verb} for one in unit)
        ]
        assert [one.row.state for one in unit if type(one).__name__ == "RunSaved"] == [state]  # type: ignore[union-attr]


async def test_without_a_model_there_is_no_run_and_its_end_is_told_all_the_same(here: Premises, desk: Desk) -> None:
    ask = desk.ask(model="nobody/nothing")
    result = await runs_of(here).run(ask)
    assert (result.run_id, result.state, result.reason) == (ask.run_id, "failed", "model_not_found")
    assert desk.ended == [result]
    assert await here.runs() == ()


async def test_a_prompt_that_cannot_be_asked_fails(here: Premises, desk: Desk) -> None:
    result = await runs_of(here).run(desk.ask(max_tokens=0))
    assert (result.state, result.reason) == ("failed", "invalid_field")
    assert desk.ended == [result]


async def test_an_owner_that_fails_does_not_keep_its_run_alive(here: Premises, desk: Desk) -> None:
    def breaks(_told: object) -> Sequence[Change]:
        raise ValueError

    result = await runs_of(here).run(desk.ask(begun=breaks, ended=breaks))
    assert result.completed
    assert (await here.run()).run.state == "completed"


async def test_a_long_answer_is_cut_and_marked(here: Premises, desk: Desk, upstream: Upstream) -> None:
    piece = "ä" * 50_000
    upstream.default = Reply(pieces=(piece,) * 3, output_tokens=50)
    result = await runs_of(here).run(desk.ask(max_tokens=None))
    assert (result.completed, result.cut) == (True, True)
    assert len(result.text.encode()) == MAX_TEXT
    upstream.default = Reply(pieces=("ab" * 60_000,))
    whole = await runs_of(here).run(desk.ask())
    assert (whole.text, whole.cut) == ("ab" * 60_000, False)


async def test_its_own_limit_of_time_ends_it(here: Premises, desk: Desk, upstream: Upstream) -> None:
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    work = asyncio.create_task(runs_of(here).run(desk.ask(max_duration_ms=5_000)))
    await desk.heard("stream", 120)
    await here.advance(4.9)
    assert not work.done()
    await here.advance(0.1)
    result = await work
    assert (result.state, result.reason) == ("failed", "run_timeout")


async def test_waiting_for_a_person_takes_nothing_of_its_time(here: Premises, desk: Desk, upstream: Upstream) -> None:
    await closed(here)
    upstream.default = Reply(gate=asyncio.Event())
    work = asyncio.create_task(runs_of(here).run(desk.ask(max_duration_ms=5_000)))
    view = await here.parked()
    await here.advance(600)
    assert not work.done()
    await here.allow(view.approval_id)
    await upstream.wait_for_requests(1)
    await here.advance(4.0)
    assert not work.done()
    await here.advance(2.0)
    assert (await work).reason == "run_timeout"


async def test_one_may_wait_shorter_than_an_approval_stays_open(here: Premises, desk: Desk) -> None:
    await closed(here)
    work = asyncio.create_task(runs_of(here).run(desk.ask(park_seconds=30)))
    await here.parked()
    await here.advance(30.5)
    assert (await work).reason == "budget_approval_required"
    assert (await here.pending()).status == "pending"


async def test_stopping_the_engine_ends_it_and_tells(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    desk = Desk(here)
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    work = asyncio.create_task(runs_of(here).run(desk.ask()))
    await desk.heard("stream", 120)
    draining = asyncio.create_task(here.engine.drain())
    await here.advance(10)
    await draining
    assert (await work).reason == "engine_stopping"


async def test_a_kept_answer_does_not_serve_work_that_repeats(opened: Opener, upstream: Upstream) -> None:
    here = await opened('[cache]\nenabled = true\nttl = "1h"\n')
    desk = Desk(here)
    for _ in range(2):
        await runs_of(here).run(desk.ask(max_tokens=20))
    assert len(upstream.seen) == 2
    assert (await here.ask(chat(max_tokens=20))).status == 200
