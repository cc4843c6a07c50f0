"""A secret that got into errors and into what people wrote is in no answer of a running house: not over its socket, not
over HTTP, in no metric, no export, no report, and in no file that it keeps."""

import json
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from palyra.control.audit_export import export_audit
from palyra.control.audit_queries import AuditLogQuery
from palyra.control.codec import encode_answer
from palyra.control.commands import AddPolicy, DecideApproval, RequestOverride
from palyra.control.export import ExportFormat, export_usage
from palyra.control.incidents_commands import IncidentRef, NoteIncident, SnoozeIncidents
from palyra.control.incidents_queries import IncidentsQuery
from palyra.control.queries import Query
from palyra.control.secrets_commands import SetSecret
from palyra.control.snapshots import Snapshot, Topic
from palyra.control.usage_queries import UsageRowsQuery
from palyra.core import redact
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import PalyraError
from palyra.gateway.console_routes import ROUTES
from tests.end_to_end.premises import Premises
from tests.end_to_end.test_vault_in_use import a_house, asked
from tests.end_to_end.tools import tools
from tests.support.upstream import Reply, Upstream

CANARY = "canary/in+every=answer.0002"


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


async def test_no_answer_of_a_house_tells_a_secret_that_everybody_repeats(tmp_path: Path) -> None:
    echoing = Upstream()
    echoing.choose = lambda seen: Reply(
        status=500, error_body=b'{"error": {"message": "no: %s"}}' % seen.headers["authorization"].encode()
    )
    async with echoing.serving() as upstream, a_house(upstream, tmp_path / "s") as here:
        run_id = await spread(here)
        told = await answers(here, run_id) | await over_http(here, run_id) | await exports(here)
    assert len(told) > 60
    shown = b"".join(told.values())
    assert shown.count(b"[redacted]") > 20
    forms = {CANARY.encode(), json.dumps(CANARY)[1:-1].encode(), b"canary%2Fin%2Bevery"}
    told |= {path.name: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    assert "journal.db" in told
    assert {name for name, text in told.items() if any(form in text for form in forms)} == set()
