"""The plan for what was found: every repair that has something to do, in the order they are carried out."""

from collections.abc import Callable, Collection, Sequence

from palyra.doctor.finding import Finding
from palyra.doctor.installation import Installation
from palyra.doctor.plan import Plan, RepairStep, make_plan
from palyra.doctor.repairs import access, auth, config, journal, recovery, state

Repair = Callable[[Installation, Sequence[Finding]], RepairStep | None]

REPAIRS: dict[str, Repair] = {
    recovery.UNDO: recovery.undo,
    state.CREATE: state.create,
    state.CLEANUP: state.cleanup,
    config.PERMISSIONS: config.permissions,
    state.PERMISSIONS: state.permissions,
    config.INITIALIZE: config.initialize,
    config.RESTORE: config.restore_backup,
    config.REINITIALIZE: config.reinitialize,
    config.MIGRATE: config.migrate,
    auth.RESTORE: auth.restore_backup,
    auth.REINITIALIZE: auth.reinitialize,
    auth.NORMALIZE: auth.normalize,
    access.RESTORE: access.restore_backup,
    access.REINITIALIZE: access.reinitialize,
    access.BACKFILL: access.backfill,
    access.OWNER_ADMIN: access.owner_admin,
    journal.SALVAGE: journal.salvage,
    journal.MIGRATE: journal.migrate,
    journal.ROLLUPS: journal.rollups,
}
"""Files are closed before they are rewritten, so that what is kept of them is closed as well."""


def plan_repairs(
    installation: Installation,
    findings: Sequence[Finding],
    *,
    only: Collection[str] = (),
    skip: Collection[str] = (),
) -> Plan:
    """A pure function of what was read and found. `only` and `skip` are ids of repairs; an empty `only` is all.

    An unfinished run is taken back first and alone: what other repairs would do is looked at again after that.
    """
    wanted = [name for name in REPAIRS if (not only or name in only) and name not in skip]
    steps: list[RepairStep] = []
    for name in wanted:
        step = REPAIRS[name](installation, findings)
        if step is not None:
            steps.append(step)
            if name == recovery.UNDO:
                break
    files, engine = installation.config_files.found, installation.engine.found
    return make_plan(
        steps,
        None if files is None else files.place.target.path,
        installation.state_dir,
        beside_engine=engine is not None and engine.running,
    )
