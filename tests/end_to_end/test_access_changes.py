"""Admins change who has access while the house runs: it holds at once, and the audit chain tells who did it."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from palyra.control.commands import Command, IssueToken, SetFeature
from palyra.control.remote import RemoteControl
from palyra.vault.records import Role
from tests.end_to_end.premises import Premises, chat
from tests.end_to_end.tools import tools


def audited(here: Premises) -> list[tuple[str, str, dict[str, Any]]]:
    """Actor, subject and content of every row about access and the vault."""
    with closing(sqlite3.connect(here.state_dir / "journal.db")) as journal:
        rows = journal.execute(
            "SELECT actor, subject, payload FROM audit WHERE kind IN ('access', 'vault') ORDER BY seq"
        ).fetchall()
    return [(actor, subject, json.loads(payload)) for actor, subject, payload in rows]


async def test_a_token_opens_at_once_and_its_making_is_written_down(here: Premises) -> None:
    remote = RemoteControl(here.state_dir, operator="", environ={})
    try:
        result = await remote.send(IssueToken("ci", "approver"))
    finally:
        await remote.close()
    assert result.ok, result
    token = result.data["token"]
    async with tools(here, ci=token) as tool:
        assert (await tool["ci"]("GET", "runs")).status_code == 200
    ((_, subject, payload),) = audited(here)
    owner = next(one.operator_id for one in here.engine.access.operators if one.role is Role.ADMIN)
    assert (subject, payload["verb"], payload["role"]) == ("ci", "token_issued", "approver")
    assert payload["registered"] == {owner: "admin", "ci": "approver"}
    assert payload["attestation"] in ("uid", "owner")
    again = await here.send(IssueToken("ci"))
    assert [row[2]["registered"] for row in audited(here)][1:] == [{}]
    written = b"".join(path.read_bytes() for path in here.state_dir.rglob("*") if path.is_file())
    assert token.encode() not in written
    assert again.data["token"].encode() not in written


async def test_a_feature_switched_is_written_down_with_what_it_was(here: Premises) -> None:
    assert (await here.send(SetFeature("console_write", True))).message == "console_write is on."
    assert here.engine.access.flag("console_write")
    await here.send(SetFeature("console_write", True))
    assert audited(here) == [
        ("ada", "console_write", {"verb": "feature_set", "on": True, "was": was, "attestation": "uid"})
        for was in (False, True)
    ]


@pytest.mark.parametrize("command", [IssueToken("ci", "admin"), SetFeature("console_write", True)])
@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER])
async def test_only_admins_change_it(here: Premises, role: Role, command: Command) -> None:
    before = here.engine.access.path.read_bytes()
    result = await here.operator("bob", role).send(command)
    assert (result.status, result.code) == ("denied", "role_missing")
    assert here.engine.access.path.read_bytes() == before
    assert audited(here) == []


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        (IssueToken("Ana Bea"), "invalid", "'Ana Bea'"),
        (SetFeature("console_wrte", True), "not_found", "console_wrte"),
    ],
)
async def test_what_cannot_be_done_changes_nothing(here: Premises, command: Command, status: str, says: str) -> None:
    before = here.engine.access.path.read_bytes()
    result = await here.control.send(command)
    assert (result.status, says in result.message) == (status, True)
    assert here.engine.access.path.read_bytes() == before
    assert audited(here) == []


async def test_a_key_taken_away_by_another_process_is_refused_from_the_next_request(here: Premises) -> None:
    path = here.engine.access.path
    key = here.new_key("ci", "team", may_set_mode=True)
    mode = {"X-Palyra-Mode": "enforced"}
    assert (await here.ask(chat(), mode, key=key)).status == 200
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "feature_flags": {**document["feature_flags"], "mode_override": False}}))
    assert (await here.ask(chat(), mode, key=key)).error["code"] == "mode_not_allowed"
    for record in document["gateway_keys"]:
        record["enabled"] = record["key_id"] != "ci"
    path.write_text(json.dumps(document))
    assert (await here.ask(chat(), key=key)).error["code"] == "invalid_api_key"
    assert (await here.ask(chat())).status == 200
    path.write_text("{")
    for of_whom in ("", key):
        answer = await here.ask(chat(), key=of_whom)
        assert (answer.status, answer.error["code"]) == (503, "access_unavailable")
    assert (await here.house.own_control("", {}).snapshot([])).operator.role == "viewer"
    path.write_text(json.dumps(document))
    assert (await here.ask(chat())).status == 200
