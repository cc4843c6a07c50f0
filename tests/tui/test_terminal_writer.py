"""Frames give way, modes arrive, and nobody waits for a terminal that does not read."""

import contextlib
import fcntl
import os
import pty
import threading
from collections.abc import Iterator

import pytest

from palyra.tui.terminal_writer import BEHIND_BYTES, TerminalWriter, WriterStats, open_terminal

FAILED_AFTER_SECONDS = 60


class Far:
    """The far side of a pipe that plays the terminal."""

    def __init__(self) -> None:
        self.reader, writing = os.pipe()
        os.set_blocking(writing, False)
        self.drained = threading.Semaphore(0)
        self.gone = threading.Semaphore(0)
        self.writer = TerminalWriter(
            writing,
            restoration=b"RESTORED",
            on_drained=self.drained.release,
            on_gone=self.gone.release,
            stats=WriterStats(),
        )

    def stall(self) -> list[bytes]:
        """Sends frames until one is dropped; returns those that were taken."""
        taken: list[bytes] = []
        while self.writer.put_frame(frame := b"%06d" % len(taken) * 500):
            taken.append(frame)
        return taken

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(self.reader, size - len(data))
        return data

    def read_all(self) -> bytes:
        data = b""
        while piece := os.read(self.reader, 65536):
            data += piece
        return data

    def hang_up(self) -> None:
        os.close(self.reader)
        self.reader = -1


@pytest.fixture
def far() -> Iterator[Far]:
    far = Far()
    yield far
    if far.reader >= 0:
        far.hang_up()


def test_frames_arrive_whole_and_in_order(far: Far) -> None:
    far.writer.start()
    for frame in (b"one", b"two", b"three"):
        assert far.writer.put_frame(frame)
    assert far.read(11) == b"onetwothree"
    far.writer.close()
    assert far.writer.stats == WriterStats(frames=3, written_bytes=11)


def test_behind_it_drops_whole_frames_until_it_is_told_that_all_will_be_painted(far: Far) -> None:
    far.writer.start()
    taken = far.stall()
    assert not far.writer.put_frame(b"x")
    assert far.writer.stats.dropped == 2
    assert far.writer.stats.stalled
    assert far.read(sum(map(len, taken))) == b"".join(taken)
    assert far.drained.acquire(timeout=FAILED_AFTER_SECONDS)
    assert not far.writer.put_frame(b"still a part of a picture nobody has")
    far.writer.take_frames_again()
    assert far.writer.put_frame(b"the whole picture")
    assert far.read(17) == b"the whole picture"
    far.writer.close()
    stats = far.writer.stats
    assert (stats.frames, stats.dropped, stats.repaints, stats.stalled) == (len(taken) + 1, 3, 1, False)
    assert not far.drained.acquire(blocking=False)


def test_a_single_frame_may_be_larger_than_the_limit(far: Far) -> None:
    far.writer.start()
    frame = b"x" * (BEHIND_BYTES * 3)
    assert far.writer.put_frame(frame)
    assert far.read(len(frame)) == frame
    far.writer.close()


def test_modes_arrive_in_order_even_behind(far: Far) -> None:
    far.writer.start()
    taken = far.stall()
    far.writer.put_modes(b"MODE")
    assert far.read(sum(map(len, taken)) + 4).endswith(b"MODE")
    far.writer.close()


def test_closing_writes_the_modes_that_wait_but_no_frame_that_has_not_begun(far: Far) -> None:
    begun = b"b" * 30_000
    fcntl.fcntl(far.reader, fcntl.F_SETPIPE_SZ, 4096)
    far.writer.start()
    far.writer.put_frame(begun)
    assert far.read(1) == b"b"
    far.writer.put_frame(b"not begun")
    far.writer.put_modes(b"MODE")
    closer = threading.Thread(target=far.writer.close)
    closer.start()
    while far.writer.put_frame(b""):
        pass
    assert far.read_all() == begun[1:] + b"MODE"
    closer.join()


def writer_on(descriptor: int) -> TerminalWriter:
    writer = TerminalWriter(
        descriptor, restoration=b"RESTORED", on_drained=lambda: None, on_gone=lambda: None, stats=WriterStats()
    )
    writer.start()
    return writer


def rest_of(master: int) -> bytes:
    """What lies in a terminal whose far side is closed."""
    left = b""
    with contextlib.suppress(OSError):
        while piece := os.read(master, 65536):
            left += piece
    os.close(master)
    return left


def test_closing_a_stalled_terminal_leaves_it_its_restoration() -> None:
    master, slave = pty.openpty()
    writer = writer_on(open_terminal(slave))
    writer.put_frame(b"frame " * 100_000)
    os.read(master, 1)
    writer.put_modes(b"MODE")
    writer.close()
    os.close(slave)
    left = rest_of(master)
    assert left.endswith(b"RESTORED")
    assert b"MODE" not in left
    assert len(left) < BEHIND_BYTES


def test_halted_it_writes_no_more() -> None:
    master, slave = pty.openpty()
    writer = writer_on(open_terminal(slave))
    writer.put_frame(b"frame " * 100_000)
    os.read(master, 1)
    writer.halt()
    writer.put_modes(b"MODE")
    writer.close()
    os.close(slave)
    left = rest_of(master)
    assert b"MODE" not in left
    assert b"RESTORED" not in left


def test_closing_ends_even_where_the_terminal_can_only_be_written_blocking() -> None:
    reader, writing = os.pipe()
    writer = writer_on(writing)
    writer.put_frame(b"frame " * 100_000)
    os.read(reader, 1)
    writer.close()
    assert not writer.put_frame(b"late")
    os.close(reader)


def test_a_terminal_that_has_gone_is_reported_once_and_takes_nothing(far: Far) -> None:
    far.writer.start()
    far.hang_up()
    far.writer.put_frame(b"x")
    assert far.gone.acquire(timeout=FAILED_AFTER_SECONDS)
    assert not far.writer.put_frame(b"y")
    far.writer.put_modes(b"MODE")
    far.writer.close()
    assert not far.gone.acquire(blocking=False)


def test_counters_go_on_from_those_given(far: Far) -> None:
    before = WriterStats(frames=5, dropped=4, repaints=3, written_bytes=2)
    writing = os.dup(far.reader)
    writer = TerminalWriter(writing, restoration=b"", on_drained=lambda: None, on_gone=lambda: None, stats=before)
    assert writer.stats == before
    os.close(writing)


def test_the_given_descriptor_stays_blocking_for_those_who_share_it() -> None:
    master, slave = pty.openpty()
    own = open_terminal(slave)
    assert not os.get_blocking(own)
    assert os.get_blocking(slave)
    assert os.ttyname(own) == os.ttyname(slave)
    for descriptor in (own, slave, master):
        os.close(descriptor)


def test_a_terminal_that_cannot_be_opened_again_is_written_through_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(path)

    monkeypatch.setattr(os, "open", refuse)
    own = open_terminal(slave)
    assert own != slave
    assert os.ttyname(own) == os.ttyname(slave)
    for descriptor in (own, slave, master):
        os.close(descriptor)
