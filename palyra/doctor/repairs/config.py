"""Repairs of the configuration file. Values in it are never changed, nor a file of a newer version."""

from collections.abc import Sequence
from dataclasses import replace

from palyra.config.load import interpret
from palyra.config.migrating import migrated
from palyra.config.minimal import minimal_file
from palyra.config.problem import LayerName
from palyra.core.errors import PalyraError
from palyra.doctor.change import ABSENT, PRIVATE_DIR, PRIVATE_FILE, Action, FileFacts, PlannedChange, Root
from palyra.doctor.finding import Finding
from palyra.doctor.installation import ConfigFiles, Input, Installation, Kind
from palyra.doctor.plan import RepairStep
from palyra.doctor.repairs.answering import answers
from palyra.doctor.repairs.files import closed, rotated, written
from palyra.doctor.repairs.restoring import Chosen, newest_good, replaced

INITIALIZE = "config.initialize"
MIGRATE = "config.migrate"
RESTORE = "config.restore_backup"
REINITIALIZE = "config.reinitialize"
PERMISSIONS = "config.permissions"


def initialize(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Writes a first configuration."""
    files = installation.config_files.found
    if files is None or not answers(findings, INITIALIZE) or files.place.target.exists:
        return None
    place = files.place.target
    changes: list[PlannedChange] = []
    if not files.directory_exists:
        after = FileFacts(True, mode=PRIVATE_DIR, owner=installation.uid, kind=Kind.DIRECTORY)
        changes.append(PlannedChange(INITIALIZE, Action.MKDIR, Root.CONFIG, ".", ABSENT, after))
    changes.append(written(INITIALIZE, Root.CONFIG, place, minimal_file(), installation.uid))
    return RepairStep(
        INITIALIZE,
        f"Begin a configuration at {place.path}",
        "A commented file in which everything is at its default, which is also what holds without a file.",
        tuple(changes),
    )


def migrate(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Brings the configuration to this version."""
    files = installation.config_files.found
    if files is None or files.chosen is None or not answers(findings, MIGRATE):
        return None
    target, data = files.chosen.target, files.chosen.input.data
    if data is None or target.facts is None:
        return None
    try:
        rewritten = migrated(data)
    except PalyraError:
        return None
    if not rewritten.changes:
        return None
    found = _with_bytes(files)
    return RepairStep(
        MIGRATE,
        f"Bring {target.path} to the current version",
        f"{'; '.join(rewritten.changes)}. Comments, order and all values stay; the old file becomes .bak.1.",
        (
            *rotated(MIGRATE, Root.CONFIG, found, files.backups, holds_secret=True),
            written(
                MIGRATE,
                Root.CONFIG,
                found,
                rewritten.data,
                installation.uid,
                mode=target.facts.mode,
                holds_secret=True,
            ),
        ),
    )


def restore_backup(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Puts the newest backup of the configuration back that can be read."""
    files = installation.config_files.found
    if files is None or files.chosen is None or not answers(findings, RESTORE) or not _replaceable(files):
        return None
    chosen = _newest_good(installation, files)
    if chosen.backup is None or chosen.backup.data is None:
        return None
    return RepairStep(
        RESTORE,
        f"Restore {files.chosen.target.path} from {chosen.backup.path.name}",
        "What was changed since that backup is lost from the configuration; the broken file is kept beside it.",
        replaced(RESTORE, Root.CONFIG, _with_bytes(files), chosen.backup.data, installation.uid, holds_secret=True),
        notes=chosen.rejected,
        inputs=chosen.inputs,
    )


def reinitialize(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Begins the configuration anew; the old one is kept aside."""
    files = installation.config_files.found
    if files is None or files.chosen is None or not _replaceable(files):
        return None
    if not answers(findings, REINITIALIZE) and not answers(findings, RESTORE):
        return None
    chosen = _newest_good(installation, files)
    if chosen.backup is not None:
        return None
    return RepairStep(
        REINITIALIZE,
        f"Begin {files.chosen.target.path} anew",
        "No backup is good. Every setting goes back to its default, budgets and providers of the file are gone; the"
        " broken file is kept beside it.",
        replaced(REINITIALIZE, Root.CONFIG, _with_bytes(files), minimal_file(), installation.uid, holds_secret=True),
        force=True,
        notes=chosen.rejected,
        inputs=chosen.inputs,
    )


def permissions(installation: Installation, findings: Sequence[Finding]) -> RepairStep | None:
    """Takes the right to read and to write from everybody else: also for backups with secrets in them."""
    files = installation.config_files.found
    if files is None or files.chosen is None or not answers(findings, PERMISSIONS):
        return None
    target = files.chosen.target
    if target.facts is None or installation.uid not in (target.facts.uid, 0):
        return None
    at_fault = {finding.object for finding in findings if PERMISSIONS in finding.repairs}
    open_ones = [one for one in (target, *files.backups.values()) if str(one.path) in at_fault]
    changes = [closed(PERMISSIONS, Root.CONFIG, one.path.name, one, PRIVATE_FILE) for one in open_ones]
    done = tuple(change for change in changes if change is not None)
    if not done:
        return None
    return RepairStep(
        PERMISSIONS,
        f"Close {target.path} to other accounts" if target in open_ones else "Close earlier configurations to others",
        f"{'Each' if len(done) > 1 else 'It'} becomes 0600. Keys in it that others could read should be rotated.",
        done,
        security=True,
    )


def _replaceable(files: ConfigFiles) -> bool:
    return files.chosen is not None and files.chosen.target.is_file


def _with_bytes(files: ConfigFiles) -> Input:
    assert files.chosen is not None
    return replace(files.chosen.target, data=files.chosen.input.data)


def _newest_good(installation: Installation, files: ConfigFiles) -> Chosen:
    assert files.chosen is not None
    path = files.chosen.target.path

    def fault(data: bytes) -> str:
        loaded = interpret(data, path, installation.environ, {})
        wrong = [problem for problem in loaded.problems if problem.origin.layer is LayerName.FILE]
        return str(wrong[0]) if wrong else ""

    return newest_good(files.backups, fault)
