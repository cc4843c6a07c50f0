"""Taking a run back: its whole chain is looked at first, then its entries are undone strictly in reverse."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from palyra import __version__
from palyra.core.errors import ConflictError, PalyraError
from palyra.core.values import value
from palyra.doctor.applying import RunResult, Site, Tools, finish, the_only_doctor
from palyra.doctor.change import ABSENT, Action, FileFacts, PlannedChange, Root
from palyra.doctor.comparing import Fate, Judged, judge
from palyra.doctor.confinement import is_temporary, may_touch
from palyra.doctor.disk import Disk, OutsideError
from palyra.doctor.execution import Execution
from palyra.doctor.installation import ConfigFiles, Kind, Recovery
from palyra.doctor.manifest import (
    Entry,
    EntryState,
    Manifest,
    Outcome,
    RunKind,
    RunState,
    StepOutcome,
)
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.recovery import UNDO
from palyra.doctor.runs import (
    RECOVERY,
    RUNS,
    RunRecord,
    Who,
    forget_made,
    forget_old_runs,
    load_run,
    load_runs,
    run_dir,
)

_SHOWN = 256 * 1024
"""Bytes of a file that is shown in a diff at most."""


class ChangedSinceError(ConflictError):
    """A target is not as the run left it."""

    code = "changed_since"


class NotOursError(ConflictError):
    """The manifest names a file that no repair may touch, or another installation."""

    code = "outside"


@value
class Undoing:
    """What it would take to undo a run. `conflicts` are targets that are not as the run left them; `lost` those whose
    backup is gone or damaged, which nothing can bring back."""

    run: Manifest
    step: RepairStep
    conflicts: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def plan_undoing(run: Manifest, site: Site, *, force: bool = False) -> Undoing:
    """Looks at the whole chain and writes nothing. With `force` also what conflicts is put back.

    Raises NotOursError for a manifest that leads outside, ConflictError for a run that was taken back already.
    """
    if run.state is RunState.ROLLED_BACK:
        raise ConflictError(f"The run {run.run_id} was taken back already.", code="rolled_back")
    _check_confined(run, site)
    disk = Disk(site.roots)
    judged = judge(
        run.entries,
        lambda root, target: disk.facts(disk.path(root, target)),
        unfinished=run.state is RunState.RUNNING,
    )
    conflicts = tuple(_named(one.entry) for one in judged if one.fate is Fate.CONFLICT)
    lost = tuple(
        _named(one.entry) for one in judged if one.fate is not Fate.NEVER and not _backed_up(one.entry, run, site)
    )
    changes = [
        change
        for one in judged
        if one.fate is Fate.HAPPENED or (one.fate is Fate.CONFLICT and force)
        if (change := _inverse(one, run, site)) is not None
    ]
    notes = [f"{name} was changed since" for name in conflicts] + [f"the backup of {name} is gone" for name in lost]
    step = RepairStep(
        UNDO,
        f"Take back the run {run.run_id}",
        "Every file it changed is as it was before: its bytes, its mode, whether it exists.",
        tuple(changes),
        force=bool(conflicts),
        notes=tuple(notes),
        undoes=run.run_id,
        needs_stop=any(
            change.target.startswith("journal.db") and change.action is not Action.CHMOD for change in changes
        ),
    )
    return Undoing(run, step, conflicts, lost)


def roll_back(run_id: str, site: Site, who: Who, tools: Tools, *, force: bool = False, live: bool = False) -> RunResult:
    """Undoes a run, as a run of its own.

    Raises UnknownRunError, ManifestError, NotOursError; ChangedSinceError where a target is not as the run left it, and
    nothing is written then.
    """
    needs_stop = plan_undoing(load_run(site.state_dir, run_id), site, force=True).step.needs_stop
    if needs_stop and live:
        return RunResult("", "", RunState.FAILED, (StepOutcome(UNDO, Outcome.NEEDS_STOP),))
    disk = Disk(site.roots, tools.seam)
    with the_only_doctor(site, who, tools, live=live, journal=needs_stop) as (new_id, _):
        run = load_run(site.state_dir, run_id)
        undoing = plan_undoing(run, site, force=force)
        check_possible(undoing, force=force)
        record = RunRecord(disk, site.state_dir, _manifest(new_id, run, site, who, tools.clock.now_ms(), force=force))
        record.begin()
        tools.progress(0, 1, UNDO)
        execution = Execution(disk, record, {}, made_state_dir=False)
        outcome = execution.carry_out(undoing.step)
        if outcome.outcome is Outcome.APPLIED:
            outcome = replace(outcome, outcome=Outcome.UNDONE)
        result = finish(record, [outcome], site, who, tools, "rolled_back")
        if outcome.outcome is Outcome.UNDONE and not result.trouble:
            _sweep(run, disk, site)
            _mark(run, disk, site)
        forget_old_runs(site.state_dir)
    return result


def check_possible(undoing: Undoing, *, force: bool) -> None:
    """Raises ChangedSinceError for what may not, or cannot, be undone."""
    if undoing.lost:
        names = ", ".join(undoing.lost)
        raise ChangedSinceError(f"The backup of {names} is gone or damaged; nothing was written.", code="backup_lost")
    if undoing.conflicts and not force:
        raise ChangedSinceError(
            f"Not as the run {undoing.run.run_id} left it: {', '.join(undoing.conflicts)}; nothing was written.",
            fix="With --force what is there now is kept in a backup and replaced.",
        )


def _sweep(run: Manifest, disk: Disk, site: Site) -> None:
    """Removes what a run that was killed had half written."""
    forget_made(run_dir(site.state_dir, run.run_id))
    for entry in run.entries:
        if entry.state is EntryState.INTENDED and is_temporary(entry.temporary) and "/" not in entry.temporary:
            with suppress(OSError):
                disk.path(entry.root, entry.target).with_name(entry.temporary).unlink()


def _mark(run: Manifest, disk: Disk, site: Site) -> None:
    """The run as taken back; and the one that a rollback had taken back as done again."""
    RunRecord(disk, site.state_dir, run).mark(RunState.ROLLED_BACK, run.finished_at_ms)
    if run.kind is RunKind.ROLLBACK and run.rolls_back is not None:
        try:
            original = load_run(site.state_dir, run.rolls_back)
        except PalyraError:
            return
        if original.state is RunState.ROLLED_BACK:
            whole = all(step.outcome in (Outcome.APPLIED, Outcome.UNDONE) for step in original.steps)
            state = RunState.COMPLETED if whole and original.steps else RunState.PARTIAL
            RunRecord(disk, site.state_dir, original).mark(state, original.finished_at_ms)


def _check_confined(run: Manifest, site: Site) -> None:
    config = any(entry.root is Root.CONFIG for entry in run.entries)
    if config and Path(os.path.realpath(run.config_path)) != site.config_file:
        raise NotOursError(
            f"The run {run.run_id} repaired {run.config_path}, not {site.config_path}.",
            fix=f"Name it: --config {run.config_path}",
        )
    disk = Disk(site.roots)
    for entry in run.entries:
        if not may_touch(entry, site.config_file.name):
            raise NotOursError(f"{_named(entry)} is no file a repair may touch; nothing was written.")
        try:
            disk.path(entry.root, entry.target)
        except OutsideError as error:
            raise NotOursError(f"{error.message} Nothing was written.") from None
        if entry.backup is not None and entry.backup != f"backups/{entry.seq}":
            raise NotOursError(f"The backup of {_named(entry)} is not in the run; nothing was written.")


def _backed_up(entry: Entry, run: Manifest, site: Site) -> bool:
    """Whether the bytes from before are there, where it takes bytes to undo the entry."""
    if entry.backup is None:
        needs = entry.action in (Action.MODIFY, Action.DELETE) and entry.before.kind is Kind.FILE
        return not (needs and entry.before.exists)
    disk = Disk(site.roots)
    return disk.facts(run_dir(site.state_dir, run.run_id) / entry.backup).sha256 == entry.before.sha256


def _inverse(one: Judged, run: Manifest, site: Site) -> PlannedChange | None:
    """What takes an entry back; None where before and after are the same."""
    entry, before, now = one.entry, one.entry.before, one.now
    if entry.action is Action.CHMOD:
        after = replace(now, mode=before.mode)
        return None if now.mode == before.mode or not now.exists else _change(entry, Action.CHMOD, now, after)
    if not before.exists:
        return _change(entry, Action.DELETE, now, ABSENT) if now.exists else None
    if before.kind is Kind.DIRECTORY:
        return None if now.exists else _change(entry, Action.MKDIR, ABSENT, before)
    action = Action.MODIFY if now.exists else Action.CREATE
    if before.kind is not Kind.FILE:
        return _change(entry, action, now, before)
    name = f"{RECOVERY}/{RUNS}/{run.run_id}/{entry.backup}"
    kept = site.state_dir / name
    was = _shown(Disk(site.roots).path(entry.root, entry.target)) if now.exists else b""
    content = _shown(kept)
    change = _change(entry, action, now, replace(before, mark=""))
    return replace(change, was=was, content=content, content_from=name)


def _change(entry: Entry, action: Action, before: FileFacts, after: FileFacts) -> PlannedChange:
    return PlannedChange(
        UNDO, action, entry.root, entry.target, before, after, holds_secret=entry.holds_secret, levels=entry.levels
    )


def _shown(path: Path) -> bytes | None:
    """The bytes of a file that is small enough for a diff."""
    try:
        return path.read_bytes() if path.lstat().st_size <= _SHOWN else None
    except OSError:
        return None


def _named(entry: Entry) -> str:
    return entry.target if entry.root is Root.STATE else f"{entry.target} (configuration)"


def _manifest(new_id: str, run: Manifest, site: Site, who: Who, now: int, *, force: bool) -> Manifest:
    return Manifest(
        run_id=new_id,
        kind=RunKind.ROLLBACK,
        state=RunState.RUNNING,
        created_at_ms=now,
        version=__version__,
        operator=who.operator,
        attestation=who.attestation,
        state_dir=str(site.state_dir),
        config_path=site.config_path,
        plan_digest="",
        force=force,
        rolls_back=run.run_id,
    )


def site_of(config_files: ConfigFiles, state_dir: Path) -> Site:
    """Where a run is taken back."""
    place = config_files.place
    return Site(state_dir, place.target.path, str(place.input.path))


def with_undo(recovery: Recovery, config_files: ConfigFiles | None, state_dir: Path) -> Recovery:
    """With the step that takes back the newest run that was cut short. One whose doctor is at work is none, nor one
    that nothing can take back."""
    if config_files is None or recovery.holder is not None or all(run.finished for run in recovery.runs):
        return recovery
    for run in load_runs(state_dir):
        if isinstance(run, Manifest) and run.state is RunState.RUNNING:
            try:
                return replace(recovery, undo=plan_undoing(run, site_of(config_files, state_dir), force=True).step)
            except (PalyraError, OSError):
                return recovery
    return recovery
