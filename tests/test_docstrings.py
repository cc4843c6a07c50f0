"""Every public name says what it is: in its own words, or in those of what it takes the place of."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FRAMEWORK = ("on_", "action_", "watch_", "key_")
"""Methods that Textual calls by their name."""


def undocumented(body: list[ast.stmt], owner: type | ModuleType, before: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            made = getattr(owner, node.name)
            # What an operator does says of itself what it does, in the help that they read.
            if not ast.get_docstring(node) and not getattr(made, "help", ""):
                yield before + node.name
            yield from undocumented(node.body, made, f"{before}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            said = ast.get_docstring(node) or (isinstance(owner, type) and stands_in(node, owner))
            if not said:
                yield before + node.name


def stands_in(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: type) -> bool:
    """It does what was said elsewhere: of the method it overrides, of the event it handles, of its other overloads."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    if node.name.startswith(FRAMEWORK) or any(one == "overload" or one.startswith("on(") for one in decorators):
        return True
    return any(one.endswith(".setter") for one in decorators) or any(
        node.name in vars(base) for base in owner.__mro__[1:]
    )


@pytest.mark.parametrize("room", sorted(path.name for path in (ROOT / "palyra").iterdir() if path.suffix != ".pyc"))
def test_every_public_name_says_what_it_is(room: str) -> None:
    place = ROOT / "palyra" / room
    silent = []
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place] * (place.suffix == ".py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), name
        silent += [f"{name}.{one}" for one in undocumented(tree.body, importlib.import_module(name))]
    assert not silent
