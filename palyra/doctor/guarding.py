"""Work under a guard: on a thread of its own, for as long as it may take, and whatever it raises."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from palyra.core.clock import Clock

T = TypeVar("T")


async def guarded(work: Callable[[], T], limit_s: float | None, clock: Clock, name: str) -> T:
    """What `work` returns or raises; TimeoutError once `limit_s` have passed (None: no limit).

    Work that ran out of time is left to itself, on a thread that does not keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(found: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(found)  # type: ignore[arg-type]
        else:
            # A future takes no StopIteration, which nobody could tell from its end.
            done.set_exception(RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)

    def run() -> None:
        found, error = None, None
        try:
            found = work()
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, found, error)
        except RuntimeError:
            # Nobody waits any more.
            return

    threading.Thread(target=run, name=f"palyra:doctor:{name}", daemon=True).start()
    try:
        async with clock.timeout(limit_s):
            return await done
    except TimeoutError:
        if done.done() and not done.cancelled():
            # The work's own.
            return done.result()
        raise TimeoutError(f"it took longer than {limit_s:g} s") from None
