"""Collecting: every part is asked at once, each under a guard and a limit of its own, and none can hold up the others.

What a part told last stays when it cannot be asked. Callers within a second get the same snapshot, and callers at once
share one collection, which no caller's leaving ends.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from palyra.core.clock import Clock
from palyra.core.conditions import Clear, Condition, Domain, Severity, Tell, nobody_cleared, nobody_told
from palyra.core.redact import redact_error
from palyra.core.values import value
from palyra.diagnostics.declared import cleaned
from palyra.diagnostics.reasons import Judged, ReasonCode, State, reason
from palyra.diagnostics.section import CollectorState, Section, Sections
from palyra.diagnostics.snapshot import Diagnosis, EngineData, diagnosis

log = logging.getLogger(__name__)

Data = TypeVar("Data")
Result = TypeVar("Result")

LIMIT_S = 0.25
SLOW_LIMIT_S = 1.0
"""For journal, disk and memory."""
WHOLE_S = 1.5
SHARED_S = 1.0
FAILURES = 3
"""So many in a row are an incident."""


@value
class Collector(Generic[Data]):
    """How a section is made. `collect` raises StillRunningError while an earlier call of it hangs; `judge` tells from
    its data alone how the part is. `in_threads`: it waits for threads, which nobody can end, so that at its limit it is
    left to come back."""

    name: str
    collect: Callable[[], Awaitable[Data]]
    judge: Callable[[Data], Judged]
    limit_s: float = LIMIT_S
    in_threads: bool = False


class StillRunningError(Exception):
    """What was begun earlier has not come back."""


class OffLoop:
    """Blocking work of one collector, in a thread of its own that keeps no process alive; one at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._busy = False
        self.begun = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Raises StillRunningError, and whatever `work` raises."""
        if self._busy:
            raise StillRunningError
        self._busy = True
        self.begun += 1
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Result] = loop.create_future()

        def land(result: Result | None, error: BaseException | None) -> None:
            self._busy = False
            if told.done():
                return
            if error is not None:
                told.set_exception(error)
            else:
                told.set_result(result)  # type: ignore[arg-type]

        def carry_out() -> None:
            result, failed = None, None
            try:
                result = work()
            except BaseException as error:
                failed = error
            try:
                loop.call_soon_threadsafe(land, result, failed)
            except RuntimeError:
                log.debug("%s came back after the loop had ended", self._name)

        threading.Thread(target=carry_out, name=f"palyra:{self._name}", daemon=True).start()
        return await told


Failed = Callable[[str, str], None]
"""Told of a collector that failed, by its name, and why."""


class _Slot:
    """One collector, what it told last, and how often it has failed since."""

    def __init__(self, collector: Collector[Any]) -> None:
        self.collector = collector
        self.task: asyncio.Task[Any] | None = None
        self.good: Section[Any] | None = None
        self.failures = 0


class Diagnostics:
    """The snapshots of one engine. `engine` tells what is known of it without asking anybody."""

    def __init__(
        self,
        clock: Clock,
        collectors: Sequence[Collector[Any]],
        engine: Callable[[], EngineData],
        *,
        tell: Tell = nobody_told,
        clear: Clear = nobody_cleared,
        failed: Failed = lambda name, why: None,
    ) -> None:
        self._clock = clock
        self._slots = {one.name: _Slot(one) for one in collectors}
        self._engine = engine
        self._tell, self._clear, self._failed = tell, clear, failed
        self._shown: tuple[float, Diagnosis] | None = None
        self._fresh_at: float | None = None
        self._under_way: asyncio.Task[Diagnosis] | None = None
        self.collections = 0

    async def snapshot(self, *, fresh: bool = False) -> Diagnosis:
        """The newest snapshot, at most a second old. `fresh`: a new one, but no more than one a second."""
        if self._under_way is None:
            now = self._clock.monotonic()
            if fresh and (self._fresh_at is None or now - self._fresh_at >= SHARED_S):
                self._fresh_at = now
            elif self._shown is not None and now - self._shown[0] < SHARED_S:
                return self._shown[1]
            self._under_way = asyncio.create_task(self._collect(), name="palyra:diagnostics")
            self._under_way.add_done_callback(self._collected)
        return await asyncio.shield(self._under_way)

    async def close(self) -> None:
        """Ends what is under way."""
        waiting = [slot.task for slot in self._slots.values() if slot.task is not None]
        for task in [*waiting, *([] if self._under_way is None else [self._under_way])]:
            task.cancel()
        await asyncio.gather(*waiting, *([] if self._under_way is None else [self._under_way]), return_exceptions=True)

    def _collected(self, task: "asyncio.Task[Diagnosis]") -> None:
        self._under_way = None
        if not task.cancelled() and task.exception() is None:
            self._shown = self._clock.monotonic(), task.result()

    async def _collect(self) -> Diagnosis:
        self.collections += 1
        began = self._clock.monotonic()
        names = list(self._slots)
        deadline = began + WHOLE_S
        sections = await asyncio.gather(*(self._observe(self._slots[name], deadline) for name in names))
        found = Sections(**dict(zip(names, sections, strict=True)))
        return diagnosis(self._engine(), found, self._clock.now_ms(), self._passed_ms(began))

    async def _observe(self, slot: _Slot, deadline: float) -> Section[Any]:
        """One section; never raises but CancelledError."""
        began = self._clock.monotonic()
        collector = slot.collector
        if slot.task is not None and not slot.task.done():
            return self._missed(slot, CollectorState.STILL_RUNNING, "it has not come back from an earlier call", began)
        task = slot.task = asyncio.create_task(self._made(collector), name=f"palyra:collect:{collector.name}")
        task.add_done_callback(_heard)
        try:
            async with self._clock.timeout(max(0.0, min(collector.limit_s, deadline - began))):
                data, judged = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled() or _leaving():
                raise
            return self._missed(slot, CollectorState.ERROR, "it was cancelled from elsewhere", began)
        except StillRunningError:
            return self._missed(slot, CollectorState.STILL_RUNNING, "it has not come back from an earlier call", began)
        except Exception as error:
            if isinstance(error, TimeoutError) and not task.done():
                if not collector.in_threads:
                    task.cancel()
                told = f"it took longer than {collector.limit_s * 1000:.0f} ms"
                return self._missed(slot, CollectorState.TIMEOUT, told, began)
            log.warning("the collector %s failed", collector.name, exc_info=error)
            return self._missed(slot, CollectorState.ERROR, _words(error), began)
        if slot.failures:
            slot.failures = 0
            self._clear(_key(collector.name))
        slot.good = Section(
            judged.state,
            judged.reasons,
            CollectorState.OK,
            self._clock.now_ms(),
            self._passed_ms(began),
            stale=False,
            data=data,
        )
        return slot.good

    async def _made(self, collector: Collector[Any]) -> tuple[Any, Judged]:
        data = cleaned(await collector.collect())
        return data, collector.judge(data)

    def _missed(self, slot: _Slot, state: CollectorState, why: str, began: float) -> Section[Any]:
        name = slot.collector.name
        slot.failures += 1
        told = redact_error(why)
        self._failed(name, told)
        if slot.failures == FAILURES:
            self._tell(
                Condition(
                    Domain.ENGINE,
                    _key(name),
                    Severity.LOW,
                    f"What {name} is doing cannot be told",
                    f"{FAILURES} times in a row: {told}.",
                    name,
                )
            )
        code = ReasonCode.COLLECTOR_ERROR if state is CollectorState.ERROR else ReasonCode.COLLECTOR_TIMEOUT
        good = slot.good
        return Section(
            State.UNKNOWN,
            (reason(code),),
            state,
            None if good is None else good.observed_at,
            self._passed_ms(began),
            stale=good is not None,
            data=None if good is None else good.data,
            error=told,
        )

    def _passed_ms(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)


def _key(name: str) -> str:
    return f"engine:collector:{name}"


def _words(error: Exception) -> str:
    """What an error says, if it can say anything."""
    name = type(error).__name__
    try:
        said = str(error)
    except Exception:
        return name
    return f"{name}: {said}" if said else name


def _leaving() -> bool:
    """Whether the present task is being cancelled itself."""
    present = asyncio.current_task()
    return present is not None and present.cancelling() > 0


def _heard(task: "asyncio.Task[Any]") -> None:
    """Nobody may wait for it any more."""
    if not task.cancelled():
        task.exception()
