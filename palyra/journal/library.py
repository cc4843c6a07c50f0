"""The SQLite this Python was built with."""

import sqlite3

OLDEST = (3, 37)
"""The first with strict tables. Source: https://www.sqlite.org/stricttables.html"""


def version() -> tuple[int, ...]:
    """Of the library itself, not of Python's module."""
    return sqlite3.sqlite_version_info
