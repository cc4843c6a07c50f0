"""What was told as done, and whether it is so once another engine has taken over."""

import json
import sqlite3
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palyra.core.money import parse_usd
from palyra.vault.access import REGISTRY_FILE
from tests.faults.copies import Told
from tests.faults.operating import GONE


def standing(told: Iterable[Told]) -> dict[str, Any]:
    """What is true by everything that was told, by what it is about. What somebody had asked for and was not answered
    may have been done or not; what was denied for want of a disk, or told to be written later, may be so either way."""
    known: dict[str, Any] = {}
    asked: dict[int, str] = {}
    for line in told:
        if "sent_command" in line:
            asked[line["sent_command"]] = line["about"]
        elif "kept" in line:
            known.pop(asked.pop(line["kept"]), None)
            known.pop(line["about"], None)
            if not line.get("later"):
                known[line["about"]] = line["value"]
        elif "refused" in line:
            about = asked.pop(line["refused"])
            if line["status"] not in ("stale", "not_found", "invalid", "conflict"):
                known.pop(about, None)
    for about in asked.values():
        known.pop(about, None)
    known.pop("", None)
    return known


@dataclass(frozen=True, slots=True)
class Found:
    """What lies there. `secrets` are digests of what the vault has, by reference."""

    database: sqlite3.Connection
    registry: Mapping[str, Any]
    profiles: str
    chat: str
    secrets: Mapping[str, str] = field(default_factory=dict)

    def one(self, question: str, *given: object) -> Any:
        """The first column of the first row; None without any."""
        row = self.database.execute(question, given).fetchone()
        return None if row is None else row[0]

    def record(self, table: str, name: str, value: str) -> Mapping[str, Any] | None:
        """Of the access registry."""
        return next((one for one in self.registry.get(table, ()) if one.get(name) == value), None)


def look(home: Path, database: sqlite3.Connection, secrets: Mapping[str, str]) -> Found:
    state = home / "state"
    profiles = state / "auth_profiles.toml"
    config = tomllib.loads((home / "palyra.toml").read_text())
    return Found(
        database,
        json.loads((state / REGISTRY_FILE).read_bytes()),
        profiles.read_text() if profiles.exists() else "",
        config["defaults"]["chat"],
        secrets,
    )


def broken(known: Mapping[str, Any], found: Found) -> list[str]:
    """Promises that are not kept."""
    faults = []
    for about, value in known.items():
        kind, _, name = about.partition(":")
        kept = KINDS.get(kind)
        if kept is not None and not kept(found, name, value):
            faults.append(f"{about} was told to be {value!r}, and is not")
    return faults


def _approval(found: Found, name: str, value: str) -> bool:
    decision = found.one("SELECT decision FROM approvals WHERE approval_id = ?", name)
    return decision is not None and value in ("asked", decision)


def _policy(found: Found, name: str, value: str) -> bool:
    newest = "FROM policies WHERE policy_id = ? ORDER BY revision DESC LIMIT 1"
    if value == GONE:
        return bool(found.one(f"SELECT removed {newest}", name))
    body = found.one(f"SELECT body {newest}", name)
    return body is not None and parse_usd(json.loads(body)["hard_limit"]) == parse_usd(value)


def _job(found: Found, name: str, value: str) -> bool:
    state = found.one("SELECT state FROM jobs WHERE name = ?", name)
    return bool({GONE: state is None, "paused": state == "paused"}.get(value, state is not None))


def _fire(found: Found, name: str, value: str) -> bool:
    return found.one("SELECT state FROM job_fires WHERE fire_id = ?", name) is not None


def _note(found: Found, name: str, value: str) -> bool:
    text = found.one("SELECT text FROM memory_notes WHERE note_id = ?", name)
    return bool(text == (None if value == GONE else value))


def _gateway_key(found: Found, name: str, value: str) -> bool:
    key = found.record("gateway_keys", "key_id", name)
    if value == GONE:
        return key is None or not key["enabled"] or key.get("revoked_at") is not None
    return key is not None and value in json.dumps(key)


def _key_name(found: Found, name: str, value: str) -> bool:
    key = found.record("gateway_keys", "key_id", name)
    return key is None or bool(key["name"] == value)


def _operator(found: Found, name: str, value: str) -> bool:
    operator = found.record("operators", "id", name)
    return (operator is None) == (value == GONE)


def _profile(found: Found, name: str, value: str) -> bool:
    return (f'"{name}"' in found.profiles or f"[{name}]" in found.profiles) != (value == GONE)


def _secret(found: Found, name: str, value: str) -> bool:
    return found.secrets.get(name, GONE) == value


def _alert(found: Found, name: str, value: str) -> bool:
    return found.one("SELECT acted_by FROM alerts WHERE alert_id = ?", name) not in (None, "")


def _incident_note(found: Found, name: str, value: str) -> bool:
    told = found.one("SELECT group_concat(data) FROM incident_timeline WHERE incident_id = ?", name)
    return told is not None and value in told


def _acknowledged(found: Found, name: str, value: str) -> bool:
    known = "SELECT count(*) FROM incident_episodes WHERE incident_id = ? AND acknowledged_at IS NOT NULL"
    return bool(found.one(known, name))


KINDS: Mapping[str, Callable[[Found, str, Any], bool]] = {
    "approval": _approval,
    "grant": lambda found, name, _: (
        found.one("SELECT state FROM grants WHERE grant_id = ?", name) not in (None, "active")
    ),
    "policy": _policy,
    "correction": lambda found, name, cost: found.one("SELECT cost FROM runs WHERE run_id = ?", name) == cost,
    "task": lambda found, name, _: found.one("SELECT state FROM tasks WHERE task_id = ?", name) is not None,
    "job": _job,
    "fire": _fire,
    "note": _note,
    "gateway_key": _gateway_key,
    "key_name": _key_name,
    "operator": _operator,
    "feature": lambda found, name, on: found.registry["feature_flags"].get(name) is on,
    "secret": _secret,
    "profile": _profile,
    "alert": _alert,
    "incident": _acknowledged,
    "incident_note": _incident_note,
    "config": lambda found, _, model: found.chat == model,
}
