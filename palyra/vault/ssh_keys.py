"""The key somebody signed in to SSH with, as the SSH server tells it in the file named by `SSH_USER_AUTH`.

The server writes that file where `ExposeAuthInfo` is on: a line for each method that was used, such as
`publickey ssh-ed25519 AAAA…`. A fingerprint is SHA-256 of the key in base64 without padding, as `ssh-keygen -l` says.
"""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Collection

MAX_FILE = 64 * 1024
ROOT = 0
_WRITE_BY_OTHERS = 0o022


def session_keys(path: str, uid: int) -> tuple[str, ...]:
    """Fingerprints (`SHA256:…`) in the file of a session of the account `uid`; none where there is no such file or it
    proves nothing: it must be a regular file of that account or of root that others cannot write. Never raises."""
    if not os.path.isabs(path) or "\0" in path:
        return ()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return ()
    try:
        data = os.read(descriptor, MAX_FILE) if _proves(os.fstat(descriptor), {uid, ROOT}) else b""
    except OSError:
        return ()
    finally:
        os.close(descriptor)
    return fingerprints_in(data.decode("ascii", "replace"))


def fingerprints_in(text: str) -> tuple[str, ...]:
    """The fingerprints of the public keys that a session was authenticated with, in the file's order."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "publickey":
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        found.append(f"SHA256:{digest}")
    return tuple(found)


def _proves(found: os.stat_result, owners: Collection[int]) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_uid in owners and not found.st_mode & _WRITE_BY_OTHERS
