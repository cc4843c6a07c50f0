"""Serving a request from an answer that was kept: one request for every budget that counts them, and nothing else.

The hold of such a request is taken and settled in the same step, at nothing: no provider is asked, no place is taken.
"""

from collections.abc import Mapping
from dataclasses import replace

from palyra.config.providers import CacheConfig
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.values import value
from palyra.governance.decision import ReasonCode
from palyra.governance.holds import Refusal as HoldRefusal
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Change, HoldTaken, UsageRecorded
from palyra.journal.rows import HoldRow, UsageRow
from palyra.providers.cache import LARGEST, ResponseCache, answer_key, calls_tools, question
from palyra.runs.attempt import CACHE
from palyra.runs.attempts import worked_out
from palyra.runs.dispatch import Delivered
from palyra.runs.planned import Planned
from palyra.runs.request import Answer, RunRequest
from palyra.runs.states import RunState

CACHE_HIT = ReasonCode.CACHE_HIT.value
WHOLE = "stop"


@value
class KeptAnswer:
    """A whole answer, and how its run ended."""

    answer: Answer
    reason: str


@value
class Served:
    """A request that was served by a kept answer: the plan that tells so, and what has to be made durable."""

    planned: Planned
    held: HoldRow
    kept: KeptAnswer
    changes: tuple[Change, ...]


def kept_answers(config: CacheConfig, clock: Clock) -> ResponseCache[KeptAnswer] | None:
    """Where answers are kept, if the configuration wants that."""
    return ResponseCache(clock, config.ttl / 1000, config.entries) if config.enabled else None


class CachedAnswers:
    """The kept answers of an engine. With `cache` None nothing is looked for and nothing is kept."""

    def __init__(self, cache: ResponseCache[KeptAnswer] | None, ledger: Ledger, clock: Clock) -> None:
        self._cache = cache
        self._ledger = ledger
        self._clock = clock

    async def question(self, request: RunRequest) -> bytes | None:
        """What is asked, for looking answers up; None where none is looked for or kept."""
        parsed = request.parsed
        if self._cache is None or not request.cache or parsed.stream:
            return None
        principal, wire, headers = request.scope.principal, parsed.wire.value, request.forward_headers
        return await worked_out(request, lambda: question(principal, wire, parsed.data, headers))

    def find(self, asked: bytes | None, planned: Planned) -> KeptAnswer | None:
        """The answer the planned model gave to the same question a moment ago."""
        if asked is None or self._cache is None or planned.option is None:
            return None
        return self._cache.get(answer_key(asked, planned.option.entry.id))

    def keep(self, asked: bytes | None, planned: Planned, delivered: Delivered) -> None:
        """Keeps what an attempt brought, if it is a whole answer that calls no tool."""
        answer = delivered.answer
        if asked is None or self._cache is None or answer is None or planned.option is None:
            return
        if delivered.state is not RunState.COMPLETED or delivered.reason != WHOLE or delivered.error is not None:
            return
        if len(answer.body) <= LARGEST and not calls_tools(answer.body):
            key = answer_key(asked, planned.option.entry.id)
            self._cache.put(key, KeptAnswer(Answer(answer.status, _lasting(answer.headers), answer.body), WHOLE))

    def serve(self, planned: Planned, kept: KeptAnswer) -> Served:
        """Takes the hold that was planned in this same step and settles it: no money, no tokens, one request."""
        wanted = planned.hold
        assert wanted is not None
        held = self._ledger.hold(wanted)
        if isinstance(held, HoldRefusal):
            raise PalyraError("A hold was refused that had just been planned.")
        now = self._clock.now_ms()
        ending = self._ledger.settle(held.hold_id, at=now, usd=0, tokens=0, source=CACHE)
        decision = planned.decision
        codes = tuple(sorted({*decision.reason_codes, CACHE_HIT}))
        told = replace(planned, plan=replace(planned.plan, decision=replace(decision, reason_codes=codes)))
        return Served(told, held, kept, (HoldTaken(held), ending.change, UsageRecorded(_nothing_used(held, now))))


def _lasting(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are true of an answer whenever it is given."""
    return {name: text for name, text in headers.items() if name.lower() == "content-type"}


def _nothing_used(held: HoldRow, now: int) -> UsageRow:
    return UsageRow(
        hold_id=held.hold_id,
        run_id=held.run_id,
        attempt=held.attempt,
        at=now,
        provider=held.provider,
        model=held.model,
        scope=held.scope,
        input_total=0,
        cache_read=0,
        write_5m=0,
        write_1h=0,
        output_total=0,
        reasoning=0,
        audio_in=0,
        audio_out=0,
        tool_uses=0,
        metered_input=0,
        metered_output=0,
        usage_source=CACHE,
        flags=(CACHE_HIT,),
        price_state=held.price_state,
        rates=(),
        charge=0,
    )
