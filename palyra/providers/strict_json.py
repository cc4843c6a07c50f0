"""Strict JSON for callers' bodies: two parsers that disagree about a body could read two budgets in it."""

import json
from typing import Any, NoReturn

from palyra.core.errors import BadInputError

MAX_DEPTH = 128
"""How deeply arrays and objects may nest when the gateway is not told otherwise."""

MAX_VALUES = 1_000_000
"""How many values a body may hold: reading many small ones takes seconds and a hundred times their bytes, in which
nobody else is served. What is written for models is long texts, and lists of some hundred thousand tokens at most."""

_SLICE = 1 << 20


class RequestError(BadInputError):
    """A body that cannot be governed. `code`: invalid_json, duplicate_member or invalid_field; `field` names where."""

    def __init__(self, code: str, field: str, message: str, fix: str) -> None:
        super().__init__(message, fix=fix, code=code)
        self.field = field


def invalid(field: str, message: str, fix: str) -> NoReturn:
    """Refuses one field."""
    raise RequestError("invalid_field", field, message, fix)


def parse_object(body: bytes, *, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """One JSON object in UTF-8, no member twice at any level, finite numbers, at most `max_depth` levels.

    Raises RequestError.
    """
    if may_hold_more(body, MAX_VALUES):
        raise _not_json(f"The body holds more than {MAX_VALUES:,} commas and brackets.")
    try:
        data = _STRICT.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _not_json(f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise _not_json(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except ValueError as error:
        raise _not_json(f"The body is not JSON: {error}.") from None
    if type(data) is not dict:
        raise _not_json("The body must be a JSON object.")
    if _deeper_than(data, max_depth):
        raise _too_deep(max_depth)
    return data


def may_hold_more(body: bytes, values: int) -> bool:
    """Whether some JSON may hold more values than this, by the marks between them, which texts may hold too."""
    marks = 0
    for start in range(0, len(body) if len(body) > values else 0, _SLICE):
        end = start + _SLICE
        marks += body.count(b",", start, end) + body.count(b"[", start, end) + body.count(b"{", start, end)
        if marks > values:
            return True
    return False


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                message = f"The member {name[:64]!r} is given twice in one object."
                raise RequestError("duplicate_member", name[:64], message, "Send it once.")
            seen.add(name)
    return members


def no_constant(name: str) -> NoReturn:
    """For `parse_constant`: refuses what JSON does not have (NaN, Infinity). Raises ValueError."""
    raise ValueError(f"{name} is no JSON number")


def finite(text: str) -> float:
    """For `parse_float`: a number that a float can hold. Raises ValueError."""
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number


_STRICT = json.JSONDecoder(object_pairs_hook=_members, parse_constant=no_constant, parse_float=finite)


def _not_json(message: str) -> RequestError:
    return RequestError("invalid_json", "", message, "Send one JSON object, encoded as UTF-8.")


def _too_deep(max_depth: int) -> RequestError:
    message = f"The body nests deeper than {max_depth} levels."
    return RequestError("invalid_json", "", message, "Flatten it, or raise gateway.max_json_depth.")


def _deeper_than(data: dict[str, Any], limit: int) -> bool:
    level: list[Any] = [data]
    for _ in range(limit):
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True
