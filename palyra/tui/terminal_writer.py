"""Writes to the terminal from a thread of its own, and never makes anybody wait for a terminal that does not read.

Frames (what is painted) are dropped while the terminal is behind; once it has caught up, whoever paints is told to
paint everything once. Modes (alternate screen, mouse, cursor) always arrive, in order. Closing waits a bounded time;
what a stalled terminal has not read by then is discarded in the kernel, so that its restoration still finds room.
"""

import contextlib
import os
import select
import termios
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from palyra.core.values import value

BEHIND_BYTES = 64 * 1024
"""A frame that would make more than this wait is dropped; an idle terminal takes a frame of any size."""

CHUNK_BYTES = 4 * 1024
RECHECK_MS = 50
"""How often a writer that waits for the terminal looks whether it should give up."""

CLOSE_SECONDS = 0.5
DISCARD_SECONDS = 0.5


@value
class WriterStats:
    """Counters since the start. `stalled` says that frames are being dropped now."""

    frames: int = 0
    dropped: int = 0
    repaints: int = 0
    written_bytes: int = 0
    stalled: bool = False


class _Piece(NamedTuple):
    data: bytes
    is_frame: bool


def open_terminal(fileno: int) -> int:
    """A descriptor of its own for the terminal behind `fileno`, non-blocking where the system allows one.

    Making the given descriptor itself non-blocking would do so for every program that shares the terminal.
    """
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        return os.open(f"/proc/self/fd/{fileno}", flags)
    with contextlib.suppress(OSError):
        # After `su` the terminal belongs to someone else, but the controlling terminal may always be opened.
        os.tcgetpgrp(fileno)
        return os.open("/dev/tty", flags)
    return os.dup(fileno)


class TerminalWriter:
    """Owns the descriptor it is given. All methods may be called from any thread and return at once, but `close`."""

    def __init__(
        self,
        descriptor: int,
        *,
        restoration: bytes,
        on_drained: Callable[[], None],
        on_gone: Callable[[], None],
        stats: WriterStats,
    ) -> None:
        """`restoration` is what brings a terminal back from any state. `stats` are counted on from those given.

        `on_drained` (frames were dropped and the terminal has caught up) and `on_gone` are called from a thread.
        """
        self._descriptor = descriptor
        self._restoration = restoration
        self._on_drained = on_drained
        self._on_gone = on_gone
        self._changed = threading.Condition()
        self._queue: deque[_Piece] = deque()
        self._waiting_bytes = 0
        self._frames = stats.frames
        self._dropped = stats.dropped
        self._repaints = stats.repaints
        self._written = stats.written_bytes
        self._stale = False
        self._closing = False
        self._giving_up = False
        self._halted = False
        self._gone = False
        # A daemon, because a terminal that blocks for ever must not keep the process.
        self._thread = threading.Thread(target=self._run, name="palyra-terminal", daemon=True)

    def start(self) -> None:
        """Begins to write, on a thread of its own."""
        self._thread.start()

    @property
    def stats(self) -> WriterStats:
        """What was written and dropped so far, in bytes and frames."""
        return WriterStats(self._frames, self._dropped, self._repaints, self._written, self._stale)

    def put_frame(self, frame: bytes) -> bool:
        """Queues a frame; False if it was dropped. After the first dropped one, all are until `take_frames_again`."""
        with self._changed:
            if self._closing or self._gone:
                return False
            if self._stale or (self._waiting_bytes and self._waiting_bytes + len(frame) > BEHIND_BYTES):
                self._stale = True
                self._dropped += 1
                return False
            self._frames += 1
            self._put(_Piece(frame, is_frame=True))
            return True

    def put_modes(self, modes: bytes) -> None:
        """Queues control sequences that must arrive, and in order."""
        with self._changed:
            if not self._gone:
                self._put(_Piece(modes, is_frame=False))

    def take_frames_again(self) -> None:
        """Ends dropping: the next frames bring everything up to date."""
        with self._changed:
            if self._stale:
                self._stale = False
                self._repaints += 1

    def close(self) -> None:
        """Writes the modes that wait, but no frame that has not begun, and ends; takes about a second at most.

        If the terminal does not read meanwhile, it gets the restoration instead of everything it has not read.
        """
        with self._changed:
            self._closing = True
            self._queue = deque(piece for piece in self._queue if not piece.is_frame)
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            self._giving_up = True
            self._thread.join(DISCARD_SECONDS)

    def halt(self) -> None:
        """Writes no more, not even what waits."""
        self._halted = True

    def _put(self, piece: _Piece) -> None:
        self._queue.append(piece)
        self._waiting_bytes += len(piece.data)
        self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (piece := self._next()) is not None:
                self._write(piece.data)
                with self._changed:
                    self._waiting_bytes -= len(piece.data)
                    caught_up = self._stale and not self._queue and not self._closing
                if caught_up:
                    self._on_drained()
        except OSError:
            with self._changed:
                self._gone = True
                self._queue.clear()
                left_alone = not self._closing
            if left_alone:
                self._on_gone()
        finally:
            os.close(self._descriptor)

    def _next(self) -> _Piece | None:
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            return self._queue.popleft() if self._queue else None

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left and not self._halted:
            if self._giving_up:
                self._leave_only_restoration()
                return
            try:
                written = os.write(self._descriptor, left[:CHUNK_BYTES])
            except BlockingIOError:
                self._wait_for_room()
                continue
            self._written += written
            left = left[written:]

    def _wait_for_room(self) -> None:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        poller.poll(RECHECK_MS)

    def _leave_only_restoration(self) -> None:
        with contextlib.suppress(termios.error):
            termios.tcflush(self._descriptor, termios.TCOFLUSH)
        with contextlib.suppress(BlockingIOError):
            os.write(self._descriptor, self._restoration)
        self._halted = True
