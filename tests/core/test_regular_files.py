import os
from pathlib import Path

import pytest

from palyra.core.regular_files import read_regular


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert [read_regular(file, limit) for limit in (0, 4, 10, 99)] == [b"", b"0123", b"0123456789", b"0123456789"]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "directory").mkdir()
    opened = len(os.listdir("/proc/self/fd"))
    for name in ("pipe", "zero", "loop", "directory", "nowhere"):
        with pytest.raises(OSError, match=r"regular file|symbolic links|No such file"):
            read_regular(tmp_path / name, 10)
    assert len(os.listdir("/proc/self/fd")) == opened
