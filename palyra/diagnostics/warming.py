"""Making ready what a snapshot is made of, so that the first one is as cheap as any other."""

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from palyra.core.values import compiled
from palyra.diagnostics.declared import check
from palyra.diagnostics.section import Sections
from palyra.diagnostics.snapshot import Diagnosis, EngineData


def warm() -> None:
    """Some 30 ms of work, in steps of less than one: for a thread of its own. Doing it again costs nothing."""
    for model in dict.fromkeys(_models(Diagnosis)):
        compiled(model)
    for hint in get_type_hints(Sections, include_extras=True).values():
        section, _ = get_args(hint)
        (data,) = get_args(section)
        check(data)
    check(EngineData)


def _models(hint: Any) -> Iterator[type]:
    """Every model within a type, itself included."""
    if get_origin(hint) is Annotated:
        return
    for inner in get_args(hint):
        yield from _models(inner)
    kind = get_origin(hint) or hint
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        yield kind
        for inner in get_type_hints(kind, include_extras=True).values():
            yield from _models(inner)
