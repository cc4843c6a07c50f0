"""Who started this process, and what they may do here."""

import os
from collections.abc import Mapping
from pathlib import Path

from palyra.control.snapshots import OperatorView
from palyra.vault.access import AccessRegistry
from palyra.vault.identity import SSH_USER_AUTH, Identity, account_of, identify
from palyra.vault.ssh_keys import session_keys


def at_keyboard(access: AccessRegistry, *, owner: int | None, claimed: str, environ: Mapping[str, str]) -> Identity:
    """The operator by the registry. `owner` is the uid the state directory belongs to, None where there is none, which
    is whoever's that makes it. Raises IdentityError; AmbiguousError where somebody has to say who they are."""
    account = os.geteuid()
    return identify(
        account_of(account),
        access.operators,
        registered=access.operators_registered,
        owns_state=owner in (None, account),
        claimed=claimed or None,
        environ=environ,
        keys=session_keys(environ.get(SSH_USER_AUTH, ""), account),
        unavailable=bool(access.unavailable),
    )


def owner_of(state_dir: Path) -> int | None:
    """The uid a directory belongs to; None where there is none, or nobody can look."""
    try:
        return state_dir.lstat().st_uid
    except OSError:
        return None


def operator_view(identity: Identity, *, read_only: bool = False) -> OperatorView:
    """Who is at the keyboard, as consoles show it."""
    role = "viewer" if read_only else identity.role.value
    return OperatorView(
        identity.operator,
        role,
        identity.attestation.value,
        identity.account,
        identity.address,
        identity.may_repair and not read_only,
    )
