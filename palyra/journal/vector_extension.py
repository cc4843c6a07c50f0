"""sqlite-vec in the connections that read: cosine distances computed inside SQLite, ten times as fast as outside.

It is never needed: without it the same numbers are computed here. So a build of Python that cannot load extensions, or
a library that is missing or damaged, costs time and nothing else; nothing in the database depends on it.
"""

import ctypes
import sqlite3
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import closing
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from palyra.core.values import value

PACKAGE, LIBRARY, ENTRY = "sqlite-vec", "vec0", "sqlite3_vec_init"

_opening = threading.Lock()
"""Held while connections opened anywhere in this process would get the extension."""


@value
class VectorExtension:
    """Where the extension lies; `problem` says why there is none, and `path` is None then."""

    path: Path | None
    problem: str = ""

    def connect(self, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """A connection with the extension, or without it where it cannot be loaded. Raises what `connect` raises."""
        if self.path is None:
            return connect()
        if not hasattr(sqlite3.Connection, "enable_load_extension"):
            return _connect_through_library(self.path, connect) if _takes_extensions() else connect()
        database = connect()
        try:
            database.enable_load_extension(True)
            try:
                database.load_extension(str(self.path))
            finally:
                database.enable_load_extension(False)
        except sqlite3.Error:
            return database
        return database


NO_EXTENSION = VectorExtension(None, "sqlite-vec is not used")


def knows_vectors(database: sqlite3.Connection) -> bool:
    """Whether this connection can compute distances itself."""
    found = database.execute("SELECT 1 FROM pragma_function_list WHERE name = 'vec_distance_cosine' LIMIT 1")
    return found.fetchone() is not None


@cache
def installed_extension() -> VectorExtension:
    """The extension that came with the package sqlite-vec, found and tried once."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return VectorExtension(None, f"{PACKAGE} is not installed")
    found = next((one for one in files if one.name.startswith(f"{LIBRARY}.")), None)
    if found is None:
        return VectorExtension(None, f"{PACKAGE} has no library for this machine")
    expected = found.hash.value if found.hash is not None and found.hash.mode == "sha256" else ""
    return tried(Path(str(found.locate())), expected)


def tried(path: Path, expected: str = "") -> VectorExtension:
    """The extension in this file, if SQLite takes it. `expected` is its SHA-256 as packages note it, empty if unknown:
    a file that differs is not even opened, since code that was cut off could end the process."""
    try:
        digest = urlsafe_b64encode(sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
    except OSError as error:
        return VectorExtension(None, f"{path.name} cannot be read: {error.strerror}")
    if expected and digest != expected:
        return VectorExtension(None, f"{path.name} is not the file that was installed")
    extension = VectorExtension(path)
    with closing(extension.connect(lambda: sqlite3.connect(":memory:"))) as database:
        if not knows_vectors(database):
            return VectorExtension(None, f"this Python's SQLite {sqlite3.sqlite_version} does not load {path.name}")
    return extension


@cache
def _takes_extensions() -> bool:
    """A SQLite that was built without extensions would give ours nothing to call, and the process would end."""
    with closing(sqlite3.connect(":memory:")) as database:
        (omitted,) = database.execute("SELECT sqlite_compileoption_used('OMIT_LOAD_EXTENSION')").fetchone()
    return not omitted


def _connect_through_library(path: Path, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """Where Python was built without a way to load extensions, the SQLite it is linked to still has one: extensions
    that every new connection gets. It is told of ours for as long as it takes to open this one.

    Source: https://www.sqlite.org/c3ref/auto_extension.html
    """
    try:
        sqlite = ctypes.CDLL(getattr(sys.modules.get("_sqlite3"), "__file__", None))
        entry = ctypes.cast(getattr(ctypes.CDLL(str(path)), ENTRY), ctypes.c_void_p)
        register, cancel = sqlite.sqlite3_auto_extension, sqlite.sqlite3_cancel_auto_extension
    except (OSError, AttributeError):
        return connect()
    register.argtypes = cancel.argtypes = [ctypes.c_void_p]
    with _opening:
        register(entry)
        try:
            return connect()
        except sqlite3.Error:
            # Whether the extension or the database is at fault, the next try tells.
            pass
        finally:
            cancel(entry)
    return connect()
