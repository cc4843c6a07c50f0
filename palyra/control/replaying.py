"""Replays under way: each is a process of its own, followed by whoever asks and ended when nobody does any more."""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from palyra.config.pricing_text import parse_price
from palyra.control.codec import decode
from palyra.control.replays import (
    IDLE_S,
    CancelReplay,
    ReplayAnswer,
    ReplayAsk,
    ReplayProgress,
    ReplayProgressQuery,
    ReplayQuery,
)
from palyra.core.clock import Clock, Timer
from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.core.plural import plural
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import PolicyDefaults, PolicyInputError, parse_policy
from palyra.journal.journal import JOURNAL_FILE

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Replays that may run beside each other; each takes a core."""
KEPT = 16
"""Replays that have ended and can still be asked about."""
LINE_LIMIT = 16 * 1024 * 1024
PROGRAM = (sys.executable, "-P", "-m", "palyra.control.replay_worker")


@dataclass(slots=True)
class _Running:
    progress: ReplayProgress
    task: "asyncio.Task[None]"
    idle: Timer


class ReplayDesk:
    """The replays of one control room."""

    def __init__(self, state_dir: Path, defaults: PolicyDefaults, clock: Clock) -> None:
        self._journal = state_dir / JOURNAL_FILE
        self._defaults = defaults
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, ReplayProgress] = {}

    async def ask(self, query: ReplayAsk) -> ReplayProgress:
        """Raises BadInputError, ConflictError (too many at once), NotFoundError."""
        if isinstance(query, ReplayQuery):
            return self._start(query)
        running = self._running.get(query.replay_id)
        if running is None:
            ended = self._ended.get(query.replay_id)
            if ended is None:
                raise NotFoundError(f"No replay {query.replay_id!r} is known.", fix="Start it again.")
            return ended
        if isinstance(query, CancelReplay):
            await self._cancel(running)
            return self._ended[query.replay_id]
        assert isinstance(query, ReplayProgressQuery)
        running.idle.cancel()
        running.idle = self._clock.call_later(IDLE_S, partial(_cancel, running.task))
        return running.progress

    async def close(self) -> None:
        """Ends whatever runs."""
        for running in tuple(self._running.values()):
            await self._cancel(running)

    async def _cancel(self, running: _Running) -> None:
        running.task.cancel()
        await asyncio.wait([running.task])

    def _start(self, query: ReplayQuery) -> ReplayProgress:
        asked = self._asked(query)
        if query.replay_id in self._running or query.replay_id in self._ended:
            raise ConflictError(f"There is a replay {query.replay_id!r} already.", fix="Give each its own id.")
        if len(self._running) >= AT_ONCE:
            raise ConflictError(
                f"{plural(len(self._running), 'replay')} under way already.",
                fix="Wait for one to end, or cancel it.",
                code="too_many",
            )
        progress = ReplayProgress(query.replay_id, "running")
        task = asyncio.get_running_loop().create_task(self._run(query.replay_id, asked))
        # A task that is cancelled before it ever ran has nothing to clean up, and does not.
        task.add_done_callback(lambda _: self._over(replace(progress, state="cancelled")))
        idle = self._clock.call_later(IDLE_S, partial(_cancel, task))
        self._running[query.replay_id] = _Running(progress, task, idle)
        return progress

    def _asked(self, query: ReplayQuery) -> dict[str, Any]:
        """What the worker is told. Raises BadInputError with everything that is wrong."""
        policies: list[UsageBudgetPolicyRecord] = []
        faults: list[str] = []
        for index, fields in enumerate(query.policies):
            try:
                policies.append(parse_policy(fields, defaults=self._defaults))
            except PolicyInputError as error:
                faults += [f"budgets[{index}].{fault}" for fault in error.faults]
        ids = [policy.policy_id for policy in policies]
        faults += [f"budgets: the id {one!r} is used twice." for one in sorted(set(ids)) if ids.count(one) > 1]
        for index, row in enumerate(query.pricing):
            try:
                parse_price(row)
            except BadInputError as error:
                faults.append(f"pricing[{index}]: {error.message}")
        if query.until is not None and query.until < query.since:
            faults.append("until: a period cannot end before it starts.")
        if faults:
            raise BadInputError(" ".join(faults), code="bad_replay")
        return {
            "journal": str(self._journal),
            "policies": [policy.fields() for policy in policies],
            "removed": list(query.removed),
            "only": query.only,
            "pricing": [dict(row) for row in query.pricing],
            "since": query.since,
            "until": query.until,
        }

    async def _run(self, replay_id: str, asked: dict[str, Any]) -> None:
        process: asyncio.subprocess.Process | None = None
        ending = ReplayProgress(replay_id, "failed", message="its process ended without an answer")
        try:
            process = await asyncio.create_subprocess_exec(
                *PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=LINE_LIMIT,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            async for line in process.stdout:
                ending = self._heard(replay_id, json.loads(line)) or ending
        except asyncio.CancelledError:
            ending = replace(ending, state="cancelled", message="")
        except OSError as error:
            ending = replace(ending, message=str(error))
        except Exception as error:
            log.exception("replay %s failed", replay_id)
            ending = replace(ending, message=str(error))
        finally:
            if process is not None:
                with suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
            done = self._running[replay_id].progress
            self._over(replace(ending, done=done.done, total=done.total))

    def _over(self, ending: ReplayProgress) -> None:
        running = self._running.pop(ending.replay_id, None)
        if running is None:
            return
        running.idle.cancel()
        self._ended[ending.replay_id] = ending
        while len(self._ended) > KEPT:
            del self._ended[next(iter(self._ended))]

    def _heard(self, replay_id: str, said: dict[str, Any]) -> ReplayProgress | None:
        """One line of the worker's. Returns how it ended, once it has."""
        if "answer" in said:
            found: ReplayAnswer = decode(ReplayAnswer, json.dumps(said["answer"]))
            return ReplayProgress(replay_id, "done", answer=found)
        if "failed" in said:
            return ReplayProgress(replay_id, "failed", message=str(said["failed"]))
        running = self._running[replay_id]
        running.progress = replace(running.progress, done=said["done"], total=said["total"])
        return None


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
