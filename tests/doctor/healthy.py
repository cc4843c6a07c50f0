"""A healthy installation of many parts, made once and copied for whoever wants to break it."""

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.core.redact import Secret
from palyra.doctor.examining import Examination, examine
from palyra.doctor.files import Files
from palyra.doctor.finding import Finding
from palyra.doctor.installation import Installation
from palyra.doctor.reading import Means, Where, read_installation
from palyra.journal.changes import Change, CredentialNoted
from palyra.journal.journal import Journal
from palyra.journal.lock import EngineLock
from palyra.journal.rows import CredentialRow
from palyra.providers.fingerprints import Fingerprints
from palyra.vault.access import AccessRegistry
from palyra.vault.records import Role
from palyra.vault.vault import Vault
from tests.journal.samples import T0, a_hold, a_run, new_id, settled, taken

NOW = T0 + 3_600_000
KEY = "sk-upstream-0123456789abcdef"

CONFIG = """\
version = 1

[gateway]
bind = "127.0.0.1:7142"

[governance]
timezone = "Europe/Prague"

[[budgets]]
policy_id = "all-month"
hard_limit = 50.0

[[budgets]]
policy_id = "upstream-day"
scope_kind = "provider"
scope_id = "upstream"
interval_kind = "daily"
hard_limit = 5

[providers.upstream]
kind = "openai_compatible"
base_url = "https://api.openai.com/v1"
auth_profiles = ["main", "spare"]

[providers.second]
kind = "anthropic"
api_key_vault_ref = "global/second"

[providers.off]
kind = "openai_compatible"
base_url = "https://llm.example.com/v1"
enabled = false

[[models]]
provider = "upstream"
upstream = "gpt-4o-mini"

[[models]]
provider = "second"
upstream = "claude-3-5-haiku-latest"

[[jobs]]
name = "digest"
cron = "0 7 * * *"
action = "prompt"
prompt = "Write the digest."

[[notifications.webhook]]
name = "ops"
url = "https://hooks.example.com/in"
secret_ref = "global/hook"

[[probes]]
id = "search"
target = "https://search.example.com/healthz"
"""

PROFILES = """\
version = 1

[[profile]]
id = "main"
provider = "upstream"
type = "api_key"
vault_ref = "global/openai"

[[profile]]
id = "spare"
provider = "upstream"
type = "token"
vault_ref = "global/spare"
expires_at = 2031-01-01T00:00:00Z
"""


@dataclass
class Patient:
    """An installation below `root`, and what it is read with."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    named: bool = True
    uid: int | None = None
    files: Files = field(default_factory=Files)
    now: int = NOW
    alter: Callable[[Installation], Installation] = lambda found: found

    @property
    def config(self) -> Path:
        return self.root / "etc" / "palyra.toml"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def where(self) -> Where:
        environ = {"HOME": str(self.root), **self.environ}
        named = self.config if self.named else None
        return Where(named, self.state, environ, system_file=self.root / "nowhere" / "palyra.toml")

    def write(self, name: str, data: bytes | str, mode: int = 0o600) -> Path:
        """A file of the state directory."""
        path = self.state / name
        for directory in reversed(path.relative_to(self.state).parents):
            (self.state / directory).mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        path.chmod(mode)
        return path

    def configure(self, data: bytes | str, mode: int = 0o600, backup: int = 0) -> None:
        path = self.config if not backup else self.config.with_name(f"palyra.toml.bak.{backup}")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        path.chmod(mode)

    async def look(self) -> tuple[Installation, Examination]:
        clock = ManualClock(self.now)
        found = self.alter(await read_installation(self.where, Means(clock, files=self.files, uid=self.uid)))
        return found, await examine(found, clock)

    def facts(self) -> Mapping[str, tuple[int, int, int, bytes]]:
        """Mode, times of change and access (ns) and bytes of everything below the root, read so that none of it
        changes."""
        told = {}
        for path in sorted(self.root.rglob("*")):
            found = path.lstat()
            data = _bytes(path) if stat.S_ISREG(found.st_mode) else b""
            told[str(path.relative_to(self.root))] = found.st_mode, found.st_mtime_ns, found.st_atime_ns, data
        return told


def _bytes(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOATIME)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def copied(healthy: Patient, root: Path) -> Patient:
    shutil.copytree(healthy.root, root, symlinks=True)
    return Patient(root, dict(healthy.environ))


def healthy_at(root: Path) -> Patient:
    """Makes one. Blocks."""
    patient = Patient(root)
    patient.state.mkdir(mode=0o700, parents=True)
    patient.configure(CONFIG.replace('"Europe/Prague"', '"UTC"'), backup=1)
    patient.configure(CONFIG)
    patient.write("auth_profiles.toml.bak.1", PROFILES)
    patient.write("auth_profiles.toml", PROFILES)
    patient.write("logs/palyra.log", "started\n")
    clock = ManualClock(T0)
    access = AccessRegistry.open(patient.state, clock)
    access.issue_token("ann", owner="ann", role=Role.ADMIN)
    access.add_key("team", "team@example.com")
    vault = Vault.open(patient.state)
    for ref in ("global/openai", "global/spare", "global/second", "global/hook", "global/unused"):
        vault.set(ref, f"{KEY}-{ref}", T0)
    fingerprints = Fingerprints.open(patient.state)
    asyncio.run(_journal(patient.state, clock, fingerprints.of(Secret(f"{KEY}-global/openai"))))
    lock = EngineLock(patient.state)
    lock.acquire(patient.state / "operators.sock")
    lock.release()
    return patient


async def _journal(state: Path, clock: ManualClock, fingerprint: str) -> None:
    journal = await Journal.open(state, clock)
    changes: list[Change] = [CredentialNoted(CredentialRow("upstream", "main", fingerprint, last_used=T0))]
    await journal.submit(changes)
    for _ in range(60):
        run = a_run(new_id(), model="gpt-4o-mini", provider="upstream")
        hold = a_hold(run)
        await journal.submit(taken(run, hold))
        await journal.submit(settled(run, hold))
    await journal.close()


def named(findings: tuple[Finding, ...], check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]
