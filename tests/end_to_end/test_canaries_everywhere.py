"""A secret that got into errors and into what people wrote is in no answer of a running house: not over its socket, not
over HTTP, in no metric, no export, no report, and in no file that it keeps."""

import json
import logging
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from palyra.control.access_commands import AddKey
from palyra.control.audit_export import export_audit
from palyra.control.audit_queries import AuditLogQuery
from palyra.control.codec import encode_answer
from palyra.control.commands import AddPolicy, DecideApproval, IssueToken, RequestOverride
from palyra.control.export import ExportFormat, export_usage
from palyra.control.incidents_commands import IncidentRef, NoteIncident, SnoozeIncidents
from palyra.control.incidents_queries import IncidentsQuery
from palyra.control.queries import Query
from palyra.control.secrets_commands import AddProfile, SetSecret
from palyra.control.snapshots import Snapshot, Topic
from palyra.control.usage_queries import UsageRowsQuery
from palyra.core import redact
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import PalyraError
from palyra.core.logs import EngineLog
from palyra.gateway.console_routes import ROUTES
from tests.end_to_end.premises import Premises
from tests.end_to_end.test_vault_in_use import a_house, asked
from tests.end_to_end.tools import tools
from tests.healing.webhooks.receiver import Answer, Got, receiving
from tests.support.upstream import Reply, Upstream

CANARY = "canary/in+every=answer.0002"
KINDS = {
    "profile": "canary-of-a-profile-00000003",
    "variable": "canary-of-a-variable-0000004",
    "file": "canary-of-the-file-000000005",
    "signature": "canary-that-signs-00000006",
    "slack": "services/T00/B00/canary-in-an-address-07",
    "probe": "canary-shown-to-a-probe-00008",
}
"""Other secrets of a house, by what they are for; each is told by whoever is shown it, and repeated in a condition."""
MORE = """
[providers.variable]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key_env = "CANARY_KEY"
probe = false
discover = false
[providers.file]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key = "{file}"
probe = false
discover = false
[[models]]
provider = "variable"
upstream = "m"
[[models]]
provider = "file"
upstream = "m"
[[notifications.webhook]]
name = "signed"
url = "{hook}/signed"
secret_ref = "global/signature"
[[notifications.webhook]]
name = "slack"
url = "{hook}/"
format = "slack"
secret_ref = "global/slack"
[[probes]]
id = "beside"
target = "{hook}/probe"
secret_ref = "global/probe"
interval = "10s"
"""


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_known", redact.KnownSecrets())


async def spread(here: Premises) -> str:
    """Everybody repeats the secret; the run that failed of it."""
    await here.send(SetSecret("global/acme", CANARY))
    run_id = (await here.ask(asked("acme"))).headers["x-palyra-run"]
    here.engine.healing.tell(
        Condition(Domain.ENGINE, "engine:odd", Severity.HIGH, f"It said {CANARY}", f"because of {CANARY}", "engine")
    )
    await here.advance(16)
    (incident,) = [one for one in (await here.control.ask(IncidentsQuery())).incidents if one.key == "engine:odd"]
    await here.send(NoteIncident(IncidentRef(incident.incident_id), f"Try {CANARY}."))
    await here.send(SnoozeIncidents((IncidentRef(incident.incident_id),), 3_600, f"until {CANARY} works"))
    await here.send(AddPolicy({"policy_id": "shut", "hard_limit": "1", "action": "approval_required"}))
    opened = await here.send(RequestOverride(("shut",), amount="2", reason=f"for {CANARY}"))
    await here.send(DecideApproval(opened.data["approval_id"], "deny", reason=f"not with {CANARY}"))
    here.engine.diagnosing.hearing.gateway("other", f"RuntimeError: {CANARY}")
    await here.rest()
    return run_id


async def spread_kinds(here: Premises) -> dict[str, str]:
    """The same with every other kind of secret; all of them, also those that the house made by itself."""
    await here.send(AddProfile("first", "team", "global/team"))
    for name, ref in (("profile", "team"), ("signature", "signature"), ("slack", "slack"), ("probe", "probe")):
        await here.send(SetSecret(f"global/{ref}", KINDS[name]))
    key = (await here.send(AddKey("ci", "bot"))).data["token"]
    token = (await here.send(IssueToken("eve", "viewer"))).data["token"]
    made = {"key": key, "token": token, "first": here.key}
    made["vault"] = (here.state_dir / "vault" / "vault.key").read_text().strip()
    for model in ("team", "variable", "file"):
        await here.ask(asked(model), key=key)
    for name, secret in (KINDS | made).items():
        here.engine.healing.tell(
            Condition(Domain.ENGINE, f"engine:{name}", Severity.HIGH, f"It said {secret}", f"as {secret}", "engine")
        )
        logging.getLogger("palyra.test").error("sent %s", secret, exc_info=ValueError(f"Bearer {secret}"))
    await here.ask(asked("own"), key=f"{key}x")
    return KINDS | {name: secret[-43:] for name, secret in made.items()}


