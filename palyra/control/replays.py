"""Trying policies and prices on recorded requests: what to try, how far it has come, and what would have changed.

A replay is started with a question, followed with questions, and ended with one, so that it works alike in the engine's
process, over the socket and on a journal nobody holds. It changes nothing, so nobody needs a right for it:

    answer = await replay(control, ReplayQuery(new_id, policies=…, since=…), clock, on_progress)

The work is done by a process of its own, which reads the journal beside the engine; one nobody asks about any more is
ended after `IDLE_S`.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal, Protocol

from palyra.core.clock import Clock
from palyra.core.errors import BadInputError, ConflictError, PalyraError
from palyra.core.values import value

FOLLOW_S = 0.25
"""How often a replay is asked how far it has come."""
IDLE_S = 15.0


@value
class ReplayQuery:
    """Starts a replay of the requests decided in [since, until), UTC unix ms; until None: the newest.

    `replay_id` is made by who asks and names it from then on. `policies` are fields as an operator types them: each
    holds for the whole period in place of the recorded policy of its id, or beside the others; with `only` they are
    all there is. `removed` are ids left out. `pricing` are dated price rows as text: recorded use is priced anew where
    one applies. With nothing to try, each request is decided as it was, and nothing differs.

    Raises BadInputError naming every field at fault, and where too many replays run already.
    """

    replay_id: str
    policies: tuple[dict[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    only: bool = False
    pricing: tuple[dict[str, str], ...] = ()
    since: int = 0
    until: int | None = None
    kind: Literal["replay"] = "replay"

    def during(self, since: int, until: int | None) -> "ReplayQuery":
        """The same over another period."""
        return replace(self, since=since, until=until)


@value
class ReplayProgressQuery:
    """Raises NotFoundError for a replay that is not known, or forgotten."""

    replay_id: str
    kind: Literal["replay_progress"] = "replay_progress"


@value
class CancelReplay:
    """Ends a replay; one that is over stays as it is. A question, since it takes no right."""

    replay_id: str
    kind: Literal["cancel_replay"] = "cancel_replay"


@value
class ReplayBite:
    """What one of the tried policies did in the replay. `first_day` is the local date of `first_at` in its zone.

    `refused` counts requests it stopped, `approvals` those of them that would have waited for a person, `would_refuse`
    those it only would have stopped in a looser mode, `over_soft` those decided past its soft limit. `first_at`
    (unix ms) is the first it stopped, None when it stopped none. `added` is false for a policy as it was recorded.
    """

    policy_id: str
    refused: int = 0
    approvals: int = 0
    would_refuse: int = 0
    over_soft: int = 0
    first_at: int | None = None
    first_day: str = ""
    added: bool = False


@value
class ReplayExample:
    """A request that would have gone another way. `before` and `after`: served, blocked, approval_required, cut.

    `reasons` say why, in words; costs are nano-dollars, None where nobody knows the price.
    """

    run_id: str
    decision_id: str
    at: int
    principal: str
    session: str
    model_before: str
    model_after: str
    before: str
    after: str
    policy_ids: tuple[str, ...]
    reasons: tuple[str, ...]
    cost_before_nano_usd: int | None
    cost_after_nano_usd: int | None


@value
class ReplayAnswer:
    """What the tried policies and prices would have made of the recorded requests. Costs are nano-dollars.

    `requests` are counted once, however often each was decided; `differences` are those served, refused, routed,
    clamped or cut otherwise than they were, each once. `denied_*` counts every request that was not served, also for
    want of an approval; `approvals_*` those that asked for a person. `estimated`: requests that history refused and
    that would pass now, counted at their expected cost since nobody knows what they would have used. `saved` is cost
    before minus after. `recorded_since` is the first request there is a record of, None without any. `notes` say what
    the numbers rest on.
    """

    since: int
    until: int
    requests: int = 0
    differences: int = 0
    denied_before: int = 0
    denied_after: int = 0
    approvals_before: int = 0
    approvals_after: int = 0
    rerouted: int = 0
    clamped_before: int = 0
    clamped_after: int = 0
    cut_before: int = 0
    cut_after: int = 0
    estimated: int = 0
    cost_before_nano_usd: int = 0
    cost_after_nano_usd: int = 0
    saved_nano_usd: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0
    policies: tuple[ReplayBite, ...] = ()
    examples: tuple[ReplayExample, ...] = ()
    recorded_since: int | None = None
    notes: tuple[str, ...] = ()


@value
class ReplayProgress:
    """How far a replay has come: `done` of about `total` steps. `answer` is set once it is `done`; `message` says why
    one `failed`, and `code` what kind of failure that is."""

    replay_id: str
    state: Literal["running", "done", "cancelled", "failed"]
    done: int = 0
    total: int = 0
    answer: ReplayAnswer | None = None
    message: str = ""
    code: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state != "running"


ReplayAsk = ReplayQuery | ReplayProgressQuery | CancelReplay


class Asking(Protocol):
    """The part of a control that replays need."""

    async def ask(self, query: ReplayAsk) -> ReplayProgress:
        """How far the replay is."""
        ...


async def replay(
    control: Asking, query: ReplayQuery, clock: Clock, on_progress: Callable[[ReplayProgress], None] | None = None
) -> ReplayAnswer:
    """Starts a replay and follows it to its end. Cancelling the caller's task cancels the replay.

    Raises BadInputError for what cannot be tried, ConflictError when somebody else cancelled it, PalyraError when it
    failed.
    """
    progress = await control.ask(query)
    try:
        while not progress.over:
            if on_progress is not None:
                on_progress(progress)
            await clock.sleep(FOLLOW_S)
            progress = await control.ask(ReplayProgressQuery(query.replay_id))
    except BaseException:
        # What ended the following is told, not that the replay is gone as well.
        with suppress(PalyraError):
            await control.ask(CancelReplay(query.replay_id))
        raise
    if on_progress is not None:
        on_progress(progress)
    if progress.answer is not None:
        return progress.answer
    if progress.code == BadInputError.code:
        raise BadInputError(progress.message, code=progress.code)
    if progress.state == "cancelled":
        raise ConflictError("The replay was cancelled.", code="replay_cancelled")
    raise PalyraError(f"The replay failed: {progress.message}", code="replay_failed")
