"""Usage normalisation: every dialect into one shape, checked by identities that no honest answer breaks.

U1 counts are ints ≥ 0; U2 cached ≤ input; U3 both lifetimes of cache writes make up the writes; U4 parts ≤ wholes;
U5 the stated total is the sum; U6 no text without output tokens. Where a body contradicts itself every sensible
reading is returned, so that all can be priced and the dearest charged: nothing ever credits the caller.
"""

from collections.abc import Mapping
from typing import Any

from palyra.core.half_characters import LONE_SURROGATE
from palyra.pricing.dialect import RESPONSE_ITEMS, Dialect, Flavour, Path, Places
from palyra.pricing.meter import Metered
from palyra.pricing.rates import (
    AUDIO_INPUT,
    AUDIO_OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CITATION,
    IMAGE_INPUT,
    REASONING,
    TOOL_UNITS,
)
from palyra.pricing.usage import Normalised, NormalisedUsage, Reading, UsageSource

COUNT_AT_MOST = 10**12
"""No answer uses more of anything, and sums of what is below stay within 64 bits. A body with a larger number cannot be
priced: what was held for it is charged."""

UNPRICEABLE = "unpriceable_body"

TEXT_AT_MOST = 256
"""Names in an answer that are longer are not believed to be names."""


def normalise(dialect: Dialect, usage_body: object, metered: Metered) -> Normalised:
    """Reads the usage of one answer: the whole response body, a stream's last event, or the bare usage object.

    Never raises, whatever JSON it is given. `metered` stands in for what is missing or impossible.
    """
    answer, usage = _locate(dialect, usage_body)
    if usage is None:
        return Normalised(
            _metered(dialect, metered), UsageSource.METERED, ("usage_missing",), model=_text(answer, "model")
        )
    reader = _Reader(dialect, answer, usage, metered)
    readings = reader.read()
    if reader.heard:
        source, flags = UsageSource.PROVIDER, tuple(dict.fromkeys(reader.flags))
    else:
        source, flags, readings = UsageSource.METERED, ("usage_missing",), _metered(dialect, metered)
    return Normalised(
        readings=readings,
        source=source,
        flags=flags,
        raw=usage,
        model=_text(answer, "model"),
        service_tier=_text(answer, "service_tier") or _text(usage, "service_tier"),
        speed=_text(usage, "speed"),
    )


def _metered(dialect: Dialect, metered: Metered) -> tuple[Reading, ...]:
    output = 0 if dialect.output is None else metered.output_tokens
    return (Reading("metered", NormalisedUsage(metered.input_tokens, output)),)


