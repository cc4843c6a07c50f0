"""The vault: what references resolve to, in which states it can be read and written, and that it is never made anew."""

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from palyra.core import redact as redact_room
from palyra.core.errors import BadInputError, ConflictError, NotFoundError, PalyraError, StateError
from palyra.core.redact import redact
from palyra.vault.opening import VaultState
from palyra.vault.sealing import MAX_ENTRIES, MAX_VALUE, VaultFile, key_id_of
from palyra.vault.secrets import SecretState
from palyra.vault.vault import Vault

KEY = bytes(range(32))
OTHER = bytes(32)
TEXT = base64.urlsafe_b64encode(KEY).decode().rstrip("=")
NOW = 1_700_000_000_000


def opened(state: Path, key: bytes | None = None) -> Vault:
    """With the key in a file, or `key` in the variable."""
    environ = {} if key is None else {"PALYRA_VAULT_KEY": key.hex()}
    return Vault.open(state, environ=environ)


def filled(state: Path, key: bytes | None = None, **entries: str) -> Vault:
    vault = opened(state, key)
    for name, text in (entries or {"a": "secret-of-a", "b": "secret-of-b"}).items():
        vault.set(f"global/{name}", text, NOW)
    return vault


def read(vault: Vault, ref: str) -> str:
    """The value, or the state of what has none."""
    found = vault.resolve(ref)
    assert (found.secret is not None) == (found.state is SecretState.RESOLVED)
    return found.state.value if found.secret is None else found.secret.reveal()


def edited(state: Path, edit: Callable[[dict[str, object]], object]) -> bytes:
    path = state / "vault" / "vault.json"
    data = json.loads(path.read_bytes())
    edit(data)
    path.write_bytes(json.dumps(data).encode())
    return path.read_bytes()


def test_references_are_compared_to_the_letter(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault.set("principal:Ops/key", "s3cret-of-ops", NOW)
    table = {
        "principal:Ops/key": "s3cret-of-ops",
        "principal:ops/key": "missing",
        "principal:Ops/Key": "missing",
        "global/key": "missing",
        "openai": "invalid_ref",
        "": "invalid_ref",
        " principal:Ops/key": "invalid_ref",
        "principal:Ops/key\n": "invalid_ref",
        "global/a/b": "invalid_ref",
        "Global/a": "invalid_ref",
        "global/": "invalid_ref",
        "channel:a/k": "invalid_ref",
        "channel:a:b:c/k": "invalid_ref",
        "channel:a:b/k": "missing",
        "principal:a:b@c/k": "missing",
        f"global/{'k' * 129}": "invalid_ref",
        f"principal:{'p' * 128}/{'k' * 128}": "missing",
    }
    assert {ref: read(vault, ref) for ref in table} == table


def test_what_was_kept_is_read_again_by_another_process_and_lies_nowhere_in_plain(tmp_path: Path) -> None:
    filled(tmp_path, a="grüße-and-more", b="x" * MAX_VALUE)
    again = opened(tmp_path)
    assert (again.state, read(again, "global/a"), read(again, "global/b")) == ("ok", "grüße-and-more", "x" * MAX_VALUE)
    written = b"".join(path.read_bytes() for path in (tmp_path / "vault").iterdir())
    assert not any(text in written for text in ("grüße".encode(), base64.b64encode("grüße".encode()), b"x" * 64))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "vault").iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "vault").stat().st_mode) == 0o700


def test_the_first_secret_makes_the_key_and_no_later_one_does(tmp_path: Path) -> None:
    assert opened(tmp_path).state is VaultState.ABSENT
    assert not (tmp_path / "vault").exists()
    filled(tmp_path)
    key = (tmp_path / "vault" / "vault.key").read_bytes()
    filled(tmp_path, c="another-one")
    assert (tmp_path / "vault" / "vault.key").read_bytes() == key
    (tmp_path / "vault" / "vault.json").unlink()
    (tmp_path / "vault" / "vault.json.bak.1").unlink()
    filled(tmp_path, d="a-fresh-vault")
    assert (tmp_path / "vault" / "vault.key").read_bytes() == key


def test_a_vault_whose_backup_is_all_that_is_left_is_not_begun_anew_with_another_key(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "vault" / "vault.json").unlink()
    (tmp_path / "vault" / "vault.key").unlink()
    with pytest.raises(StateError, match=r"vault\.json\.bak\.1 is there"):
        filled(tmp_path)
    assert not (tmp_path / "vault" / "vault.key").exists()


