"""Operators and keys changed in a running house: in force at once, written down, and never without an admin."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from palyra.control.access_commands import (
    AddFlag,
    AddKey,
    AddOperator,
    RemoveFlag,
    RemoveOperator,
    RevokeKey,
    SetKey,
    SetOperator,
)
from palyra.control.access_queries import AccessQuery
from palyra.control.commands import Command, IssueToken, SetFeature
from palyra.control.doctor_commands import RollBack
from palyra.control.offline import offline_control
from palyra.control.remote import RemoteControl
from palyra.core.errors import PalyraError
from palyra.core.private_files import write_private
from palyra.vault.identity import account_of
from palyra.vault.records import Role
from tests.end_to_end.premises import Premises, chat, premises
from tests.end_to_end.test_access_changes import audited
from tests.support.upstream import Upstream

KEY = f"ssh_key:SHA256:{'A' * 43}"


def verbs(here: Premises) -> list[tuple[str, str]]:
    return [(subject, payload["verb"]) for _, subject, payload in audited(here)]


async def refused(here: Premises, command: Command) -> tuple[str, str]:
    before = here.engine.access.path.read_bytes()
    result = await here.control.send(command)
    assert not result.ok
    assert here.engine.access.path.read_bytes() == before
    return result.status, result.code


async def test_an_operator_is_registered_changed_and_removed(here: Premises) -> None:
    owner = account_of(here.engine.state_owner)
    await here.send(AddOperator("ana", "approver", "Ana", ("unix:ana", KEY)))
    answer = await here.control.ask(AccessQuery())
    told = {one.operator_id: (one.role, one.identities, one.enabled) for one in answer.operators}
    assert told == {owner: ("admin", (f"unix:{owner}",), True), "ana": ("approver", ("unix:ana", KEY), True)}
    await here.send(
        SetOperator("ana", "admin", enabled=False, add_identities=("unix:bea",), remove_identities=("unix:ana",))
    )
    ana = (await here.control.ask(AccessQuery())).operators[1]
    assert (ana.role, ana.enabled, ana.identities) == ("admin", False, (KEY, "unix:bea"))
    await here.send(RemoveOperator("ana"))
    assert [one.operator_id for one in here.engine.access.operators] == [owner]
    assert verbs(here) == [("ana", "operator_added"), ("ana", "operator_set"), ("ana", "operator_removed")]
    assert audited(here)[1][2]["before"]["role"] == "approver"


async def test_the_last_enabled_admin_stays_one(here: Premises) -> None:
    owner = account_of(here.engine.state_owner)
    await here.send(AddOperator("ana"))
    alone = (
        SetOperator(owner, "viewer"),
        SetOperator(owner, enabled=False),
        SetOperator(owner, remove_identities=(f"unix:{owner}",)),
        RemoveOperator(owner),
    )
    for command in alone:
        assert await refused(here, command) == ("conflict", "last_admin")
    # An admin whom no account is known by could let nobody in.
    await here.send(SetOperator("ana", "admin", add_identities=(KEY,)))
    for command in alone:
        assert await refused(here, command) == ("conflict", "last_admin")
    await here.send(SetOperator("ana", add_identities=("unix:ana",)))
    await here.send(SetOperator(owner, "approver"))
    assert await refused(here, SetOperator("ana", "approver")) == ("conflict", "last_admin")


async def test_what_cannot_be_done_changes_nothing(here: Premises) -> None:
    await here.send(AddOperator("ana"))
    table: list[tuple[Command, str]] = [
        (AddOperator("ana"), "conflict"),
        (AddOperator("Ana Bea"), "invalid"),
        (AddOperator("bob", identities=("bob",)), "invalid"),
        (AddOperator("bob", identities=("ssh_key:MD5:aa",)), "invalid"),
        (AddOperator("bob", identities=("unix:a b",)), "invalid"),
        (SetOperator("bob", "admin"), "not_found"),
        (SetOperator("ana"), "invalid"),
        (RemoveOperator("bob"), "not_found"),
        (AddKey("default", "p"), "conflict"),
        (AddKey("Bad Id", "p"), "invalid"),
        (AddKey("k", "has spaces"), "invalid"),
        (AddKey("k", "p", tags=("nonsense",)), "invalid"),
        *((AddKey("k", "p", name=name), "invalid") for name in ("a\x1b]52;c;AA\x07", "a\udcff", "n" * 257, "a\nb")),
        *((AddOperator("bob", name=name), "invalid") for name in ("a\x9b1m", "a\x7f", "\ud800", "n" * 257, "\r")),
        (SetOperator("ana", name="\x00"), "invalid"),
        (SetKey("default", tags=("team=re\x07d",)), "invalid"),
        (SetKey("default", allowed_models=("*",) * 257), "invalid"),
        (AddKey("k", "p", may_act_for=("a\udcff",)), "invalid"),
        (SetKey("none", name="x"), "not_found"),
        (SetKey("default"), "invalid"),
        (SetKey("default", principal="has spaces"), "invalid"),
        (RevokeKey("none"), "not_found"),
    ]
    assert [(await refused(here, command))[0] for command, _ in table] == [status for _, status in table]
    assert len(audited(here)) == 1


async def test_what_an_editor_changed_meanwhile_is_not_lost(here: Premises) -> None:
    path = here.engine.access.path
    await here.send(AddOperator("ana", identities=("unix:ana",)))
    document: dict[str, Any] = json.loads(path.read_bytes())
    document["operators"][1]["identities"].append("unix:bea")
    path.write_text(json.dumps(document))
    await here.send(SetOperator("ana", add_identities=(KEY,), remove_identities=("unix:ana",)))
    assert here.engine.access.operators[1].identities == ("unix:bea", KEY)


async def test_an_operator_whose_record_is_spoilt_is_given_no_token(here: Premises) -> None:
    path = here.engine.access.path
    await here.send(AddOperator("ana"))
    document: dict[str, Any] = json.loads(path.read_bytes())
    document["operators"][1]["identities"] = 5
    path.write_text(json.dumps(document))
    assert await refused(here, IssueToken("ana")) == ("invalid", "bad_input")


async def test_a_key_opens_from_the_moment_it_is_made_until_it_is_revoked(here: Premises) -> None:
    made = await here.send(AddKey("ci", "ci-bot", allowed_models=("openai/*",), tags=("team=red",), expires_at=None))
    token = made.data["token"]
    assert token.startswith("plk_ci_")
    assert (await here.ask(chat(), key=token)).status == 200
    await here.send(SetKey("ci", allowed_models=("own/*",)))
    assert (await here.ask(chat(), key=token)).status in (403, 404)
    await here.send(SetKey("ci", allowed_models=(), enabled=False))
    disabled = await here.ask(chat(), key=token)
    await here.send(SetKey("ci", enabled=True))
    assert (await here.ask(chat(), key=token)).status == 200
    await here.send(SetKey("ci", expires_at=here.clock.now_ms() - 1))
    expired = await here.ask(chat(), key=token)
    await here.send(SetKey("ci", never_expires=True))
    await here.send(RevokeKey("ci"))
    gone = await here.ask(chat(), key=token)
    unknown = await here.ask(chat(), key=token[:-1] + ("A" if token[-1] != "A" else "B"))
    assert {answer.status for answer in (disabled, expired, gone, unknown)} == {401}
    assert len({answer.error["message"] for answer in (disabled, expired, gone, unknown)}) == 1
    assert await refused(here, SetKey("ci", enabled=True)) == ("conflict", "conflict")
    assert await refused(here, RevokeKey("ci")) == ("conflict", "conflict")
    row = {one.key_id: one for one in (await here.control.ask(AccessQuery())).keys}["ci"]
    assert (row.state, row.principal, row.tags) == ("revoked", "ci-bot", ("team=red",))
    written = b"".join(path.read_bytes() for path in here.state_dir.rglob("*") if path.is_file())
    assert token[-43:].encode() not in written


async def test_a_feature_that_is_taken_out_is_off_until_it_is_switched_on_again(here: Premises) -> None:
    await here.send(RemoveFlag("console_read"))
    assert not here.engine.access.flag("console_read")
    assert await refused(here, RemoveFlag("console_read")) == ("not_found", "not_found")
    await here.send(AddFlag("console_read"))
    assert not here.engine.access.flag("console_read")
    assert await refused(here, AddFlag("console_read")) == ("conflict", "conflict")
    assert await refused(here, AddFlag("console_red")) == ("not_found", "not_found")
    await here.send(SetFeature("console_read", True))
    assert here.engine.access.flag("console_read")
    assert [verb for _, verb in verbs(here)] == ["feature_removed", "feature_added", "feature_set"]


async def test_unknown_fields_outlive_every_change(here: Premises) -> None:
    path = here.engine.access.path
    document: dict[str, Any] = json.loads(path.read_bytes())
    document["note"] = [1]
    document["gateway_keys"][0]["colour"] = "blue"
    path.write_text(json.dumps(document))
    here.engine.access.refresh()
    await here.send(AddOperator("ana"))
    document = json.loads(path.read_bytes())
    document["operators"][1]["shoe_size"] = 40
    path.write_text(json.dumps(document))
    for command in (
        SetOperator("ana", "approver"),
        SetKey("default", name="first"),
        AddKey("b", "p"),
        SetFeature("console_write", True),
        RevokeKey("b"),
    ):
        await here.send(command)
    document = json.loads(path.read_bytes())
    assert (document["note"], document["gateway_keys"][0]["colour"]) == ([1], "blue")
    assert document["operators"][1]["shoe_size"] == 40


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"version": 2}'])
async def test_a_registry_that_is_none_gives_nobody_anything_and_is_not_written(here: Premises, data: bytes) -> None:
    here.engine.access.path.write_bytes(data)
    for command in (AddOperator("ana"), AddKey("k", "p"), SetFeature("console_write", True)):
        assert (await refused(here, command))[0] == "denied"
    async with offline_control(here.engine.config, here.state_dir, None, here.clock) as control:
        told = await control.ask(AccessQuery())
    assert (told.operators, told.keys, set(told.flags.values())) == ((), (), {False})
    assert told.unavailable


async def test_whoever_is_at_the_keyboard_is_asked_anew_each_time(here: Premises) -> None:
    owner = account_of(here.engine.state_owner)
    own = here.house.own_control("", {})
    remote = RemoteControl(here.state_dir, environ={})
    try:
        for control in (own, remote):
            assert (await control.snapshot([])).operator.role == "admin"
        await here.send(AddOperator("ana", "admin", identities=("unix:ana",)))
        await here.send(SetOperator(owner, "viewer"))
        for control in (own, remote):
            assert (await control.snapshot([])).operator.role == "viewer"
            assert (await control.send(SetFeature("console_write", True))).code == "role_missing"
    finally:
        await remote.close()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER])
async def test_only_admins_change_it(here: Premises, role: Role) -> None:
    for command in (AddOperator("x"), SetOperator("x", "admin"), RemoveOperator("x"), AddKey("x", "p"), RevokeKey("x")):
        assert (await here.operator("bob", role).send(command)).code == "role_missing"
    assert audited(here) == []


async def test_while_the_registry_cannot_be_read_its_owner_may_repair_and_nothing_else(
    upstream: Upstream, tmp_path: Path
) -> None:
    state = tmp_path / "broken"
    state.mkdir(mode=0o700)
    write_private(state / "access_registry.json", b"[]")
    (state / "gateway-key.txt").write_text("none\n")
    async with premises(upstream, state) as here:
        for control in (here.house.own_control("", {}), RemoteControl(here.state_dir, environ={})):
            operator = (await control.snapshot([])).operator
            assert (operator.role, operator.may_approve, operator.may_repair) == ("viewer", False, True)
            assert (await control.send(SetFeature("console_write", True))).code == "role_missing"
            assert (await control.send(RollBack("01J00000000000000000000000"))).code != "role_missing"
            await control.close()
        answer = await here.ask(chat())
        assert (answer.status, answer.error["code"]) == (503, "access_unavailable")
    assert (state / "access_registry.json").read_bytes() == b"[]"


async def test_of_several_on_one_account_the_key_of_the_session_is_read_by_the_engine(
    here: Premises, tmp_path: Path
) -> None:
    account = account_of(here.engine.state_owner)
    blob = base64.b64encode(b"a key").decode()
    key = "SHA256:" + base64.b64encode(hashlib.sha256(b"a key").digest()).decode().rstrip("=")
    file = tmp_path / "auth"
    file.write_text(f"publickey ssh-ed25519 {blob}\n")
    file.chmod(0o600)
    await here.send(AddOperator("ana", "approver", identities=(f"unix:{account}", f"ssh_key:{key}")))
    environ = {"SSH_USER_AUTH": str(file), "SSH_CONNECTION": "203.0.113.9 1 10.0.0.1 22"}
    for control in (here.house.own_control("", environ), RemoteControl(here.state_dir, environ=environ)):
        operator = (await control.snapshot([])).operator
        assert (operator.name, operator.attestation, operator.address) == ("ana", "ssh_key", "203.0.113.9")
        await control.close()
    claimed = RemoteControl(here.state_dir, operator=account, environ=environ)
    with pytest.raises(PalyraError, match="is ana's"):
        await claimed.snapshot([])
    await claimed.close()
    nobody = RemoteControl(here.state_dir, environ={})
    with pytest.raises(PalyraError, match="Several operators"):
        await nobody.snapshot([])
    await nobody.close()
