"""The vault and what refers to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palyra.core.plural import plural
from palyra.core.values import value
from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import (
    Installation,
    NothingToReadError,
    NotReadError,
    VaultCondition,
    VaultRead,
)
from palyra.doctor.reading_secrets import OPEN_TO_OTHERS, VAULT_FILE, key_file

if TYPE_CHECKING:
    from palyra.config.model import LoadedConfig


@value
class Use:
    """Who needs a reference, and whether it is switched on."""

    ref: str
    user: str
    enabled: bool


def uses(found: Installation) -> tuple[Use, ...]:
    """Everything that refers to the vault, in the configuration and in auth profiles. Raises as `config` does."""
    config = found.config()
    told = []
    for name, provider in config.providers.items():
        if provider.api_key_vault_ref is not None:
            told.append(Use(provider.api_key_vault_ref, f"provider {name}", provider.enabled))
    for hook in config.notifications.webhook:
        if hook.secret_ref is not None:
            told.append(Use(hook.secret_ref, f"webhook {hook.name}", True))
    for probe in config.probes:
        if probe.secret_ref is not None:
            told.append(Use(probe.secret_ref, f"probe {probe.id}", probe.enabled))
    return (*told, *_of_profiles(found, config))


def _of_profiles(found: Installation, config: "LoadedConfig") -> Iterator[Use]:
    try:
        profiles = found.profiles.get().profiles
    except (NothingToReadError, NotReadError):
        return
    for profile in profiles.values():
        provider = config.providers.get(profile.provider)
        used = provider is not None and provider.enabled and profile.id in provider.auth_profiles
        yield Use(profile.vault_ref, f"auth profile {profile.id}", used and profile.enabled)


def _uses_or_none(found: Installation) -> tuple[Use, ...] | None:
    """None where it cannot be told what refers to the vault."""
    try:
        return uses(found)
    except (NothingToReadError, NotReadError):
        return None


def condition(found: Installation) -> Iterator[Finding]:
    """The vault opens."""
    vault = found.vault.get()
    if vault.condition is VaultCondition.ABSENT:
        yield from _lost(found)
        return
    if vault.condition is VaultCondition.OK:
        return
    known = _uses_or_none(found)
    needed = bool(vault.refs) if known is None else any(use.enabled for use in known)
    message, manual = _told(vault)
    evidence = []
    if vault.condition is VaultCondition.WRONG_KEY:
        evidence.append(f"expected key {vault.expects}, offered key {vault.offered}")
    if vault.refs:
        evidence.append(f"{plural(len(vault.refs), 'secret')} cannot be read")
    severity = Severity.BLOCKING if needed else Severity.WARNING
    yield Finding("vault.state", severity, VAULT_FILE, message, tuple(evidence), manual=manual)


def _lost(found: Installation) -> Iterator[Finding]:
    """A key is made with the first vault file, so that one alone means that the file went."""
    tree = found.state.get()
    key = key_file(tree, found.assumed()[0])
    if key.facts is not None:
        message = f"There is a vault key ({key.path}), but no vault."
        manual = f"Put {VAULT_FILE} back from a backup; without it its secrets are gone and have to be set again."
        yield Finding("vault.state", Severity.WARNING, VAULT_FILE, message, manual=manual)


def _told(vault: VaultRead) -> tuple[str, str]:
    detail = f": {vault.detail}" if vault.detail else ""
    abandon = "or give it up with `palyra vault abandon`"
    match vault.condition:
        case VaultCondition.LOCKED if OPEN_TO_OTHERS in vault.detail:
            return (
                f"The vault is locked{detail}.",
                "Close it (state.permissions does), then rotate: palyra vault rotate.",
            )
        case VaultCondition.LOCKED:
            return f"The vault is locked{detail}.", f"Bring its key back, {abandon}. It is never made anew by itself."
        case VaultCondition.WRONG_KEY:
            return "The vault was sealed with another key.", f"Bring the right key back, {abandon}."
        case VaultCondition.NEWER:
            return f"The vault was written by a newer Palyra{detail}.", "Upgrade Palyra."
        case _:
            return f"The vault is damaged{detail}.", f"Put {VAULT_FILE} back from a backup, {abandon}."


def entries(found: Installation) -> Iterator[Finding]:
    """Every secret in the vault can be read."""
    vault = found.vault.get()
    if vault.condition not in (VaultCondition.OK, VaultCondition.ABSENT):
        raise NothingToReadError("the vault cannot be opened (vault.state)")
    known = _uses_or_none(found)
    referenced = None if known is None else {use.ref for use in known}
    for ref in vault.tampered:
        needed = referenced is None or ref in referenced
        yield Finding(
            "vault.entries",
            Severity.BLOCKING if needed else Severity.WARNING,
            ref,
            f"The vault's entry {ref} was changed outside Palyra and cannot be opened.",
            manual=f"Set it again: palyra vault set {ref}. A tampered entry is never repaired.",
        )


def references(found: Installation) -> Iterator[Finding]:
    """Every reference leads to a secret."""
    from palyra.config.names import VAULT_REF

    vault = found.vault.get()
    if vault.condition in (VaultCondition.DAMAGED, VaultCondition.NEWER):
        raise NothingToReadError("the vault cannot be opened (vault.state)")
    told: set[tuple[str, str]] = set()
    for use in uses(found):
        fault = ""
        if VAULT_REF.pattern.fullmatch(use.ref) is None:
            fault = "is not written as one (<scope>/<key>)"
        elif use.ref not in vault.refs:
            fault = "is not in the vault"
        elif use.ref in vault.empty:
            fault = "is empty in the vault"
        if fault and (use.user, use.ref) not in told:
            told.add((use.user, use.ref))
            yield Finding(
                "vault.references",
                Severity.BLOCKING if use.enabled else Severity.WARNING,
                use.user,
                f"The {use.user} refers to {use.ref}, which {fault}.",
                manual=f"Set it: palyra vault set {use.ref}" if "vault" in fault else "Correct the reference.",
            )


CHECKS = (
    Check("vault.state", Severity.BLOCKING, condition),
    Check("vault.entries", Severity.BLOCKING, entries),
    Check("vault.references", Severity.BLOCKING, references),
)
