"""One view's questions to the journal: never two in flight, and only the newest answer is shown."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from palyra.core.errors import PalyraError

A = TypeVar("A")
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Inquiry(Generic[A]):
    """Asks, waits apart from the screen, and hands over the answer.

    A question asked while one is in flight replaces any that waits; the answer it overtook is dropped. `apply` gets the
    answer, `fail` an error meant for people; other errors go to whoever supervises what `spawn` starts.
    """

    def __init__(self, spawn: Spawn, apply: Callable[[A], None], fail: Callable[[PalyraError], None]) -> None:
        self._spawn = spawn
        self._apply = apply
        self._fail = fail
        self._waiting: Callable[[], Awaitable[A]] | None = None
        self.busy = False

    def ask(self, fetch: Callable[[], Awaitable[A]]) -> None:
        """Asks once the question before is answered; only the newest waits."""
        self._waiting = fetch
        if not self.busy:
            self.busy = True
            self._spawn(self._work())

    async def _work(self) -> None:
        try:
            while (fetch := self._waiting) is not None:
                self._waiting = None
                try:
                    answer = await fetch()
                except PalyraError as error:
                    if self._waiting is None:
                        self._fail(error)
                else:
                    if self._waiting is None:
                        self._apply(answer)
        finally:
            self.busy = False
