"""A process as a copy of this one, and what it tells whoever started it: what was told stays told when it dies."""

import json
import mmap
import os
import signal
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.passing import Passing

HANGS_AFTER_S = 300
"""Only for failing instead of hanging."""

LENGTH = struct.Struct("<Q")
MEMORY_BYTES = 8 * 1024 * 1024
_MEMORIES: dict[int, mmap.mmap] = {}
"""What a process shares with its copies, of which one at a time tells something; by the process's number."""

Told = dict[str, Any]


class Teller:
    """Writes into memory that outlives the process, past everything that is counted, and wakes nobody by it. None:
    nobody listens."""

    def __init__(self, memory: mmap.mmap | None) -> None:
        self._memory = memory
        self._end = LENGTH.size

    def tell(self, **facts: Any) -> None:
        if self._memory is None:
            return
        line = json.dumps(facts).encode() + b"\n"
        end = self._end + len(line)
        self._memory[self._end : end] = line
        # The length last: what is only half there was not told.
        LENGTH.pack_into(self._memory, 0, end)
        self._end = end


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process told, in order, and how it ended."""

    told: tuple[Told, ...]
    code: int
    signal: int
    cpu: float
    """Seconds."""

    @property
    def killed(self) -> bool:
        return self.signal == signal.SIGKILL

    def all(self, name: str) -> list[Any]:
        """What was told under a name."""
        return [told[name] for told in self.told if name in told]

    def last(self, name: str, default: Any = None) -> Any:
        return next((told[name] for told in reversed(self.told) if name in told), default)


def forked(work: Callable[[Teller], None]) -> Ended:
    """Does it in a process of its own, a copy of this one, and waits for its end."""
    if (memory := _MEMORIES.get(os.getpid())) is None:
        memory = _MEMORIES[os.getpid()] = mmap.mmap(-1, MEMORY_BYTES)
    LENGTH.pack_into(memory, 0, LENGTH.size)
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(HANGS_AFTER_S)
            teller = Teller(memory)
            try:
                work(teller)
                code = 0
            except BaseException as error:
                teller.tell(fault="".join(traceback.format_exception(error)))
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    (end,) = LENGTH.unpack_from(memory, 0)
    told = tuple(json.loads(line) for line in memory[LENGTH.size : end].splitlines())
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
    return Ended(told, code, ended_by, used.ru_utime + used.ru_stime)


PASSING = Passing()
"""This process's, and in its turn that of each copy of it."""
