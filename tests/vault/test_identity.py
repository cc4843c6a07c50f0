"""Who is at the keyboard."""

import base64
import hashlib
import os
import pwd
from pathlib import Path

import pytest

from palyra.vault.identity import AmbiguousError, Attestation, Identity, IdentityError, account_of, identify
from palyra.vault.records import Operator, Role
from palyra.vault.ssh_keys import fingerprints_in, session_keys


def operator(operator_id: str, *identities: str, role: Role = Role.APPROVER, enabled: bool = True) -> Operator:
    return Operator(operator_id, operator_id.title(), role, identities, enabled)


ANA = operator("ana", "unix:ops", "ssh_key:SHA256:x")
BOB = operator("bob", "unix:ops", "unix:bob", role=Role.ADMIN)


def who(
    account: str,
    *operators: Operator,
    claimed: str | None = None,
    owns_state: bool = True,
    registered: bool | None = None,
    **environ: str,
) -> Identity:
    return identify(
        account,
        operators,
        registered=bool(operators) if registered is None else registered,
        owns_state=owns_state,
        claimed=claimed,
        environ=environ,
    )


def test_without_operators_the_owner_of_the_state_is_admin() -> None:
    me = who("ops")
    assert (me.operator, me.role, me.attestation, me.account) == ("local:ops", Role.ADMIN, Attestation.OWNER, "ops")
    assert me.fix == ""


def test_without_operators_another_account_is_a_viewer() -> None:
    me = who("guest", owns_state=False)
    assert (me.operator, me.role, me.attestation) == ("unix:guest", Role.VIEWER, Attestation.UID)
    assert "unix:guest" in me.fix


def test_once_operators_are_registered_even_the_owner_needs_to_be_one() -> None:
    me = who("root", ANA)
    assert (me.operator, me.role) == ("unix:root", Role.VIEWER)
    # Also when their records cannot be read.
    assert who("root", registered=True).role is Role.VIEWER


def test_a_disabled_operator_is_no_candidate_but_registered() -> None:
    me = who("ops", operator("ana", "unix:ops", enabled=False))
    assert (me.operator, me.role) == ("unix:ops", Role.VIEWER)


def test_one_candidate_is_known_by_account() -> None:
    me = who("bob", ANA, BOB)
    assert (me.operator, me.role, me.attestation) == ("bob", Role.ADMIN, Attestation.UID)


@pytest.mark.parametrize("account", ["Bob", "bo", "bob ", "unix:bob", ""])
def test_an_account_is_matched_to_the_letter(account: str) -> None:
    assert who(account, ANA, BOB).role is Role.VIEWER


def test_one_candidate_may_say_so_and_stays_attested_by_account() -> None:
    assert who("bob", ANA, BOB, claimed="bob").attestation is Attestation.UID


@pytest.mark.parametrize(("claimed", "role"), [("ana", Role.APPROVER), ("bob", Role.ADMIN)])
def test_of_several_the_one_who_is_named_is_claimed(claimed: str, role: Role) -> None:
    by_option = who("ops", ANA, BOB, claimed=claimed)
    by_variable = who("ops", ANA, BOB, PALYRA_OPERATOR=claimed)
    assert by_option == by_variable
    assert (by_option.operator, by_option.role, by_option.attestation) == (claimed, role, Attestation.CLAIMED)


def test_the_option_wins_over_the_variable() -> None:
    assert who("ops", ANA, BOB, claimed="ana", PALYRA_OPERATOR="bob").operator == "ana"


def test_of_several_none_is_guessed() -> None:
    with pytest.raises(IdentityError, match="ana, bob") as raised:
        who("ops", ANA, BOB)
    assert "--operator" in raised.value.fix
    with pytest.raises(IdentityError):
        who("ops", ANA, BOB, PALYRA_OPERATOR="  ")


def test_who_is_no_candidate_can_never_be_named() -> None:
    cases = [
        ("ops", (ANA, BOB), "carol"),
        ("ops", (ANA,), "bob"),
        ("ops", (ANA, operator("dan", "unix:dan")), "dan"),
        ("ops", (ANA, operator("eve", "unix:ops", enabled=False)), "eve"),
        ("guest", (ANA,), "ana"),
        ("ops", (), "ana"),
    ]
    for account, operators, claimed in cases:
        with pytest.raises(IdentityError, match=claimed):
            who(account, *operators, claimed=claimed)


def test_naming_oneself_is_no_claim() -> None:
    assert who("ops", claimed="local:ops").role is Role.ADMIN
    assert who("guest", owns_state=False, claimed="unix:guest").role is Role.VIEWER


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        ("203.0.113.9 51000 10.0.0.1 22", "203.0.113.9"),
        ("2001:db8::1 51000 ::1 22", "2001:db8::1"),
        ("", ""),
        ("\x1b[31m 1 2 3", ""),
        ("host.example 1 2 3", ""),
    ],
)
def test_the_address_of_an_ssh_connection_is_kept(connection: str, address: str) -> None:
    assert who("ops", SSH_CONNECTION=connection).address == address
    assert who("bob", BOB, SSH_CONNECTION=connection).address == address


