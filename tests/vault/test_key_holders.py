"""Where the vault's key may be kept, and what is taken for one."""

import base64
from pathlib import Path
from typing import Any

import pytest

from palyra.core.errors import ConflictError, StateError
from palyra.vault.key_holders import FileKey, KeyFaultError, KeyHolder, KeyRingKey, VariableKey, holder_of, key_in
from palyra.vault.opening import VaultState
from palyra.vault.sealing import key_id_of
from palyra.vault.vault import Vault

KEY = bytes(range(200, 232))
PADDED = base64.urlsafe_b64encode(KEY).decode()
NOW = 1_700_000_000_000


class Ring:
    """A key ring in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, account: str) -> str | None:
        return self.entries.get((service, account))

    def set_password(self, service: str, account: str, password: str) -> None:
        self.entries[service, account] = password

    def delete_password(self, service: str, account: str) -> None:
        del self.entries[service, account]


@pytest.mark.parametrize("text", [PADDED, PADDED.rstrip("="), KEY.hex(), KEY.hex().upper(), f"  {PADDED}\n"])
def test_a_key_is_base64url_or_hexadecimal(text: str) -> None:
    assert key_in(text) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse battery staple",
        PADDED[:-2],
        PADDED + "A",
        KEY.hex()[:-1],
        KEY.hex() + "0",
        base64.b64encode(b"\xfb\xff" * 16).decode(),
        "=" * 44,
        "é" * 43,
        f"{KEY.hex()[:32]} {KEY.hex()[32:]}",
    ],
)
def test_anything_else_is_no_key_and_is_not_told(text: str) -> None:
    with pytest.raises(KeyFaultError) as raised:
        key_in(text)
    assert len(text) < 8 or text not in str(raised.value)


def test_what_holds_the_key_follows_from_the_source_and_the_variable(tmp_path: Path) -> None:
    given = {"PALYRA_VAULT_KEY": KEY.hex()}
    table: list[tuple[str, dict[str, str], type[KeyHolder]]] = [
        ("auto", given, VariableKey),
        ("auto", {"PALYRA_VAULT_KEY": "  "}, FileKey),
        ("auto", {}, FileKey),
        ("env", {}, VariableKey),
        ("file", given, FileKey),
        ("keyring", given, KeyRingKey),
    ]
    for source, environ, kind in table:
        assert type(holder_of(source, tmp_path, environ, Path("k"))) is kind


def test_a_variable_that_holds_no_key_locks_and_never_falls_back_to_the_file(tmp_path: Path) -> None:
    Vault.open(tmp_path).set("global/a", "by-the-file", NOW)
    vault = Vault.open(tmp_path, environ={"PALYRA_VAULT_KEY": "a passphrase"})
    assert (vault.state, vault.key_source) == (VaultState.LOCKED, "env")
    assert "neither base64url" in vault.detail
    assert "passphrase" not in vault.problem()


def test_a_vault_is_not_begun_without_the_variable_it_is_to_be_sealed_with(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="PALYRA_VAULT_KEY is not set"):
        Vault.open(tmp_path, "env").set("global/a", "some-text", NOW)
    assert not (tmp_path / "vault" / "vault.json").exists()


def test_a_key_file_elsewhere_is_used(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "s", "file", {}, tmp_path / "key")
    vault.set("global/a", "by-another-file", NOW)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert Vault.open(tmp_path / "s", "file", {}, tmp_path / "key").resolve("global/a").secret
    assert Vault.open(tmp_path / "s").state is VaultState.LOCKED


def with_ring(state_dir: Path, ring: Any, monkeypatch: pytest.MonkeyPatch) -> Vault:
    def load(name: str) -> Any:
        assert name == "keyring"
        if isinstance(ring, Exception):
            raise ring
        return ring

    monkeypatch.setattr("palyra.vault.key_holders.import_module", load)
    return Vault.open(state_dir, "keyring")


def test_a_key_ring_keeps_the_key_of_each_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    for name in ("one", "two"):
        with_ring(tmp_path / name, ring, monkeypatch).set("global/a", f"secret-of-{name}", NOW)
    assert len(set(ring.entries.values())) == 2
    assert not list(tmp_path.rglob("*.key"))
    vault = with_ring(tmp_path / "one", ring, monkeypatch)
    told = vault.rotate()
    again = with_ring(tmp_path / "one", ring, monkeypatch)
    assert (told.new_key, again.key_id, len(ring.entries)) == (None, told.key_id, 2)
    secret = again.resolve("global/a").secret
    assert secret is not None
    assert secret.reveal() == "secret-of-one"


@pytest.mark.parametrize("stage", ["kept next", "promoted", "renamed"])
def test_a_rotation_cut_short_in_the_ring_leaves_all_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    ring = Ring()
    with_ring(tmp_path, ring, monkeypatch).set("global/a", "a-lasting-secret", NOW)

    class Cut(BaseException):
        pass

    def cut(*args: object) -> None:
        raise Cut

    vault = with_ring(tmp_path, ring, monkeypatch)
    target = {
        "kept next": "palyra.vault.vault.write_private",
        "promoted": "palyra.vault.vault.rename_file",
        "renamed": "palyra.vault.vault.drop_backups",
    }[stage]
    with monkeypatch.context() as patch:
        patch.setattr(target, cut)
        with pytest.raises(Cut):
            vault.rotate()
    again = with_ring(tmp_path, ring, monkeypatch)
    secret = again.resolve("global/a").secret
    assert secret is not None
    assert secret.reveal() == "a-lasting-secret"
    assert (len(ring.entries), again.state) == (1, VaultState.OK)
    assert not list((tmp_path / "vault").glob("*.next"))


def test_without_a_usable_ring_the_vault_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    with_ring(tmp_path, ring, monkeypatch).set("global/a", "some-text", NOW)

    class Dead(Ring):
        def get_password(self, service: str, account: str) -> str | None:
            raise RuntimeError("No recommended backend was available: secret words")

    for broken, says in (
        (ImportError("keyring"), "extra `keyring`"),
        (Dead(), "RuntimeError"),
        (Ring(), "there is no key"),
    ):
        vault = with_ring(tmp_path, broken, monkeypatch)
        assert vault.state is VaultState.LOCKED
        assert says in vault.problem()
        assert "secret words" not in vault.problem()


def test_a_ring_gives_up_its_key_with_the_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    vault = with_ring(tmp_path, ring, monkeypatch)
    vault.set("global/a", "some-text", NOW)
    vault.path.write_bytes(b"no vault")
    vault = with_ring(tmp_path, ring, monkeypatch)
    with pytest.raises(ConflictError):
        vault.abandon(1, "M")
    vault.abandon(0, "M")
    assert [account for _, account in ring.entries] == [f"{tmp_path}.given-up-M"]


def test_key_ids_are_short_and_of_their_key() -> None:
    assert key_id_of(bytes(32)) != key_id_of(bytes(31) + b"\1")
    assert len(key_id_of(KEY)) == 8
