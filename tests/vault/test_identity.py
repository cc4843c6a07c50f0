"""Who is at the keyboard."""

import os
import pwd

import pytest

from palyra.vault.identity import Attestation, Identity, IdentityError, account_of, identify
from palyra.vault.records import Operator, Role


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
