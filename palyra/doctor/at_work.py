"""Whether a doctor is at work on an installation, as others see it."""

import fcntl
import os
from pathlib import Path

from palyra.doctor.runs import LOCK_FILE, RECOVERY


def at_work(state_dir: Path) -> bool:
    """Whether a doctor holds its lock. Looking takes the lock for a moment: look only where a run has not ended."""
    try:
        descriptor = os.open(state_dir / RECOVERY / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
