"""Every check in the order in which it is made and told, and which repairs answer it."""

from collections.abc import Mapping

from palyra.doctor.checks import access, auth, config, journal, recovery, secrets, serving, state, surroundings
from palyra.doctor.checks.check import Check

CHECKS: tuple[Check, ...] = (
    *surroundings.CHECKS,
    *state.CHECKS,
    *config.CHECKS,
    *secrets.CHECKS,
    *auth.CHECKS,
    *access.CHECKS,
    *journal.CHECKS,
    *serving.CHECKS,
    *journal.WORK,
    *recovery.CHECKS,
)

ONLINE = frozenset({"providers.reachable"})
PROBES = "probes"
"""The group of the checks of probes, of which there is one for each that is configured."""

ANSWERS: Mapping[str, tuple[str, ...]] = {
    "state.create": ("state.directory",),
    "state.permissions": ("state.permissions",),
    "state.cleanup": ("state.leftovers",),
    "config.initialize": ("config.found",),
    "config.migrate": ("config.version",),
    "config.restore_backup": ("config.syntax",),
    "config.reinitialize": ("config.syntax",),
    "config.permissions": ("config.permissions",),
    "auth.normalize": ("auth.records",),
    "auth.restore_backup": ("auth.registry",),
    "auth.reinitialize": ("auth.registry",),
    "access.backfill": ("access.flags",),
    "access.restore_backup": ("access.registry",),
    "access.reinitialize": ("access.registry",),
    "access.owner_admin": ("access.admin",),
    "journal.migrate": ("journal.schema",),
    "journal.rollups": ("journal.rollups",),
    "journal.salvage": ("journal.open", "journal.integrity"),
    "recovery.undo": ("recovery.unfinished",),
}
"""Every repair, and the checks whose findings name it."""
