"""Who is at the keyboard: an account of the machine, matched with the operators of the access registry."""

import ipaddress
import pwd
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum

from palyra.core.errors import PalyraError
from palyra.core.values import value
from palyra.vault.records import Operator, Role

_UNIX = "unix:"
_SSH_KEY = "ssh_key:"
SSH_USER_AUTH = "SSH_USER_AUTH"
"""Names the file in which the SSH server tells how a session was authenticated."""


class Attestation(StrEnum):
    """How we know. `owner`: the state directory's account, while no operator is registered. `token` and `key`: what the
    gateway was shown."""

    UID = "uid"
    SSH_KEY = "ssh_key"
    CLAIMED = "claimed"
    OWNER = "owner"
    TOKEN = "token"  # noqa: S105 no secret
    KEY = "key"


@value
class Identity:
    """Somebody at a keyboard. `address` is where their SSH connection comes from, empty when there is none.

    `fix` says how to gain more than a viewer's rights, where there is a way. `may_repair`: the state directory is
    theirs and the access registry cannot be read, so that nobody could repair it otherwise.
    """

    operator: str
    role: Role
    attestation: Attestation
    account: str
    address: str = ""
    fix: str = ""
    may_repair: bool = False


class IdentityError(PalyraError):
    """Nobody can be named: the claim fits no candidate, or several candidates fit and none was claimed."""

    code = "identity_refused"


class AmbiguousError(IdentityError):
    """Several operators use the account and nothing tells which one it is; they can be asked. `candidates` are ids."""

    code = "identity_ambiguous"

    def __init__(self, account: str, candidates: Iterable[str]) -> None:
        self.candidates = tuple(sorted(candidates))
        super().__init__(
            f"Several operators use the account {account}: {', '.join(self.candidates)}.",
            fix="Say who you are with --operator or PALYRA_OPERATOR.",
        )


def account_of(uid: int) -> str:
    """The account's name, or its number where the machine has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def identify(
    account: str,
    operators: Iterable[Operator],
    *,
    registered: bool,
    owns_state: bool,
    claimed: str | None = None,
    environ: Mapping[str, str] | None = None,
    keys: Collection[str] = (),
    unavailable: bool = False,
) -> Identity:
    """Names the operator behind an account.

    `registered` is whether the registry lists any operator at all, `owns_state` whether the account owns the state
    directory, `claimed` what `--operator` says (else PALYRA_OPERATOR of `environ`), `keys` the fingerprints the session
    was authenticated with (`SHA256:…`), `unavailable` whether the registry cannot be read. Raises IdentityError;
    AmbiguousError where somebody has to say who they are.
    """
    environ = environ or {}
    claim = claimed or environ.get("PALYRA_OPERATOR", "").strip() or None
    address = _ssh_address(environ)
    candidates = {one.operator_id: one for one in operators if one.enabled and f"unix:{account}" in one.identities}
    if not candidates:
        identity = _without_candidates(account, address, owner=owns_state and not registered)
        # Where nobody can be known, a claim is nothing to judge, nor a reason to keep the owner from repairing.
        if claim not in (None, identity.operator) and not unavailable:
            raise _refused(claim, account, ())
        return replace(identity, may_repair=owns_state and unavailable)
    if claim is not None and claim not in candidates:
        raise _refused(claim, account, tuple(candidates))
    if len(candidates) == 1:
        (only,) = candidates.values()
        return Identity(only.operator_id, only.role, Attestation.UID, account, address)
    known = [one for one in candidates.values() if any(f"{_SSH_KEY}{key}" in one.identities for key in keys)]
    if len(known) == 1:
        (only,) = known
        if claim not in (None, only.operator_id):
            raise IdentityError(
                f"The key of this session is {only.operator_id}'s, not {claim}'s.",
                fix="Leave --operator and the variable out.",
            )
        return Identity(only.operator_id, only.role, Attestation.SSH_KEY, account, address)
    if claim is None:
        raise AmbiguousError(account, candidates)
    chosen = candidates[claim]
    return Identity(chosen.operator_id, chosen.role, Attestation.CLAIMED, account, address)


def by_token(operator: Operator, operators: Iterable[Operator], address: str) -> Identity:
    """Whoever shows an operator's token. Their account is named where it is theirs alone: a person who asks at the
    keyboard and answers by token is still one."""
    others = {one for other in operators if other.operator_id != operator.operator_id for one in other.identities}
    own = [one.removeprefix(_UNIX) for one in operator.identities if one.startswith(_UNIX) and one not in others]
    account = own[0] if len(own) == 1 else ""
    return Identity(operator.operator_id, operator.role, Attestation.TOKEN, account, address)


def _without_candidates(account: str, address: str, *, owner: bool) -> Identity:
    if owner:
        return Identity(f"local:{account}", Role.ADMIN, Attestation.OWNER, account, address)
    return Identity(
        f"unix:{account}",
        Role.VIEWER,
        Attestation.UID,
        account,
        address,
        fix=f"Ask an admin to register an operator with the identity unix:{account}.",
    )


def _refused(claim: str | None, account: str, candidates: tuple[str, ...]) -> IdentityError:
    fix = f"Name one of: {', '.join(sorted(candidates))}." if candidates else "Leave --operator and the variable out."
    return IdentityError(f"{claim} is no operator of the account {account}.", fix=fix)


def _ssh_address(environ: Mapping[str, str]) -> str:
    first = environ.get("SSH_CONNECTION", "").split(" ")[0]
    try:
        ipaddress.ip_address(first)
    except ValueError:
        return ""
    return first
