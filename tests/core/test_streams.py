"""Words on streams that may have gone."""

import os

from palyra.core.streams import say


def test_a_line_is_written_at_once_and_harmlessly_and_ends_where_it_is_said_to() -> None:
    read_end, write_end = os.pipe()
    say(write_end, "first\nsec\x1b[2Jond")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as left:
        told = left.read()
    assert told.startswith(b"first")
    assert told.endswith(b"ond\n")
    assert (told.count(b"\n"), b"\x1b" in told) == (1, False)


def test_nobody_is_left_to_read_it() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    say(write_end, "hello")
    os.close(write_end)
