"""Telling how many tokens a prompt has: free, outside every budget, and without a run."""

import json
from collections.abc import Mapping
from typing import Protocol

from palyra.core.clock import Clock
from palyra.pricing.book import PriceBook
from palyra.pricing.learn import Learner
from palyra.pricing.prompt_size import expected_input
from palyra.providers.errors import ErrorClass, ProviderError, upstream_error
from palyra.providers.registry import ModelEntry, ModelNotFoundError, Registry
from palyra.providers.rewrite import upstream_body
from palyra.providers.upstream import UpstreamReply
from palyra.runs.answers import model_not_allowed, model_not_found, upstream_failed
from palyra.runs.planning import allowed, model_facts, prompt_size
from palyra.runs.request import Answer, Refusal, RunRequest

MAX_COUNT = 64 * 1024
"""Bytes of an answer that holds one number, or says why there is none."""

UNKNOWN_THERE = frozenset({404, 405, 501})
"""What providers say that speak the wire and do not count."""


class Carrier(Protocol):
    """Takes a prompt to the provider of a model to be counted."""

    async def count(self, entry: ModelEntry, body: bytes, headers: Mapping[str, str]) -> UpstreamReply | None:
        """The head of the answer; None where that provider counts nothing. Raises ProviderError."""
        ...


class TokenCounter:
    """Counts by the provider where it can, else by what is expected of the model."""

    def __init__(self, registry: Registry, book: PriceBook, learner: Learner, carrier: Carrier, clock: Clock) -> None:
        self._registry = registry
        self._book = book
        self._learner = learner
        self._carrier = carrier
        self._clock = clock

    async def count(self, request: RunRequest) -> Answer | Refusal:
        """The provider's own answer, or one like it."""
        parsed = request.parsed
        try:
            entry = self._registry.resolve(parsed.model, parsed.wire)
        except ModelNotFoundError as error:
            return model_not_found(error)
        if not allowed(entry.id, request.allowed_models):
            return model_not_allowed(parsed.model)
        try:
            said = await self._asked(entry, request)
        except ProviderError as error:
            return upstream_failed(error)
        return self._expected(entry, request) if said is None else said

    async def _asked(self, entry: ModelEntry, request: RunRequest) -> Answer | None:
        """What the provider says; None where it does not count. Raises ProviderError."""
        if request.parsed.wire not in entry.wires:
            return None
        body = upstream_body(request.parsed, model=entry.upstream)
        reply = await self._carrier.count(entry, body, request.forward_headers)
        if reply is None:
            return None
        try:
            data = await reply.read(MAX_COUNT)
        finally:
            reply.close()
        if reply.status in UNKNOWN_THERE:
            return None
        if not 200 <= reply.status < 300:
            raise upstream_error(reply.status, reply.headers, data, self._clock.now_ms(), entry.provider)
        if not _counts(data):
            raise ProviderError(ErrorClass.MALFORMED_RESPONSE, "The provider's answer tells no number of tokens.")
        return Answer(reply.status, reply.headers, data)

    def _expected(self, entry: ModelEntry, request: RunRequest) -> Answer:
        learned = self._learner.learned(entry.provider, entry.upstream, request.scope.principal)
        tokens = expected_input(prompt_size(request.parsed), model_facts(entry, self._book), learned)
        return Answer(200, {}, json.dumps({"input_tokens": tokens}).encode())


def _counts(body: bytes) -> bool:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return type(data) is dict and type(data.get("input_tokens")) is int
