"""Whatever lies in files that are repaired, no secret of it is told: in no diff, finding, record or text."""

import base64
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from palyra.vault.registry_shape import new_document
from tests.doctor.ailments import LONG_AGO, NOBODY, write
from tests.doctor.patients import Patient, in_memory
from tests.doctor.test_acceptance import typed
from tests.doctor.test_telling import said

PROVIDER = '[providers.a]\nkind = "openai_compatible"\nbase_url = "https://x.example/v1"\n'
BROKEN = "\n[runs"
CONFIGURATIONS = {
    "as it should be": f'version = 1\n{PROVIDER}api_key = "CANARY"\n',
    "of an older version": f'{PROVIDER}api_key = "CANARY"\n',
    "cut short after it": f'version = 1\n{PROVIDER}api_key = "CANARY"{BROKEN}',
    "cut short inside it": f'version = 1\n{PROVIDER}api_key = "CANARY',
    "in single quotes": f"version = 1\n{PROVIDER}api_key = 'CANARY'{BROKEN}",
    "without quotes": f"version = 1\n{PROVIDER}api_key = CANARY\n",
    "with its name in quotes": f'version = 1\n{PROVIDER}"api_key" = "CANARY"{BROKEN}',
    "in an inline table": f'version = 1\nproviders = {{ a = {{ kind = "anthropic", api_key = "CANARY" }} }}{BROKEN}',
    "of the wrong type": f'version = 1\n{PROVIDER}api_key = ["CANARY"]\n',
    "twice": f'version = 1\n{PROVIDER}api_key = "CANARY"\napi_key = "CANARY"\n',
    "in an address": f"version = 1\n{PROVIDER.replace('//x.', '//me:CANARY@x.')}{BROKEN}",
}
STATE = {
    f"vault/vault.key.tmp.{NOBODY}.ab": "CANARY\n",
    f"fingerprint.key.tmp.{NOBODY}.ab": "CANARY\n",
    f"gateway-key.txt.tmp.{NOBODY}.ab": "plk_default_CANARY\n",
    f"access_registry.json.tmp.{NOBODY}.ab": '{"gateway_keys": [{"hash": "CANARY',
    "access_registry.json": json.dumps(
        {**new_document(), "feature_flags": {}, "operators": [{"id": "a", "token_hash": "CANARY", "role": "admin"}]},
        indent=1,
    ),
    "auth_profiles.toml": '[[profile]]\nid = "p"\nprovider = "a"\ntype = "api_key"\napi_key = "CANARY"\n',
}


@pytest.fixture
def patient() -> Iterator[Patient]:
    with in_memory() as place:
        yield Patient(place)


def told_about(patient: Patient) -> list[str]:
    """All that is said and written down until everything is repaired and taken back."""
    preview, _ = typed(patient, repair=True, dry_run=True)
    text = "\n".join([*said(patient), *said(patient, repair=True, dry_run=True)])
    applied, _ = typed(patient, repair=True, force=True)
    told = [json.dumps(preview), text, json.dumps(applied)]
    if applied["result"]["run_id"]:
        told.append(json.dumps(typed(patient, rollback=applied["result"]["run_id"], dry_run=True)[0]))
        told.append("\n".join(said(patient, rollback=applied["result"]["run_id"], dry_run=True)))
    kept = [path for path in (patient.state / "recovery").rglob("*") if path.is_file() and "backups" not in path.parts]
    return told + [path.read_text() for path in kept]


def a_canary() -> str:
    """One that nothing in this process has heard of, and that does not look like a key of any provider."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=").replace("-", "x")


@pytest.mark.parametrize("text", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_configuration_keeps_its_secrets(text: str, patient: Patient) -> None:
    canary = a_canary()
    backup = CONFIGURATIONS["as it should be"].replace("CANARY", f"{canary}2")
    patient.with_config(text.replace("CANARY", canary).encode(), backup.encode(), mode=0o644).with_state()
    told = told_about(patient)
    assert [one for one in told if canary in one] == []
    assert len(told) > 5


def test_files_of_the_state_keep_their_secrets_and_what_was_half_written_is_not_shown(patient: Patient) -> None:
    canaries = {name: a_canary() for name in STATE}
    patient.with_config(b"version = 1\n").with_state()
    for name, text in STATE.items():
        write(patient, name, text.replace("CANARY", canaries[name]).encode())
        if ".tmp." in name:
            os.utime(patient.state / name, LONG_AGO)
    told = told_about(patient)
    plan = {step["repair_id"]: step for step in json.loads(told[0])["plan"]["steps"]}
    assert {"state.cleanup", "access.backfill", "auth.normalize"} <= set(plan)
    assert [(name, one) for name, canary in canaries.items() for one in told if canary in one] == []
    assert {change["diff"].partition(" (")[0] for change in plan["state.cleanup"]["changes"]} == {"removed"}
    assert Path(json.loads(told[2])["result"]["manifest"]).exists()
