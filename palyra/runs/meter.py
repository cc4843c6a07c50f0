"""Metering one answer as it passes: what it would be charged now, and how far the durable budget must reach."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from palyra.pricing.meter import DEFAULT_Q, DEFAULT_SLICE_Q, Metered, output_tokens
from palyra.pricing.normalise import COUNT_AT_MOST
from palyra.providers.wires import USAGE_NAMES, Wire


@dataclass(slots=True)
class StreamMeter:
    """Counts one streamed answer. `q` are output tokens per visible byte, `slice_q` the same, erring high.

    A reading only grows: it is the larger of the estimate over the bytes seen and the usage reported so far. `unseen`
    are output tokens that an answer may have besides those it shows; `ceiling` is what the provider was told to stop
    at, None where nobody told it.
    """

    wire: Wire
    expected_input: int
    q: Fraction = DEFAULT_Q
    slice_q: Fraction = DEFAULT_SLICE_Q
    unseen: int = 0
    ceiling: int | None = None
    visible_bytes: int = 0
    reported_output: int = 0
    reported_input: int = 0

    def see(self, visible_bytes: int, usage: dict[str, Any] | None) -> None:
        """Counts an event that is passed on."""
        self.visible_bytes += visible_bytes
        if usage is not None:
            self.reported_output = max(self.reported_output, self._output(usage))
            inputs = sum(_count(usage, name) for name in USAGE_NAMES[self.wire].inputs)
            self.reported_input = max(self.reported_input, inputs)

    def needed_for(self, visible_bytes: int, usage: dict[str, Any] | None) -> int:
        """Output tokens a durable slice must cover before an event with so many more bytes, and that usage, passes.

        No more than the ceiling, unless the answer shows that its provider does not keep to it.
        """
        shown = self.visible_bytes + visible_bytes
        reported = max(self.reported_output, 0 if usage is None else self._output(usage))
        estimated = output_tokens(shown, self.slice_q) + self.unseen if shown else 0
        if self.ceiling is not None and output_tokens(shown, self.q) <= self.ceiling:
            estimated = min(estimated, self.ceiling)
        return max(estimated, reported)

    def _output(self, usage: dict[str, Any]) -> int:
        name = USAGE_NAMES[self.wire].output
        return 0 if name is None else _count(usage, name)

    @property
    def reading(self) -> Metered:
        """Tokens to charge if the answer ended here."""
        output = max(output_tokens(self.visible_bytes, self.q), self.reported_output)
        return Metered(self.reported_input or self.expected_input, output)


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and 0 < value <= COUNT_AT_MOST else 0
