"""Every answer that is no: raised anywhere behind the door, rendered once, in the caller's dialect."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from palyra.gateway.reply import DateLine, Header, Reply
from palyra.providers.wires import Wire, error_body
from palyra.runs.request import Refusal

AMOUNTS = frozenset(
    {
        "settled",
        "held",
        "bound",
        "projected",
        "hard",
        "soft",
        "granted",
        "amount",
        "excess",
        "cap",
        "drawn",
        "amount_not_taken",
    }
)
"""Members of the `palyra` object that tell how much there is, or was, to spend."""

_NO_AMOUNT_MESSAGE = "A budget does not allow this request."
_SPENDING = frozenset({"budget_exceeded", "budget_approval_required", "budget_denied"})

UNAUTHORISED = "This gateway key is missing, unknown, or no longer valid."


class RefusedError(Exception):
    """The request ends here. `param` names the field at fault, `headers` go with the answer, `close` ends the
    connection after it."""

    def __init__(
        self, refusal: Refusal, *, param: str | None = None, headers: Sequence[Header] = (), close: bool = False
    ) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.param = param
        self.headers = tuple(headers)
        self.close = close


def invalid(
    code: str, message: str, *, status: int = 400, param: str | None = None, close: bool = False
) -> RefusedError:
    """The caller's request is malformed; `message` names the field and the fix."""
    return RefusedError(Refusal(status, "invalid_request_error", code, message), param=param, close=close)


def forbidden(code: str, message: str, *, param: str | None = None) -> RefusedError:
    """Not with this key: 403."""
    return RefusedError(Refusal(403, "permission_error", code, message), param=param)


def unauthorised() -> RefusedError:
    """One text for every reason, so that nobody learns which keys exist."""
    refusal = Refusal(401, "authentication_error", "invalid_api_key", UNAUTHORISED)
    return RefusedError(refusal, headers=(("WWW-Authenticate", "Bearer"),))


def not_found(code: str, message: str) -> RefusedError:
    """There is no such thing: 404."""
    return RefusedError(Refusal(404, "not_found_error", code, message))


def method_not_allowed(method: str, path: str, allow: str) -> RefusedError:
    """There is, but not by that method: 405."""
    refusal = Refusal(405, "not_found_error", "method_not_allowed", f"{path} takes {allow}, not {method}.")
    return RefusedError(refusal, headers=(("Allow", allow),))


def overloaded(code: str, message: str, retry_after: float, *, close: bool = False) -> RefusedError:
    """Not now: 503, to be tried again after so many seconds."""
    return RefusedError(Refusal(503, "overloaded_error", code, message, retry_after=retry_after), close=close)


def too_large(limit: int) -> RefusedError:
    """The body is larger than `limit` bytes: 413."""
    message = f"The body is larger than {limit} bytes (gateway.max_body). Send less."
    return RefusedError(Refusal(413, "request_too_large", "body_too_large", message), close=True)


def internal_error() -> Refusal:
    """Palyra's own fault: 500, without details."""
    return Refusal(500, "api_error", "internal_error", "Palyra failed to handle this request; its log says why.")


def refusal_data(wire: Wire, refusal: Refusal, *, param: str | None = None, amounts: bool = True) -> dict[str, Any]:
    """The body of a refusal in one dialect. Without `amounts` no balance, bound or limit is told."""
    palyra = refusal.palyra
    message = refusal.message
    if not amounts:
        palyra = without_amounts(palyra)
        if refusal.type in _SPENDING:
            message = _NO_AMOUNT_MESSAGE
    run_id = palyra.get("run_id")
    return error_body(
        wire,
        error_type=refusal.type,
        code=refusal.code,
        message=message,
        request_id=run_id if isinstance(run_id, str) else None,
        palyra=palyra,
        param=param or refusal.param,
    )


def refusal_reply(
    wire: Wire,
    refusal: Refusal,
    date: DateLine,
    headers: Sequence[Header] = (),
    *,
    param: str | None = None,
    amounts: bool = True,
    close: bool = False,
) -> Reply:
    """A refusal as an HTTP answer; a provider's own answer passes as it was."""
    extra = list(headers)
    if refusal.retry_after is not None:
        extra.append(("Retry-After", str(max(0, math.ceil(refusal.retry_after)))))
    if refusal.status == 410:
        extra.append(("X-Should-Retry", "false"))
    body = refusal.upstream_body
    if body is None:
        body = json.dumps(refusal_data(wire, refusal, param=param, amounts=amounts)).encode("ascii")
    return Reply(refusal.status, body, date, extra, close=close)


def without_amounts(value: Mapping[str, Any]) -> dict[str, Any]:
    """The same tree, no member of which is an amount."""
    return {name: _stripped(member) for name, member in value.items() if name not in AMOUNTS}


def _stripped(value: object) -> object:
    if isinstance(value, Mapping):
        return without_amounts(value)
    if isinstance(value, list | tuple):
        return [_stripped(member) for member in value]
    return value
