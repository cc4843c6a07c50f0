"""The addresses of operators' tools under /console/v1/: who may use which, and where each leads.

An operator shows a token, and may do what the role and the features that are switched on allow; a gateway key may look
at records of its own principal, stop its own runs, ask for room and say how work outside goes.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from aiohttp.web_request import BaseRequest

from palyra.control.commands import CancelRun
from palyra.control.protocol import Control
from palyra.control.queries import DecisionQuery, RunQuery
from palyra.core.clock import Clock
from palyra.core.errors import NotFoundError, PalyraError
from palyra.core.values import value
from palyra.gateway import console_acts as acts
from palyra.gateway import console_diagnostics, console_incidents, console_tasks
from palyra.gateway.body import check_media_type, read_body
from palyra.gateway.callers import Headers, presented
from palyra.gateway.console_acts import Ask, Serve
from palyra.gateway.console_answers import (
    Told,
    decision_data,
    for_a_key,
    refusal_for,
    refusal_of,
    run_data,
    without_secrets,
)
from palyra.gateway.console_bodies import read_nothing
from palyra.gateway.console_export import Download, read_export
from palyra.gateway.errors import RefusedError, forbidden, method_not_allowed, not_found, overloaded, unauthorised
from palyra.gateway.heartbeats import HeartbeatsDoor
from palyra.gateway.inference import Visit
from palyra.gateway.notes import keep_note
from palyra.gateway.overrides import OverridesDoor
from palyra.gateway.ports import Access, House, Key
from palyra.gateway.reply import DateLine, Reply
from palyra.gateway.request_headers import may_act_as
from palyra.vault.access import TOKEN_PREFIX
from palyra.vault.identity import Attestation, Identity, by_token
from palyra.vault.records import Operator, Role

ROOT = "/console/v1/"
RETRY_S = 30.0
"""When a caller may try again after something that takes a person to repair."""
NOBODY = "Nobody can be let in: the access registry cannot be read."
MAX_BODY = 256 * 1024
_ANY = "*"
_IDENTITY = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_RANKS = {Role.VIEWER: 0, Role.APPROVER: 1, Role.ADMIN: 2}
_ARTICLES = {Role.VIEWER: "a viewer", Role.APPROVER: "an approver", Role.ADMIN: "an admin"}

ControlFor = Callable[[Identity], Control]
KeyServe = Callable[["ConsoleDoor", BaseRequest, Key, str], Awaitable[web.StreamResponse]]


@value
class Route:
    """`path` has `*` where a record's id stands. `role` is the least an operator needs, None where only gateway keys
    are served; `key` serves these."""

    method: str
    path: str
    role: Role | None
    serve: Serve | None
    key: KeyServe | None = None


def authenticate_caller(headers: Headers, access: Access) -> Key | Operator:
    """Whose key or token this request carries. Raises RefusedError (401), always the same."""
    tokens = set(presented(headers))
    if len(tokens) != 1:
        raise unauthorised()
    token = tokens.pop()
    found = access.authenticate_operator(token) if token.startswith(TOKEN_PREFIX) else access.authenticate(token)
    if not token or found is None:
        raise unauthorised()
    return found


class ConsoleDoor:
    """`control_for` gives an operator's control of the engine; None where there is none to give."""

    def __init__(self, house: House, control_for: ControlFor | None, clock: Clock, date: DateLine) -> None:
        self._house = house
        self._control_for = control_for
        self._clock = clock
        self._date = date
        self._overrides = OverridesDoor(house, clock, date)
        self._heartbeats = HeartbeatsDoor(house, clock, date)
        most = min(MAX_BODY, house.config.gateway.max_body)
        self._settings = house.config.gateway.model_copy(update={"max_body": most})

    async def answer(self, request: BaseRequest, path: str, query: str, visit: Visit) -> web.StreamResponse:
        """Raises RefusedError, CallerLeftError."""
        try:
            return await self._answer(request, path, query, visit)
        except RefusedError as error:
            raise without_secrets(error) from None

    async def _answer(self, request: BaseRequest, path: str, query: str, visit: Visit) -> web.StreamResponse:
        route, identity = find_route(request.method, path)
        caller = self.caller(request, visit)
        if not isinstance(caller, Operator):
            if route.key is None:
                raise forbidden("role_missing", "This takes an operator's token, not a gateway key.")
            return await route.key(self, request, caller, identity)
        if route.role is None:
            raise forbidden("role_missing", "This takes a gateway key, not an operator's token.")
        self.check(caller, route.role, reading=route.method == "GET")
        who = by_token(caller, self._house.access.operators, _address(request))
        try:
            return await self._served(route, request, who, identity, query)
        except PalyraError as error:
            raise refusal_of(error) from None

    def caller(self, request: BaseRequest, visit: Visit) -> Key | Operator:
        """Raises RefusedError (401, 503)."""
        access = self._house.access
        access.refresh()
        if access.unavailable:
            raise overloaded("access_unavailable", NOBODY, RETRY_S)
        caller = authenticate_caller(request.headers, access)
        visit.key_id = caller.operator_id if isinstance(caller, Operator) else caller.key_id
        return caller

    def check(self, operator: Operator, role: Role, *, reading: bool) -> None:
        """Raises RefusedError (403) for what an operator's role or a feature that is off does not allow."""
        if _RANKS[operator.role] < _RANKS[role]:
            text = f"{operator.operator_id} is {_ARTICLES[operator.role]}; this takes {_ARTICLES[role]}."
            raise forbidden("role_missing", text)
        flag = "console_read" if reading else "console_write"
        if not self._house.access.flag(flag):
            raise forbidden(
                "feature_off", f"The feature {flag} is off: an admin switches it on in the access registry."
            )

    def check_viewer(self, request: BaseRequest, visit: Visit) -> None:
        """Whether whoever asks may look at all. Raises RefusedError (401, 403, 503)."""
        caller = self.caller(request, visit)
        if not isinstance(caller, Operator):
            raise forbidden("role_missing", "This takes an operator's token, not a gateway key.")
        self.check(caller, Role.VIEWER, reading=True)

    async def _served(
        self, route: Route, request: BaseRequest, who: Identity, identity: str, query: str
    ) -> web.StreamResponse:
        if route.path == OVERRIDES:
            return await self._overrides.request_as(request, who)
        control = self._control(who)
        if route.serve is None:
            asked, form = read_export(query, self._clock.now_ms())
            return await Download(request, self._date, control, form).run(asked)
        body = b"" if route.method == "GET" else await self._body(request)
        if_match = tuple(request.headers.getall("If-Match", ()))
        told = await route.serve(Ask(control, identity, query, body, if_match))
        return told.reply(self._date)

    def _control(self, who: Identity) -> Control:
        if self._control_for is None:
            raise overloaded("engine_draining", "Nobody is there to ask.", RETRY_S)
        return self._control_for(who)

    async def _body(self, request: BaseRequest) -> bytes:
        """What was sent; only something has to say that it is JSON."""
        body = await read_body(request, self._settings, self._clock)
        if body:
            check_media_type(request)
        return body

    # Gateway keys

    async def ask_for_room(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """Asks for an override, with a client's key."""
        return await self._overrides.request(request, key)

    async def own_approval(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """An approval that the key asked for."""
        return await self._overrides.look_up(key, identity)

    async def own_run(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """A run that the key made. Raises RefusedError."""
        control = self._control(_as_identity(key))
        return self._told_key(await self._own(control, key, identity))

    async def own_decision(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """The decision about a run that the key made. Raises RefusedError."""
        control = self._control(_as_identity(key))
        try:
            detail = await control.ask(DecisionQuery(identity))
        except PalyraError as error:
            raise (_none_of_that_id() if isinstance(error, NotFoundError) else refusal_of(error)) from None
        await self._own(control, key, detail.run_id)
        return self._told_key(Told(decision_data(detail)))

    async def cancel_own(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """Asks for the end of a run that the key made. Raises RefusedError."""
        control = self._control(_as_identity(key))
        await self._own(control, key, identity)
        read_nothing(await self._body(request))
        result = await control.send(CancelRun(identity))
        if not result.ok:
            raise refusal_for(result, self._for_key((await self._own(control, key, identity)).data))
        return self._told_key(Told({"run_id": identity, "message": result.message}, 202))

    async def report(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """Takes a heartbeat of work outside."""
        return await self._heartbeats.take(request, key)

    async def forget_reporter(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """Work outside has ended: its silence no longer counts."""
        return await self._heartbeats.forget(key, identity)

    async def keep_note(self, request: BaseRequest, key: Key, identity: str) -> Reply:
        """Keeps a note, in the key's name."""
        control = self._control(_as_identity(key))
        return self._told_key(await keep_note(control, await self._body(request), key.principal))

    async def _own(self, control: Control, key: Key, run_id: str) -> Told:
        """A run of the key's principal; which others exist is nobody's business. Raises RefusedError (404)."""
        try:
            detail = await control.ask(RunQuery(run_id))
        except PalyraError as error:
            raise (_none_of_that_id() if isinstance(error, NotFoundError) else refusal_of(error)) from None
        if not may_act_as(detail.run.principal, key):
            raise _none_of_that_id()
        return Told(run_data(detail))

    def _told_key(self, told: Told) -> Reply:
        return Told(self._for_key(told.data), told.status).reply(self._date)

    def _for_key(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return for_a_key(data, amounts=self._house.config.gateway.expose_amounts)


def _none_of_that_id() -> RefusedError:
    return not_found("unknown_path", "No record of this key's principal has that id.")


def _as_identity(key: Key) -> Identity:
    return Identity(f"key:{key.key_id}", Role.APPROVER, Attestation.KEY, "")


def _address(request: BaseRequest) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(peer[0]) if peer else ""


OVERRIDES = "usage/overrides"
_V, _A, _M = Role.VIEWER, Role.APPROVER, Role.ADMIN

ROUTES = (
    Route("GET", "usage/summary", _V, acts.summary),
    Route("GET", "usage/timeline", _V, acts.timeline),
    Route("GET", "usage/breakdown", _V, acts.breakdown),
    Route("GET", "usage/insights", _V, acts.insights),
    Route("GET", "usage/export", _V, None),
    Route("POST", OVERRIDES, _A, None, ConsoleDoor.ask_for_room),
    Route("GET", "runs", _V, acts.runs),
    Route("GET", "runs/*", _V, acts.run, ConsoleDoor.own_run),
    Route("POST", "runs/*/cancel", _A, acts.cancel, ConsoleDoor.cancel_own),
    Route("GET", "decisions/*", _V, acts.decision, ConsoleDoor.own_decision),
    Route("GET", "approvals", _V, acts.approvals),
    Route("GET", "approvals/*", _V, acts.approval, ConsoleDoor.own_approval),
    Route("POST", "approvals/*/decision", _A, acts.decide),
    Route("GET", "grants", _V, acts.grants),
    Route("POST", "grants/*/revoke", _A, acts.revoke),
    Route("GET", "alerts", _V, acts.alerts),
    Route("POST", "alerts/*/acknowledge", _A, acts.acknowledge),
    Route("POST", "alerts/*/snooze", _A, acts.snooze),
    Route("GET", "policies", _V, acts.policies),
    Route("POST", "policies", _M, acts.add_policy),
    Route("GET", "policies/*", _V, acts.policy),
    Route("PUT", "policies/*", _M, acts.put_policy),
    Route("DELETE", "policies/*", _M, acts.remove_policy),
    Route("GET", "models", _V, acts.models),
    Route("GET", "providers", _V, acts.providers),
    Route("GET", "tasks", _V, console_tasks.tasks),
    Route("POST", "tasks", _A, console_tasks.add),
    Route("GET", "tasks/*", _V, console_tasks.task),
    Route("PATCH", "tasks/*", _A, console_tasks.edit),
    Route("POST", "tasks/*/cancel", _A, console_tasks.cancel),
    Route("POST", "tasks/*/pause", _A, console_tasks.pause),
    Route("POST", "tasks/*/resume", _A, console_tasks.resume),
    Route("POST", "tasks/*/retry", _A, console_tasks.retry),
    Route("POST", "tasks/*/priority", _A, console_tasks.priority),
    Route("GET", "incidents", _V, console_incidents.incidents),
    Route("GET", "incidents/*", _V, console_incidents.incident),
    Route("POST", "incidents/*/acknowledge", _A, console_incidents.acknowledge),
    Route("POST", "incidents/*/assign", _A, console_incidents.assign),
    Route("POST", "incidents/*/snooze", _A, console_incidents.snooze),
    Route("POST", "incidents/*/resolve", _A, console_incidents.resolve),
    Route("POST", "incidents/*/note", _A, console_incidents.note),
    Route("POST", "incidents/*/remedy", _A, console_incidents.remedy),
    Route("GET", "diagnostics", _V, console_diagnostics.diagnostics),
    Route("POST", "config/reload", _M, acts.reload),
    Route("GET", "heartbeats", _V, acts.heartbeats),
    Route("POST", "heartbeats", None, None, ConsoleDoor.report),
    Route("DELETE", "heartbeats/*", None, None, ConsoleDoor.forget_reporter),
    Route("POST", "memory", None, None, ConsoleDoor.keep_note),
)

_BY_PATH: dict[str, dict[str, Route]] = {}
for _route in ROUTES:
    _BY_PATH.setdefault(_route.path, {})[_route.method] = _route


def find_route(method: str, path: str) -> tuple[Route, str]:
    """Where an address leads, and the id it names. Raises RefusedError (404, 405)."""
    parts = path.removeprefix(ROOT).split("/")
    identity = ""
    methods = _BY_PATH.get("/".join(parts)) if _ANY not in parts else None
    if methods is None and len(parts) in (2, 3):
        identity = unquote(parts[1])
        methods = _BY_PATH.get("/".join([parts[0], _ANY, *parts[2:]]))
        if _IDENTITY.fullmatch(identity) is None:
            methods = None
    if methods is None:
        raise not_found("unknown_path", "There is nothing at this address of the console.")
    route = methods.get(method)
    if route is None:
        raise method_not_allowed(method, "This address", ", ".join(methods))
    return route, identity