def test_an_account_is_named_or_numbered() -> None:
    assert account_of(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    assert account_of(4_000_000_000) == "4000000000"


# Keys of SSH sessions

ANAS, BOBS = f"SHA256:{'A' * 43}", f"SHA256:{'B' * 43}"
WITH_KEYS = (
    operator("ana", "unix:ops", f"ssh_key:{ANAS}"),
    operator("bob", "unix:ops", f"ssh_key:{BOBS}", role=Role.ADMIN),
    operator("carol", "unix:carol", "ssh_key:SHA256:carol"),
)


def by_key(*keys: str, claimed: str | None = None, operators: tuple[Operator, ...] = WITH_KEYS) -> Identity:
    return identify("ops", operators, registered=True, owns_state=True, claimed=claimed, keys=keys)


def test_of_several_the_key_of_the_session_tells_which_one() -> None:
    for keys, operator_id in (((ANAS,), "ana"), ((BOBS,), "bob"), (("SHA256:other", BOBS), "bob")):
        me = by_key(*keys)
        assert (me.operator, me.attestation) == (operator_id, Attestation.SSH_KEY)
        assert by_key(*keys, claimed=operator_id).attestation is Attestation.SSH_KEY


def test_a_claim_that_the_key_belies_is_refused() -> None:
    with pytest.raises(IdentityError, match="ana's, not bob's"):
        by_key(ANAS, claimed="bob")
    with pytest.raises(IdentityError, match="carol is no operator"):
        by_key(ANAS, claimed="carol")


def test_a_key_of_nobody_or_of_several_proves_nothing() -> None:
    both = tuple(operator(name, "unix:ops", f"ssh_key:{ANAS}") for name in ("ana", "bob"))
    for keys, operators in (
        ((), WITH_KEYS),
        (("SHA256:carol",), WITH_KEYS),
        ((ANAS, BOBS), WITH_KEYS),
        ((ANAS,), both),
    ):
        with pytest.raises(AmbiguousError) as raised:
            by_key(*keys, operators=operators)
        assert raised.value.candidates == ("ana", "bob")
        assert by_key(*keys, claimed="ana", operators=operators).attestation is Attestation.CLAIMED


def test_a_key_alone_lets_nobody_in_from_another_account() -> None:
    me = identify("guest", WITH_KEYS, registered=True, owns_state=False, keys=(BOBS,))
    assert (me.operator, me.role) == ("unix:guest", Role.VIEWER)


def test_while_the_registry_cannot_be_read_the_owner_may_repair_and_no_more() -> None:
    me = identify("ops", (), registered=True, owns_state=True, unavailable=True)
    assert (me.role, me.may_repair) == (Role.VIEWER, True)
    assert not identify("guest", (), registered=True, owns_state=False, unavailable=True).may_repair
    me = identify("ops", (), registered=True, owns_state=True, claimed="ana", unavailable=True)
    assert (me.operator, me.role, me.may_repair) == ("unix:ops", Role.VIEWER, True)
    assert not identify("ops", (), registered=True, owns_state=True).may_repair


BLOB = base64.b64encode(b"\0\0\0\x0bssh-ed25519 and so on").decode()
PRINT = "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(BLOB)).digest()).decode().rstrip("=")


def test_fingerprints_are_those_that_ssh_shows() -> None:
    table: dict[str, tuple[str, ...]] = {
        f"publickey ssh-ed25519 {BLOB}\n": (PRINT,),
        f"publickey ssh-rsa !!!\npublickey ssh-ed25519 {BLOB} comment\npassword\n": (PRINT,),
        f"hostbased ssh-ed25519 {BLOB}\n": (),
        "publickey\n": (),
        "": (),
    }
    assert {text: fingerprints_in(text) for text in table} == table


def test_a_file_that_others_could_have_written_proves_nothing(tmp_path: Path) -> None:
    file, uid = tmp_path / "auth", os.geteuid()
    file.write_text(f"publickey ssh-ed25519 {BLOB}\n")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe", 0o600)
    file.chmod(0o600)
    assert session_keys(str(file), uid) == (PRINT,)
    file.chmod(0o444)
    assert session_keys(str(file), uid) == (PRINT,)
    for mode in (0o620, 0o602, 0o666):
        file.chmod(mode)
        assert session_keys(str(file), uid) == ()
    file.chmod(0o600)
    nothing = ("", "auth", "relative/auth", str(tmp_path), str(tmp_path / "none"), str(tmp_path / "link"), "/\0")
    assert [session_keys(path, uid) for path in (*nothing, str(tmp_path / "pipe"))] == [()] * 8


def test_a_file_of_another_account_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, uid = tmp_path / "auth", os.geteuid()
    file.write_text(f"publickey ssh-ed25519 {BLOB}\n")
    file.chmod(0o600)
    monkeypatch.setattr("palyra.vault.ssh_keys.ROOT", -1)
    assert session_keys(str(file), uid + 1) == ()
    assert session_keys(str(file), uid) == (PRINT,)
