"""A crowd of clients at one gateway: what each asked, how each call ended, and who decides what waits for a person."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

from palyra.control.commands import DecideApproval
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import Topic

ORDINARY = {200, 402, 429, 502, 503, 504}
"""What a gateway whose providers fail may answer with; 200 is an error event in a stream that had begun."""

PARK_S = "5"


@dataclass(slots=True)
class Call:
    """One call of a client, its retries included."""

    ref: int
    flow: str
    left: bool = False
    """The client did not mean to stay to the end."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return f"Go on, ref-{self.ref} please."

    @property
    def session(self) -> str:
        return f"call-{self.ref}"


class Crowd(ABC):
    """Clients that go on until it is over. What they do is a flow, by name."""

    def __init__(self, seed: int) -> None:
        self.calls: dict[int, Call] = {}
        self.ends: Counter[str] = Counter()
        """How calls ended: by their flow for those answered, by a status for those that were not."""
        self.over = False
        self._ended_so_far = 0
        self._dice = random.Random(seed)
        self._happened = asyncio.Condition()

    @abstractmethod
    async def _turn(self) -> None:
        """What one client does next, once or several times."""

    @abstractmethod
    def flows(self) -> set[str]:
        """All there are."""

    def missing(self) -> set[str]:
        """What was never answered so far."""
        return self.flows() - set(self.ends)

    @asynccontextmanager
    async def working(self, count: int) -> AsyncIterator[None]:
        """So many clients at work. Leaving waits for them; it must be over by then."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._work())
            yield

    async def _work(self) -> None:
        while not self.over:
            await self._turn()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Looks again whenever a call has ended."""
        async with self._happened:
            await self._happened.wait_for(condition)

    async def end(self) -> None:
        """Nobody begins anything new."""
        self.over = True
        await self._tell()

    async def _tell(self) -> None:
        async with self._happened:
            self._happened.notify_all()

    async def operate(self, control: RemoteControl) -> None:
        """Decides what waits for a person, until it is over."""
        while not self.over:
            ended = self._ended_so_far
            for approval in (await control.snapshot([Topic.APPROVALS])).approvals:
                if approval.status == "pending":
                    allow = self._dice.random() < 0.6
                    ruling = DecideApproval(approval.approval_id, "allow" if allow else "deny")
                    self.ends[f"operator: {ruling.decision}"] += (await control.send(ruling)).ok
            await self._next(ended)

    async def _next(self, ended: int) -> None:
        """Waits until more calls than so many have ended, or all is over."""
        await self.until(lambda: self.over or self._ended_so_far > ended)

    def _call(self, flow: str) -> Call:
        """The next call, under a session of its own, and sometimes under a budget that hardly suffices."""
        dice, ref = self._dice, len(self.calls)
        call = self.calls[ref] = Call(ref, flow)
        call.headers = {"X-Palyra-Session": call.session}
        budget = dice.choice(("", "", "", "tight", "ask", "cut"))
        if budget:
            value = {"tight": ref // 100, "ask": ref // 60, "cut": ref}[budget]
            call.headers |= {"X-Palyra-Tags": f"{budget}={value}", "X-Palyra-Park": dice.choice(("0", PARK_S))}
        return call

    async def _ended(self, call: Call, work: Awaitable[Any]) -> Any:
        """The answer of a call, None where it ended in an ordinary error. Raises AssertionError after any other end."""
        answer = None
        try:
            answer = await work
            end = call.flow
        except (openai.APITimeoutError, anthropic.APITimeoutError) as error:
            if not call.left:
                raise AssertionError(f"{call} was not answered in time") from error
            end = "out of patience"
        except (openai.APIConnectionError, anthropic.APIConnectionError) as error:
            raise AssertionError(f"{call} lost its gateway") from error
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            if error.status_code not in ORDINARY:
                raise AssertionError(f"{call} ended in {error.status_code}: {error}") from error
            end = str(error.status_code)
        except openai.APIError as error:
            end = f"error event: {error.type}"
        self.ends[end] += 1
        self._ended_so_far += 1
        await self._tell()
        return answer