def test_a_vault_whose_backup_is_left_with_its_key_is_not_begun_anew_over_it(tmp_path: Path) -> None:
    filled(tmp_path)
    backup = tmp_path / "vault" / "vault.json.bak.1"
    (tmp_path / "vault" / "vault.json").unlink()
    before = backup.read_bytes()
    for _ in range(2):
        with pytest.raises(StateError, match=r"vault\.json\.bak\.1 is there"):
            filled(tmp_path)
    assert backup.read_bytes() == before
    backup.rename(tmp_path / "vault" / "vault.json")
    assert read(opened(tmp_path), "global/a") == "secret-of-a"


def test_two_vaults_begun_with_one_key_file_keep_the_key_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "shared.key"
    late = Vault.open(tmp_path / "late", "file", {}, file)
    entropy = late._entropy

    def meanwhile(size: int) -> bytes:
        if size == 32:
            Vault.open(tmp_path / "quick", "file", {}, file).set("global/a", "of-the-quick", NOW)
        return entropy(size)

    late._entropy = meanwhile
    late.set("global/a", "of-the-late", NOW)
    for name in ("quick", "late"):
        assert read(Vault.open(tmp_path / name, "file", {}, file), "global/a") == f"of-the-{name}"


def test_an_entry_that_is_empty_on_disk_is_missing(tmp_path: Path) -> None:
    filled(tmp_path, KEY)
    file = VaultFile.parse((tmp_path / "vault" / "vault.json").read_bytes())
    written = file.with_entry(KEY, "global/empty", "", NOW, os.urandom).render()
    (tmp_path / "vault" / "vault.json").write_bytes(written)
    vault = opened(tmp_path, KEY)
    assert [read(vault, f"global/{name}") for name in ("empty", "a")] == ["missing", "secret-of-a"]
    vault.rotate()
    vault = opened(tmp_path, KEY)
    assert [vault.state_of(f"global/{name}") for name in ("empty", "a")] == ["missing", "resolved"]


def test_what_is_only_looked_at_is_not_learned(tmp_path: Path) -> None:
    filled(tmp_path, a="looked-at-but-not-used")
    redact_room._known = redact_room.KnownSecrets()
    assert opened(tmp_path).state_of("global/a") is SecretState.RESOLVED
    assert redact("looked-at-but-not-used") == "looked-at-but-not-used"
    assert opened(tmp_path).resolve("global/a").secret
    assert redact("looked-at-but-not-used") == "[redacted]"


