"""What a table lists: rows of cells."""

from collections.abc import Callable

from palyra.core.safe_text import SafeText
from palyra.core.values import value
from palyra.tui.widgets.lines import Line, Part, part


@value
class Cell:
    """A cell of several parts.

    One that spans several columns takes the room of those after it, whose own values in this row are not shown.
    """

    parts: Line
    span: int = 1


CellValue = SafeText | Part | Cell


Cells = tuple[CellValue, ...]


class Row:
    """One object of the list: its key, the version shown, and one cell for each column, or what makes these once
    somebody looks at them: a list is longer than what is seen of it."""

    __slots__ = ("_cells", "_make", "key", "version")

    def __init__(self, key: str, cells: Cells | Callable[[], Cells], version: int = 0) -> None:
        self.key = key
        self.version = version
        self._cells: Cells = ()
        self._make: Callable[[], Cells] | None = None
        if isinstance(cells, tuple):
            self._cells = cells
        else:
            self._make = cells

    @property
    def made(self) -> bool:
        """Whether there are cells already."""
        return self._make is None

    @property
    def cells(self) -> Cells:
        """Its cells, in the order of the columns."""
        if self._make is not None:
            self._cells, self._make = self._make(), None
        return self._cells

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Row) or (self.key, self.version) != (other.key, other.version):
            return False
        return self.cells == other.cells

    def __hash__(self) -> int:
        return hash((self.key, self.version))


def cell(*parts: Part | str, span: int = 1) -> Cell:
    """A cell of parts and plain strings."""
    return Cell(tuple(piece if isinstance(piece, Part) else part(piece) for piece in parts), span)


def parts_of(value: CellValue) -> Line:
    """A cell as a line of its own."""
    if isinstance(value, Cell):
        return value.parts
    return (value,) if isinstance(value, Part) else (part(value),)
