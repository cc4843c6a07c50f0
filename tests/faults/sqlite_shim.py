"""Stands between SQLite and the system, so that every write, cut, sync and removal of a database file passes by.

SQLite reaches files through a table of functions, its VFS; the usual one is copied, registered as the default and sees
`xOpen` and `xDelete`. The files it opens are given a copy of their own table with `xWrite`, `xTruncate` and `xSync`
exchanged. Reading, locking and shared memory go the way they went.
"""

import ctypes
import errno
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

from tests.faults.passing import Passing

OK, IOERR, FULL, CANTOPEN = 0, 10, 13, 14
IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE, IOERR_DELETE = 778, 1034, 1546, 2570
OPEN_CREATE = 4
OPEN_LOGS = 0x80000 | 0x4000 | 0x800
"""Flags of the kinds of files whose directory SQLite syncs with their first sync."""

_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 3, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)

_POINTER = ctypes.sizeof(ctypes.c_void_p)
VFS_MEMBERS = {1: 11, 2: 12, 3: 15}
"""Function pointers in a VFS by the version of its layout, after its six other members."""
FILE_METHODS = {1: 12, 2: 16, 3: 18}
"""Function pointers in a file's table by the version of its layout, after that number."""


class ShimError(Exception):
    """SQLite cannot be stood in front of on this machine: whatever was played here would prove nothing."""


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("own", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("delete", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 13),
    )


class _Methods(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", ctypes.c_void_p),
        ("truncate", ctypes.c_void_p),
        ("sync", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 13),
    )


_REGISTERED: "list[SqliteShim]" = []
"""SQLite keeps no reference of Python's."""


