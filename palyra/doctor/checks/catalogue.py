"""Every check, in the order in which it is made and told."""

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
