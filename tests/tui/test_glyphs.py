"""What the console draws reads in ASCII too, cell for cell."""

import ast
from pathlib import Path

import pytest
from rich.cells import cell_len

import palyra.tui
from palyra.tui import glyphs
from palyra.tui.glyphs import ASCII, WITH_SPACE, to_ascii


@pytest.mark.parametrize("sign", [*ASCII, *WITH_SPACE])
def test_every_sign_has_a_likeness_of_as_many_cells(sign: str) -> None:
    plain = to_ascii(sign)
    assert plain.isascii()
    assert plain.isprintable()
    assert len(plain) == cell_len(sign)
    assert "?" not in plain


def test_signs_of_states_are_told_from_each_other() -> None:
    signs = (glyphs.OK, glyphs.IDLE, glyphs.ATTENTION, glyphs.BAD, glyphs.GRANT, glyphs.CROSSED)
    assert len({to_ascii(sign) for sign in signs}) == len(signs)


@pytest.mark.parametrize(
    ("drawn", "plain"),
    [("max_tokens ≤ 212", "max_tokens <=212"), ("a → b", "a ->b"), ("≤8", "<8"), ("$9 ≥ $8", "$9 >=$8")],
)
def test_comparisons_and_arrows_read_as_such(drawn: str, plain: str) -> None:
    assert to_ascii(drawn) == plain


def test_nothing_the_screens_write_becomes_a_question_mark() -> None:
    unread: dict[str, str] = {}
    for path in Path(palyra.tui.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                unread |= {char: path.name for char in node.value if not char.isascii() and "?" in to_ascii(char)}
    assert unread == {}
