"""What of a directory is on stable storage, and what a cut of the power may leave of the rest.

A model of a disk that promises what POSIX promises and nothing beside it: what was written into a file is there for
sure once the file was synced, and a name once its directory was. Of everything else some may be there and some not,
whatever came first; of a write, some sectors. Only three things are taken for granted of every file system: sectors are
whole, a rename happens whole or not at all, and what happens to one name happens in order.
"""

import os
import random
import shutil
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

SECTORS = (512, 4096)
SHARED_MEMORY = "-shm"
"""SQLite maps such a file; it is made anew after a cut, whatever it holds."""
GARBAGE_BYTES = 32_768

T = TypeVar("T")
Spread = str
SPREADS: Sequence[Spread] = ("none", "all", "first", "some", "some")
"""What is left of things that were not synced: the first so many, or any of them."""


@dataclass(slots=True)
class Change:
    """To a file: `data` at `offset`; without data a cut to `offset` bytes; `mode` alone where there is one.

    `doubtful`: a sync failed while it waited, and no later one will write it. `sure`: a later sync went well."""

    offset: int = 0
    data: bytes | None = None
    mode: int | None = None
    doubtful: bool = False
    sure: bool = False

    def apply(self, content: bytearray) -> None:
        if self.mode is not None:
            return
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
            return
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, dice: random.Random) -> Iterator["Change"]:
        """Some of its sectors: the first, or any."""
        if self.data is None:
            return
        sector = dice.choice(SECTORS)
        end = self.offset + len(self.data)
        borders = [self.offset, *range((self.offset // sector + 1) * sector, end, sector), end]
        for start, stop in _some(list(pairwise(borders)), dice.choice(("first", "some")), dice):
            yield Change(start, self.data[start - self.offset : stop - self.offset])


@dataclass(slots=True, eq=False)
class File:
    now: bytearray
    mode: int
    stable: bytearray = field(default_factory=bytearray)
    stable_mode: int = 0o600
    unsynced: list[Change] = field(default_factory=list)

    def change(self, change: Change) -> None:
        change.apply(self.now)
        if change.mode is not None:
            self.mode = change.mode
        self.unsynced.append(change)

    def sync(self) -> None:
        if any(change.doubtful for change in self.unsynced):
            for change in self.unsynced:
                change.sure = not change.doubtful
            return
        for change in self.unsynced:
            change.apply(self.stable)
        self.stable_mode = self.mode
        self.unsynced.clear()

    def sync_failed(self) -> None:
        for change in self.unsynced:
            change.doubtful = not change.sure

    def left(self, dice: random.Random, counts: Counter[str]) -> tuple[bytes, int]:
        content, mode = bytearray(self.stable), self.stable_mode
        spread = dice.choice(SPREADS)
        chosen = set(_some(range(len(self.unsynced)), spread, dice))
        for number, change in enumerate(self.unsynced):
            if change.sure or (number in chosen and (change.data is None or dice.random() < 0.7)):
                change.apply(content)
                mode = mode if change.mode is None else change.mode
                counts["stayed"] += not change.sure
            elif number in chosen:
                for piece in change.torn(dice):
                    piece.apply(content)
                counts["in part"] += 1
            else:
                counts["lost"] += 1
        return bytes(content), mode


@dataclass(slots=True, eq=False)
class Directory:
    mode: int
    now: dict[str, "Node"] = field(default_factory=dict)
    stable: dict[str, "Node"] = field(default_factory=dict)


Node = File | Directory
Named = tuple[Directory, str, Node | None]
"""What a directory has under a name from then on; None: nothing."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is there after a cut, by path below the root: files with their bytes and mode, and directories with their
    mode, those above first. `counts` says how much of what was not synced is there."""

    files: dict[str, tuple[bytes, int]]
    directories: dict[str, int]
    counts: Counter[str]

    def lay(self, root: Path) -> None:
        """Makes `root` hold that and nothing else."""
        for entry in root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        for name, mode in self.directories.items():
            (root / name).mkdir()
            (root / name).chmod(mode)
        for name, (data, mode) in self.files.items():
            (root / name).write_bytes(data)
            (root / name).chmod(mode)


class Disk:
    """Of one process after another, as each is told of. What is there at first is on stable storage. Paths are whole
    ones; of those that are not below the root, and of files that have no name any more, nothing is kept."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._top = _read(root)
        self._unsynced: list[tuple[Named, ...]] = []
        """Changes of names, in order; each is there whole or not at all."""

    def _parent(self, path: str) -> tuple[Directory, str] | None:
        directory, name = os.path.split(path)
        node = self._at(directory)
        return (node, name) if isinstance(node, Directory) else None

    def _at(self, path: str) -> Node | None:
        if path == self.root:
            return self._top
        if not path.startswith(f"{self.root}{os.sep}"):
            return None
        node: Node | None = self._top
        for name in path[len(self.root) + 1 :].split(os.sep):
            node = node.now.get(name) if isinstance(node, Directory) else None
        return node

    def _file(self, path: str) -> File | None:
        node = self._at(path)
        return node if isinstance(node, File) else None

    def _named(self, *changes: Named) -> None:
        for directory, name, node in changes:
            _give(directory.now, name, node)
        self._unsynced.append(changes)

    # What is done to it

    def create(self, path: str, mode: int) -> None:
        """A file without bytes, or one that lost those it had."""
        there = self._file(path)
        if there is not None:
            there.change(Change(0))
        elif (place := self._parent(path)) is not None:
            self._named((*place, File(bytearray(), mode, stable_mode=mode)))

    def make(self, path: str, mode: int) -> None:
        """A directory."""
        if (place := self._parent(path)) is not None:
            self._named((*place, Directory(mode)))

    def write(self, path: str, offset: int, data: bytes) -> None:
        if (file := self._file(path)) is not None and data:
            file.change(Change(offset, data))

    def truncate(self, path: str, length: int) -> None:
        if (file := self._file(path)) is not None:
            file.change(Change(length))

    def dress(self, path: str, mode: int) -> None:
        """Of a directory at once: those of ours are made with the mode they keep."""
        node = self._at(path)
        if isinstance(node, File):
            node.change(Change(mode=mode))
        elif node is not None:
            node.mode = mode

    def rename(self, old: str, new: str) -> None:
        source, target, node = self._parent(old), self._parent(new), self._at(old)
        if source is not None and target is not None and node is not None:
            self._named((*source, None), (*target, node))

    def link(self, old: str, new: str) -> None:
        target, node = self._parent(new), self._at(old)
        if target is not None and node is not None:
            self._named((*target, node))

    def remove(self, path: str) -> None:
        """A name of a file, or a directory."""
        place = self._parent(path)
        if place is not None and self._at(path) is not None:
            self._named((*place, None))

    def sync(self, path: str) -> None:
        """Of a file its bytes, of a directory its names."""
        node = self._at(path)
        if isinstance(node, File):
            node.sync()
        elif node is not None:
            wanted = {
                number
                for number, changes in enumerate(self._unsynced)
                if any(directory is node for directory, _, _ in changes)
            }
            chosen = self._with_earlier(wanted)
            for number in sorted(chosen):
                for directory, name, what in self._unsynced[number]:
                    _give(directory.stable, name, what)
            self._unsynced = [changes for number, changes in enumerate(self._unsynced) if number not in chosen]

    def sync_failed(self, path: str) -> None:
        """What the file has not got by now it may not get by another sync: the system calls it written."""
        if (file := self._file(path)) is not None:
            file.sync_failed()

    # What is left of it

    def differs(self) -> list[str]:
        """Where what lies there is not what this was told of: then it would prove nothing."""
        found, seen = _content(_read(Path(self.root)).now), _content(self._top.now)
        return [
            f"{name} is not as it was seen to be written"
            for name in sorted({*found, *seen})
            if found.get(name) != seen.get(name)
        ]

    def left(self, dice: random.Random) -> Left:
        """What may be there after a cut of the power now."""
        counts: Counter[str] = Counter()
        entries: dict[int, dict[str, Node]] = {}

        def of(directory: Directory) -> dict[str, Node]:
            return entries.setdefault(id(directory), dict(directory.stable))

        chosen = self._with_earlier(_some(range(len(self._unsynced)), dice.choice(SPREADS), dice))
        for number in sorted(chosen):
            for directory, name, node in self._unsynced[number]:
                _give(of(directory), name, node)
        counts["names"] += len(chosen)
        counts["names lost"] += len(self._unsynced) - len(chosen)
        left = Left({}, {}, counts)
        contents: dict[int, tuple[bytes, int]] = {}

        def walk(directory: Directory, path: str) -> None:
            for name, node in sorted(of(directory).items()):
                below = os.path.join(path, name)
                if isinstance(node, Directory):
                    left.directories[below] = node.mode
                    walk(node, below)
                else:
                    if id(node) not in contents:
                        contents[id(node)] = node.left(dice, counts)
                    left.files[below] = contents[id(node)]

        walk(self._top, "")
        for name in [name for name in left.files if name.endswith(".db") and dice.random() < 0.5]:
            left.files[f"{name}{SHARED_MEMORY}"] = dice.randbytes(GARBAGE_BYTES), 0o600
        return left

    def _with_earlier(self, wanted: set[int] | Sequence[int]) -> set[int]:
        """What happened to the same names before is there as well."""
        chosen: set[int] = set()
        names: set[tuple[int, str]] = set()
        for number in range(len(self._unsynced) - 1, -1, -1):
            touched = {(id(directory), name) for directory, name, _ in self._unsynced[number]}
            if number in wanted or touched & names:
                chosen.add(number)
                names |= touched
        return chosen


def _give(names: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _read(directory: Path) -> Directory:
    made = Directory(stat.S_IMODE(directory.stat().st_mode))
    known: dict[int, File] = {}
    for entry in sorted(os.scandir(directory), key=lambda one: one.name):
        if entry.is_dir(follow_symlinks=False):
            made.now[entry.name] = _read(Path(entry.path))
        elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(SHARED_MEMORY):
            inode = entry.inode()
            if inode not in known:
                data, mode = Path(entry.path).read_bytes(), stat.S_IMODE(entry.stat().st_mode)
                known[inode] = File(bytearray(data), mode, bytearray(data), mode)
            made.now[entry.name] = known[inode]
    made.stable = dict(made.now)
    return made


def _content(names: dict[str, Node], path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, node in names.items():
        below = os.path.join(path, name)
        if isinstance(node, Directory):
            found[below] = node.mode
            found.update(_content(node.now, below))
        else:
            found[below] = (bytes(node.now), node.mode)
    return found


def _some(things: Sequence[T], spread: Spread, dice: random.Random) -> list[T]:
    if spread == "first":
        return list(things[: dice.randint(0, len(things))])
    share = {"none": 0.0, "all": 1.0}.get(spread, dice.choice((0.2, 0.5, 0.9)))
    return [thing for thing in things if dice.random() < share]
