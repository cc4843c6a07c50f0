"""Vectors as governed runs: texts in, numbers out, on somebody's bill like any other request."""

import json
from collections.abc import Mapping, Sequence

from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.governance.candidates import TaskClass
from palyra.memory.indexing import EmbeddingError
from palyra.providers.request import RequestError, parse_request
from palyra.providers.wires import Wire
from palyra.runs.request import GoneCallback, RunReport, RunRequest
from palyra.runs.runner import Runner

SOURCE = "memory"
OF_TEXT = (400, 413, 422)
"""Statuses that say that the texts are at fault."""


@value
class EmbeddingRuns:
    """Asks one model, which no budget sends elsewhere: vectors of two models cannot be compared."""

    runner: Runner
    model: str

    async def embed(self, owner: str, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """The vectors of texts, paid by `owner`, in their order. Raises EmbeddingError."""
        body = json.dumps({"model": self.model, "input": list(texts), "encoding_format": "float"})
        try:
            parsed = parse_request(Wire.EMBEDDINGS, body.encode())
        except RequestError as error:
            raise EmbeddingError(str(error), of_text=True) from error
        request = RunRequest(
            scope=Scope(owner, SOURCE, channel=SOURCE),
            parsed=parsed,
            source=SOURCE,
            task_class=TaskClass.AUXILIARY_RECALL.value,
            park_seconds=0,
            failover=False,
            cache=False,
        )
        outcome = await self.runner.execute(request, _Nobody())
        if outcome.answer is None:
            refusal = outcome.refusal
            if refusal is None:
                raise EmbeddingError(f"The run for vectors ended as {outcome.state}: {outcome.reason}.")
            raise EmbeddingError(refusal.message, of_text=refusal.status in OF_TEXT)
        return read_vectors(outcome.answer.body, len(texts))


def read_vectors(body: bytes, count: int) -> list[list[float]]:
    """The vectors of an answer in the order of its indexes. Raises EmbeddingError."""
    try:
        found = {int(one["index"]): [float(number) for number in one["embedding"]] for one in json.loads(body)["data"]}
        return [found[index] for index in range(count)]
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EmbeddingError("The provider's vectors cannot be read.") from error


class _Nobody:
    """Waits for an answer, and never leaves."""

    gone = False
    streaming = False

    def on_gone(self, callback: GoneCallback) -> None:
        """It stays."""

    async def parked(self, report: RunReport) -> None:
        raise AssertionError("vectors wait for nobody's word")

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        raise AssertionError("vectors are not streamed")

    async def write(self, data: bytes) -> None:
        raise AssertionError("vectors are not streamed")
