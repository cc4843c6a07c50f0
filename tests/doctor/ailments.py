"""Ways an installation can be ill, each by itself, and each of which some repair answers."""

import json
import os
import socket
from collections.abc import Callable

from palyra.vault.registry_shape import new_document
from tests.doctor.patients import BROKEN, SOUND, Patient

Ailment = Callable[[Patient], None]
REGISTRY, PROFILES = "access_registry.json", "auth_profiles.toml"
GOOD_PROFILE = '[[profile]]\nid = "p1"\nprovider = "openai"\ntype = "api_key"\nvault_ref = "global/openai"\n'
BAD_PROFILES = f'# ours\ncolour = "blue"\n{GOOD_PROFILE}\n[[profile]]\nid = "p1"\n'
LONG_AGO = (1_000_000_000, 1_000_000_000)
NOBODY = 4_194_303
"""No process has this number: it is above what the kernel gives unless told otherwise."""


def _config(data: bytes, *backups: bytes, mode: int = 0o600) -> Ailment:
    def make(patient: Patient) -> None:
        patient.with_config(data, *backups, mode=mode)

    return make


def _registry(data: object, *backups: object) -> Ailment:
    def make(patient: Patient) -> None:
        for number, content in enumerate((data, *backups)):
            name = REGISTRY if not number else f"{REGISTRY}.bak.{number}"
            write(patient, name, content if isinstance(content, bytes) else json.dumps(content).encode())

    return make


def _profiles(*contents: str) -> Ailment:
    def make(patient: Patient) -> None:
        for number, content in enumerate(contents):
            write(patient, PROFILES if not number else f"{PROFILES}.bak.{number}", content.encode())

    return make


def write(patient: Patient, name: str, data: bytes, mode: int = 0o600) -> None:
    path = patient.state / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def _open_files(patient: Patient) -> None:
    write(patient, "vault/vault.key", b"k" * 43, 0o644)
    write(patient, "logs/palyra.log", b"words\n", 0o664)
    write(patient, "gateway-key.txt", b"plk_default_x\n", 0o400)
    (patient.state / "logs").chmod(0o755)
    (patient.state / "vault").chmod(0o777)


def _open_root(patient: Patient) -> None:
    patient.state.chmod(0o755)


def _leftovers(patient: Patient) -> None:
    for path in (patient.state / f"x.tmp.{NOBODY}.12", patient.config.parent / f"palyra.toml.tmp.{NOBODY}.ab"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(b"half of a fi")
        path.chmod(0o640)
        os.utime(path, LONG_AGO)


def _dead_socket(patient: Patient) -> None:
    here = os.getcwd()
    os.chdir(patient.state)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("operators.sock")
    finally:
        os.chdir(here)
    (patient.state / "operators.sock").chmod(0o600)


def _nothing(patient: Patient) -> None:
    """Healthy in this respect."""


def registry(**changes: object) -> dict[str, object]:
    return {**new_document(), **changes}


_NO_ADMIN = registry(operators=[{"id": "carol", "role": "viewer", "enabled": True, "identities": ["unix:carol"]}])

CONFIG: dict[str, Ailment] = {
    "sound": _config(SOUND),
    "missing": _nothing,
    "versionless": _config(b"# old\n[runs]\n", SOUND, b"version = 1\n", BROKEN, SOUND, SOUND),
    "with a backup": _config(BROKEN, BROKEN, SOUND),
    "without a backup": _config(BROKEN),
    "open": _config(SOUND, mode=0o646),
    "broken and open": _config(BROKEN, SOUND, mode=0o644),
}
ACCESS: dict[str, Ailment] = {
    "sound": _registry(new_document()),
    "missing": _nothing,
    "without flags": _registry(registry(feature_flags={"console_write": True}, ours=1), new_document()),
    "a list": _registry([]),
    "a list with a backup": _registry([], b"{", new_document()),
    "without an admin": _registry(_NO_ADMIN),
    "without an admin and flags": _registry({**_NO_ADMIN, "feature_flags": {}}),
    "cut short": _registry(b'{"version": 1, "operators": [', new_document()),
}
AUTH: dict[str, Ailment] = {
    "missing": _nothing,
    "sound": _profiles(f"version = 1\n{GOOD_PROFILE}"),
    "versionless": _profiles(GOOD_PROFILE),
    "bad records": _profiles(BAD_PROFILES, GOOD_PROFILE, GOOD_PROFILE),
    "cut short": _profiles("version = 1\n[[profile", "nonsense", f"version = 1\n{GOOD_PROFILE}"),
    "cut short for good": _profiles("version = 1\n[[profile"),
}
STATE: dict[str, Ailment] = {
    "open files": _open_files,
    "open root": _open_root,
    "leftovers": _leftovers,
    "dead socket": _dead_socket,
}