def _locate(dialect: Dialect, body: object) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The answer and the usage object in it; the usage is None where there is none or it is empty."""
    if type(body) is not dict:
        return {}, None
    answer = body
    if dialect.container is not None and type(inner := body.get(dialect.container)) is dict:
        answer = inner
    found: Any = answer
    for step in dialect.root:
        found = found.get(step) if type(found) is dict else None
    if type(found) is dict:
        return answer, found or None
    if dialect.input[0] in body or (dialect.output is not None and dialect.output[0] in body):
        return {}, body
    return answer, None


def _text(holder: Mapping[str, Any], name: str) -> str | None:
    """A text that can be written down; half a character cannot."""
    value = holder.get(name)
    if type(value) is not str or not 0 < len(value) <= TEXT_AT_MOST or LONE_SURROGATE.search(value):
        return None
    return value


class _Reader:
    """One body being read. Flags are collected on the way; `given` are the units somebody counted, `impossible` those
    whose count is no count; `heard` says whether anything was counted at all, if only impossibly."""

    __slots__ = ("answer", "dialect", "flags", "given", "heard", "impossible", "metered", "parts", "usage")

    def __init__(self, dialect: Dialect, answer: dict[str, Any], usage: dict[str, Any], metered: Metered) -> None:
        self.dialect = dialect
        self.answer = answer
        self.usage = usage
        self.metered = metered
        self.flags: list[str] = []
        self.heard = False
        self.given: set[str] = set()
        self.impossible: set[str] = set()
        self.parts: dict[str, int] = {}

    def read(self) -> tuple[Reading, ...]:
        for unit, places in self.dialect.places.items():
            if count := self._part(unit, places):
                self.parts[unit] = count
        tools = self._tools()
        reported_in = self._whole(self.dialect.input)
        reported_out = 0 if self.dialect.output is None else self._whole(self.dialect.output)
        total = self._count(("total_tokens",)) if self.dialect.has_total else None
        wholes = reported_in is not None or (self.dialect.output is not None and reported_out is not None)
        impossible = "identity_U1" in self.flags or UNPRICEABLE in self.flags
        self.heard = wholes or total is not None or bool(self.parts) or impossible
        inputs = self._inputs(reported_in, reported_out, total)
        outputs = self._outputs(reported_in, reported_out, total)
        if self._parts_of_output > max(output for _, output in outputs):
            self.flags.append("identity_U4")
        return tuple(
            Reading("/".join(filter(None, (in_name, out_name))) or "reported", self._join(heard, output, tools))
            for in_name, heard in inputs
            for out_name, output in outputs
        )

    def _at(self, path: Path) -> object:
        """The value at a path; None where it is absent, a list where something on the way is no object."""
        value: object = self.usage
        for step in path:
            if value is None:
                return None
            if type(value) is not dict:
                return []
            value = value.get(step)
        return value

    def _count(self, path: Path) -> int | None:
        """The count at a path; None, flagged, where it is no count, and None where it is absent."""
        value = self._at(path)
        return None if value is None else self._counted(value)

    def _counted(self, value: object) -> int | None:
        """What is an int of at least 0, else None and a flag (U1)."""
        if type(value) is int and value >= 0:
            if value <= COUNT_AT_MOST:
                return value
            self.flags.append(UNPRICEABLE)
        else:
            self.flags.append("identity_U1")
        return None

    def _part(self, unit: str, places: Places) -> int | None:
        for path in places:
            value = self._at(path)
            if value is not None:
                self.given.add(unit)
                count = self._counted(value)
                if count is None:
                    self.impossible.add(unit)
                return count
        return None

    def _whole(self, path: Path) -> int | None:
        if self._at(path) is None:
            self.flags.append("usage_partial")
            return None
        return self._count(path)

    def _writes(self) -> tuple[int, int]:
        """Cache writes for 5 minutes and for an hour (U3)."""
        part = self.parts.get
        written, short, long = part(CACHE_WRITE, 0), part(CACHE_WRITE_5M, 0), part(CACHE_WRITE_1H, 0)
        if CACHE_WRITE not in self.given or CACHE_WRITE in self.impossible:
            return short, long
        if not self.given & {CACHE_WRITE_5M, CACHE_WRITE_1H}:
            return written, 0
        if short + long != written:
            self.flags.append("identity_U3")
        return short, long + max(0, written - short - long)

    def _inputs(
        self, reported: int | None, reported_out: int | None, total: int | None
    ) -> list[tuple[str, NormalisedUsage]]:
        """The input side of each reading. A stated total also says what is left for an input that is missing."""
        by_total = None if reported_out is None or total is None else total - reported_out
        read = self.parts.get(CACHE_READ, 0)
        short, long = self._writes()
        cached = read + short + long

        def heard(whole: int) -> NormalisedUsage:
            return NormalisedUsage(whole, 0, read, short, long)

        if reported is None:
            return [("", heard(max(self.metered.input_tokens, by_total or 0, cached)))]
        if self.dialect.cache_outside:
            whole = reported + cached
            if self.impossible & {CACHE_READ, CACHE_WRITE}:
                whole = max(whole, self.metered.input_tokens)
            return [("", heard(whole))]
        if self.dialect.output is None and total is not None and total != reported:
            # There is no output that could explain the rest.
            self.flags.append("identity_U5")
            return [("", heard(max(reported, total)))]
        if cached <= reported:
            return [("", heard(reported))]
        self.flags.append("identity_U2")
        kept_long = min(long, reported)
        kept_short = min(short, reported - kept_long)
        kept_read = reported - kept_long - kept_short
        return [
            ("cache_capped", NormalisedUsage(reported, 0, kept_read, kept_short, kept_long)),
            ("cache_besides", heard(reported + cached)),
        ]

    def _outputs(self, reported_in: int | None, reported: int | None, total: int | None) -> list[tuple[str, int]]:
        """The output total of each reading (U5): what lies inside the output, and what the stated total says."""
        if self.dialect.output is None:
            return [("", 0)]
        cached = sum(self._writes()) + self.parts.get(CACHE_READ, 0)
        whole_in = reported_in
        if reported_in is not None and self.dialect.cache_outside:
            whole_in = reported_in + cached
        if reported is None:
            heard_in = self.metered.input_tokens if whole_in is None else whole_in
            return [("", max(self.metered.output_tokens, 0 if total is None else total - heard_in))]
        by_total = None if total is None or whole_in is None else total - whole_in
        reasoning = self.parts.get(REASONING, 0)
        beside = reasoning + self.parts.get(CITATION, 0)
        added = reported + beside
        if by_total is None:
            return [("", added if self.dialect.additive else reported)]
        if by_total == reported:
            if not self.dialect.additive or beside <= reported:
                return [("", reported)]
            # The total leaves the reasoning out, yet it is too large to lie inside the output.
            self.flags.append("identity_U5")
            return [("inclusive", reported), ("additive", added)]
        if beside and by_total in (added, reported + reasoning):
            return [("", by_total)]
        if "identity_U2" in self.flags and by_total == reported + cached:
            return [("", reported)]
        self.flags.append("identity_U5")
        outputs = [("", reported)]
        if by_total > reported:
            outputs.append(("by_total", by_total))
        if self.dialect.additive and beside:
            outputs.append(("additive", added))
        return outputs

    @property
    def _parts_of_output(self) -> int:
        """Output tokens that its parts alone make up."""
        part = self.parts.get
        return max(part(REASONING, 0) + part(CITATION, 0), part(AUDIO_OUTPUT, 0))

    def _join(self, heard: NormalisedUsage, output_total: int, tools: tuple[tuple[str, int], ...]) -> NormalisedUsage:
        """One reading as a whole, with parts made to fit their wholes (U4) and text never free (U6)."""
        part = self.parts.get
        audio_in, image_in = part(AUDIO_INPUT, 0), part(IMAGE_INPUT, 0)
        reasoning, citation, audio_out = part(REASONING, 0), part(CITATION, 0), part(AUDIO_OUTPUT, 0)
        input_total = heard.input_total
        if audio_in + image_in > input_total:
            self.flags.append("identity_U4")
            input_total = audio_in + image_in
        output_total = max(output_total, self._parts_of_output)
        if not output_total and self.metered.output_tokens and self.dialect.output is not None:
            self.flags.append("usage_zero")
            output_total = self.metered.output_tokens
        return NormalisedUsage(
            input_total=input_total,
            output_total=output_total,
            cache_read=heard.cache_read,
            write_5m=heard.write_5m,
            write_1h=heard.write_1h,
            reasoning=reasoning,
            citation=citation,
            audio_in=audio_in,
            audio_out=audio_out,
            image_in=image_in,
            tools=tools,
        )

    def _tools(self) -> tuple[tuple[str, int], ...]:
        uses = {unit: self.parts[unit] for unit in TOOL_UNITS if unit in self.parts}
        items = self.answer.get("output")
        if self.dialect.flavour is Flavour.RESPONSES and type(items) is list:
            found: dict[str, int] = {}
            for item in items:
                unit = (
                    RESPONSE_ITEMS.get(item["type"]) if type(item) is dict and type(item.get("type")) is str else None
                )
                if unit is not None:
                    found[unit] = found.get(unit, 0) + 1
            uses = {unit: max(uses.get(unit, 0), found.get(unit, 0)) for unit in uses | found}
        return tuple(uses.items())
