"""Values: records that nothing changes once they are made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_WRITTEN = ("__init__", "__repr__", "__eq__", "__hash__")
"""What a dataclass has written and compiled for it."""
_STANDS_IN = "_palyra_stands_in"
_MADE: list[type[Any]] = []
"""Values whose methods were not yet written ahead."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T], /) -> type[T]:
    """A dataclass with slots that compares and hashes by its fields.

    An assignment to a field is refused by the type checker alone: a frozen dataclass refuses it at run time as well,
    and pays for that in every `__init__`, which goes through `object.__setattr__` once for each field. `field`,
    `KW_ONLY`, `replace`, `fields` and `__post_init__` are those of `dataclasses`.

    Its methods are compiled when the first of them is called: there are many hundred values, a program uses some
    dozens of them soon after its start, and to compile those of all takes a third of a second.
    """
    own = {name for name in _WRITTEN if cls.__dict__.get(name) is not None}
    if cls.__doc__ is None:
        # What would be put there is the signature, and that is slow to find out.
        cls.__doc__ = f"{cls.__name__}."
    made = dataclass(slots=True, init=False, repr=False, eq=False)(cls)
    for name in _WRITTEN:
        if name not in own:
            setattr(made, name, _until_called(made, name))
    _MADE.append(made)
    made.__signature__ = _Signature(made)  # type: ignore[attr-defined]
    return made


def writing_ahead() -> Iterator[None]:
    """Gives all values their methods, one value at each step (half a millisecond): for a time in which nobody waits, so
    that whoever comes first is served as fast as those after them."""
    while _MADE:
        made = _MADE.pop()
        if any(hasattr(made.__dict__.get(name), _STANDS_IN) for name in _WRITTEN):
            _write_methods(made)
            yield


def _until_called(made: type[Any], name: str) -> Callable[..., Any]:
    """Stands where a method will be."""

    def first(self: object, /, *arguments: Any, **named: Any) -> Any:
        _write_methods(made)
        return getattr(made, name)(self, *arguments, **named)

    setattr(first, _STANDS_IN, True)
    # Whoever asks what types a value has finds those of its fields.
    first.__annotations__ = {}
    return first


class _Signature:
    """Where `inspect` looks for the signature of a class before it looks at its `__init__`, which is there from now."""

    def __init__(self, made: type[Any]) -> None:
        self._made = made

    def __get__(self, _: object, owner: type[Any]) -> None:
        _write_methods(self._made)


def _write_methods(made: type[Any]) -> None:
    """Gives a value its methods: those of a dataclass with the same fields."""
    known = fields(made)
    body: dict[str, Any] = {each.name: each for each in known}
    body |= {"__module__": made.__module__, "__annotations__": {each.name: each.type for each in known}}
    if hasattr(made, "__post_init__"):
        body["__post_init__"] = made.__post_init__
    twin: type[Any] = dataclass(unsafe_hash=True)(type(made.__name__, (), body))
    for name in _WRITTEN:
        if hasattr(made.__dict__.get(name), _STANDS_IN):
            setattr(made, name, getattr(twin, name))


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
