"""The head of a streamed answer goes out with its first byte: until then another attempt may still answer."""

from collections.abc import Mapping

from palyra.runs.attempt import Attempt
from palyra.runs.intermediary import Intermediary
from palyra.runs.request import Client, RunReport


class Opening(Intermediary):
    """A caller, as one attempt sees it. From the first byte on the attempt is `shown`, and no other may follow it."""

    def __init__(self, client: Client, attempt: Attempt, report: RunReport, headers: Mapping[str, str]) -> None:
        super().__init__(client)
        self._attempt = attempt
        self._report = report
        self._headers = headers

    async def begin(self, report: RunReport | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Sends the head, unless it went out already."""
        if not self._attempt.shown:
            self._attempt.shown = True
            await self._client.begin(report or self._report, self._headers if headers is None else headers)

    async def write(self, data: bytes) -> None:
        """Passes on; the first byte begins the answer."""
        if not self._attempt.shown:
            await self.begin()
        await self._client.write(data)
