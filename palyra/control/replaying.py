"""Replays under way: each is a process of its own, followed by whoever asks and ended when nobody does any more."""

import asyncio
import json
import logging
import os
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
from palyra.core.instants import LATEST_MS
from palyra.core.plural import plural
from palyra.core.redact import redact_error
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import PolicyDefaults, PolicyInputError, parse_policy
from palyra.journal.journal import JOURNAL_FILE

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Replays that may run beside each other; each takes a core."""
KEPT = 16
"""Replays that have ended and can still be asked about."""
LINE_LIMIT = 16 * 1024 * 1024
COMPLAINT_KEPT = 8_192
COMPLAINT_LINES = 3
"""How much of what a process says on its standard error is kept (octets), and told when it dies (lines)."""
PROGRAM = (sys.executable, "-P", "-m", "palyra.control.replay_worker")
HANDED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""What of the environment a replay gets, with what tells Python where its modules are; keys of providers lie beside."""


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

    def configure(self, defaults: PolicyDefaults) -> None:
        """What policies of replays that are started from now on inherit."""
        self._defaults = defaults

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
        faults += _bounds(query.since, query.until)
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
        ending: ReplayProgress | None = None
        complaint = bytearray()
        try:
            process = await asyncio.create_subprocess_exec(
                *PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT,
                env={name: text for name, text in os.environ.items() if name in HANDED_ON or name.startswith("PYTHON")},
                # Ctrl+C is heard by whoever asked, who ends this process.
                start_new_session=True,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            complaining = asyncio.ensure_future(_keep_end(process.stderr, complaint))
            try:
                async for line in process.stdout:
                    ending = self._heard(replay_id, json.loads(line)) or ending
                await complaining
            finally:
                complaining.cancel()
            status = await process.wait()
            ending = ending or ReplayProgress(replay_id, "failed", message=_last_words(status, complaint))
        except asyncio.CancelledError:
            ending = ReplayProgress(replay_id, "cancelled")
        except OSError as error:
            ending = ReplayProgress(replay_id, "failed", message=str(error))
        except Exception as error:
            log.exception("replay %s failed", replay_id)
            ending = ReplayProgress(replay_id, "failed", message=redact_error(error))
        finally:
            if process is not None and process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
            assert ending is not None
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
            return ReplayProgress(replay_id, "failed", message=str(said["failed"]), code=str(said["code"]))
        running = self._running[replay_id]
        running.progress = replace(running.progress, done=said["done"], total=said["total"])
        return None


def _bounds(since: int, until: int | None) -> list[str]:
    """What is wrong with a period."""
    named = [("since", since), *([] if until is None else [("until", until)])]
    faults = [
        f"{name}: {at} is outside the years 1970 to 9999, in milliseconds since 1970."
        for name, at in named
        if not 0 <= at <= LATEST_MS + 1
    ]
    if not faults and until is not None and until <= since:
        faults.append("until: a period ends after it starts.")
    return faults


async def _keep_end(source: asyncio.StreamReader, kept: bytearray) -> None:
    """Reads to the end and keeps what was said last."""
    while some := await source.read(COMPLAINT_KEPT):
        kept += some
        del kept[:-COMPLAINT_KEPT]


def _last_words(status: int, complaint: bytearray) -> str:
    lines = [line for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    said = f"; it said: {redact_error(' / '.join(lines[-COMPLAINT_LINES:]))}" if lines else ""
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return f"its process {how} and gave no answer{said}"


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
