"""A new key for the vault: whole or not at all, whatever kills the process meanwhile."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from palyra.core.errors import ConflictError, NotFoundError
from palyra.vault.opening import VaultState
from palyra.vault.sealing import key_id_of
from palyra.vault.vault import Vault

NOW = 1_700_000_000_000
SECRETS = {f"global/k{number}": f"secret-number-{number}" for number in range(5)}
OLD = bytes(range(32)).hex()

KILLED_AT_EACH_STEP = '''
import json, os, shutil, signal, sys
from pathlib import Path
from palyra.vault.vault import Vault

home = Path(sys.argv[1])
STEPS = ("open", "fsync", "rename", "unlink", "link", "chmod", "fchmod", "replace", "remove", "close", "fdopen")
left = [0]
os.fsync = lambda descriptor: None  # nobody cuts the power

def dying(real):
    def step(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return step

def dies(state, number):
    """Whether a rotation was killed before its n-th step."""
    child = os.fork()
    if child == 0:
        try:
            vault = Vault.open(state)
            left[0] = number
            for name in STEPS:
                setattr(os, name, dying(getattr(os, name)))
            vault.rotate()
        except BaseException:
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0

number = 0
told = []
while True:
    number += 1
    state = home / str(number)
    shutil.copytree(home / "whole", state)
    killed = dies(state, number)
    left_over = sorted(path.name for path in (state / "vault").iterdir())
    looked = Vault.open(state, settle=False)
    unsettled = {entry.ref: looked.resolve(entry.ref).state.value for entry in looked.entries()}
    vault = Vault.open(state)
    values = {entry.ref: vault.resolve(entry.ref).secret.reveal() for entry in vault.entries()}
    vault.set("global/after", "written-after", 5)
    again = Vault.open(state)
    told.append({
        "killed": killed, "values": values, "state": again.state.value, "key_id": again.key_id,
        "unsettled": sorted(set(unsettled.values())), "before": left_over,
        "after": sorted(path.name for path in (state / "vault").iterdir()),
    })
    if not killed:
        break
print(json.dumps(told))
'''


def values(vault: Vault) -> dict[str, str]:
    found = {facts.ref: vault.resolve(facts.ref).secret for facts in vault.entries()}
    return {ref: secret.reveal() for ref, secret in found.items() if secret is not None}


def filled(state: Path, **environ: str) -> Vault:
    vault = Vault.open(state, environ=environ)
    for number, (ref, text) in enumerate(SECRETS.items()):
        vault.set(ref, text, NOW + number)
    return vault


def test_everything_is_under_the_new_key_and_nothing_of_the_old_is_left(tmp_path: Path) -> None:
    vault = filled(tmp_path)
    before, times = vault.key_id, [(facts.created_at, facts.updated_at) for facts in vault.entries()]
    old_file = vault.path.read_bytes()
    told = vault.rotate()
    assert (told.entries, told.new_key) == (5, None)
    again = Vault.open(tmp_path)
    assert again.key_id == told.key_id != before
    assert values(again) == values(vault) == SECRETS
    assert [(facts.created_at, facts.updated_at) for facts in again.entries()] == times
    assert {path.name for path in (tmp_path / "vault").iterdir()} == {"vault.json", "vault.key", "files.lock"}
    nonces = [entry["nonce"] for entry in json.loads(old_file)["entries"].values()]
    assert not any(nonce.encode() in vault.path.read_bytes() for nonce in nonces)


def test_without_a_vault_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Vault.open(tmp_path).rotate()
    (tmp_path / "vault").mkdir(mode=0o700)
    with pytest.raises(NotFoundError):
        Vault.open(tmp_path).rotate()


def test_killed_at_any_step_all_secrets_are_readable_at_the_next_start(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole")
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EACH_STEP, str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["killed"] for one in told] == [True] * (len(told) - 1) + [False]
    for number, one in enumerate(told, start=1):
        assert one["values"] == SECRETS, number
        assert one["unsettled"] == ["resolved"], number
        assert one["state"] == "ok", number
        # The temporary files of a killed write may stay; nothing of a rotation does.
        assert not any(name.endswith(".next") for name in one["after"]), number
    # The kills hit every stage: before the next files, with one, with both, with the key alone renamed, and after.
    stages = {tuple(name for name in one["before"] if name.endswith(".next")) for one in told}
    assert stages == {(), ("vault.key.next",), ("vault.json.next", "vault.key.next"), ("vault.json.next",)}
    keys = [one["key_id"] == whole.key_id for one in told]
    assert keys == sorted(keys, reverse=True)
    assert (keys[0], keys[-1]) == (True, False)


def test_a_key_that_is_gone_in_the_middle_is_replaced_by_the_next_one(tmp_path: Path) -> None:
    filled(tmp_path)
    filled(tmp_path / "other")
    other = tmp_path / "other" / "vault"
    Vault.open(tmp_path / "other").rotate()
    for name in ("json", "key"):
        (other / f"vault.{name}").rename(tmp_path / "vault" / f"vault.{name}.next")
    (tmp_path / "vault" / "vault.key").unlink()
    vault = Vault.open(tmp_path)
    assert (vault.state, values(vault)) == (VaultState.OK, SECRETS)
    assert not list((tmp_path / "vault").glob("*.next"))


def test_with_the_key_in_the_variable_the_new_one_applies_once_it_is_there(tmp_path: Path) -> None:
    vault = filled(tmp_path, PALYRA_VAULT_KEY=OLD)
    told = vault.rotate()
    assert told.new_key is not None
    new = told.new_key.reveal()
    assert told.key_id == key_id_of(base64.urlsafe_b64decode(new + "="))
    assert new.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "vault").iterdir())
    # Until then the old one holds, and nothing is changed that the new one would not know.
    for _ in range(2):
        still = Vault.open(tmp_path, environ={"PALYRA_VAULT_KEY": OLD})
        assert (still.state, still.pending, values(still)) == (VaultState.OK, True, SECRETS)
        with pytest.raises(ConflictError, match="waits to be put into PALYRA_VAULT_KEY"):
            still.set("global/x", "some-text", NOW)
        with pytest.raises(ConflictError):
            still.delete("global/k0")
    after = Vault.open(tmp_path, environ={"PALYRA_VAULT_KEY": new})
    assert (after.state, after.pending, after.key_id) == (VaultState.OK, False, told.key_id)
    assert values(after) == SECRETS
    assert after.set("global/x", "some-text", NOW)
    assert Vault.open(tmp_path, environ={"PALYRA_VAULT_KEY": OLD}).state is VaultState.WRONG_KEY


def test_a_new_key_that_waits_can_be_taken_back_or_replaced(tmp_path: Path) -> None:
    vault = filled(tmp_path, PALYRA_VAULT_KEY=OLD)
    first, second = vault.rotate(), vault.rotate()
    assert first.new_key is not None
    assert second.new_key is not None
    lost = Vault.open(tmp_path, environ={"PALYRA_VAULT_KEY": first.new_key.reveal()})
    assert lost.state is VaultState.WRONG_KEY
    vault = Vault.open(tmp_path, environ={"PALYRA_VAULT_KEY": OLD})
    assert vault.take_back()
    assert (vault.pending, vault.take_back()) == (False, False)
    assert vault.set("global/x", "some-text", NOW)
    assert values(vault) == {**SECRETS, "global/x": "some-text"}
