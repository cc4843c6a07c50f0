"""What one answer used, in one shape for every dialect."""

from enum import StrEnum
from typing import Any

from palyra.core.values import value
from palyra.pricing.rates import (
    AUDIO_INPUT,
    AUDIO_OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CITATION,
    IMAGE_INPUT,
    INPUT,
    OUTPUT,
    REASONING,
    joint_unit,
)


class UsageSource(StrEnum):
    """Who counted: the provider, or the meter of what passed."""

    PROVIDER = "provider"
    METERED = "metered"


@value
class NormalisedUsage:
    """What one answer used, in tokens. Cached, audio and image tokens are part of `input_total`, reasoning, citation
    and audio of `output_total`. Cache writes without a stated lifetime are in `write_5m`. `tools` are uses by unit."""

    input_total: int = 0
    output_total: int = 0
    cache_read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    reasoning: int = 0
    citation: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    tools: tuple[tuple[str, int], ...] = ()

    @property
    def cache_write(self) -> int:
        """Tokens written to the cache, for whatever time."""
        return self.write_5m + self.write_1h

    @property
    def tool_uses(self) -> int:
        """How often tools of the provider were used."""
        return sum(count for _, count in self.tools)

    @property
    def total(self) -> int:
        """Input and output together, which is what a budget of tokens counts."""
        return self.input_total + self.output_total

    @property
    def overlaps(self) -> bool:
        """Whether some tokens may be in two parts at once, which no dialect tells (cached audio)."""
        cached = self.cache_read or self.write_5m or self.write_1h
        thought = self.reasoning or self.citation
        return bool((cached and (self.audio_in or self.image_in)) or (thought and self.audio_out))

    def counts(self, *, media_cached: bool = False) -> dict[str, int]:
        """Counts by unit. Where parts may overlap, cached tokens are text first; with `media_cached`, media first."""
        counts = {INPUT: self.input_total, OUTPUT: self.output_total}
        if self.cache_read:
            counts[CACHE_READ] = self.cache_read
        if self.write_5m or self.write_1h:
            counts[CACHE_WRITE] = self.write_5m + self.write_1h
            counts[CACHE_WRITE_5M] = self.write_5m
            counts[CACHE_WRITE_1H] = self.write_1h
        if self.reasoning:
            counts[REASONING] = self.reasoning
        if self.citation:
            counts[CITATION] = self.citation
        if self.audio_in:
            counts[AUDIO_INPUT] = self.audio_in
        if self.audio_out:
            counts[AUDIO_OUTPUT] = self.audio_out
        if self.image_in:
            counts[IMAGE_INPUT] = self.image_in
        if self.tools:
            counts.update(self.tools)
        if self.overlaps:
            self._add_joints(counts, media_cached)
        return counts

    def _add_joints(self, counts: dict[str, int], media_cached: bool) -> None:
        written = ((CACHE_READ, self.cache_read), (CACHE_WRITE_5M, self.write_5m), (CACHE_WRITE_1H, self.write_1h))
        thought = ((REASONING, self.reasoning), (CITATION, self.citation))
        media_in = {AUDIO_INPUT: self.audio_in, IMAGE_INPUT: self.image_in}
        _overlap(counts, written, self.input_total, media_in, media_cached)
        _overlap(counts, thought, self.output_total, {AUDIO_OUTPUT: self.audio_out}, media_cached)


def _overlap(
    counts: dict[str, int], parts: tuple[tuple[str, int], ...], whole: int, media: dict[str, int], media_first: bool
) -> None:
    """Lays the parts into text and media and counts what comes to lie in a part and a medium at once."""
    text = ("", whole - sum(media.values()))
    room = dict((*media.items(), text) if media_first else (text, *media.items()))
    for part, count in parts:
        units = (part, CACHE_WRITE) if part in (CACHE_WRITE_5M, CACHE_WRITE_1H) else (part,)
        for medium, left in room.items():
            taken = min(count, left)
            room[medium] = left - taken
            count -= taken
            for unit in units if medium and taken else ():
                if (joint := joint_unit(unit, medium)) is not None:
                    counts[joint] = counts.get(joint, 0) + taken


@value
class Reading:
    """One way to understand a body; `name` is `reported` when nothing had to be interpreted."""

    name: str
    usage: NormalisedUsage


@value
class Normalised:
    """Every reading of one body (at least one) and what was noticed.

    `raw` is the usage object as it came, None without one. `model`, `service_tier` and `speed` are what the answer
    says of itself, None where it says nothing usable.
    """

    readings: tuple[Reading, ...]
    source: UsageSource
    flags: tuple[str, ...]
    raw: dict[str, Any] | None = None
    model: str | None = None
    service_tier: str | None = None
    speed: str | None = None