class SqliteShim:
    """One per process, for its whole life: connections opened before it was made are not seen. Raises ShimError."""

    def __init__(self, passing: Passing) -> None:
        self._passing = passing
        self._names: dict[int, str] = {}
        """Paths by the address of the open file."""
        self._nameless: set[int] = set()
        """Open files that SQLite itself may have made, with names that were not synced yet."""
        self._tables: dict[int, _Methods] = {}
        self._kept: list[Any] = []
        library = _library()
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        found = library.sqlite3_vfs_find(None)
        if not found:
            raise ShimError("SQLite has no VFS")
        usual = _Vfs.from_address(found)
        members = VFS_MEMBERS.get(min(usual.version, 3))
        if members is None:
            raise ShimError(f"SQLite's VFS has the unknown layout {usual.version}")
        self._vfs = _Vfs()
        ctypes.memmove(ctypes.byref(self._vfs), found, _Vfs.open.offset + members * _POINTER)
        self._vfs.name = b"passing"
        self._open, self._delete = _OPEN(usual.open), _DELETE(usual.delete)
        self._vfs.open, self._vfs.delete = self._own(_OPEN(self._opened)), self._own(_DELETE(self._deleted))
        if library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) != OK:
            raise ShimError("SQLite does not take another VFS")
        _REGISTERED.append(self)
        self._prove()

    def _own(self, function: Any) -> Any:
        self._kept.append(function)
        return ctypes.cast(function, ctypes.c_void_p).value

    def _prove(self) -> None:
        """A file is written through Python's module, and must be seen: else it speaks to another SQLite."""
        with tempfile.TemporaryDirectory(prefix="palyra-shim-") as directory:
            path = Path(directory) / "proof.db"
            with self._passing.watching(Path(directory)) as seen, closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("CREATE TABLE proof (seen INTEGER)")
                database.commit()
            kinds = {(write.kind, write.path.rpartition("-")[2]) for write in seen}
            if not {("write", "wal"), ("sync", "wal"), ("write", "proof.db")} <= kinds:
                raise ShimError(f"of a database's writes only {sorted(kinds)} passed by")

    # What SQLite calls

    def _opened(self, vfs: int, name: int | None, file: int, flags: int, given: Any) -> int:
        path = ctypes.string_at(name).decode(errors="surrogateescape") if name else ""
        if path and flags & OPEN_CREATE and self._passing.watches(path) and not Path(path).exists():

            def do(_: int) -> int:
                code = self._open_file(vfs, name, path, file, flags, given)
                if code == OK and self._passing.disk is not None:
                    self._passing.disk.create(path, stat.S_IMODE(os.stat(path).st_mode))
                return code

            return self._guarded("create", path, 0, CANTOPEN, do)
        return self._open_file(vfs, name, path, file, flags, given)

    def _open_file(self, vfs: int, name: int | None, path: str, file: int, flags: int, given: Any) -> int:
        code: int = self._open(vfs, name, file, flags, given)
        own = ctypes.c_void_p.from_address(file)
        if code == OK and own.value:
            self._names[file] = path
            self._nameless.discard(file)
            if flags & OPEN_CREATE and flags & OPEN_LOGS:
                self._nameless.add(file)
            own.value = ctypes.addressof(self._table(own.value))
        return code

    def _table(self, usual: int) -> _Methods:
        """The table a file is given in place of its usual one, which is never changed."""
        if (made := self._tables.get(usual)) is not None:
            return made
        found = _Methods.from_address(usual)
        count = FILE_METHODS.get(min(found.version, 3))
        if count is None:
            raise ShimError(f"SQLite's files have the unknown layout {found.version}")
        made = self._tables[usual] = _Methods()
        ctypes.memmove(ctypes.byref(made), usual, _Methods.close.offset + count * _POINTER)
        write, truncate, sync = _WRITE(found.write), _TRUNCATE(found.truncate), _SYNC(found.sync)

        def written(file: int, data: int, length: int, offset: int) -> int:
            path = self._names[file]

            def do(some: int) -> int:
                code: int = write(file, data, some, offset) if some else OK
                if code == OK and (disk := self._passing.disk_at(path)) is not None:
                    disk.write(path, offset, ctypes.string_at(data, some))
                return code

            return self._guarded("write", path, length, IOERR_WRITE, do, offset)

        def truncated(file: int, length: int) -> int:
            path = self._names[file]

            def do(_: int) -> int:
                code: int = truncate(file, length)
                if code == OK and (disk := self._passing.disk_at(path)) is not None:
                    disk.truncate(path, length)
                return code

            return self._guarded("truncate", path, 0, IOERR_TRUNCATE, do)

        def synced(file: int, flags: int) -> int:
            path = self._names[file]

            def do(_: int) -> int:
                code: int = sync(file, flags)
                if code == OK and (disk := self._passing.disk_at(path)) is not None:
                    disk.sync(path)
                    if file in self._nameless:
                        disk.sync(os.path.dirname(path))
                self._nameless.discard(file)
                return code

            return self._guarded("sync", path, 0, IOERR_FSYNC, do)

        made.write, made.truncate = self._own(_WRITE(written)), self._own(_TRUNCATE(truncated))
        made.sync = self._own(_SYNC(synced))
        return made

    def _deleted(self, vfs: int, name: bytes, durable: int) -> int:
        path = name.decode()

        def do(_: int) -> int:
            code: int = self._delete(vfs, name, durable)
            if code == OK and (disk := self._passing.disk_at(path)) is not None:
                disk.remove(path)
                if durable & 1:
                    disk.sync(os.path.dirname(path))
            return code

        return self._guarded("remove", path, 0, IOERR_DELETE, do)

    def _guarded(
        self, kind: str, path: str, size: int, otherwise: int, do: Callable[[int], int], offset: int = 0
    ) -> int:
        """SQLite's code for what became of it."""
        try:
            return self._passing.by(kind, path, size, do, offset)
        except OSError as error:
            return FULL if error.errno == errno.ENOSPC and kind == "write" else otherwise
        except BaseException as error:
            _die_loudly(error)


def _die_loudly(error: BaseException) -> NoReturn:
    """What is raised into SQLite is lost, and a shim that fails quietly proves nothing."""
    import traceback

    traceback.print_exception(error)
    os._exit(70)


def _library() -> ctypes.CDLL:
    """The library that Python's own module speaks to. Raises ShimError."""
    import _sqlite3

    mapped = {line.split(maxsplit=5)[-1].strip() for line in Path("/proc/self/maps").read_text().splitlines()}
    shared = sorted(path for path in mapped if Path(path).name.startswith("libsqlite3"))
    own = getattr(_sqlite3, "__file__", None)
    for place in [*shared, *([own] if own else []), None]:
        try:
            library = ctypes.CDLL(place)
            library.sqlite3_libversion.restype = ctypes.c_char_p
            version = library.sqlite3_libversion().decode()
        except (OSError, AttributeError):
            continue
        if version == sqlite3.sqlite_version and hasattr(library, "sqlite3_vfs_register"):
            return library
    raise ShimError("the library of Python's sqlite3 module cannot be found")
