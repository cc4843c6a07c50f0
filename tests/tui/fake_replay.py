"""Replays that a fake engine runs: a quarter further each time it is asked."""

from dataclasses import replace

from palyra.control.replays import (
    CancelReplay,
    ReplayAnswer,
    ReplayAsk,
    ReplayBite,
    ReplayProgress,
    ReplayProgressQuery,
    ReplayQuery,
)
from palyra.core.errors import BadInputError, NotFoundError

REQUESTS = 3_102
CENT = 10_000_000


class FakeReplays:
    """`trouble`: why the next one is refused. `stuck`: none comes any further."""

    def __init__(self) -> None:
        self.asked: list[ReplayQuery] = []
        self.states: dict[str, ReplayProgress] = {}
        self.trouble = ""
        self.stuck = False
        self.outcome = ReplayAnswer(
            since=0,
            until=0,
            requests=REQUESTS,
            differences=212,
            denied_before=14,
            denied_after=226,
            approvals_before=2,
            approvals_after=2,
            cost_before_nano_usd=4_127 * CENT,
            cost_after_nano_usd=3_302 * CENT,
            saved_nano_usd=825 * CENT,
            notes=("Recorded since 2026-11-01.",),
        )

    def answer(self, query: ReplayAsk) -> ReplayProgress:
        match query:
            case ReplayQuery(replay_id=replay_id):
                if self.trouble:
                    raise BadInputError(self.trouble)
                self.asked.append(query)
                self.states[replay_id] = ReplayProgress(replay_id, "running", 0, REQUESTS)
            case ReplayProgressQuery(replay_id=replay_id):
                self._go_on(replay_id)
            case CancelReplay(replay_id=replay_id):
                if self._known(replay_id).state == "running":
                    self.states[replay_id] = replace(self._known(replay_id), state="cancelled")
        return self._known(query.replay_id)

    def _known(self, replay_id: str) -> ReplayProgress:
        if replay_id not in self.states:
            raise NotFoundError(f"No replay {replay_id} is known.")
        return self.states[replay_id]

    def _go_on(self, replay_id: str) -> None:
        before = self._known(replay_id)
        if before.over or self.stuck:
            return
        done = min(REQUESTS, before.done + REQUESTS // 4 + 1)
        tried = next(query for query in self.asked if query.replay_id == replay_id)
        bites = tuple(
            ReplayBite(fields["policy_id"], refused=212, first_at=1, first_day="2026-11-15", added=True)
            for fields in tried.policies
        )
        answer = replace(self.outcome, policies=bites) if done == REQUESTS else None
        self.states[replay_id] = replace(
            before, done=done, state="done" if answer is not None else "running", answer=answer
        )
