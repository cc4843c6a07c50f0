"""Values: records that nothing changes once they are made."""

from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T], /) -> type[T]:
    """A dataclass with slots that compares and hashes by its fields.

    An assignment to a field is refused by the type checker alone: a frozen dataclass refuses it at run time as well,
    and pays for that in every `__init__`, which goes through `object.__setattr__` once for each field. `field`,
    `KW_ONLY`, `replace`, `fields` and `__post_init__` are those of `dataclasses`.
    """
    written_out = cls.__dict__.get("__hash__") is not None
    return dataclass(slots=True, unsafe_hash=not written_out)(cls)


def altered(given: T, changes: dict[str, Any], /) -> T:
    """What `dataclasses.replace` makes of a value whose class has no `__post_init__`, in a third of the time.

    Raises AttributeError for a name that is no field.
    """
    cls = type(given)
    made = object.__new__(cls)
    for name in cls.__slots__:  # type: ignore[attr-defined]
        setattr(made, name, getattr(given, name))
    for name, told in changes.items():
        setattr(made, name, told)
    return made
