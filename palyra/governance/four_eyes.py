"""Four eyes: whoever asks for room may not be the one who grants it, whatever name they come under."""

from palyra.core.errors import PalyraError
from palyra.core.values import value
from palyra.governance.approval_record import ApprovalRecord
from palyra.vault.access import FIRST_PRINCIPAL

CLAIMED = "claimed"
OWNER = "owner"
SSH_KEY = "ssh_key"
KEY = "key"

_ACCOUNTS = ("local:", "unix:")
"""What names of people without an entry in the access registry begin with; the rest is their account."""


class FourEyesError(PalyraError):
    """The decider may not decide on a request of their own, or somebody did not prove who they are."""

    code = "four_eyes"


@value
class Decider:
    """Who decides. `attestation`: uid, ssh_key, owner, token, key, or claimed (a name nobody proved); `account` is the
    one of this machine they came under, empty where there is none."""

    name: str
    attestation: str = "uid"
    account: str = ""


def check_four_eyes(record: ApprovalRecord, by: Decider) -> None:
    """Raises FourEyesError unless two people are known to stand behind a decision.

    An operator, their account and the principal of a key may be three names of one person, so all are compared.
    """
    if CLAIMED in (by.attestation, *(applicant.attestation for applicant in record.applicants)):
        raise FourEyesError(
            "Two people must stand behind an approval, and one of these names is only claimed.",
            fix="Sign in with an account or a key of your own.",
        )
    asking = {_bare(record.principal)}
    for applicant in record.applicants:
        asking |= _names(applicant.name, applicant.account, applicant.attestation)
    own = _names(by.name, by.account, by.attestation)
    if by.attestation == OWNER:
        own.add(FIRST_PRINCIPAL)
    if own & asking:
        raise FourEyesError("Nobody may decide on a request of their own.", fix="Ask another operator.")


def _names(name: str, account: str, attestation: str) -> set[str]:
    """Everything one person is known by. An account that several people use, told apart by their keys, is no name."""
    return {_bare(one) for one in (name, "" if attestation == SSH_KEY else account) if one}


def _bare(name: str) -> str:
    for prefix in _ACCOUNTS:
        name = name.removeprefix(prefix)
    return name
