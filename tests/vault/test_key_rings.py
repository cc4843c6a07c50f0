"""The vault's key in a key ring, asked through the package `keyring` with backends registered there."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from keyring.errors import KeyringLocked

from palyra.core.errors import ConflictError, StateError
from palyra.vault.key_holders import KeyFaultError, KeyRingKey
from palyra.vault.opening import VaultState
from palyra.vault.secrets import SecretState
from palyra.vault.vault import Vault
from tests.vault.file_ring import FileRing

NOW = 1_700_000_000_000
ROOT = Path(__file__).parents[2]
SECRETS = {f"global/k{number}": f"secret-number-{number}" for number in range(3)}

KILLED_AT_EACH_STEP = """
import json, os, shutil, signal, sys
from pathlib import Path
import keyring
from palyra.vault.vault import Vault
from tests.vault.file_ring import FileRing

home = Path(sys.argv[1])
os.fsync = lambda descriptor: None  # nobody cuts the power
ring = FileRing(home / "ring.json")
keyring.set_keyring(ring)
begun, state = ring.path.read_bytes(), home / "s"
shutil.copytree(state, home / "whole")
told, number = [], 0
while True:
    number += 1
    shutil.rmtree(state)
    shutil.copytree(home / "whole", state)
    ring.path.write_bytes(begun)
    child = os.fork()
    if child == 0:
        left = [number]

        def dying(real):
            def step(*args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return step

        try:
            vault = Vault.open(state, "keyring")
            for name in ("rename", "unlink", "link"):
                setattr(os, name, dying(getattr(os, name)))
            vault.rotate()
        except BaseException:
            os._exit(3)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    vault = Vault.open(state, "keyring")
    values = {entry.ref: vault.resolve(entry.ref).secret.reveal() for entry in vault.entries()}
    told.append({"killed": status != 0, "values": values, "key_id": vault.key_id, "ring": sorted(ring.entries())})
    if status == 0:
        break
print(json.dumps(told))
"""


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[FileRing]:
    before = keyring.get_keyring()
    ring = FileRing(tmp_path / "ring.json")
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def opened(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "s", "keyring")


def filled(tmp_path: Path) -> Vault:
    vault = opened(tmp_path)
    for ref, text in SECRETS.items():
        vault.set(ref, text, NOW)
    return vault


def test_the_ring_alone_has_the_key_through_every_change(tmp_path: Path, ring: FileRing) -> None:
    filled(tmp_path)
    entry = f"palyra-vault|{tmp_path / 's'}"
    assert list(ring.entries()) == [entry]
    assert not list(tmp_path.rglob("*.key"))
    (tmp_path / "link").symlink_to(tmp_path / "s")
    assert Vault.open(tmp_path / "link", "keyring").state is VaultState.OK
    told = opened(tmp_path).rotate()
    assert (opened(tmp_path).key_id, told.new_key, list(ring.entries())) == (told.key_id, None, [entry])
    assert opened(tmp_path).resolve("global/k0").secret is not None


def test_killed_at_any_step_of_a_rotation_all_secrets_are_readable(tmp_path: Path, ring: FileRing) -> None:
    before = filled(tmp_path).key_id
    command = [sys.executable, "-c", KILLED_AT_EACH_STEP, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["killed"] for one in told] == [True] * (len(told) - 1) + [False]
    assert [one["values"] for one in told] == [SECRETS] * len(told)
    assert [one["ring"] for one in told] == [list(ring.entries())] * len(told)
    kept = [one["key_id"] == before for one in told]
    assert (kept, kept[0], kept[-1]) == (sorted(kept, reverse=True), True, False)


def test_a_ring_that_fails_is_locked_or_keeps_nothing_loses_no_secret(tmp_path: Path, ring: FileRing) -> None:
    filled(tmp_path)
    before = (tmp_path / "s" / "vault" / "vault.json").read_bytes()

    class Locked(FileRing):
        def get_password(self, service: str, username: str) -> str | None:
            raise KeyringLocked("the collection of user palyra")

    table: list[tuple[KeyringBackend, str]] = [
        (Locked(ring.path), "cannot be used (KeyringLocked)"),
        (fail.Keyring(), "cannot be used (NoKeyringError)"),  # type: ignore[no-untyped-call]
        (null.Keyring(), "there is no key"),  # type: ignore[no-untyped-call]
    ]
    for backend, says in table:
        keyring.set_keyring(backend)
        vault = opened(tmp_path)
        assert (vault.state, vault.resolve("global/k0").state) == (VaultState.LOCKED, SecretState.LOCKED)
        assert says in vault.problem()
        for act in (vault.rotate, lambda: vault.set("global/k0", "another-text", NOW)):  # noqa: B023
            with pytest.raises(StateError):
                act()
        assert (tmp_path / "s" / "vault" / "vault.json").read_bytes() == before
        # Nor is a vault begun under a key that nobody keeps.
        with pytest.raises(StateError, match="The vault has no key"):
            Vault.open(tmp_path / "new", "keyring").set("global/a", "some-text", NOW)
        assert not (tmp_path / "new" / "vault" / "vault.json").exists()
    keyring.set_keyring(ring)
    assert opened(tmp_path).state is VaultState.OK


def test_a_ring_that_does_not_answer_is_waited_for_no_longer_than_told() -> None:
    answer, asked = threading.Event(), []

    class Silent:
        def get_password(self, service: str, account: str) -> None:
            asked.append(account)
            answer.wait()

    holder = KeyRingKey("here", Silent, patience_s=0.01)
    with pytest.raises(KeyFaultError, match=r"did not answer within 0\.01 s"):
        holder.read()
    with pytest.raises(KeyFaultError, match="still does not answer"):
        holder.read()
    waiting = holder._asking
    assert waiting is not None
    assert waiting.daemon, "it keeps no process from ending"
    answer.set()
    waiting.join()
    holder = KeyRingKey("here", Silent)
    assert holder.read() is None
    assert asked == ["here", "here"]


def test_each_vault_that_is_given_up_keeps_its_key(tmp_path: Path, ring: FileRing) -> None:
    for mark in ("A", "B"):
        vault = filled(tmp_path)
        vault.path.write_bytes(b"no vault")
        vault.abandon(0, mark)
    assert [name.rpartition("/")[2] for name in ring.entries()] == ["s.given-up-A", "s.given-up-B"]
    assert len(set(ring.entries().values())) == 2
    with pytest.raises(ConflictError, match="absent"):
        opened(tmp_path).abandon(0, "C")
