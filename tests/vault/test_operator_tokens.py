"""Operators' tokens: what opens, at which cost, and how the first one comes to be without locking the owner out."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError, ConflictError, NotFoundError, StateError
from palyra.core.private_files import write_private
from palyra.vault.access import AccessRegistry
from palyra.vault.identity import Attestation, by_token, identify
from palyra.vault.records import Operator, RecordError, Role

OWNER = "root-of-it"


@pytest.fixture
def registry(tmp_path: Path) -> AccessRegistry:
    return AccessRegistry.open(tmp_path, ManualClock())


def document(registry: AccessRegistry) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(registry.path.read_bytes())
    return data


def change(registry: AccessRegistry, operator_id: str, **changes: Any) -> None:
    """Edits an operator in the file, as somebody with an editor would."""
    data = document(registry)
    for record in data["operators"]:
        if record["id"] == operator_id:
            record.update(changes)
    registry.path.write_text(json.dumps(data))


def test_a_token_opens_as_its_operator_and_is_stored_as_a_digest(registry: AccessRegistry) -> None:
    token = registry.issue_token("ana", owner=OWNER, role=Role.APPROVER, name="Ana")
    assert re.fullmatch(r"plo_ana_[A-Za-z0-9_-]{43}", token)
    operator = registry.authenticate_operator(token)
    assert operator is not None
    assert (operator.operator_id, operator.name, operator.role, operator.enabled) == (
        "ana",
        "Ana",
        Role.APPROVER,
        True,
    )
    stored = registry.path.read_text()
    assert token not in stored
    assert token[-43:] not in stored
    assert hashlib.sha256(token.encode()).hexdigest() in stored
    assert token[-43:] not in repr(registry.operators)
    assert registry.authenticate(token) is None


def test_a_key_is_no_token(registry: AccessRegistry) -> None:
    key = registry.key_file.read_text().strip()
    assert registry.authenticate_operator(key) is None
    assert registry.authenticate_operator("plo_" + key[4:]) is None


def test_a_new_token_replaces_the_old_one_and_keeps_everything_else(registry: AccessRegistry) -> None:
    old = registry.issue_token("ana", owner=OWNER, role=Role.ADMIN)
    change(registry, "ana", shoe_size=40, identities=["unix:ana"])
    new = registry.issue_token("ana", owner=OWNER)
    assert registry.authenticate_operator(old) is None
    operator = registry.authenticate_operator(new)
    assert operator is not None
    assert (operator.role, operator.identities) == (Role.ADMIN, ("unix:ana",))
    (record,) = [one for one in document(registry)["operators"] if one["id"] == "ana"]
    assert record["shoe_size"] == 40


def test_a_token_does_not_change_a_role(registry: AccessRegistry) -> None:
    token = registry.issue_token("ana", owner=OWNER, role=Role.VIEWER)
    with pytest.raises(ConflictError, match="registered as viewer"):
        registry.issue_token("ana", owner=OWNER, role=Role.ADMIN)
    assert registry.authenticate_operator(token) is not None


def test_with_the_first_operator_the_owner_stays_an_admin(registry: AccessRegistry) -> None:
    registry.issue_token("ci", owner=OWNER, role=Role.VIEWER)
    registry.issue_token("bob", owner=OWNER, role=Role.VIEWER)
    assert [(one.operator_id, one.role) for one in registry.operators] == [
        (OWNER, Role.ADMIN),
        ("ci", Role.VIEWER),
        ("bob", Role.VIEWER),
    ]
    identity = identify(OWNER, registry.operators, registered=registry.operators_registered, owns_state=True)
    assert (identity.operator, identity.role, identity.attestation) == (OWNER, Role.ADMIN, Attestation.UID)


def test_an_owner_with_an_odd_account_is_registered_under_another_name(registry: AccessRegistry) -> None:
    registry.issue_token("ci", owner="DOM\\Ada")
    identity = identify("DOM\\Ada", registry.operators, registered=True, owns_state=True)
    assert (identity.operator, identity.role) == ("owner", Role.ADMIN)


def test_an_owner_may_have_a_token_too(registry: AccessRegistry) -> None:
    token = registry.issue_token(OWNER, owner=OWNER, role=Role.ADMIN)
    operator = registry.authenticate_operator(token)
    assert operator is not None
    assert operator.identities == (f"unix:{OWNER}",)
    assert len(registry.operators) == 1


@pytest.mark.parametrize("operator_id", ["", "Ana", "a b", "ana/..", "x" * 65, "-ana", "ana\n"])
def test_what_is_no_id_changes_nothing(registry: AccessRegistry, operator_id: str) -> None:
    before = registry.path.read_bytes()
    with pytest.raises(RecordError):
        registry.issue_token(operator_id, owner=OWNER)
    assert registry.path.read_bytes() == before


@pytest.mark.parametrize("changes", [{"enabled": False}, {"token_hash": None}, {"enabled": None}])
def test_who_is_disabled_or_has_no_token_is_not_let_in(registry: AccessRegistry, changes: dict[str, Any]) -> None:
    token = registry.issue_token("ana", owner=OWNER)
    change(registry, "ana", **changes)
    registry.refresh()
    assert registry.authenticate_operator(token) is None


@pytest.mark.parametrize("digest", ["", "zz", "a" * 63, 7, "A" * 64])
def test_a_digest_that_is_none_makes_the_operator_unusable(registry: AccessRegistry, digest: object) -> None:
    token = registry.issue_token("ana", owner=OWNER)
    change(registry, "ana", token_hash=digest)
    registry.refresh()
    assert registry.authenticate_operator(token) is None
    assert registry.faults == ("operator 2: token_hash is not what it should be",)


def test_a_second_operator_of_an_id_gains_nothing(registry: AccessRegistry) -> None:
    token = registry.issue_token("ana", owner=OWNER, role=Role.VIEWER)
    data = document(registry)
    digest = hashlib.sha256(b"plo_ana_" + b"B" * 43).hexdigest()
    data["operators"].append({"id": "ana", "role": "admin", "enabled": True, "token_hash": digest})
    registry.path.write_text(json.dumps(data))
    registry.refresh()
    assert registry.authenticate_operator("plo_ana_" + "B" * 43) is None
    operator = registry.authenticate_operator(token)
    assert operator is not None
    assert operator.role is Role.VIEWER


def test_a_second_operator_of_an_id_gains_nothing_at_a_keyboard_either(registry: AccessRegistry) -> None:
    registry.issue_token("ana", owner=OWNER, role=Role.VIEWER)
    change(registry, "ana", identities=["unix:desk"])
    data = document(registry)
    data["operators"].append({"id": "ana", "role": "admin", "enabled": True, "identities": ["unix:desk"]})
    registry.path.write_text(json.dumps(data))
    registry.refresh()
    identity = identify("desk", registry.operators, registered=True, owns_state=False)
    assert (identity.operator, identity.role) == ("ana", Role.VIEWER)


def test_an_operator_whose_record_cannot_be_used_is_given_no_token(registry: AccessRegistry) -> None:
    registry.issue_token("ana", owner=OWNER)
    change(registry, "ana", identities="unix:ana")
    before = registry.path.read_bytes()
    with pytest.raises(BadInputError, match="ana: identities is not what it should be"):
        registry.issue_token("ana", owner=OWNER)
    assert registry.path.read_bytes() == before


def test_what_another_process_wrote_is_taken_over(registry: AccessRegistry, tmp_path: Path) -> None:
    registry.refresh()
    elsewhere = AccessRegistry.open(tmp_path, ManualClock())
    token = elsewhere.issue_token("ana", owner=OWNER)
    assert registry.authenticate_operator(token) is None
    registry.refresh()
    assert registry.authenticate_operator(token) is not None
    elsewhere.set_flag("console_write", True)
    assert not registry.flag("console_write")
    registry.refresh()
    assert registry.flag("console_write")


def test_what_is_no_registry_any_more_lets_nobody_in_until_it_is_one_again(registry: AccessRegistry) -> None:
    token = registry.issue_token("ana", owner=OWNER)
    key = registry.key_file.read_text().strip()
    sound = registry.path.read_bytes()

    def let_in() -> list[bool]:
        registry.refresh()
        return [registry.authenticate_operator(token) is not None, registry.authenticate(key) is not None]

    def open_to_others() -> None:
        registry.path.chmod(0o602)

    spoilers: list[Callable[[], object]] = [
        *(lambda content=content: registry.path.write_bytes(content) for content in (b"[]", b"{", b'{"version": 2}')),
        open_to_others,
        registry.path.unlink,
    ]
    for spoil in spoilers:
        spoil()
        assert (let_in(), registry.operators_registered, registry.flag("console_read")) == ([False] * 2, True, False)
        assert registry.unavailable
        with pytest.raises(StateError):
            registry.set_flag("console_write", True)
        write_private(registry.path, sound)
        assert (let_in(), registry.unavailable) == ([True] * 2, "")


def test_a_flag_there_is_not_cannot_be_set(registry: AccessRegistry) -> None:
    with pytest.raises(NotFoundError, match="console_wrte"):
        registry.set_flag("console_wrte", True)


def test_every_answer_takes_one_hash_and_one_comparison(
    registry: AccessRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = registry.issue_token("ana", owner=OWNER)
    disabled = registry.issue_token("bob", owner=OWNER)
    change(registry, "bob", enabled=False)
    registry.refresh()
    work: list[str] = []
    real, compare = hashlib.sha256, hmac.compare_digest

    def hashing(data: bytes) -> object:
        work.append("hash")
        assert len(data) <= 200
        return real(data)

    def comparing(one: bytes, other: bytes) -> bool:
        work.append(f"compare {len(one)} with {len(other)}")
        return compare(one, other)

    monkeypatch.setattr(hashlib, "sha256", hashing)
    monkeypatch.setattr(hmac, "compare_digest", comparing)
    for candidate in (token, disabled, "", "plo_ana_", token[:-1] + "\udcff", token + "A" * 100_000, "plo_zoe_x"):
        work.clear()
        registry.authenticate_operator(candidate)
        assert work == ["hash", "compare 32 with 32"], candidate[:80]


def test_an_account_that_is_an_operators_alone_is_known_behind_their_token() -> None:
    def operator(name: str, *identities: str) -> Operator:
        return Operator(name, name, Role.APPROVER, identities, True)

    everybody = [
        operator("ana", "unix:a", "ssh_key:SHA256:x"),
        operator("bob", "unix:desk"),
        operator("eve", "unix:desk"),
    ]
    assert [by_token(one, everybody, "").account for one in everybody] == ["a", "", ""]
    identity = by_token(everybody[0], everybody, "10.0.0.1")
    assert (identity.operator, identity.attestation, identity.address) == ("ana", Attestation.TOKEN, "10.0.0.1")
