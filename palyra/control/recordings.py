"""Recorded answers for a console that wants to know what they cost."""

from dataclasses import replace

from palyra.core.errors import BadInputError
from palyra.providers.recorded import RecordedAnswer, Shape, read_recorded

FLAVOURS = tuple(shape.value for shape in Shape if shape is not Shape.INPUT_OUTPUT)


def read_recording(body: bytes, flavour: str = "") -> RecordedAnswer:
    """A response body, a stream or a usage object; `flavour` overrules what it looks like. Raises BadInputError."""
    if flavour and flavour not in FLAVOURS:
        raise BadInputError(f"{flavour!r} is no kind of answer.", fix=f"Use one of {', '.join(FLAVOURS)}.")
    recorded = read_recorded(body)
    return replace(recorded, shape=Shape(flavour)) if flavour else recorded
