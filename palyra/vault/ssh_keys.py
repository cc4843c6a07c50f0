"""The key somebody signed in to SSH with, as the SSH server tells it in the file named by `SSH_USER_AUTH`.

The server writes that file where `ExposeAuthInfo` is on: a line for each method that was used, such as
`publickey ssh-ed25519 AAAA…`. A fingerprint is SHA-256 of the key in base64 without padding, as `ssh-keygen -l` says;
of a certificate, too, it is that of the key it certifies.
"""

import base64
import binascii
import hashlib
import os
import stat
import struct
from collections.abc import Collection, Mapping

MAX_FILE = 64 * 1024
ROOT = 0
_WRITE_BY_OTHERS = 0o022
_CERTIFIED = "-cert-v01@openssh.com"
_KEY_FIELDS: Mapping[str, int] = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}
"""How many fields of a certificate, after its type and nonce, are the key's. Source: PROTOCOL.certkeys and PROTOCOL.u2f
of OpenSSH."""


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
        key = _key_in(blob)
        if key is None:
            continue
        digest = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
        found.append(f"SHA256:{digest}")
    return tuple(found)


def _key_in(blob: bytes) -> bytes | None:
    """The key itself, of a key or a certificate of one; None for a certificate that is not written as one."""
    try:
        kind, rest = _field(blob)
    except ValueError:
        return blob
    name = kind.decode("ascii", "replace")
    if not name.endswith(_CERTIFIED):
        return blob
    # Keys of security tokens carry OpenSSH's name in their own type as well.
    plain = name.removesuffix(_CERTIFIED)
    own = f"{plain}@openssh.com" if plain.startswith("sk-") else plain
    fields = [own.encode()]
    try:
        _, rest = _field(rest)
        for _ in range(_KEY_FIELDS[plain]):
            found, rest = _field(rest)
            fields.append(found)
    except (KeyError, ValueError):
        return None
    return b"".join(struct.pack(">I", len(one)) + one for one in fields)


def _field(blob: bytes) -> tuple[bytes, bytes]:
    """The first field, which its length precedes, and what follows. Raises ValueError."""
    if len(blob) < 4:
        raise ValueError
    (length,) = struct.unpack_from(">I", blob)
    if len(blob) < 4 + length:
        raise ValueError
    return blob[4 : 4 + length], blob[4 + length :]


def _proves(found: os.stat_result, owners: Collection[int]) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_uid in owners and not found.st_mode & _WRITE_BY_OTHERS
