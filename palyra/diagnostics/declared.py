"""How much of each text in a snapshot may be seen: every model field says so itself, and what it says is applied once.

Numbers, truths and members of enumerations are counts and states: they stay. A text is declared by its type here; a
field of plain `str` is refused, so that no text leaves without somebody having said what it is.
"""

import dataclasses
from collections.abc import Callable
from enum import Enum, StrEnum
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from palyra.config.urls import Url
from palyra.core.redact import REDACTED, knowledge, redact, redact_error

Data = TypeVar("Data")
Clean = Callable[[Any], Any]


class Kind(StrEnum):
    """How a field of the diagnostics is to be made safe."""

    PUBLIC = "public"
    """An id, a state, a reference, a code: it stays as it is."""
    TEXT = "text"
    """Words of others: scrubbed and cut."""
    URL = "url"
    """An address: without user, fragment, secret members of its query, and parts of its path that are nobody's word."""
    SECRET = "secret"  # noqa: S105 the name of a kind
    """Never shown."""


class Declared:
    """The mark that a type carries."""

    __slots__ = ("kind",)

    def __init__(self, kind: Kind) -> None:
        self.kind = kind


Public = Annotated[str, Declared(Kind.PUBLIC)]
Text = Annotated[str, Declared(Kind.TEXT)]
Address = Annotated[str, Declared(Kind.URL)]
Hidden = Annotated[str, Declared(Kind.SECRET)]


class UndeclaredError(TypeError):
    """A model has a field that nobody declared."""


def cleaned(data: Data) -> Data:
    """A copy of a section's data as it may leave its collector. Raises UndeclaredError for a model with a fault."""
    done: Data = _cleaner_of(type(data))(data)
    return done


def check(model: type) -> None:
    """Raises UndeclaredError naming the field of a model, or of one inside it, that is not declared."""
    _cleaner_of(model)


def _cleaner_of(model: Any) -> Clean:
    return _cleaner(model)


@cache
def _cleaner(hint: Any) -> Clean:
    """What makes values of a type fit to be shown."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _of_kind(inner[0], inner[1:])
    if origin in (Union, UnionType):
        return _of_either(hint, inner)
    if origin is tuple:
        each = _cleaner(inner[0])
        return lambda items: tuple(each(item) for item in items)
    if origin is dict:
        name, content = _cleaner(inner[0]), _cleaner(inner[1])
        return lambda items: {name(key): content(item) for key, item in items.items()}
    if dataclasses.is_dataclass(hint):
        return _of_model(hint)
    if isinstance(hint, type) and (issubclass(hint, Enum) or hint in (bool, int, float, NoneType)):
        return _of_count(hint)
    raise UndeclaredError(f"{hint} is not declared")


def _of_count(hint: type) -> Clean:
    """Nothing but what was declared: a text in place of a number would leave unseen."""
    fitting = (int, float) if hint is float else hint

    def clean(given: Any) -> Any:
        if not isinstance(given, fitting):
            raise UndeclaredError(f"a {type(given).__name__} is no {hint.__name__}")
        return given

    return clean


def _of_kind(hint: Any, marks: tuple[Any, ...]) -> Clean:
    kind = next((mark.kind for mark in marks if isinstance(mark, Declared)), None)
    if kind is None or hint is not str:
        raise UndeclaredError(f"{hint} is not declared")
    match kind:
        case Kind.PUBLIC:
            return str
        case Kind.TEXT:
            return _scrubbed
        case Kind.URL:
            return _bared
        case Kind.SECRET:
            return lambda text: REDACTED if text else ""


REMEMBERED = 2_048
"""Texts that are told in one snapshot after another are looked at once, until another secret is known."""


def _scrubbed(text: str) -> str:
    return _scrubbed_under(knowledge(), text)


def _bared(text: str) -> str:
    return _bared_under(knowledge(), text)


@lru_cache(REMEMBERED)
def _scrubbed_under(known: object, text: str) -> str:
    return redact_error(text)


@lru_cache(REMEMBERED)
def _bared_under(known: object, text: str) -> str:
    return redact(Url().spell(text) if "://" in text else text)


def _of_either(hint: Any, inner: tuple[Any, ...]) -> Clean:
    known = [one for one in inner if one is not NoneType]
    if len(known) != 1:
        raise UndeclaredError(f"{hint} may be several things")
    clean = _cleaner(known[0])
    return lambda given: None if given is None else clean(given)


def _of_model(model: Any) -> Clean:
    hints = get_type_hints(model, include_extras=True)
    fields: list[tuple[str, Clean]] = []
    for one in dataclasses.fields(model):
        try:
            fields.append((one.name, _cleaner(hints[one.name])))
        except UndeclaredError as error:
            raise UndeclaredError(f"{model.__name__}.{one.name}: {error}") from None
    return lambda given: model(**{name: clean(getattr(given, name)) for name, clean in fields})
