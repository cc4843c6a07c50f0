"""Sending an attempt to its provider and bringing the answer back, whole or as a stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.pricing.book import PriceBook
from palyra.providers.closing import budget_cut
from palyra.providers.credentials import Credential
from palyra.providers.errors import ErrorClass, ProviderError, upstream_error
from palyra.providers.registry import ModelEntry
from palyra.providers.reply import PlainReply, read_refusal, read_reply
from palyra.providers.request import ParsedRequest
from palyra.providers.stream import AnswerReader, stream_reader
from palyra.providers.translate.passage import Passage
from palyra.providers.translate.table import passage, translated_reply
from palyra.providers.upstream import Progress, UpstreamReply
from palyra.providers.usage_asking import FIELD, UsageAsking, asked_by_us, unasked
from palyra.providers.wires import Wire, completed_reason, crossing_headers, no_stream
from palyra.runs.attempt import Attempt, Charged, Told, charge_attempt, charge_unanswered
from palyra.runs.live import LiveRun, RunStoppedError
from palyra.runs.opening import Opening
from palyra.runs.relay import Cover, Relay
from palyra.runs.request import Answer, Client, ClientGoneError, RunReport, RunRequest
from palyra.runs.states import RunState, stopped_state

log = logging.getLogger(__name__)

MAX_ERROR_BODY = 256 * 1024
"""Bytes of an error answer that are read; what lies beyond explains nothing."""

LARGE_ANSWER = 256 * 1024
"""Bytes from which an answer is read in a thread, so that nobody else waits for it."""

JSON_ANSWER: Mapping[str, str] = {"content-type": "application/json"}
EVENT_STREAM: Mapping[str, str] = {"content-type": "text/event-stream"}
"""Heads of translated answers, whatever the provider called its own."""

LINGER_S = 0.25
"""How long an answer that has ended waits for the end of its body: only then its connection serves another call."""


Found = TypeVar("Found")
Answers = Callable[[], None]
"""Called once the head of a good answer is there."""


class Carrier(Protocol):
    """Takes calls to the provider of a model."""

    async def send(
        self,
        entry: ModelEntry,
        wire: Wire,
        body: bytes,
        headers: Mapping[str, str],
        *,
        stream: bool,
        progress: Progress,
        credential: Credential | None = None,
    ) -> UpstreamReply:
        """Raises ProviderError."""
        ...


@value
class Delivered:
    """How an attempt ended. `charged` None releases its hold; `error` is told to the caller, unless the answer `told`
    it already."""

    state: RunState
    reason: str
    charged: Charged | None = None
    answer: Answer | None = None
    error: ProviderError | None = None
    told: bool = False


class _RefusedError(Exception):
    """An error status, with what it says it used."""

    def __init__(self, error: ProviderError, used: PlainReply | None) -> None:
        super().__init__()
        self.error = error
        self.used = used


class Dispatcher:
    """Carries attempts whose hold is durable."""

    def __init__(self, carrier: Carrier, book: PriceBook, clock: Clock) -> None:
        self._carrier = carrier
        self._book = book
        self._clock = clock
        self._asking = UsageAsking(clock)

    async def plain(
        self, run: LiveRun, attempt: Attempt, request: RunRequest, body: bytes, answers: Answers
    ) -> Delivered:
        """One answer, read whole and passed on as it came, or in the caller's dialect."""
        try:
            with run.stoppable():
                reply = await self._send(attempt, request, body)
                answers()
                data = await reply.read()
        except RunStoppedError as stopped:
            return self._stopped(attempt, stopped.reason)
        except _RefusedError as refused:
            return self._refused(attempt, refused)
        except ProviderError as error:
            return self._failed(attempt, error)
        attempt.answered = True
        try:
            heard = await _worked_out(data, partial(read_reply, attempt.upstream_wire, data))
        except ProviderError as error:
            # The provider worked for it, and nobody can read what it used: the expected input is charged.
            return Delivered(
                RunState.FAILED, error.error_class.value, charge_unanswered(self._book, attempt), error=error
            )
        attempt.meter.see(heard.visible_bytes, None)
        charged = charge_attempt(self._book, attempt, heard)
        if heard.failure is not None:
            return Delivered(RunState.FAILED, heard.failure.error_class.value, charged, error=heard.failure)
        answer = Answer(reply.status, reply.headers, data)
        if attempt.translated:
            used, now = charged.priced.normalised, self._clock.now_ms()
            asked, wire = request.parsed, attempt.upstream_wire
            try:
                said = await _worked_out(data, partial(translated_reply, asked, wire, heard.data, used, now))
            except ProviderError as error:
                return Delivered(RunState.FAILED, error.error_class.value, charged, error=error)
            answer = Answer(reply.status, JSON_ANSWER, said)
        return Delivered(RunState.COMPLETED, completed_reason(heard.finish), charged, answer)

    async def stream(
        self,
        run: LiveRun,
        attempt: Attempt,
        request: RunRequest,
        body: bytes,
        client: Client,
        cover: Cover,
        report: RunReport,
        answers: Answers,
    ) -> Delivered:
        """One answer, passed on as it comes, no further than its durable budget reaches."""
        reply: UpstreamReply | None = None
        parsed = request.parsed
        reader = stream_reader(
            attempt.upstream_wire,
            include_usage=parsed.include_usage or attempt.translated,
            choices=parsed.choices,
        )
        answer: AnswerReader | Passage = reader
        shown = reader
        if attempt.translated:
            answer = self._passage(attempt, parsed, reader)
            shown = answer.shown
        try:
            with run.stoppable():
                reply = await self._send(attempt, request, body)
                attempt.answered = True
                answers()
                opening = Opening(client, attempt, report, EVENT_STREAM if attempt.translated else reply.headers)
                chunks = reply.chunks()
                said = None if run.owner is None else run.owner.said
                relayed = await Relay(answer, attempt.meter, cover, opening, run.advance, said).run(chunks)
                if relayed.error is None:
                    await opening.begin()
                if reader.ended:
                    await self._linger(chunks)
                elif relayed.cut:
                    reply.close()
                    reading = attempt.meter.reading
                    frames = budget_cut(
                        shown,
                        input_tokens=reading.input_tokens,
                        output_tokens=reading.output_tokens,
                        include_usage=parsed.include_usage,
                        fallback_id=run.run_id,
                        model=attempt.entry.upstream,
                        at_ms=self._clock.now_ms(),
                    )
                    await client.write(frames)
        except RunStoppedError as stopped:
            return self._left(attempt, stopped.reason, reader)
        except ClientGoneError:
            return self._left(attempt, "client_gone", reader)
        except _RefusedError as refused:
            return self._refused(attempt, refused)
        except ProviderError as error:
            return self._failed(attempt, error)
        finally:
            if reply is not None:
                reply.close()
        if relayed.error is not None:
            charged = charge_attempt(self._book, attempt, reader, finished=reader.usage_final)
            return Delivered(RunState.FAILED, relayed.error.error_class.value, charged, error=relayed.error)
        charged = charge_attempt(self._book, attempt, reader, finished=not relayed.cut)
        if reader.failure is not None and not relayed.cut:
            failed = reader.failure
            return Delivered(RunState.FAILED, failed.error_class.value, charged, error=failed, told=True)
        reason = "stream_cut_budget" if relayed.cut else completed_reason(reader.finish)
        return Delivered(RunState.COMPLETED, reason, charged)

    async def _linger(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            async with self._clock.timeout(LINGER_S):
                async for _ in chunks:
                    pass
        except (TimeoutError, ProviderError):
            pass

    def _passage(self, attempt: Attempt, parsed: ParsedRequest, reader: AnswerReader) -> Passage:
        """The answer in the caller's dialect, with the usage that would be charged when it is told."""
        now = self._clock.now_ms()
        return passage(
            parsed,
            reader,
            attempt.upstream_wire,
            lambda: charge_attempt(self._book, attempt, reader).priced.normalised,
            now,
        )

    def _left(self, attempt: Attempt, reason: str, reader: AnswerReader) -> Delivered:
        """A stream that somebody stopped; once the answer has ended there is nothing left to stop."""
        if not reader.ended:
            return self._stopped(attempt, reason, reader, finished=reader.usage_final)
        charged = charge_attempt(self._book, attempt, reader)
        return Delivered(RunState.COMPLETED, completed_reason(reader.finish), charged)

    async def _send(self, attempt: Attempt, request: RunRequest, body: bytes) -> UpstreamReply:
        """The head of a good answer. Raises ProviderError without an answer, _RefusedError for an error status.

        A provider that refuses to be asked for usage the caller did not ask for is sent the request without that.
        """
        asks = asked_by_us(request.parsed, attempt.upstream_wire)
        model = attempt.entry.provider, attempt.entry.upstream
        if asks and not self._asking.hears(*model):
            asks, body = False, unasked(body)
        reply, said = await self._call(attempt, request, body)
        if asks and reply.status == 400 and FIELD.encode() in said:
            self._asking.refused(*model)
            reply, said = await self._call(attempt, request, unasked(body))
        attempt.status = reply.status
        if 200 <= reply.status < 300:
            if attempt.streaming and no_stream(reply.headers):
                raise await self._unstreamed(attempt, reply)
            attempt.answered_at = self._clock.now_ms()
            return reply
        error = upstream_error(reply.status, reply.headers, said, self._clock.now_ms(), attempt.entry.provider)
        if attempt.translated:
            # Its words are another wire's: the caller gets what it says in its own.
            error.body = None
        raise _RefusedError(error, read_refusal(said))

    async def _unstreamed(self, attempt: Attempt, reply: UpstreamReply) -> Exception:
        """What to raise for a good answer that is no stream: its caller could read nothing of it, but it was made."""
        try:
            used = read_refusal(await reply.read())
        except ProviderError as unread:
            return unread
        finally:
            reply.close()
        message = f"{attempt.entry.provider} answered with something else than the stream that was asked for."
        error = ProviderError(ErrorClass.MALFORMED_RESPONSE, message)
        return error if used is None else _RefusedError(error, used)

    async def _call(self, attempt: Attempt, request: RunRequest, body: bytes) -> tuple[UpstreamReply, bytes]:
        """The head of an answer and, where it is none to go on with, what it says. Raises ProviderError."""
        reply = await self._carrier.send(
            attempt.entry,
            attempt.upstream_wire,
            body,
            crossing_headers(request.forward_headers) if attempt.translated else request.forward_headers,
            stream=attempt.streaming,
            progress=attempt.progress,
            credential=None if attempt.way is None else attempt.way.credential,
        )
        if 200 <= reply.status < 300:
            return reply, b""
        try:
            return reply, await reply.read(MAX_ERROR_BODY)
        except ProviderError:
            return reply, b""
        finally:
            reply.close()

    def _refused(self, attempt: Attempt, refused: _RefusedError) -> Delivered:
        """An error status is free of charge, unless it says itself what it used."""
        charged = None if refused.used is None else charge_attempt(self._book, attempt, refused.used)
        return Delivered(RunState.FAILED, refused.error.error_class.value, charged, error=refused.error)

    def _failed(self, attempt: Attempt, error: ProviderError) -> Delivered:
        """A request that may have been read and got no answer is not free of charge."""
        charged: Charged | None = None
        if error.upstream_status is None and error.written and attempt.progress.written:
            charged = charge_unanswered(self._book, attempt)
        return Delivered(RunState.FAILED, error.error_class.value, charged, error=error)

    def _stopped(self, attempt: Attempt, reason: str, told: Told | None = None, *, finished: bool = False) -> Delivered:
        state = stopped_state(reason)
        if not attempt.progress.written:
            return Delivered(state, reason)
        if attempt.answered:
            charged = charge_attempt(self._book, attempt, told, finished=finished)
            return Delivered(state, reason, charged)
        return Delivered(state, reason, charge_unanswered(self._book, attempt))

    def abandoned(self, attempt: Attempt, state: RunState, reason: str) -> Delivered:
        """An attempt nobody can carry on with."""
        stopped = self._stopped(attempt, reason)
        return Delivered(state, reason, stopped.charged)


async def _worked_out(data: bytes, work: Callable[[], Found]) -> Found:
    """What is made of an answer, in a thread where it is large."""
    return work() if len(data) < LARGE_ANSWER else await asyncio.to_thread(work)
