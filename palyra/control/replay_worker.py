"""The process that replays: reads what to try from standard input, tells its progress and its answer a JSON line each.

It only reads the journal, at a lower priority than the engine, so that serving goes on undisturbed beside it.
"""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from palyra.config.pricing_text import parse_price
from palyra.control.codec import encode
from palyra.control.replays import ReplayAnswer, ReplayBite, ReplayExample
from palyra.core.errors import PalyraError
from palyra.core.heap import settle_heap
from palyra.core.windows import load_zone
from palyra.governance.policy_input import parse_policy
from palyra.governance.replay import Replay
from palyra.governance.replay_lanes import Bite
from palyra.governance.replay_tally import Example
from palyra.governance.replay_trial import Trial, schedule
from palyra.journal.replay_log import ReplayLog
from palyra.pricing.overrides import Overrides

NICER = 10
TRIED_SHOWN = 200

WAITING = "What would wait for a person counts as refused, unless a recorded grant serves it."
ESTIMATED = "Requests that history refused and that would pass are counted at their expected cost."
CUT = "A stream whose budget would have ended earlier is charged at most what it held until then."
GUESSED = (
    "Requests that named their model, with no budget then to ask for another, are tried on the other models of the log"
    " at the prices recorded nearest to them; whether those could have served them is not known."
)
ALONE = "Requests that named their model are tried on no other, since the log knows of none."
UNRECORDED = "Nothing before the first recorded request can be replayed."
EMPTY = "No request of this period is recorded, so nothing was tried."


def answer(asked: dict[str, Any], tell: Any) -> ReplayAnswer:
    """Replays. `tell(done, total)` hears of the progress. Raises PalyraError."""
    trial = Trial(
        policies=tuple(parse_policy(fields) for fields in asked["policies"]),
        removed=frozenset(asked["removed"]),
        only=asked["only"],
    )
    prices = [parse_price(fields) for fields in asked["pricing"]]
    with ReplayLog(Path(asked["journal"])) as log:
        since = log.seq_at(asked["since"])
        until = log.last + 1 if asked["until"] is None else log.seq_at(asked["until"])
        plan = schedule(log.terms(), trial, since=since, until=until, since_at=asked["since"], first_of=log.seq_at)
        total = log.last - plan.first + 1
        replay = Replay(
            log,
            plan,
            prices=Overrides(prices) if prices else None,
            told=lambda seq: tell(seq - plan.first + 1, total),
        )
        tally = replay.run()
        recorded_since = log.first_plan_at()
        examples = tuple(_example(log, item) for item in sorted(tally.examples.values(), key=lambda one: one.at))
        until_at = log.last_at() if asked["until"] is None else asked["until"]
    tried = {policy.policy_id for policy in trial.policies}
    notes = [WAITING] if tally.requests else [EMPTY]
    if tally.estimated:
        notes.append(ESTIMATED)
    if tally.cut_after:
        notes.append(CUT)
    if replay.others.guessed:
        notes.append(GUESSED)
    if replay.others.alone:
        notes.append(ALONE)
    if recorded_since is None or asked["since"] < recorded_since:
        notes.append(UNRECORDED)
    bites = [
        _bite(policy_id, bite, replay, policy_id in tried)
        for policy_id, bite in replay.lanes.bites.items()
        if tally.requests and replay.lanes.get(policy_id) is not None
    ]
    bites.sort(key=lambda one: (not one.added, -one.refused, one.policy_id))
    return ReplayAnswer(
        since=asked["since"],
        until=until_at,
        requests=tally.requests,
        differences=tally.differences,
        denied_before=tally.denied_before,
        denied_after=tally.denied_after,
        approvals_before=tally.approvals_before,
        approvals_after=tally.approvals_after,
        rerouted=tally.rerouted,
        clamped_before=tally.clamped_before,
        clamped_after=tally.clamped_after,
        cut_before=tally.cut_before,
        cut_after=tally.cut_after,
        estimated=tally.estimated,
        cost_before_nano_usd=tally.cost_before,
        cost_after_nano_usd=tally.cost_after,
        saved_nano_usd=tally.cost_before - tally.cost_after,
        unpriced_before=tally.unpriced_before,
        unpriced_after=tally.unpriced_after,
        policies=tuple(bites[:TRIED_SHOWN]),
        examples=examples,
        recorded_since=recorded_since,
        notes=tuple(notes),
    )


def _bite(policy_id: str, bite: Bite, replay: Replay, added: bool) -> ReplayBite:
    policy = replay.lanes.get(policy_id)
    day = ""
    if bite.first_at is not None and policy is not None:
        day = datetime.fromtimestamp(bite.first_at / 1000, load_zone(policy.timezone)).date().isoformat()
    return ReplayBite(
        policy_id, bite.refused, bite.approvals, bite.would_refuse, bite.over_soft, bite.first_at, day, added
    )


def _example(log: ReplayLog, item: Example) -> ReplayExample:
    run_id, decision_id = log.run(item.ref, item.at)
    return ReplayExample(
        run_id=run_id,
        decision_id=decision_id,
        at=item.at,
        principal=item.principal,
        session=item.session,
        model_before=item.model_before,
        model_after=item.model_after,
        before=item.before,
        after=item.after,
        policy_ids=item.policy_ids,
        reasons=item.reasons,
        cost_before_nano_usd=item.cost_before,
        cost_after_nano_usd=item.cost_after,
    )


def work(source: TextIO, target: TextIO) -> None:
    """One replay, asked on `source`, told on `target`; nothing where whoever asks is gone."""
    asked = source.readline()
    if not asked:
        return

    def tell(done: int, total: int) -> None:
        target.write(json.dumps({"done": done, "total": total}) + "\n")
        target.flush()

    try:
        said = '{"answer":' + encode(ReplayAnswer, answer(json.loads(asked), tell)).decode() + "}"
    except PalyraError as error:
        said = json.dumps({"failed": str(error), "code": error.code})
    target.write(said + "\n")
    target.flush()


def main() -> None:
    """Replays what standard input asks for, and tells how far it is and what came out on standard output."""
    os.nice(NICER)
    settle_heap()
    try:
        work(sys.stdin, sys.stdout)
    except BrokenPipeError:
        # Nobody listens any more.
        sys.stderr.close()


if __name__ == "__main__":
    main()
