"""Installations on a disk of their own, looked at and repaired as a command would."""

import asyncio
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from palyra.core.clock import Clock, SystemClock
from palyra.doctor.applying import RunResult, Site, Terms, Tools
from palyra.doctor.carrying_out import carry_out, journal_works
from palyra.doctor.checks.catalogue import CHECKS
from palyra.doctor.disk import Seam, no_seam
from palyra.doctor.finding import Finding
from palyra.doctor.installation import Installation, NothingToReadError, NotReadError
from palyra.doctor.manifest import Outcome
from palyra.doctor.plan import Plan
from palyra.doctor.planning import plan_repairs
from palyra.doctor.reading import Means, Where, read_installation
from palyra.doctor.rolling_back import roll_back
from palyra.doctor.runs import Who

WHO = Who("local:tester", "owner")
SOUND = b'version = 1\n\n[runs]\nmax_duration = "2h"  # long answers\n'
BROKEN = b'version = 1\n\n[runs\nmax_duration = "2h"\n'
OURS = ("recovery", "engine.lock", "files.lock")
"""What repairing itself leaves in a state directory."""

MEMORY = "/dev/shm"
Snapshot = dict[str, tuple[str, int, bytes]]


@dataclass
class Patient:
    """One installation below `root`; nothing of it exists until a test makes it."""

    root: Path
    clock: Clock = field(default_factory=SystemClock)

    @property
    def config(self) -> Path:
        return self.root / "config" / "palyra" / "palyra.toml"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def where(self) -> Where:
        environ = {"HOME": str(self.root), "XDG_CONFIG_HOME": str(self.root / "config")}
        return Where(state_dir=self.state, environ=environ, system_file=self.root / "etc" / "palyra.toml")

    def with_config(self, data: bytes, *backups: bytes, mode: int = 0o600) -> "Patient":
        self.config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number, content in enumerate((data, *backups)):
            path = self.config if not number else self.config.with_name(f"palyra.toml.bak.{number}")
            path.write_bytes(content)
            path.chmod(mode)
        return self

    def with_state(self, **files: bytes) -> "Patient":
        """Files by their names, `__` for a dot."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        for name, data in files.items():
            path = self.state / name.replace("__", ".")
            path.write_bytes(data)
            path.chmod(0o600)
        return self

    def look(self) -> tuple[Installation, tuple[Finding, ...]]:
        found = asyncio.run(read_installation(self.where, Means(self.clock)))
        return found, tuple(_findings(found))

    def plan(self, *only: str) -> Plan:
        return plan_repairs(*self.look(), only=only)

    def site(self) -> Site:
        return Site(self.state, self.config.resolve(), str(self.config))

    def tools(self, seam: Seam = no_seam) -> Tools:
        return Tools(self.clock, journal_works(self.clock), seam)

    def repair(self, plan: Plan | None = None, *, force: bool = False, seam: Seam = no_seam) -> RunResult:
        return carry_out(plan or self.plan(), Terms(force=force), self.site(), WHO, self.tools(seam))

    def roll_back(self, run_id: str, *, force: bool = False, seam: Seam = no_seam) -> RunResult:
        return roll_back(run_id, self.site(), WHO, self.tools(seam), force=force)

    def tree(self) -> Snapshot:
        """Everything below the root but what repairing leaves: kind, mode and bytes by name."""
        return {name: one for name, one in self.everything().items() if not _is_ours(name)}

    def everything(self) -> Snapshot:
        found: Snapshot = {}
        for path in sorted(self.root.rglob("*")):
            facts = path.lstat()
            data = path.read_bytes() if stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK) else b""
            found[str(path.relative_to(self.root))] = (
                stat.filemode(facts.st_mode)[0],
                stat.S_IMODE(facts.st_mode),
                data,
            )
        return found


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory where writing costs little, if there is one: each write is waited for until it is durable."""
    with tempfile.TemporaryDirectory(prefix="palyra-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as directory:
        yield Path(directory)


def outcomes(result: RunResult) -> list[tuple[str, Outcome]]:
    return [(step.repair_id, step.outcome) for step in result.steps]


def ids(plan: Plan) -> list[str]:
    return [step.repair_id for step in plan.steps]


def named(findings: Sequence[Finding], check: str) -> list[str]:
    return [finding.object for finding in findings if finding.check == check]


def _is_ours(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "state" and (len(parts) == 1 or parts[1] in OURS)


def _findings(found: Installation) -> Iterator[Finding]:
    for check in CHECKS:
        try:
            yield from check.find(found)
        except (NothingToReadError, NotReadError):
            continue
