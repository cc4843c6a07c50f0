"""Telling systemd how a service is doing, by the protocol of sd_notify(3): a datagram of `NAME=value` lines each."""

import logging
import os
import socket
from collections.abc import Mapping

from palyra.core.clock import Clock
from palyra.core.reasons import reason_of

log = logging.getLogger(__name__)


class ServiceNotices:
    """Notices to the socket that `$NOTIFY_SOCKET` names; without one, or where nobody listens, nothing happens."""

    def __init__(self, environ: Mapping[str, str], pid: int | None = None) -> None:
        """`pid` None: this process."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _watchdog(environ, os.getpid() if pid is None else pid)
        """How long systemd waits for a sign of life before it restarts the service; None: it waits for none."""

    def ready(self, status: str) -> None:
        """Whatever is ordered after the service may start now; `status` is what `systemctl status` shows, one line."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Tells that it is about to end."""
        self._send("STOPPING=1\nSTATUS=ending what is under way")

    async def keep_alive(self, clock: Clock) -> None:
        """Gives signs of life from the loop, twice in each of the watchdog's periods, until cancelled."""
        if self._address is None or self.watchdog_seconds is None:
            return
        while True:
            self._send("WATCHDOG=1")
            await clock.sleep(self.watchdog_seconds / 2)

    def _send(self, text: str) -> None:
        """Never waits and never fails: who does not listen goes without."""
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as line:
                line.sendto(text.encode(), self._address)
        except OSError as error:
            log.warning("systemd was not told: %s", reason_of(error))


def _address(named: str) -> bytes | None:
    """A path, or `@name` for one that is in no directory; other families of sockets are not spoken."""
    if named.startswith("/"):
        return os.fsencode(named)
    return b"\0" + os.fsencode(named[1:]) if named.startswith("@") else None


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """`$WATCHDOG_USEC`, where it is meant for this process."""
    told, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "") or str(pid)
    return int(told) / 1_000_000 if told.isdecimal() and int(told) and whose == str(pid) else None
