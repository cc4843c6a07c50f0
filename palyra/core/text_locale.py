"""Whether the locale of this process says that its terminal cannot show more than ASCII for certain."""

import sys
from collections.abc import Mapping

_NONE = frozenset(["C", "POSIX"])
_COERCED = frozenset(["C.UTF-8", "C.utf8", "UTF-8"])
"""What Python sets `LC_CTYPE` to where the locale knows ASCII only."""


def ascii_locale(environ: Mapping[str, str], *, coerced: bool = bool(sys.flags.utf8_mode)) -> bool:
    """Whether the first of LC_ALL, LC_CTYPE and LANG that is set names the C locale or another encoding than UTF-8.

    Where none is set, or no encoding is named, nothing is said against UTF-8. With `coerced` (Python found the C locale
    or one that is not installed, and may have set LC_CTYPE itself) an `LC_CTYPE` that it could have written tells
    nothing. Source: locale(7), PEP 538, PEP 540.
    """
    names = [environ.get(variable, "") for variable in ("LC_ALL", "LC_CTYPE", "LANG")]
    if coerced and names[1] in _COERCED:
        names[1] = ""
    name = next(filter(None, names), "")
    encoding = name.partition("@")[0].rpartition(".")[2] if "." in name else ""
    return name in _NONE or encoding.replace("-", "").lower() not in ("", "utf8")
