"""Words on streams that may have gone."""

import os

from palyra.core.streams import say


def test_lines_are_written_at_once_and_harmlessly() -> None:
    read_end, write_end = os.pipe()
    say(write_end, "first\nsec\x1b[2Jond")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as left:
        lines = left.read().splitlines()
    assert lines[0] == b"first"
    assert lines[1].startswith(b"sec")
    assert b"\x1b" not in lines[1]


def test_nobody_is_left_to_read_it() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    say(write_end, "hello")
    os.close(write_end)
