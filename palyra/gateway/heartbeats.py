"""Work elsewhere says with a gateway key that it lives, or that it is done."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from aiohttp.web_request import BaseRequest

from palyra.core.clock import Clock
from palyra.gateway.body import check_media_type, read_body
from palyra.gateway.console_bodies import Members
from palyra.gateway.errors import RefusedError, forbidden, not_found
from palyra.gateway.ports import House, Key
from palyra.gateway.reply import DateLine, Reply
from palyra.healing.heartbeats import LONGEST_SUMMARY
from palyra.healing.reporters import KEEP, Keep, Report, Status, TooOftenError
from palyra.runs.request import Refusal

FLAG = "external_heartbeats"
MAX_BODY = 8 * 1024
LONGEST_S = 86_400
MOST_PROGRESS = (1 << 53) - 1
"""Beyond this, programs that count in floats lose count."""
FIELDS = ("id", "summary", "status", "interval_seconds", "grace_seconds", "progress", "stall_seconds")
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class HeartbeatsDoor:
    """What gateway keys may say of work outside; an id belongs to the key's principal."""

    def __init__(self, house: House, clock: Clock, date: DateLine) -> None:
        self._house = house
        self._clock = clock
        self._date = date
        most = min(MAX_BODY, house.config.gateway.max_body)
        self._settings = house.config.gateway.model_copy(update={"max_body": most})

    async def take(self, request: BaseRequest, key: Key) -> Reply:
        """200 with when it has to report again. Raises RefusedError, CallerLeftError."""
        self._check_open()
        check_media_type(request)
        report = read_report(await read_body(request, self._settings, self._clock))
        try:
            due = self._house.reporters.take(key.principal, report)
        except TooOftenError as error:
            raise _too_often(error) from None
        return self._told({"id": report.name, "status": report.status.value, "next_due_unix_ms": due})

    async def forget(self, key: Key, name: str) -> Reply:
        """Raises RefusedError (404) for an id of which this key's principal has none."""
        self._check_open()
        if not self._house.reporters.forget(key.principal, name):
            raise not_found("unknown_path", "No work of this key's principal reports under that id.")
        return self._told({"id": name, "forgotten": True})

    def _check_open(self) -> None:
        if not self._house.access.flag(FLAG):
            raise forbidden(
                "feature_off", f"The feature {FLAG} is off: an admin switches it on in the access registry."
            )

    def _told(self, data: Mapping[str, Any]) -> Reply:
        return Reply(200, json.dumps(data).encode("ascii"), self._date)


def read_report(body: bytes) -> Report:
    """What work says of itself. Raises RefusedError (400) naming every field at fault."""
    members = Members(body, FIELDS)
    name = members.text("id", 128)
    if not _NAME.fullmatch(name) and not any(fault.field == "id" for fault in members.faults):
        members.fault("id", "it is missing or no id", "Write 1 to 128 of A-Z a-z 0-9 . _ : -")
    status = members.choice("status", [status.value for status in Status], Status.OK.value)
    summary: str | Keep = members.text("summary", MAX_BODY)[:LONGEST_SUMMARY] if members.given("summary") else KEEP
    interval = _duration(members, "interval_seconds", least=1)
    grace = _duration(members, "grace_seconds", least=0)
    stall = _duration(members, "stall_seconds", least=1)
    progress = members.number("progress", 0, MOST_PROGRESS)
    if interval is None and isinstance(grace, int):
        members.fault("grace_seconds", "it goes with an interval", "Name interval_seconds too, or leave it out.")
    members.done()
    return Report(name, Status(status), summary, interval, grace, stall, progress)


def _duration(members: Members, name: str, *, least: int) -> int | Keep | None:
    """Milliseconds; None where it is taken back, and what was declared before where it is not mentioned."""
    if not members.given(name):
        return KEEP
    seconds = members.number(name, least, LONGEST_S)
    return None if seconds is None else seconds * 1000


def _too_often(error: TooOftenError) -> RefusedError:
    code = "queue_full" if error.retry_s is None else "too_often"
    wait = None if error.retry_s is None else float(math.ceil(error.retry_s))
    return RefusedError(Refusal(429, "rate_limit_error", code, str(error), retry_after=wait))
