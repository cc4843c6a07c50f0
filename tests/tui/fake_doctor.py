"""An installation as a doctor tells of it: what it finds, plans, did, and what comes of repairs."""

from dataclasses import replace

from palyra.control.codec import encode
from palyra.control.doctor_commands import ApplyRepairs, DoctorCommand, RollBack
from palyra.control.doctor_queries import (
    ChangeView,
    CheckView,
    DoctorPreview,
    DoctorPreviewQuery,
    DoctorReport,
    DoctorReportQuery,
    DoctorRuns,
    DoctorRunsQuery,
    FindingView,
    RepairsDone,
    RunOfRepairs,
    StepOutcomeView,
    StepView,
)
from palyra.control.doctor_views import OUTCOME
from palyra.control.snapshots import CommandResult
from palyra.core.plural import plural
from palyra.core.values import value
from tests.tui.fake_views import MINUTE, NOW, ident

STATE, CONFIG = "/home/pavel/.local/state/palyra", "/home/pavel/.config/palyra/palyra.toml"
RUN, EARLIER = ident(9_001), ident(9_000)

BROKEN = FindingView(
    f"config.syntax:{CONFIG}",
    "config.syntax",
    "blocking",
    CONFIG,
    f"{CONFIG} cannot be read as a configuration: Expected '=' after a key in a key/value pair (line 14, column 12).",
    ("Until it can, defaults are assumed.",),
    ("config.restore_backup",),
    "Correct that line.",
)
OPEN_KEY = FindingView(
    "state.permissions:vault/vault.key",
    "state.permissions",
    "warning",
    "vault/vault.key",
    f"Other accounts may read {STATE}/vault/vault.key (mode 0644 instead of 0600).",
    (),
    ("state.permissions",),
)
NO_ADMIN = FindingView(
    "access.registry:access_registry.json",
    "access.registry",
    "blocking",
    "access_registry.json",
    "The access registry cannot be used: it is no object.",
    (),
    ("access.reinitialize",),
    "Correct access_registry.json. Until then every key is refused.",
)
OLD_ROWS = FindingView(
    "journal.schema:journal.db",
    "journal.schema",
    "warning",
    "journal.db",
    "The journal is of schema 19; this version writes 20.",
    (),
    ("journal.migrate",),
)
NO_VAULT = FindingView(
    "vault.state:vault/vault.json",
    "vault.state",
    "warning",
    "vault/vault.json",
    f"There is a vault key ({STATE}/vault/vault.key), but no vault.",
    (),
    (),
    "Put vault/vault.json back from a backup; without it its secrets are gone and have to be set again.",
)
KEY_FILE = FindingView("access.keys:first", "access.keys", "info", "first", "The first gateway key was never used.")

_DIFF = """--- palyra.toml
+++ palyra.toml
@@ -11,6 +11,5 @@
 [[budgets]]
 policy_id = "team-day"
-hard_limit 45.00
+hard_limit = 40.00
 action = "approval_required"
"""
RESTORE = StepView(
    "config.restore_backup",
    "Restore palyra.toml from palyra.toml.bak.1",
    "What was changed since that backup is lost from the configuration; the broken file is kept beside it.",
    False,
    False,
    False,
    ("palyra.toml.bak.2: it is empty",),
    (
        ChangeView("palyra.toml.quarantine-{run}", "move", "keeps what palyra.toml holds now\n"),
        ChangeView("palyra.toml", "modify", _DIFF),
    ),
)
CLOSE = StepView(
    "state.permissions",
    "Close files of the state to other accounts",
    "Files become 0600, directories 0700; what they hold stays. Rotate keys that were exposed.",
    False,
    False,
    True,
    (),
    (
        ChangeView("vault/vault.key", "chmod", "mode 0644 → 0600\n"),
        ChangeView("vault", "chmod", "mode 0755 → 0700\n"),
    ),
)
ANEW = StepView(
    "access.reinitialize",
    "Begin the access registry anew",
    "No backup is good. There are no operators and no keys then, and every feature is off.",
    True,
    False,
    True,
    (),
    (ChangeView("access_registry.json", "modify", "--- a\n+++ b\n@@ -1 +1,2 @@\n-[]\n+{\n+}\n"),),
)
MIGRATE = StepView(
    "journal.migrate",
    "Migrate the journal to schema 20",
    "A backup is made first.",
    False,
    True,
    False,
    (),
    (ChangeView("journal.db", "modify", "a new file takes the place of the one there is (412,000 bytes)\n"),),
)
_WELL = ("env.python", "env.sqlite", "env.zones", "state.directory", "state.disk", "auth.registry", "auth.records")
PASSED = tuple(CheckView(name, "blocking", "pass", 1) for name in _WELL)
SKIPPED = CheckView("config.values", "blocking", "skipped", 0, "the configuration cannot be parsed (config.syntax)")


@value
class Clinic:
    """`under_way`: done, total and step of a run that is carried out now."""

    findings: tuple[FindingView, ...] = ()
    steps: tuple[StepView, ...] = ()
    checks: tuple[CheckView, ...] = PASSED
    runs: tuple[RunOfRepairs, ...] = ()
    live: bool = True
    conflicts: tuple[str, ...] = ()
    under_way: tuple[int, int, str] = (0, 0, "")

    @property
    def digest(self) -> str:
        return "d" * 60 + f"{len(self.steps):04}"


