"""Installations of many shapes in which nothing is wrong: nothing is said to be."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.doctor.finding import Severity, Status
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from palyra.vault.access import AccessRegistry
from palyra.vault.records import Role
from palyra.vault.vault import Vault
from tests.doctor.faults_of_secrets import assign, edited
from tests.doctor.healthy import CONFIG, PROFILES, Patient, copied, healthy_at
from tests.journal.samples import T0, a_hold, a_run, new_id, settled, taken

MANY = 300


def in_order(patient: Patient) -> None:
    assert patient.config.exists()


def nothing_at_all(patient: Patient) -> None:
    shutil.rmtree(patient.root)
    patient.root.mkdir(mode=0o700)
    patient.named = False


def no_configuration(patient: Patient) -> None:
    shutil.rmtree(patient.config.parent)
    (patient.state / "auth_profiles.toml").unlink()
    patient.named = False


def environment_alone(patient: Patient) -> None:
    no_configuration(patient)
    patient.environ |= {
        "PALYRA_PROVIDERS__OPENAI__KIND": "openai_compatible",
        "PALYRA_PROVIDERS__OPENAI__API_KEY_ENV": "OPENAI_API_KEY",
        "OPENAI_API_KEY": "sk-environment-0123456789",
    }


def found_by_a_variable(patient: Patient) -> None:
    patient.named = False
    patient.environ["PALYRA_CONFIG"] = str(patient.config)


def in_the_system(patient: Patient) -> None:
    """Readable by all and writable by its owner alone, as a package would put it."""
    shutil.rmtree(patient.config.parent)
    patient.named = False
    path = patient.where.system_file
    path.parent.mkdir()
    path.write_text(CONFIG)
    path.chmod(0o444)


def behind_a_link(patient: Patient) -> None:
    target = patient.root / "dotfiles.toml"
    patient.config.rename(target)
    patient.config.symlink_to(target)


def smallest(patient: Patient) -> None:
    (patient.state / "auth_profiles.toml").unlink()
    patient.configure("version = 1\n")


def in_windows_lines(patient: Patient) -> None:
    patient.configure(CONFIG.replace("\n", "\r\n"))


def a_key_in_the_environment(patient: Patient) -> None:
    key = (patient.state / "vault/vault.key").read_text().strip()
    (patient.state / "vault/vault.key").unlink()
    patient.environ["PALYRA_VAULT_KEY"] = key


def a_key_file_elsewhere(patient: Patient) -> None:
    key = patient.root / "keys" / "vault.key"
    key.parent.mkdir(mode=0o700)
    (patient.state / "vault/vault.key").rename(key)
    patient.configure(f'{CONFIG}\n[vault]\nkey_file = "{key}"\n')


def no_vault(patient: Patient) -> None:
    shutil.rmtree(patient.state / "vault")
    smallest(patient)


def a_rotated_vault(patient: Patient) -> None:
    Vault.open(patient.state).rotate()


def operators(patient: Patient) -> None:
    registry = AccessRegistry.open(patient.state, ManualClock(T0))
    for name in ("bob", "carol", "dave"):
        registry.issue_token(name, owner="ann", role=Role.APPROVER)


def many_keys(patient: Patient) -> None:
    def more(data: dict[str, list[dict[str, object]]]) -> None:
        first = data["gateway_keys"][0]
        data["gateway_keys"] += [{**first, "key_id": f"key-{number}"} for number in range(MANY)]

    edited("access_registry.json", more)(patient)


def fields_not_known_here(patient: Patient) -> None:
    edited("access_registry.json", assign("gateway_keys", 0, "colour", "blue"))(patient)


def many_profiles(patient: Patient) -> None:
    record = '[[profile]]\nid = "p{0}"\nprovider = "upstream"\ntype = "api_key"\nvault_ref = "global/openai"\n'
    patient.write("auth_profiles.toml", PROFILES + "\n".join(record.format(number) for number in range(MANY)))


def with_tls(patient: Patient) -> None:
    text = 'bind = "0.0.0.0:7142"\ntls_cert = "/etc/ssl/palyra.pem"\ntls_key = "/etc/ssl/palyra.key"'
    patient.configure(CONFIG.replace('bind = "127.0.0.1:7142"', text))


def a_wal(patient: Patient) -> None:
    """As after a power cut: the newest rows are in the WAL alone, and nobody checkpoints it."""
    copy = patient.root / "running"

    async def write() -> None:
        journal = await Journal.open(patient.state, ManualClock(T0))
        await _used(journal, 20)
        await journal.keep_head()
        shutil.copytree(patient.state, copy)
        await journal.close()

    asyncio.run(write())
    shutil.rmtree(patient.state)
    copy.rename(patient.state)
    assert (patient.state / "journal.db-wal").stat().st_size


def a_longer_journal(patient: Patient) -> None:
    async def write() -> None:
        journal = await Journal.open(patient.state, ManualClock(T0))
        await _used(journal, 500)
        await journal.close()

    asyncio.run(write())


async def _used(journal: Journal, runs: int) -> None:
    changes: list[Change] = []
    for _ in range(runs):
        run = a_run(new_id())
        hold = a_hold(run)
        changes += [*taken(run, hold), *settled(run, hold)]
    await journal.submit(changes)


def a_new_journal(patient: Patient) -> None:
    async def write() -> None:
        await (await Journal.open(patient.state, ManualClock(T0))).close()

    for name in ("journal.db", "audit.head"):
        (patient.state / name).unlink()
    asyncio.run(write())


def never_started(patient: Patient) -> None:
    smallest(patient)
    shutil.rmtree(patient.state)


def a_tight_disk(patient: Patient) -> None:
    patient.configure(f'{CONFIG}\n[journal]\ndisk_low = "2MiB"\ndisk_stop = "1MiB"\n')


def in_a_long_place(patient: Patient) -> None:
    """The socket of such a directory lies elsewhere."""
    patient.write("socket.path", "/run/user/0/palyra-0-0123456789ab/operators.sock\n")


def after_repairs(patient: Patient) -> None:
    told = {"run_id": "01JD00000000000000000000AA", "kind": "repair", "state": "completed", "created_at_ms": T0}
    patient.write("recovery/runs/01JD00000000000000000000AA/manifest.json", json.dumps(told))
    patient.write("recovery/doctor.lock", json.dumps({"pid": 1, "operator": "ann"}))


def being_written(patient: Patient) -> None:
    """A file that is younger than five minutes may be one that somebody writes right now."""
    path = patient.write(f"access_registry.json.tmp.{os.getpid()}.0a1b", b"{")
    at = (patient.now - 30_000) / 1000
    os.utime(path, (at, at))


SHAPES: tuple[Callable[[Patient], object], ...] = (
    in_order,
    nothing_at_all,
    no_configuration,
    environment_alone,
    found_by_a_variable,
    in_the_system,
    behind_a_link,
    smallest,
    in_windows_lines,
    a_key_in_the_environment,
    a_key_file_elsewhere,
    no_vault,
    a_rotated_vault,
    operators,
    many_keys,
    fields_not_known_here,
    many_profiles,
    with_tls,
    a_wal,
    a_longer_journal,
    a_new_journal,
    never_started,
    a_tight_disk,
    in_a_long_place,
    after_repairs,
    being_written,
)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Patient:
    return healthy_at(tmp_path_factory.mktemp("healthy") / "at")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_nothing_is_wrong_with_an_installation_in_order(
    shape: Callable[[Patient], object], healthy: Patient, tmp_path: Path
) -> None:
    patient = copied(healthy, tmp_path / "at")
    shape(patient)
    _, examined = asyncio.run(patient.look())
    assert [one for one in examined.findings if one.severity is not Severity.INFO] == []
    assert [check for check in examined.checks if check.status is Status.ERROR] == []
    assert not examined.blocked
