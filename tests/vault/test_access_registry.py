"""The access registry: its first start, what it keeps, and that a broken one lets nobody in."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.errors import ConflictError, StateError
from palyra.vault.access import KEY_FILE, REGISTRY_FILE, AccessRegistry
from palyra.vault.records import GatewayKey, Role
from palyra.vault.registry_shape import FLAGS

NOW = 1_795_348_800_000


def opened(state: Path, clock: ManualClock | None = None) -> AccessRegistry:
    return AccessRegistry.open(state, clock or ManualClock(NOW))


def document(state: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((state / REGISTRY_FILE).read_bytes())
    return data


def rewrite(state: Path, **changes: Any) -> None:
    (state / REGISTRY_FILE).write_text(json.dumps({**document(state), **changes}))


def change_key(state: Path, **changes: Any) -> None:
    """Edits the first key; a value of `...` takes the field away."""
    keys = document(state)["gateway_keys"]
    keys[0] = {name: value for name, value in {**keys[0], **changes}.items() if value is not ...}
    rewrite(state, gateway_keys=keys)


def token_of(state: Path) -> str:
    return (state / KEY_FILE).read_text().strip()


def test_the_first_start_makes_a_key_and_tells_where(tmp_path: Path) -> None:
    state = tmp_path / "state"
    registry = opened(state)
    assert registry.first_start
    assert registry.key_file == state / "gateway-key.txt"
    content = registry.key_file.read_text()
    assert re.fullmatch(r"plk_default_[A-Za-z0-9_-]{43}\n", content)
    key = registry.authenticate(content.strip())
    assert key is not None
    assert (key.key_id, key.name, key.principal, key.created_at) == ("default", "default", "local", NOW)
    assert (dict(key.tags), key.allowed_models, key.may_act_for, key.may_set_mode) == ({}, (), (), False)
    assert (key.channel, key.agent, key.expires_at, key.revoked_at) == ("", "", None, None)


def test_files_and_directory_are_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    opened(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {
        REGISTRY_FILE: 0o600,
        KEY_FILE: 0o600,
        "files.lock": 0o600,
    }


def test_the_registry_holds_the_digest_and_never_the_key(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    token = token_of(tmp_path)
    stored = document(tmp_path)
    assert token not in (tmp_path / REGISTRY_FILE).read_text()
    assert token[-43:] not in (tmp_path / REGISTRY_FILE).read_text()
    assert stored["version"] == 1
    assert stored["operators"] == []
    assert stored["feature_flags"] == FLAGS
    assert len(stored["gateway_keys"][0]["hash"]) == 64
    assert token not in repr(registry.keys)
    assert stored["gateway_keys"][0]["hash"] not in repr(registry.keys)


def test_the_second_start_reads_and_writes_nothing(tmp_path: Path) -> None:
    opened(tmp_path)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    registry = opened(tmp_path)
    assert not registry.first_start
    assert registry.authenticate(token_of(tmp_path)) is not None
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_every_first_start_makes_another_key(tmp_path: Path) -> None:
    opened(tmp_path / "a")
    opened(tmp_path / "b")
    assert token_of(tmp_path / "a") != token_of(tmp_path / "b")
    assert opened(tmp_path / "a").authenticate(token_of(tmp_path / "b")) is None


def test_a_start_that_died_between_the_files_makes_another_key(tmp_path: Path) -> None:
    opened(tmp_path)
    old = token_of(tmp_path)
    (tmp_path / REGISTRY_FILE).unlink()
    registry = opened(tmp_path)
    assert registry.authenticate(old) is None
    assert registry.authenticate(token_of(tmp_path)) is not None


def test_a_lost_key_file_is_not_made_again(tmp_path: Path) -> None:
    opened(tmp_path)
    token = token_of(tmp_path)
    (tmp_path / KEY_FILE).unlink()
    assert opened(tmp_path).authenticate(token) is not None
    assert not (tmp_path / KEY_FILE).exists()


def test_a_further_key_keeps_its_fields_and_every_unknown_one(tmp_path: Path) -> None:
    opened(tmp_path)
    first = document(tmp_path)["gateway_keys"][0]
    rewrite(
        tmp_path,
        gateway_keys=[{**first, "colour": "blue"}],
        operators=[{"id": "ana", "shoe_size": 40}],
        note={"kept": [1, 2]},
    )
    registry = opened(tmp_path)
    token = registry.add_key(
        "team",
        "ana@example",
        tags={"team": "red"},
        allowed_models=("gpt-*",),
        may_act_for=("ci-*",),
        may_set_mode=True,
        channel="slack:ops",
        agent="coder",
        expires_at=NOW + 1000,
    )
    assert re.fullmatch(r"plk_team_[A-Za-z0-9_-]{43}", token)
    stored = document(tmp_path)
    assert (stored["note"], stored["operators"][0]["shoe_size"]) == ({"kept": [1, 2]}, 40)
    assert stored["gateway_keys"][0] == {**first, "colour": "blue"}
    for reader in (registry, opened(tmp_path)):
        key = reader.authenticate(token)
        assert key is not None
        assert (dict(key.tags), key.allowed_models, key.may_act_for) == ({"team": "red"}, ("gpt-*",), ("ci-*",))
        assert (key.channel, key.agent, key.may_set_mode, key.principal) == ("slack:ops", "coder", True, "ana@example")
        assert key.expires_at == NOW + 1000
    assert (tmp_path / f"{REGISTRY_FILE}.bak.1").exists()


def test_the_last_five_contents_are_kept(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    for number in range(7):
        registry.add_key(f"k{number}", "a")
    backups = sorted(path.name for path in tmp_path.glob("*.bak.*"))
    assert backups == [f"{REGISTRY_FILE}.bak.{number}" for number in range(1, 6)]
    counts = [len(json.loads((tmp_path / name).read_bytes())["gateway_keys"]) for name in backups]
    assert counts == [7, 6, 5, 4, 3]


def test_a_key_added_by_another_process_is_not_lost(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    mine, theirs = first.add_key("mine", "a"), second.add_key("theirs", "b")
    assert second.authenticate(mine) is not None
    assert opened(tmp_path).authenticate(theirs) is not None


def test_a_key_id_is_given_once_and_has_a_form(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    with pytest.raises(ConflictError, match="default"):
        registry.add_key("default", "local")
    for key_id, principal, fields in [
        ("Bad", "a", {}),
        ("x", "a b", {}),
        ("x", "a", {"tags": {"T": "x"}}),
        ("x", "a", {"channel": "a b"}),
        ("x", "a", {"expires_at": -1}),
    ]:
        with pytest.raises(ValueError, match="is not what it should be"):
            registry.add_key(key_id, principal, **fields)  # type: ignore[arg-type]
    assert len(document(tmp_path)["gateway_keys"]) == 1


def test_mode_override_is_honoured_only_with_its_flag(tmp_path: Path) -> None:
    token = opened(tmp_path).add_key("m", "a", may_set_mode=True)
    flags = dict(document(tmp_path)["feature_flags"])
    for value, may in ((True, True), (False, False), ("true", False), (1, False), (None, False)):
        rewrite(tmp_path, feature_flags={**flags, "mode_override": value})
        key = opened(tmp_path).authenticate(token)
        assert key is not None
        assert key.may_set_mode is may


def test_flags_at_creation_and_flags_that_are_missing(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    assert {name: registry.flag(name) for name in FLAGS} == {
        "console_read": True,
        "console_write": False,
        "external_heartbeats": True,
        "mode_override": True,
        "console_repair": True,
    }
    assert not registry.flag("no_such_flag")
    rewrite(tmp_path, feature_flags={"console_read": True, "future_flag": True})
    registry = opened(tmp_path)
    assert [registry.flag(name) for name in ("console_read", "mode_override", "future_flag")] == [True, False, False]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "is no object"),
        (b"null", "is no object"),
        (b'{"version": 2}', "Upgrade Palyra"),
        (b'{"version": 0}', "no version"),
        (b'{"version": true}', "no version"),
        (b'{"version": "1"}', "no version"),
        (b'{"version": 1, "gateway_keys": {}}', "gateway_keys"),
        (b'{"version": 1, "operators": {}}', "operators"),
        (b'{"version": 1, "feature_flags": []}', "feature_flags"),
        (b'{"version": 1, "opesators": [{"id": "ann"}], "gateway_keys": []}', 'has no operators, but "opesators"'),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_registry_nobody_understands_lets_nobody_in(tmp_path: Path, content: bytes, says: str) -> None:
    opened(tmp_path)
    token = token_of(tmp_path)
    (tmp_path / REGISTRY_FILE).write_bytes(content)
    registry = opened(tmp_path)
    assert says in registry.unavailable
    assert registry.authenticate(token) is None
    assert (dict(registry.keys), registry.operators, registry.flag("console_read")) == ({}, (), False)
    # Nobody may act as if no operator were registered: that cannot be known.
    assert registry.operators_registered
    with pytest.raises(StateError) as raised:
        registry.add_key("x", "a")
    assert raised.value.code == "access_unavailable"
    assert (tmp_path / REGISTRY_FILE).read_bytes() == content


def test_a_sound_registry_is_available(tmp_path: Path) -> None:
    assert opened(tmp_path).unavailable == ""
    assert opened(tmp_path).unavailable == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": ...},
        {"enabled": False},
        {"enabled": "true"},
        {"principal": ...},
        {"principal": ""},
        {"principal": 5},
        {"hash": ...},
        {"hash": "00"},
        {"hash": "0" * 64},
        {"key_id": ...},
        {"key_id": "Default"},
        {"key_id": "other"},
        {"tags": "team=red"},
        {"tags": ["team"]},
        {"tags": ["a=1", "a=2"]},
        {"tags": [f"a{number}=1" for number in range(17)]},
        {"allowed_models": "gpt"},
        {"may_act_for": [1]},
        {"may_set_mode": 1},
        {"channel": "a b"},
        {"expires_at": "2030"},
        {"expires_at": True},
        {"expires_at": NOW},
        {"expires_at": NOW - 1},
        {"revoked_at": NOW + 10_000},
        {"revoked_at": 0},
        {"created_at": -1},
    ],
    ids=str,
)
def test_a_key_that_is_off_or_in_doubt_opens_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    opened(tmp_path)
    change_key(tmp_path, **changes)
    registry = opened(tmp_path)
    assert registry.authenticate(token_of(tmp_path)) is None
    assert registry.unavailable == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ...},
        {"channel": ..., "agent": None, "tags": ..., "allowed_models": ..., "may_act_for": ..., "may_set_mode": ...},
        {"created_at": ..., "expires_at": None, "revoked_at": None},
        {"expires_at": NOW + 1},
        {"unknown": {"x": 1}},
    ],
    ids=str,
)
def test_fields_that_are_missing_take_their_narrowest_value(tmp_path: Path, changes: dict[str, Any]) -> None:
    opened(tmp_path)
    change_key(tmp_path, **changes)
    key = opened(tmp_path).authenticate(token_of(tmp_path))
    assert key is not None
    assert (key.may_set_mode, key.may_act_for) == (False, ())


def test_one_bad_record_does_not_take_the_others_along(tmp_path: Path) -> None:
    token = opened(tmp_path).add_key("second", "b")
    keys = document(tmp_path)["gateway_keys"]
    rewrite(
        tmp_path,
        gateway_keys=["nonsense", {**keys[0], "hash": 3}, keys[1], {**keys[1], "principal": "thief"}],
        operators=[{"id": "Ana"}, {"id": "bob", "role": "king"}, {"id": "eve"}],
    )
    registry = opened(tmp_path)
    key = registry.authenticate(token)
    assert key is not None
    assert key.principal == "b"
    assert registry.faults == (
        "operator 1: id is not what it should be",
        "operator 2: role is not what it should be",
        "operator 3: eve has neither identity nor token",
        "gateway key 1: it is no object",
        "gateway key 2: hash is not what it should be",
        "gateway key 4: key_id second is taken by an earlier one",
    )
    assert [(one.operator_id, one.name, one.role, one.identities, one.enabled) for one in registry.operators] == [
        ("eve", "eve", Role.VIEWER, (), False)
    ]
    assert registry.operators_registered


def test_an_expiring_key_ends_with_the_clock(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    registry = opened(tmp_path, clock)
    token = registry.add_key("brief", "a", expires_at=NOW + 1000)
    clock.tick(0.999)
    assert registry.authenticate(token) is not None
    clock.tick(0.001)
    assert registry.authenticate(token) is None


def test_a_registry_others_could_write_stops_the_start(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / REGISTRY_FILE).chmod(0o620)
    with pytest.raises(StateError, match="can be written by other accounts"):
        opened(tmp_path)


@pytest.mark.parametrize("name", [REGISTRY_FILE, KEY_FILE])
def test_links_stop_the_start(tmp_path: Path, name: str) -> None:
    state = tmp_path / "state"
    opened(state)
    (state / name).rename(tmp_path / "moved")
    (state / name).symlink_to(tmp_path / "moved")
    with pytest.raises(StateError, match="symbolic link"):
        opened(state)


@pytest.mark.parametrize("name", [REGISTRY_FILE, KEY_FILE])
def test_files_others_could_read_are_tightened_at_start(tmp_path: Path, name: str) -> None:
    opened(tmp_path)
    (tmp_path / name).chmod(0o644)
    opened(tmp_path)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_an_open_state_directory_of_ours_is_tightened(tmp_path: Path) -> None:
    opened(tmp_path)
    tmp_path.chmod(0o755)
    opened(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["default", "local", "a=b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["key_id", "name", "hash", "principal", "enabled", "tags", "expires_at", "id", "role", "identities"]
records = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=10)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "version": json_values,
            "gateway_keys": st.lists(records | json_values, max_size=3) | json_values,
            "operators": st.lists(records | json_values, max_size=3) | json_values,
            "feature_flags": st.dictionaries(st.sampled_from(sorted(FLAGS)), json_values) | json_values,
        },
    )
)
def test_whatever_the_registry_says_it_is_read_or_unavailable(data: dict[str, Any]) -> None:
    registry = AccessRegistry(Path("/nowhere"), ManualClock(NOW))
    registry._read(json.dumps(data).encode())
    assert all(isinstance(key, GatewayKey) for key in registry.keys.values())
    assert all(isinstance(fault, str) for fault in registry.faults)
    assert registry.authenticate("plk_default_" + "A" * 43) is None
