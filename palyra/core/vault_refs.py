"""References to what the vault keeps: `<scope>/<key>`, compared to the letter, never folded or trimmed."""

import re

_PART = r"[A-Za-z0-9._@-]{1,128}"
VAULT_REF = re.compile(
    rf"(?P<scope>global|principal:[A-Za-z0-9._@:-]{{1,128}}|channel:{_PART}:{_PART})/(?P<key>[A-Za-z0-9._-]{{1,128}})"
)


def split_ref(ref: str) -> tuple[str, str] | None:
    """A reference's scope and key; None for what is not written as one."""
    match = VAULT_REF.fullmatch(ref)
    return None if match is None else (match["scope"], match["key"])
