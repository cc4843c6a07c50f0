"""Tables of what was measured, for a terminal and for a page."""

from collections.abc import Iterator, Sequence

from benchmarks.measured import Measured

HEAD = ("Command", "Measured", "Now", "Goal", "Met", "Ratio")


def lines(rows: Sequence[Measured]) -> Iterator[str]:
    """What, now, goal, met or missed, ratio."""
    width = max((len(row.what) for row in rows), default=0)
    now = max((len(row.now) for row in rows), default=0)
    wanted = max((len(row.wanted) for row in rows), default=0)
    verdict = max((len(row.verdict) for row in rows), default=0)
    for row in rows:
        yield (
            f"  {row.what:<{width}}  {row.now:>{now}}  {row.wanted:<{wanted}}  {row.verdict:<{verdict}}  {row.ratio}"
        ).rstrip()


def markdown(command: str, rows: Sequence[Measured]) -> Iterator[str]:
    """Rows below `markdown_head`; the first one names the command."""
    for place, row in enumerate(rows):
        verdict = row.verdict.replace("MISSED", "**missed**")
        cells = (f"`{command}`" if place == 0 else "", row.what, row.now, row.wanted, verdict, row.ratio)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown_head() -> Iterator[str]:
    yield "| " + " | ".join(HEAD) + " |"
    yield "|---" * len(HEAD) + "|"
