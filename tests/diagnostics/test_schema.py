"""What programs read stays: within a schema version fields are added, never renamed, never of another type."""

import dataclasses
import json
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from palyra.control.diagnostics_answers import diagnosis_json
from palyra.diagnostics.section import Section, Sections
from palyra.diagnostics.snapshot import SCHEMA_VERSION, Diagnosis
from tests.diagnostics.samples import snapshot

PUBLISHED = Path(__file__).with_name("schema_1.json")
"""Every field of version 1 with its type, as it was when it was last added to."""


def told(hint: Any, path: str, found: dict[str, str]) -> str:
    """The type of what is at a path in the JSON, and in `found` that of each field below it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return told(inner[0], path, found)
    if origin in (Union, UnionType):
        known = [told(one, path, found) for one in inner if one is not NoneType]
        return " or ".join([*known, "null"]) if NoneType in inner else " or ".join(known)
    if origin is tuple:
        return f"list of {told(inner[0], f'{path}[]', found)}"
    if origin is dict:
        return f"map to {told(inner[1], f'{path}{{}}', found)}"
    if origin is Section:
        return model(Section, path, found, data=inner[0])
    if dataclasses.is_dataclass(hint):
        return model(hint, path, found)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "str"
    return str(hint.__name__)


def model(kind: Any, path: str, found: dict[str, str], data: Any = None) -> str:
    hints = get_type_hints(kind, include_extras=True)
    for one in dataclasses.fields(kind):
        hint = data | None if one.name == "data" and data is not None else hints[one.name]
        below = f"{path}.{one.name.removesuffix('_')}".removeprefix(".")
        found[below] = told(hint, below, found)
    return "object"


def described() -> dict[str, str]:
    found: dict[str, str] = {}
    model(Diagnosis, "", found)
    return found


def test_no_published_field_is_gone_or_of_another_type() -> None:
    published = json.loads(PUBLISHED.read_text())
    assert SCHEMA_VERSION == 1
    now = described()
    assert {path: now.get(path) for path in published} == published


def test_every_field_is_published() -> None:
    """A new one is added to the file, and stays from then on."""
    assert described().keys() - json.loads(PUBLISHED.read_text()).keys() == set()


def test_what_is_described_is_what_is_told() -> None:
    data = diagnosis_json(snapshot())
    now = described()
    assert {path for path in now if "." not in path} == data.keys()
    for name in Sections.__dataclass_fields__:
        section = data["sections"][name]
        fields = {path.rpartition(".")[2] for path in now if path.rpartition(".")[0] == f"sections.{name}.data"}
        # Beside nano-dollars stands their text.
        texts = {one.replace("_nano_usd", "_usd") for one in fields if one.endswith("_nano_usd")}
        assert section["data"].keys() == fields | texts, name