async def answers(here: Premises, run_id: str) -> dict[str, bytes]:
    """What consoles are told, as it passes over the socket."""
    told = {"snapshot": TypeAdapter(Snapshot).dump_json(await here.control.snapshot(list(Topic)))}
    ids: dict[str, Any] = {"run_id": run_id, "decision_id": run_id, "policy_id": "shut"}
    for kind in get_args(get_args(Query)[0]):
        for given in ({}, ids):
            known = {name: text for name, text in given.items() if name in kind.__dataclass_fields__}
            asked_for = f"{kind.__name__} {known}"
            if asked_for in told:
                continue
            try:
                query = TypeAdapter(kind).validate_python(known)
                told[asked_for] = encode_answer(await here.control.ask(query))
            except (ValidationError, PalyraError) as error:
                told[asked_for] = str(error).encode()
    return told


async def over_http(here: Premises, run_id: str) -> dict[str, bytes]:
    told: dict[str, bytes] = {}
    async with tools(here) as tool:
        for route in ROUTES:
            if route.method == "GET":
                path = route.path.replace("*", run_id)
                answer = await tool["admin"]("GET", path)
                told[path] = answer.content + repr(answer.headers).encode()
    async with httpx.AsyncClient(base_url=here.url, trust_env=False) as client:
        told["/metrics"] = (await client.get("/metrics")).content
    return told


async def exports(here: Premises) -> dict[str, bytes]:
    told: dict[str, bytes] = {}
    for form in ExportFormat:
        pieces: list[bytes] = []
        await export_audit(here.control, AuditLogQuery(limit=500), form, pieces.append)
        assert b"engine:odd" in b"".join(pieces)
        await export_usage(
            here.control, UsageRowsQuery(here.clock.now_ms() - 3_600_000, here.clock.now_ms()), form, pieces.append
        )
        told[form.value] = b"".join(pieces)
    return told


def repeats(got: Got) -> Answer:
    """What tells back the address and every header it was asked with, and is no success."""
    return Answer(400, f"no: {got.path} {got.headers} {KINDS['signature']}")


def lying(state_dir: Path, when: str) -> dict[str, bytes]:
    """Every file of a house but the two that are there to hold a secret."""
    held = ("vault.key", "gateway-key.txt")
    files = [path for path in state_dir.rglob("*") if path.is_file() and path.name not in held]
    return {f"{when} {path.name}": path.read_bytes() for path in files}


async def test_no_answer_of_a_house_tells_a_secret_that_everybody_repeats(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    echoing, state = Upstream(), tmp_path / "s"
    echoing.choose = lambda seen: Reply(
        status=500, error_body=b'{"error": {"message": "no: %s"}}' % seen.headers["authorization"].encode()
    )
    environ = {"CANARY_KEY": KINDS["variable"]}
    with EngineLog(tmp_path / "palyra.log"):
        async with echoing.serving() as upstream, receiving() as hooks:
            hooks.choose = repeats
            more = MORE.format(base=upstream.base_url, hook=hooks.url, file=KINDS["file"])
            async with a_house(upstream, state, environ, more) as here:
                secrets = await spread_kinds(here)
                run_id = await spread(here)
                told = await answers(here, run_id) | await over_http(here, run_id) | await exports(here)
                told |= lying(state, "open")
            told |= {f"to {got.path[:7]}": got.body for got in hooks.got}
        given = " ".join(seen.headers["authorization"] for seen in upstream.seen)
        assert [name for name in ("profile", "variable", "file") if KINDS[name] not in given] == []
    assert len(told) > 60
    shown = b"".join(told.values())
    assert shown.count(b"[redacted]") > 20
    told |= lying(state, "closed") | {"log": (tmp_path / "palyra.log").read_bytes()}
    told["printed"] = "".join(capfd.readouterr()).encode()
    assert {"open journal.db-wal", "closed journal.db"} <= told.keys()
    assert told["log"].count(b"sent [redacted]") == len(secrets)
    forms = {"vault entry": {CANARY.encode(), json.dumps(CANARY)[1:-1].encode(), b"canary%2Fin%2Bevery"}}
    forms |= {kind: {secret.encode(), quote(secret, safe="").encode()} for kind, secret in secrets.items()}
    leaks = {
        (kind, place) for kind, ways in forms.items() for place, text in told.items() if any(w in text for w in ways)
    }
    assert leaks == set()