def test_each_write_has_a_nonce_of_its_own(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    nonces = set()
    for _ in range(3):
        vault.set("global/a", "the-same-text", NOW)
        nonces.add(json.loads(vault.path.read_bytes())["entries"]["global/a"]["nonce"])
    assert len(nonces) == 3
    assert {len(base64.b64decode(nonce)) for nonce in nonces} == {12}


def test_times_tell_of_the_first_and_the_last_write(tmp_path: Path) -> None:
    vault = filled(tmp_path, a="first-text")
    assert not vault.set("global/a", "second-text", NOW + 5)
    (facts,) = vault.entries()
    assert (facts.ref, facts.created_at, facts.updated_at) == ("global/a", NOW, NOW + 5)


def test_entries_that_were_swapped_are_tampered_and_the_others_resolve(tmp_path: Path) -> None:
    filled(tmp_path, a="secret-of-a", b="secret-of-b", c="secret-of-c")

    def swap(data: dict[str, object]) -> None:
        entries = data["entries"]
        assert isinstance(entries, dict)
        entries["global/a"], entries["global/b"] = entries["global/b"], entries["global/a"]

    before = edited(tmp_path, swap)
    vault = opened(tmp_path)
    assert [read(vault, f"global/{name}") for name in "abc"] == ["tampered", "tampered", "secret-of-c"]
    with pytest.raises(StateError, match="global/a was changed outside"):
        vault.rotate()
    assert sorted(path.name for path in (tmp_path / "vault").iterdir() if path.suffix == ".next") == []
    assert vault.path.read_bytes() == before
    # What is broken can be put right one by one, and what is around it stays.
    vault.set("global/a", "a-again", NOW)
    assert [read(vault, f"global/{name}") for name in "abc"] == ["a-again", "tampered", "secret-of-c"]


def test_an_entry_of_broken_parts_is_tampered_alone(tmp_path: Path) -> None:
    cases: list[object] = [None, [], {"nonce": "AAAA", "ciphertext": "!!"}, {"nonce": 3}, {}]
    for number, broken in enumerate(cases):
        state = tmp_path / str(number)
        state.mkdir(mode=0o700)
        filled(state)
        edited(state, lambda data, entry=broken: data["entries"].update({"global/a": entry}))  # type: ignore[misc]
        vault = opened(state)
        assert (vault.state, read(vault, "global/a"), read(vault, "global/b")) == ("ok", "tampered", "secret-of-b")


def test_unknown_fields_outlive_a_rewrite(tmp_path: Path) -> None:
    filled(tmp_path)

    def add(data: dict[str, object]) -> None:
        data["note"] = "kept"
        data["entries"]["global/a"]["hint"] = 7  # type: ignore[index]

    edited(tmp_path, add)
    vault = opened(tmp_path)
    vault.set("global/a", "new-text-of-a", NOW)
    vault.rotate()
    data = json.loads(vault.path.read_bytes())
    assert (data["note"], data["entries"]["global/a"]["hint"]) == ("kept", 7)


# States


def test_another_key_is_one_finding_with_both_ids_and_the_count(tmp_path: Path) -> None:
    filled(tmp_path, KEY)
    before = (tmp_path / "vault" / "vault.json").read_bytes()
    vault = opened(tmp_path, OTHER)
    assert vault.state is VaultState.WRONG_KEY
    assert [read(vault, ref) for ref in ("global/a", "global/none")] == ["wrong_key", "missing"]
    problem = vault.problem()
    assert key_id_of(KEY) in problem
    assert key_id_of(OTHER) in problem
    assert "2 secrets" in problem
    refuse_to_write(vault)
    assert (tmp_path / "vault" / "vault.json").read_bytes() == before


def refuse_to_write(vault: Vault) -> None:
    for act in (
        lambda: vault.set("global/new", "some-text", NOW),
        lambda: vault.delete("global/a"),
        vault.rotate,
    ):
        with pytest.raises(PalyraError):
            act()
    assert vault.resolve("global/a").secret is None


def test_in_no_bad_state_is_anything_rewritten(tmp_path: Path) -> None:
    def at(name: str, spoil: Callable[[Path], object]) -> tuple[Vault, dict[str, bytes]]:
        state = tmp_path / name
        state.mkdir(mode=0o700)
        filled(state)
        spoil(state / "vault")
        vault = opened(state)
        return vault, {path.name: path.read_bytes() for path in (state / "vault").iterdir()}

    def write(name: str, data: bytes) -> Callable[[Path], object]:
        return lambda vault: (vault / name).write_bytes(data)

    def change(**fields: object) -> Callable[[Path], object]:
        return lambda vault: edited(vault.parent, lambda data: data.update(fields))

    cases: dict[str, tuple[VaultState, Callable[[Path], object]]] = {
        "no key": (VaultState.LOCKED, lambda vault: (vault / "vault.key").unlink()),
        "key for all": (VaultState.LOCKED, lambda vault: (vault / "vault.key").chmod(0o644)),
        "key for the group": (VaultState.LOCKED, lambda vault: (vault / "vault.key").chmod(0o640)),
        "key of nonsense": (VaultState.LOCKED, write("vault.key", b"correct horse battery staple\n")),
        "short key": (VaultState.LOCKED, write("vault.key", TEXT[:-2].encode())),
        "file for all": (VaultState.LOCKED, lambda vault: (vault / "vault.json").chmod(0o644)),
        "another key": (VaultState.WRONG_KEY, write("vault.key", TEXT.encode())),
        "check of another": (VaultState.WRONG_KEY, change(key_check={"nonce": "A" * 16, "ciphertext": "A" * 64})),
        "newer": (VaultState.NEWER, change(version=2)),
        "empty": (VaultState.DAMAGED, write("vault.json", b"")),
        "half": (VaultState.DAMAGED, lambda v: (v / "vault.json").write_bytes((v / "vault.json").read_bytes()[:200])),
        "list": (VaultState.DAMAGED, write("vault.json", b"[]")),
        "deep": (VaultState.DAMAGED, write("vault.json", b"[" * 100_000)),
        "binary": (VaultState.DAMAGED, write("vault.json", b"\xff\xfe")),
        "version text": (VaultState.DAMAGED, change(version="1")),
        "version true": (VaultState.DAMAGED, change(version=True)),
        "version 0": (VaultState.DAMAGED, change(version=0)),
        "no check": (VaultState.DAMAGED, change(key_check=None)),
        "entries list": (VaultState.DAMAGED, change(entries=[])),
        "bad name": (VaultState.DAMAGED, change(entries={"openai": {}})),
        "too many": (VaultState.DAMAGED, change(entries={f"global/{n}": {} for n in range(MAX_ENTRIES + 1)})),
        "twice": (VaultState.DAMAGED, write("vault.json", b'{"version": 1, "version": 1}')),
    }
    for name, (expected, spoil) in cases.items():
        vault, before = at(name, spoil)
        assert vault.state is expected, name
        assert vault.problem(), name
        refuse_to_write(vault)
        after = {path.name: path.read_bytes() for path in (tmp_path / name / "vault").iterdir()}
        assert {key: after[key] for key in before} == before, name
        assert not redact(vault.problem()).count(TEXT)


def test_a_key_or_file_by_a_link_is_not_followed(tmp_path: Path) -> None:
    filled(tmp_path)
    key = tmp_path / "vault" / "vault.key"
    key.rename(tmp_path / "elsewhere")
    key.symlink_to(tmp_path / "elsewhere")
    assert opened(tmp_path).state is VaultState.LOCKED


def test_reading_changes_no_file_and_no_mode(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "vault" / "vault.json").chmod(0o640)
    facts = {path: path.stat() for path in [tmp_path / "vault", *(tmp_path / "vault").iterdir()]}
    opened(tmp_path)
    assert {path: path.stat().st_mode for path in facts} == {path: one.st_mode for path, one in facts.items()}
    assert {path: path.stat().st_mtime_ns for path in facts} == {path: one.st_mtime_ns for path, one in facts.items()}


# Writing


@pytest.mark.parametrize(("ref", "text"), [("openai", "x"), ("global/a", ""), ("global/a", "x" * (MAX_VALUE + 1))])
def test_what_is_no_reference_or_no_secret_is_refused(tmp_path: Path, ref: str, text: str) -> None:
    with pytest.raises(BadInputError) as raised:
        opened(tmp_path).set(ref, text, NOW)
    assert text == "" or text not in str(raised.value)
    with pytest.raises(BadInputError, match="UTF-8"):
        opened(tmp_path).set("global/a", "\ud800", NOW)
    assert not (tmp_path / "vault").exists()


def test_there_is_room_for_so_many_entries_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palyra.vault.vault.MAX_ENTRIES", 2)
    vault = filled(tmp_path)
    with pytest.raises(ConflictError, match="2 entries already"):
        vault.set("global/c", "one-too-many", NOW)
    assert not vault.set("global/b", "still-writable", NOW)
    monkeypatch.setattr("palyra.vault.vault.MAX_FILE", 900)
    before = vault.path.read_bytes()
    with pytest.raises(ConflictError, match="larger than 900"):
        vault.set("global/b", "x" * 900, NOW)
    assert vault.path.read_bytes() == before


def test_one_earlier_content_is_kept_until_something_is_deleted(tmp_path: Path) -> None:
    vault = filled(tmp_path, a="first-text", b="other-text")
    vault.set("global/a", "second-text", NOW)
    names = {"vault.json", "vault.key", "vault.json.bak.1", "files.lock"}
    assert {path.name for path in (tmp_path / "vault").iterdir()} == names
    vault.delete("global/a")
    assert {path.name for path in (tmp_path / "vault").iterdir()} == names - {"vault.json.bak.1"}
    assert [read(opened(tmp_path), f"global/{name}") for name in "ab"] == ["missing", "other-text"]
    with pytest.raises(NotFoundError):
        vault.delete("global/a")


def test_what_two_processes_write_in_turn_is_all_there(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.set("global/a", "from-the-one", NOW)
    two.set("global/b", "from-the-two", NOW)
    one.set("global/c", "from-the-one-again", NOW)
    assert [facts.ref for facts in one.entries()] == ["global/a", "global/b", "global/c"]


def test_a_value_that_was_kept_is_known_to_redaction(tmp_path: Path) -> None:
    filled(tmp_path, a="plain-words-of-a-secret")
    assert redact("it said plain-words-of-a-secret!") == "it said [redacted]!"
    key = (tmp_path / "vault" / "vault.key").read_text().strip()
    assert key not in redact(f"the key is {key}")


# Giving up


def test_a_vault_is_given_up_only_by_who_knows_how_much(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(ConflictError, match="ok"):
        opened(tmp_path).abandon(2, "M")
    key = (tmp_path / "vault" / "vault.key").read_bytes()
    file = (tmp_path / "vault" / "vault.json").read_bytes()
    (tmp_path / "vault" / "vault.key").write_bytes(TEXT.encode())
    vault = opened(tmp_path)
    # The right key is back before the number is typed: what can be opened is not given up.
    (tmp_path / "vault" / "vault.key").write_bytes(key)
    with pytest.raises(ConflictError, match="ok"):
        vault.abandon(2, "M")
    (tmp_path / "vault" / "vault.key").write_bytes(TEXT.encode())
    with pytest.raises(ConflictError, match="2 secrets would be given up, not 1"):
        vault.abandon(1, "M")
    assert vault.state is VaultState.WRONG_KEY
    moved = vault.abandon(2, "M")
    assert [path.name for path in moved] == [
        "vault.json.quarantine-M",
        "vault.json.bak.1.quarantine-M",
        "vault.key.quarantine-M",
    ]
    assert (vault.state, moved[0].read_bytes()) == (VaultState.ABSENT, file)
    vault.set("global/a", "begun-anew", NOW)
    assert read(opened(tmp_path), "global/a") == "begun-anew"
    # Both can be brought back.
    (tmp_path / "vault" / "vault.key").write_bytes(key)
    os.replace(moved[0], vault.path)
    assert read(opened(tmp_path), "global/a") == "secret-of-a"
