"""Keys of providers in the vault of a running house: kept, replaced, revealed, sealed anew, given up; and what happens
when it cannot be opened."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from palyra.control.access_commands import AddKey
from palyra.control.commands import Command
from palyra.control.offline import offline_control
from palyra.control.queries import AuditQuery
from palyra.control.remote import RemoteControl
from palyra.control.secrets_commands import (
    AbandonVault,
    AddProfile,
    DeleteSecret,
    RemoveProfile,
    RevealSecret,
    RotateVault,
    SetSecret,
)
from palyra.control.secrets_queries import AuthQuery, VaultQuery
from palyra.control.snapshots import AlertView, Topic
from palyra.core import redact
from palyra.core.clock import ManualClock
from palyra.core.private_files import private_lock
from palyra.engine import Installation
from palyra.house import open_house
from palyra.vault.records import Role
from palyra.vault.vault import Vault
from tests.config.loading import sound
from tests.end_to_end.premises import Premises
from tests.end_to_end.test_access_changes import audited
from tests.support.upstream import Reply, Seen, Upstream

CONFIG = """
[retries]
max = 0
[failover]
enabled = false
[providers.acme]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key_vault_ref = "global/acme"
probe = false
discover = false
[providers.team]
kind = "openai_compatible"
base_url = "{base}/v1"
auth_profiles = ["first"]
probe = false
discover = false
[providers.own]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key = "sk-inline-key-0001"
probe = false
discover = false
[[models]]
provider = "acme"
upstream = "m"
[[models]]
provider = "team"
upstream = "m"
[[models]]
provider = "own"
upstream = "m"
"""
ONE, TWO = "canary-vault-key-0000001", "canary-vault-key-0000002"
KEY, OTHER = bytes(range(32)).hex(), bytes(32).hex()


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_known", redact.KnownSecrets())


@asynccontextmanager
async def a_house(
    upstream: Upstream, state_dir: Path, environ: Mapping[str, str] | None = None, more: str = ""
) -> AsyncIterator[Premises]:
    text = CONFIG.format(base=upstream.base_url) + more
    config = sound(text, flags={"gateway.bind": "127.0.0.1:0"})
    clock = ManualClock()
    async with AsyncExitStack() as stack, open_house(Installation(config, state_dir), clock, environ or {}) as house:
        here = Premises(house, clock, upstream, stack)
        yield here
        await here.rest()


def asked(provider: str) -> dict[str, Any]:
    return {"model": f"{provider}/m", "messages": [{"role": "user", "content": "hello"}]}


def keys(upstream: Upstream) -> list[str]:
    return [seen.headers["authorization"].removeprefix("Bearer ") for seen in upstream.seen]


async def healths(here: Premises) -> dict[str, str]:
    return {one.provider_id: one.health for one in (await here.control.snapshot([])).providers}


async def refused(here: Premises, command: Command) -> tuple[str, str]:
    result = await here.control.send(command)
    assert not result.ok
    return result.status, result.message


async def test_a_key_in_the_vault_serves_from_the_moment_it_is_kept(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream, a_house(upstream, tmp_path / "s") as here:
        assert (await here.ask(asked("acme"))).status == 502
        assert (await healths(here))["acme"] == "missing_auth"
        await here.send(SetSecret("global/acme", ONE))
        assert (await here.ask(asked("acme"))).status == 200
        await here.send(SetSecret("global/acme", TWO))
        assert (await here.ask(asked("acme"))).status == 200
        assert keys(upstream) == [ONE, TWO]
        await here.send(DeleteSecret("global/acme"))
        assert (await here.ask(asked("acme"))).status == 502
        told = [(subject, payload["verb"]) for _, subject, payload in audited(here)]
        assert told == [("global/acme", verb) for verb in ("secret_set", "secret_set", "secret_deleted")]


async def test_a_key_of_a_profile_serves_once_both_are_there(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream, a_house(upstream, tmp_path / "s") as here:
        added = await here.send(AddProfile("first", "team", "principal:ops/team"))
        assert "serves once" not in added.fix
        assert (await here.ask(asked("team"))).status == 502
        await here.send(SetSecret("principal:ops/team", ONE))
        assert (await here.ask(asked("team"))).status == 200
        (row,) = (await here.control.ask(AuthQuery())).profiles
        assert (row.profile_id, row.state, row.bucket, row.provider_uses) == ("first", "eligible", "no_expiry", True)
        spare = await here.send(AddProfile("spare", "acme", "global/spare"))
        assert 'auth_profiles of [providers.acme] lists "spare"' in spare.fix
        answer = await here.control.ask(AuthQuery())
        assert [(one.state, one.provider_uses) for one in answer.profiles] == [("eligible", True), ("missing", False)]
        assert sum(answer.buckets.values()) == len(answer.profiles)
        await here.send(RemoveProfile("first"))
        assert (await here.ask(asked("team"))).status == 502
        assert await refused(here, RemoveProfile("first")) == ("not_found", 'There is no auth profile "first".')
        assert (await refused(here, AddProfile("x", "none", "global/x")))[0] == "invalid"
        assert (await refused(here, AddProfile("x", "acme", "sk-pasted-by-mistake")))[0] == "invalid"
        assert (await refused(here, AddProfile("spare", "acme", "global/spare")))[0] == "conflict"
        assert (tmp_path / "s" / "auth_profiles.toml.bak.1").exists()


async def test_a_profile_that_was_refused_stays_refused_through_a_rotation_until_its_key_is_another(
    tmp_path: Path,
) -> None:
    def choose(seen: Seen) -> Reply:
        return Reply(status=401) if seen.headers["authorization"].endswith(ONE) else Reply()

    refusing = Upstream()
    refusing.choose = choose
    async with refusing.serving() as upstream, a_house(upstream, tmp_path / "s") as here:
        await here.send(AddProfile("first", "team", "global/team"))
        await here.send(SetSecret("global/team", ONE))
        assert (await here.ask(asked("team"))).status == 502
        (row,) = (await here.control.ask(AuthQuery())).profiles
        assert row.state == "rejected"
        here.set_wall(here.clock.now_ms() + 24 * 3_600_000)
        await here.send(RotateVault())
        (row,) = (await here.control.ask(AuthQuery())).profiles
        assert row.state == "rejected"
        await here.send(SetSecret("global/team", TWO))
        (row,) = (await here.control.ask(AuthQuery())).profiles
        assert (row.state, row.health) == ("eligible", "static")
        assert (await here.ask(asked("team"))).status == 200


async def test_with_the_wrong_key_those_in_the_vault_are_unhealthy_and_the_rest_runs(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with Upstream().serving() as upstream:
        async with a_house(upstream, state, {"PALYRA_VAULT_KEY": KEY}) as here:
            await here.send(SetSecret("global/acme", ONE))
        before = (state / "vault" / "vault.json").read_bytes()
        async with a_house(upstream, state, {"PALYRA_VAULT_KEY": OTHER}) as here:
            answer = await here.ask(asked("acme"))
            assert (answer.status, "closed with another key" in answer.error["message"]) == (502, True)
            assert (await here.ask(asked("own"))).status == 200
            assert await healths(here) == {"acme": "missing_auth", "team": "missing_auth", "own": "ok"}
            problems = (await here.control.snapshot([])).engine.problems
            (problem,) = [one for one in problems if "vault is sealed" in one]
            assert "1 secret cannot be read" in problem
            for command in (SetSecret("global/acme", TWO), DeleteSecret("global/acme"), RotateVault()):
                assert (await refused(here, command))[0] == "denied"
            assert (await refused(here, RevealSecret("global/acme")))[0] == "denied"
            assert (state / "vault" / "vault.json").read_bytes() == before
            assert (await refused(here, AbandonVault(2)))[0] == "conflict"
            await here.send(AbandonVault(1))
            await here.send(SetSecret("global/acme", TWO))
            assert (await here.ask(asked("acme"))).status == 200
            assert audited(here)[-2][2]["secrets"] == 1
        assert keys(upstream) == ["sk-inline-key-0001", TWO]


async def test_a_secret_is_revealed_to_admins_alone_and_that_is_written_down(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream, a_house(upstream, tmp_path / "s") as here:
        await here.send(SetSecret("global/acme", ONE))
        for role in (Role.VIEWER, Role.APPROVER):
            for command in (RevealSecret("global/acme"), SetSecret("global/x", TWO), RotateVault(), AbandonVault(0)):
                result = await here.operator("bob", role).send(command)
                assert (result.status, result.code) == ("denied", "role_missing")
        remote = RemoteControl(here.state_dir, environ={"SSH_CONNECTION": "203.0.113.9 51000 10.0.0.1 22"})
        try:
            found = await remote.send(RevealSecret("global/acme"))
            listed = await remote.ask(VaultQuery())
        finally:
            await remote.close()
        assert found.data == {"text": ONE}
        assert [(one.ref, one.state) for one in listed.entries] == [("global/acme", "resolved")]
        assert ONE not in repr(listed)
        _, subject, payload = audited(here)[-1]
        assert (subject, payload["verb"], payload["address"]) == ("global/acme", "secret_revealed", "203.0.113.9")
        assert (await refused(here, RevealSecret("global/none")))[1] == "global/none is not in the vault."
        assert (await here.control.ask(AuditQuery())).ok


async def test_no_secret_lies_anywhere_but_sealed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    echoing = Upstream()
    echoing.choose = lambda seen: Reply(
        status=400, error_body=b'{"error": {"message": "bad key %s"}}' % seen.headers["authorization"].encode()
    )
    state = tmp_path / "s"
    async with echoing.serving() as upstream, a_house(upstream, state) as here:
        await here.send(SetSecret("global/acme", ONE))
        answer = await here.ask(asked("acme"))
        assert answer.status == 400
        shot = await here.control.snapshot(list(Topic))
        told = [repr(answer.body), repr(shot), repr(SetSecret("global/acme", ONE))]
        told.append(
            repr((await here.runs(), await here.control.ask(VaultQuery()), await here.control.ask(AuthQuery())))
        )
        told.append(repr([(event.kind, event.subject, event.data) for event in here.events]))
        assert await refused(here, SetSecret("no-ref", ONE)) == ("invalid", "'no-ref' is no vault reference.")
    told.append(caplog.text)
    assert not [text for text in told if ONE in text]
    assert upstream.seen
    written = {path.name: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    assert not [name for name, data in written.items() if ONE.encode() in data]


async def test_who_waits_for_a_file_of_secrets_holds_up_nobody_else(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with Upstream().serving() as upstream, a_house(upstream, state) as here:
        await here.send(SetSecret("global/acme", ONE))
        commands: list[Command] = [
            SetSecret("global/acme", TWO),
            AddProfile("first", "team", "global/x"),
            AddKey("k", "p"),
        ]
        for command, directory in zip(commands, (state / "vault", state, state), strict=True):
            with private_lock(directory):
                waiting = asyncio.create_task(here.control.send(command))
                assert (await here.ask(asked("acme"))).status == 200
                assert (await here.control.ask(VaultQuery())).state == "ok"
                assert not waiting.done()
            assert (await waiting).ok
        assert keys(upstream)[:2] == [ONE, TWO]


async def test_a_reload_takes_up_what_was_put_right_by_hand(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with Upstream().serving() as upstream:
        async with a_house(upstream, state) as here:
            await here.send(SetSecret("global/acme", ONE))
        key = state / "vault" / "vault.key"
        key.rename(tmp_path / "key")
        async with a_house(upstream, state) as here:
            assert (await healths(here))["acme"] == "missing_auth"
            (tmp_path / "key").rename(key)
            await here.engine.secrets.reload()
            assert (await here.ask(asked("acme"))).status == 200


async def test_without_an_engine_it_is_told_and_nothing_is_settled(tmp_path: Path) -> None:
    state = tmp_path / "s"
    vault = Vault.open(state)
    vault.set("global/acme", ONE, 1)
    (state / "vault" / "vault.key.next").write_bytes(b"left over")
    (state / "vault" / "vault.key.next").chmod(0o600)
    config = sound(CONFIG.format(base="http://127.0.0.1:9"))
    async with offline_control(config, state, None, ManualClock()) as control:
        told = await control.ask(VaultQuery())
        assert (told.state, told.key_source, [one.ref for one in told.entries]) == ("ok", "file", ["global/acme"])
        assert (await control.ask(AuthQuery())).profiles == ()
        assert (await control.send(SetSecret("global/x", TWO))).status == "denied"
    assert (state / "vault" / "vault.key.next").read_bytes() == b"left over"


async def test_a_token_that_ends_within_minutes_raises_an_alert_until_it_is_renewed(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream, a_house(upstream, tmp_path / "s") as here:
        now = here.clock.now_ms()
        await here.send(SetSecret("global/team", ONE))
        await here.send(AddProfile("first", "team", "global/team", "token", now + 14 * 60_000))
        (row,) = (await here.control.ask(AuthQuery())).profiles
        assert (row.state, row.health, row.bucket) == ("eligible", "expiring", "le_15m")
        (alert,) = await alerts_once(here, 1)
        assert (alert.kind, alert.subject) == ("provider_health", "team")
        assert "first of provider team ends soon" in alert.summary
        await here.send(RemoveProfile("first"))
        await here.send(AddProfile("first", "team", "global/team", "token", now + 86_400_000))
        await alerts_once(here, 0)


async def alerts_once(here: Premises, count: int) -> tuple[AlertView, ...]:
    """Once so many are told."""
    while len(found := (await here.control.snapshot([])).alerts) != count:
        await here.advance(1)
    return found
