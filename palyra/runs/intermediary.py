"""A caller's connection with something in between: what is not said otherwise is handed on."""

from collections.abc import Mapping

from palyra.runs.request import Client, GoneCallback, RunReport


class Intermediary:
    """A Client over another one, for those that change or hear a part of what goes through; methods raise as its do."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def gone(self) -> bool:
        """Whether the caller has hung up."""
        return self._client.gone

    @property
    def streaming(self) -> bool:
        """Whether the answer has begun to stream."""
        return self._client.streaming

    def on_gone(self, callback: GoneCallback) -> None:
        self._client.on_gone(callback)

    async def parked(self, report: RunReport) -> None:
        """Tells the caller that somebody has to decide."""
        await self._client.parked(report)

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        """Begins the answer."""
        await self._client.begin(report, headers)

    async def write(self, data: bytes) -> None:
        """Passes bytes of the answer on."""
        await self._client.write(data)
