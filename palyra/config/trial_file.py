"""Files of rows to be tried in a replay: `[[budgets]]` or `[[pricing]]`, checked as the configuration file's are."""

import tomllib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from palyra.config.load import interpret
from palyra.config.problem import Code, Problem

Row = dict[str, str]


def trial_rows(data: bytes, path: Path, table: str) -> tuple[list[Row], tuple[Problem, ...]]:
    """The rows of one table as text, and every problem of theirs. Other tables are not looked at, so that a whole
    configuration file will do; the providers and models that rows name need not be declared beside them."""
    problems = tuple(
        problem
        for problem in interpret(data, path, {}, {}).problems
        if problem.code is not Code.BAD_REFERENCE and problem.key.partition("[")[0].partition(".")[0] in (table, "")
    )
    if problems:
        return [], problems
    tree = tomllib.loads(data.decode(), parse_float=Decimal)
    rows = tree.get(table, [])
    return [{name: _text(value) for name, value in row.items()} for row in rows], ()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
