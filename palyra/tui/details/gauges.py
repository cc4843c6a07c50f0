"""A gauge in two tones: what is used stands out, what is left recedes."""

from palyra.tui.themes import Tone
from palyra.tui.widgets.charts import TRACK, gauge
from palyra.tui.widgets.lines import Line, muted, part


def gauge_parts(ratio: float, width: int, tone: Tone) -> Line:
    """A gauge of `width` cells."""
    drawn = gauge(ratio, width)
    used = drawn.rstrip(TRACK)
    return (part(used, tone), muted(drawn[len(used) :]))
