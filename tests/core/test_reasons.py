"""Reasons are told in words, not in numbers of the system."""

import errno

import pytest

from palyra.core.reasons import reason_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "no such file or directory"),
        (OSError("odd"), "odd"),
        (ValueError("it is odd"), "it is odd"),
        (TimeoutError(), "TimeoutError"),
        (UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal not in range"), "it is no text in its encoding"),
    ],
)
def test_reasons_are_told_in_words(error: BaseException, told: str) -> None:
    assert reason_of(error) == told
