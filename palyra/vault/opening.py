"""Which key opens which file, and what that makes of a rotation that was cut short. Pure.

A rotation writes the next key, then the next file, then renames the key, then the file. Whatever is there after a
crash, the key that is in force opens one of the two files; with a key that only a person can change (the variable),
both files stay until it is changed.
"""

from enum import StrEnum

from palyra.core.values import value
from palyra.vault.sealing import VaultFile


class VaultState(StrEnum):
    """What a vault is good for, as its file and its key say."""

    ABSENT = "absent"
    """There is no vault file."""
    OK = "ok"
    LOCKED = "locked"
    """No key, or a key or file that may not be read by rule."""
    WRONG_KEY = "wrong_key"
    DAMAGED = "damaged"
    NEWER = "newer"


class Course(StrEnum):
    """What to do about a rotation's leftovers."""

    STAY = "stay"
    """Nothing."""
    TAKE_BACK = "take_back"
    """The key opens the file: the next ones go."""
    FINISH = "finish"
    """The key opens the next file, which takes the file's place."""
    FINISH_BOTH = "finish_both"
    """There is no key but the next one, which opens the next file."""


@value
class Found:
    """What lies in the directory. A file is parsed, or the state it leaves the vault in, or not there (None)."""

    current: VaultFile | VaultState | None
    why: str
    upcoming: VaultFile | VaultState | None
    key: bytes | None
    key_fault: str
    next_key: bytes | None

    def judged(self, file: VaultFile | VaultState | None, key: bytes | None) -> tuple[VaultState, str]:
        """The state that a file and a key make, and why."""
        if isinstance(file, VaultState):
            return file, self.why
        if file is None:
            if self.upcoming is not None:
                return VaultState.DAMAGED, "vault.json is gone, but vault.json.next is there"
            return VaultState.ABSENT, ""
        if key is None:
            return VaultState.LOCKED, self.key_fault or "there is no key"
        return (VaultState.OK, "") if file.opens_with(key) else (VaultState.WRONG_KEY, "")


def course_of(found: Found) -> Course:
    """What is to be done about a rotation that was cut short, by what the keys there are open."""
    current, upcoming, key = found.current, found.upcoming, found.key
    if isinstance(current, VaultState) or isinstance(upcoming, VaultState):
        # A next file that cannot be read is dropped only where the file itself is opened by its key.
        settled = key is not None and isinstance(current, VaultFile) and current.opens_with(key)
        return Course.TAKE_BACK if settled else Course.STAY
    if upcoming is None:
        leftover = found.next_key is not None and current is not None and key is not None and current.opens_with(key)
        return Course.TAKE_BACK if leftover else Course.STAY
    if key is not None and current is not None and current.opens_with(key):
        # A next file without a next key waits for a person to put its key into the variable.
        return Course.STAY if found.next_key is None else Course.TAKE_BACK
    if key is not None and upcoming.opens_with(key):
        return Course.FINISH
    if key is None and not found.key_fault and found.next_key is not None and upcoming.opens_with(found.next_key):
        return Course.FINISH_BOTH
    return Course.STAY
