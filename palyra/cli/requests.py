"""`palyra approvals request`: asking for room in a budget, as an operator or with a refused caller's own key."""

import json
from pathlib import Path

import httpx

from palyra.cli.launch import Launch, Place
from palyra.cli.options import BAD_INPUT, CONFLICT, DONE, NO_ENGINE, NOT_FOUND, REFUSED, act
from palyra.cli.output import complain, print_foreign_json, say
from palyra.control.commands import RequestOverride
from palyra.core.errors import BadInputError
from palyra.core.reasons import reason_of
from palyra.core.values import value

PATH = "/console/v1/usage/overrides"
PATIENCE_S = 30.0
_CODES = {400: BAD_INPUT, 404: NOT_FOUND, 409: CONFLICT, 429: CONFLICT, 503: NO_ENGINE}


@value
class Request:
    """What is asked for; empty texts are left out."""

    policies: tuple[str, ...]
    principal: str
    session: str
    amount: str
    reason: str

    def command(self) -> RequestOverride:
        """The command an operator sends."""
        return RequestOverride(self.policies, self.principal, self.session, self.amount, self.reason)

    def body(self) -> bytes:
        """The body a client's key sends."""
        texts = {
            "principal": self.principal,
            "session": self.session,
            "amount": self.amount,
            "reason": self.reason,
        }
        body = {"policy_ids": list(self.policies), **{name: text for name, text in texts.items() if text}}
        return json.dumps(body).encode("ascii")


async def as_operator(launch: Launch, place: Place, request: Request, *, as_json: bool) -> int:
    """Asks through the console's door; the exit code."""
    return await act(launch, place, request.command(), as_json=as_json)


async def with_key(launch: Launch, place: Place, request: Request, key_file: Path, *, as_json: bool) -> int:
    """Asks at the gateway, as the clients that hold this key do."""
    key = key_in(key_file)
    async with launch.gateway(place) as door:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        try:
            async with httpx.AsyncClient(base_url=door.url, timeout=PATIENCE_S, trust_env=False) as client:
                response = await client.post(PATH, content=request.body(), headers=headers)
        except (httpx.HTTPError, ValueError) as error:
            complain(f"The gateway at {door.url} did not answer: {error}")
            return NO_ENGINE
    return tell(response, as_json=as_json)


def key_in(key_file: Path) -> str:
    """The gateway key of a file. Raises BadInputError."""
    try:
        return key_file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"The key file {key_file} cannot be read: {reason_of(error)}.", fix="Check --key-file."
        ) from None


def tell(response: httpx.Response, *, as_json: bool) -> int:
    """Prints what the gateway answered and returns the exit code that says the same."""
    try:
        data = response.json()
    except (ValueError, RecursionError):
        data = {}
    status = response.status_code
    if as_json:
        print_foreign_json({"http_status": status, **(data if isinstance(data, dict) else {})})
    if status in (httpx.codes.OK, httpx.codes.CREATED):
        not_taken = data.get("amount_not_taken")
        if not as_json:
            state = "is open" if status == httpx.codes.CREATED else "is pending already"
            say(f"Approval {data.get('approval_id')} {state} until {data.get('expires_at')}.")
        if not as_json and not_taken is not None:
            complain(f"It stands with the amount {data.get('amount')}; {not_taken} was not taken.")
        return DONE if not_taken is None else CONFLICT
    if not as_json:
        error = data.get("error") if isinstance(data, dict) else None
        complain(str(error.get("message")) if isinstance(error, dict) else f"HTTP {status}")
    return _CODES.get(status, REFUSED)
