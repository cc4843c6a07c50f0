"""Carrying out the changes of a run, each with its intent written down first; a step that fails takes its own back."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from palyra.core.errors import ConflictError, PalyraError
from palyra.core.reasons import reason_of
from palyra.core.redact import redact_error
from palyra.core.values import value
from palyra.doctor.change import ABSENT, Action, FileFacts, PlannedChange, Root
from palyra.doctor.comparing import UNKNOWN_OWNER, same, same_content
from palyra.doctor.disk import Disk
from palyra.doctor.installation import Kind
from palyra.doctor.manifest import Entry, EntryState, Outcome, StepOutcome
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.files import RUN
from palyra.doctor.runs import MADE, RunRecord, forget_made


@value
class Worked:
    """What is told of a work that was done. `gap` is the time (UTC unix ms) of which not all is known any more."""

    notes: tuple[str, ...] = ()
    gap: tuple[int, int] | None = None


Work = Callable[[Path, Path], Worked]
"""Makes a new file out of one that stays as it is. Raises PalyraError."""


class PlanChangedError(ConflictError):
    """A file is not what the plan was made from: nothing of the step was kept."""

    code = "plan_changed"


class Execution:
    """One run. `works` are the journal works by name."""

    def __init__(self, disk: Disk, record: RunRecord, works: Mapping[str, Work], *, made_state_dir: bool) -> None:
        self._disk = disk
        self._record = record
        self._works = works
        self._made_state_dir = made_state_dir
        self._left: dict[tuple[Root, str], FileFacts] = {}

    def carry_out(self, step: RepairStep) -> StepOutcome:
        """Never raises for what the system or another process does: the outcome says it."""
        first = self._record.next_seq()
        try:
            made, notes, gap = self._make(step)
            for change in step.changes:
                self._change(change, made)
            return StepOutcome(step.repair_id, Outcome.APPLIED, notes=notes, gap=gap)
        except PlanChangedError as error:
            outcome, told = Outcome.CONFLICT, str(error)
        except (OSError, PalyraError) as error:
            outcome, told = Outcome.FAILED, redact_error(reason_of(error))
        told += self._take_back(first)
        forget_made(self._record.directory)
        return StepOutcome(step.repair_id, outcome, told)

    def _make(self, step: RepairStep) -> tuple[dict[str, Path], tuple[str, ...], tuple[int, int] | None]:
        """Everything that has to be made first, before anything is touched."""
        made: dict[str, Path] = {}
        notes: tuple[str, ...] = ()
        gap = None
        for change in step.changes:
            if change.work and change.work not in made:
                directory = self._record.directory / MADE
                directory.mkdir(mode=0o700, exist_ok=True)
                product = directory / change.work
                worked = self._works[change.work](self._disk.path(change.root, change.target), product)
                notes, gap = notes + worked.notes, worked.gap or gap
                made[change.work] = product
        return made, notes, gap

    def _change(self, change: PlannedChange, made: Mapping[str, Path]) -> None:
        change = replace(change, target=change.target.replace(RUN, self._record.manifest.run_id))
        path = self._disk.path(change.root, change.target)
        if change.work:
            product = self._disk.facts(made[change.work])
            change = replace(change, after=replace(product, mode=change.after.mode, owner=change.after.owner, mark=""))
        now = self._disk.facts(path)
        left = self._left.get((change.root, change.target))
        if left is not None and change.action is Action.CHMOD and not left.exists:
            # Removed by an earlier step.
            return
        if left is not None and change.action is Action.MODIFY and change.after.mode == change.before.mode:
            # The mode that an earlier step has set stays.
            change = replace(change, after=replace(change.after, mode=left.mode))
        if self._is_our_own_state_dir(change):
            now = ABSENT
        elif not self._expected(change, now, left):
            raise PlanChangedError(f"{path} was changed meanwhile.", fix="Look at the new plan first.")
        if change.action is Action.CHMOD and now.mode == change.after.mode:
            return
        if change.action is Action.CREATE and now.exists:
            # Made by an earlier step.
            change = replace(change, action=Action.MODIFY)
        seq = self._record.next_seq()
        backup = None
        if now.exists and now.kind is Kind.FILE and change.action in (Action.MODIFY, Action.DELETE):
            backup, copied = self._record.backup(path, seq)
            if not same(copied, replace(now, mark="")):
                raise PlanChangedError(f"{path} was changed meanwhile.", fix="Look at the new plan first.")
        after = change.after
        if change.action is Action.MOVE:
            kept = self._disk.facts(self._disk.path(change.root, change.source))
            if not same_content(kept, after):
                raise PlanChangedError(f"{change.source} was changed meanwhile.", fix="Look at the new plan first.")
            after = kept
        owner = after.owner if after.owner == os.geteuid() else UNKNOWN_OWNER
        entry = Entry(
            seq,
            change.repair_id,
            change.action,
            change.root,
            change.target,
            now,
            replace(after, owner=owner),
            EntryState.INTENDED,
            backup,
            change.holds_secret,
            self._disk.temporary(path).name if change.content is not None or change.content_from else "",
            change.source,
            max(1, self._disk.missing_levels(path)) if change.action is Action.MKDIR else 1,
        )
        self._record.intend(entry)
        self._do(change, path, entry, made)
        found = self._disk.facts(path)
        if not self._came_out(change, found, after):
            raise OSError(f"{path} is not what was written")
        self._record.settle(seq, EntryState.DONE, found)
        self._left[change.root, change.target] = found

    def _is_our_own_state_dir(self, change: PlannedChange) -> bool:
        """The directory that had to be made so that the run could be written down."""
        return (
            change.action is Action.MKDIR and (change.root, change.target) == (Root.STATE, ".") and self._made_state_dir
        )

    @staticmethod
    def _expected(change: PlannedChange, now: FileFacts, left: FileFacts | None) -> bool:
        """Whether the target is what this run left, or else what the plan was made from."""
        if change.action is Action.CHMOD:
            if left is not None:
                return same(now, left)
            return same(now, change.before, content=False)
        return same(now, left) if left is not None else same(now, change.before)

    def _do(self, change: PlannedChange, path: Path, entry: Entry, made: Mapping[str, Path]) -> None:
        disk = self._disk
        match change.action:
            case Action.CHMOD:
                disk.chmod(path, change.after.mode)
            case Action.MKDIR:
                if not self._is_our_own_state_dir(change):
                    disk.mkdir(path, change.after.mode)
            case Action.MOVE:
                disk.keep(disk.path(change.root, change.source), path)
            case Action.DELETE if change.before.kind is Kind.DIRECTORY:
                disk.rmdir(path, change.levels)
            case Action.DELETE:
                disk.remove(path)
            case _ if change.work:
                disk.take(made[change.work], path, change.after.mode, change.after.owner)
            case _ if change.after.kind is Kind.SOCKET:
                disk.make_socket(path, change.after.mode)
            case _:
                content = self._content(change)
                disk.put(path, content, change.after.mode, change.after.owner, path.with_name(entry.temporary))

    def _content(self, change: PlannedChange) -> bytes | Path:
        if change.content_from:
            return self._disk.roots[Root.STATE] / change.content_from
        assert change.content is not None
        return change.content

    @staticmethod
    def _came_out(change: PlannedChange, found: FileFacts, after: FileFacts) -> bool:
        if change.action is Action.DELETE and change.before.kind is Kind.DIRECTORY:
            return True
        if change.action is Action.CHMOD:
            return found.mode == after.mode
        return same_content(found, replace(after, mark="")) and (not after.exists or found.mode == after.mode)

    def _take_back(self, first: int) -> str:
        """Undoes the entries of the step that failed, the newest first; what to add to its error."""
        told = ""
        for entry in reversed(self._record.manifest.entries[first - 1 :]):
            try:
                self._restore(entry)
                self._record.settle(entry.seq, EntryState.UNDONE)
            except (OSError, PalyraError) as error:
                told = f" {entry.target} could not be put back: {redact_error(reason_of(error))}."
                break
        return told

    def _restore(self, entry: Entry) -> None:
        disk, before = self._disk, entry.before
        path = disk.path(entry.root, entry.target)
        now = disk.facts(path)
        if same(now, before, content=entry.action is not Action.CHMOD) and now.exists == before.exists:
            return
        if entry.action is Action.CHMOD:
            disk.chmod(path, before.mode)
        elif entry.action is Action.MKDIR:
            disk.rmdir(path, entry.levels)
        elif not before.exists:
            disk.remove(path)
        elif before.kind is Kind.SOCKET:
            disk.make_socket(path, before.mode)
        elif before.kind is Kind.DIRECTORY:
            disk.mkdir(path, before.mode)
        elif entry.backup is not None:
            disk.give_back(self._record.directory / entry.backup, path, before.mode, before.owner)
