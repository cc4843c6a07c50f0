"""Answers of kept shapes through the whole of a run: how much they hold beyond what they use, and never less."""

from pathlib import Path

from benchmarks.streams import GOAL_RATIO, SLICE, played, rows
from palyra.governance.replay import Replay
from palyra.governance.replay_trial import Trial, schedule
from palyra.journal.replay_log import ReplayLog

SHAPES = ("chat_answer", "huge_single_chunk", "thinking_then_answer")
STREAMS = 58
"""Of each, and again of those that share a model: a little more than it takes to know a model."""


async def test_streams_hold_little_more_than_they_use_and_never_less(tmp_path: Path) -> None:
    found = await played(tmp_path, STREAMS, names=SHAPES)
    told = {row.name: row for row in rows(found)}
    every = told["all"]
    assert every.streams == 4 * STREAMS
    assert every.median <= GOAL_RATIO
    assert every.beyond <= SLICE
    assert every.median < every.first
    assert 0 < every.cuts < every.streams / 4
    streamed = [one for streams in found.values() for one in streams]
    assert all(one.held >= one.used for one in streamed if one.known)
    # Decided again with every slice taken and given back, in the order of then, nothing differs.
    with ReplayLog.of(tmp_path / "state") as log:
        plan = schedule(log.terms(), Trial(), since=1, until=log.last + 1, since_at=0, first_of=log.seq_at)
        tally = Replay(log, plan).run()
    assert (tally.requests, tally.differences) == (every.streams, 0), tally.examples
    # What was let in under a tight budget stayed within it.
    assert all(one.held <= 700 for one in streamed if one.tight)
