"""The time zone of this machine, by its IANA name."""

import os
from collections.abc import Mapping
from pathlib import Path

from palyra.core.windows import zone_names

LOCALTIME = Path("/etc/localtime")


def local_zone(environ: Mapping[str, str], localtime: Path = LOCALTIME) -> str:
    """What TZ names, else where the link of the system's zone leads; UTC where neither is a name of tzdata.

    Source: tzset(3) and localtime(5).
    """
    named = environ.get("TZ", "").removeprefix(":")
    if named:
        return _known(named)
    try:
        return _known(os.readlink(localtime))
    except OSError:
        return "UTC"


def _known(name: str) -> str:
    """A name, or a path to the file of a zone."""
    zone = name.rpartition("zoneinfo/")[2]
    return zone if zone in zone_names() else "UTC"