def ill() -> Clinic:
    """A broken configuration, a key that others may read, and what a person has to do."""
    return Clinic((BROKEN, OPEN_KEY, NO_VAULT, KEY_FILE), (CLOSE, RESTORE), (*PASSED, SKIPPED), (earlier_run(),))


def very_ill() -> Clinic:
    """With what loses something and what needs the engine stopped."""
    found = (BROKEN, NO_ADMIN, OPEN_KEY, OLD_ROWS, NO_VAULT, KEY_FILE)
    return Clinic(found, (CLOSE, RESTORE, ANEW, MIGRATE), PASSED, (earlier_run(),))


def ward() -> Clinic:
    """Forty things at once."""
    names = [f"tasks/{number:03}.json" for number in range(38)]
    files = [
        replace(
            OPEN_KEY, id=f"{OPEN_KEY.check}:{name}", object=name, message=f"Other accounts may read {STATE}/{name}."
        )
        for name in names
    ]
    changes = tuple(ChangeView(one.object, "chmod", "mode 0644 → 0600\n") for one in files)
    return Clinic((BROKEN, NO_ADMIN, *files), (replace(CLOSE, changes=changes), RESTORE, ANEW), PASSED)


def evil_clinic(text: str) -> Clinic:
    """Whatever a file may name carries what a terminal would obey."""
    found = FindingView(text, text, "blocking", text, text, (text,), ("config.restore_backup",), text)
    step = replace(
        RESTORE,
        title=text,
        impact=text,
        notes=(text,),
        changes=(ChangeView(text, "modify", f"--- {text}\n+++ {text}\n@@ -1 +1 @@\n-{text}\n+{text}\n"),),
    )
    run = replace(earlier_run(), operator=text, steps=(StepOutcomeView(text, "failed", text, (text,)),))
    return Clinic((found,), (step,), (), (run, RunOfRepairs(fault=text)))


def earlier_run() -> RunOfRepairs:
    at = NOW - 95 * MINUTE
    steps = (StepOutcomeView("auth.normalize", "applied"),)
    return RunOfRepairs(EARLIER, "repair", "completed", at, at + 320, "unix:ana", "", steps)


def doctor_told(clinic: Clinic, query: object) -> DoctorReport | DoctorPreview | DoctorRuns:
    match query:
        case DoctorReportQuery():
            return DoctorReport(NOW, clinic.live, CONFIG, STATE, clinic.checks, clinic.findings)
        case DoctorPreviewQuery(run_id=""):
            return DoctorPreview(clinic.digest, clinic.live, clinic.steps)
        case DoctorPreviewQuery(run_id=run_id, force=force):
            back = ChangeView("vault/vault.key", "chmod", "mode 0600 → 0644\n")
            notes = tuple(f"{name} was changed since" for name in clinic.conflicts)
            impact = "Every file it changed is as it was before: its bytes, its mode, whether it exists."
            lost = bool(clinic.conflicts)
            changes = (back,) if force or not lost else ()
            step = StepView("recovery.undo", f"Take back the run {run_id}", impact, lost, False, False, notes, changes)
            return DoctorPreview("e" * 64, clinic.live, (step,), clinic.conflicts)
        case DoctorRunsQuery():
            return DoctorRuns(clinic.runs, *clinic.under_way)
    raise AssertionError(query)


def doctor_done(clinic: Clinic, command: DoctorCommand) -> tuple[Clinic, CommandResult]:
    """What is left after a command, and what is told of it."""
    match command:
        case ApplyRepairs(digest=digest, steps=names):
            if digest != clinic.digest:
                return clinic, CommandResult("conflict", "The plan is another one by now.", code="plan_changed")
            assert names is not None
            steps = tuple(StepOutcomeView(name, "applied") for name in names)
            run = RunOfRepairs(RUN, "repair", "completed", NOW, NOW + 40, "unix:pavel", "", steps)
            clinic = replace(
                clinic,
                findings=tuple(one for one in clinic.findings if not set(one.repairs) & set(names)),
                steps=tuple(one for one in clinic.steps if one.repair_id not in names),
                runs=(run, *clinic.runs),
            )
            return clinic, came_of(clinic, *steps, said=f"{plural(len(steps), 'step')} applied.")
        case RollBack(run_id=run_id):
            before = ill()
            runs = tuple(replace(one, state="rolled_back") if one.run_id == run_id else one for one in clinic.runs)
            clinic = replace(clinic, findings=before.findings, steps=before.steps, runs=runs)
            return clinic, came_of(clinic, StepOutcomeView("recovery.undo", "undone"), said="The run is taken back.")
    raise AssertionError(command)


def came_of(clinic: Clinic, *steps: StepOutcomeView, said: str, complete: bool = True) -> CommandResult:
    state = "completed" if complete else "partial"
    done = RepairsDone(RUN, "manifest.json", state, complete, False, steps, "", clinic.findings)
    data = {"run_id": RUN, OUTCOME: encode(RepairsDone, done).decode()}
    return CommandResult("accepted" if complete else "conflict", said, "", data, "" if complete else "partial")
