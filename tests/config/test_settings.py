"""A configuration as a list of values: spelled as a file holds them, without secrets, compared with another."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.example import toml
from palyra.config.load import interpret
from palyra.config.model import LoadedConfig
from palyra.config.settings import settings as settings_of
from palyra.config.settings import waiting
from palyra.config.shape import key_names
from tests.config.key_table import TABLES
from tests.config.loading import FILE, load, sound
from tests.config.test_every_key import written
from tests.config.test_example_file import EXAMPLE, SWITCH
from tests.config.test_lines import quoted, spelled
from tests.config.test_nothing_raises import shaped, variables

CANARY = "sk-canary-0123456789-abcdefghij"


def values(config: LoadedConfig) -> dict[str, Any]:
    return {one.key: one.spelled for one in settings_of(config)}


def test_every_key_is_listed_in_the_order_of_the_model() -> None:
    listed = [one.key for one in settings_of(LoadedConfig())]
    rows = ("budgets.", "pricing.", "providers.", "models.", "jobs.", "notifications.webhook.", "probes.")
    assert listed == [key for key in key_names(LoadedConfig) if not key.startswith((*rows, "console.keys"))]
    everything = sound(SWITCH.sub("", EXAMPLE.read_text()))
    keys = [one.key for one in settings_of(everything)]
    assert len(keys) == len(set(keys))
    assert {"budgets[2].scope_id", "providers.rehearsal.script[1].status", 'console.keys."approval.allow_once"'} <= set(
        keys
    )


def test_a_value_is_spelled_as_it_can_be_written_again() -> None:
    """What is shown of any value, put into a file in its place, gives that value."""
    checked = 0
    for before, rows in TABLES:
        for section, key, _, accepted, _ in rows:
            if key in ("from", "to"):
                continue
            for given_text in accepted:
                text = written(before, section, key, given_text)
                config = sound(text)
                (one,) = [one for one in settings_of(config) if one.path[-1] == key and _is_at(one.path, section)]
                if one.typed is None:
                    continue
                again = sound(written(before, section, key, toml(one.spelled)))
                assert again == config, (section, key, one.spelled)
                checked += 1
    assert checked > 300


def _is_at(path: tuple[str | int, ...], section: str) -> bool:
    return ".".join(part for part in path[:-1] if isinstance(part, str)) == section


@pytest.mark.parametrize(
    ("text", "key", "shown"),
    [
        ('[[budgets]]\npolicy_id = "b"\nhard_limit = 12.5\n', "budgets[0].hard_limit", "12.50"),
        (
            '[[budgets]]\npolicy_id = "b"\nhard_limit = 12\nmetric_kind = "requests"\n',
            "budgets[0].hard_limit",
            12,
        ),
        ('[[budgets]]\npolicy_id = "b"\nhard_limit = 12.5\n', "budgets[0].soft_limit", "80%"),
        ('[[budgets]]\npolicy_id = "b"\nsoft_limit = 12.5\n', "budgets[0].hard_limit", None),
        (
            '[[pricing]]\nprovider = "*"\nmodel = "m"\nfrom = 2026-07-01\nper_request = 0\n',
            "pricing[0].from",
            "2026-07-01T00:00:00Z",
        ),
        ('[providers.p]\nkind = "anthropic"\n', "providers.p.base_url", "https://api.anthropic.com"),
        ('[[models]]\nprovider = "p"\nupstream = "u"\n[providers.p]\nkind = "anthropic"\n', "models[0].id", "p/u"),
        ("[healing]\nmode = 'disabled'\n", "healing.features.runs", "disabled"),
    ],
)
def test_what_is_in_force_is_shown(text: str, key: str, shown: object) -> None:
    assert values(sound(text))[key] == shown


def test_keys_that_differ_are_told_with_what_would_apply_them() -> None:
    running = sound('[tasks]\nconcurrency = 3\n[[budgets]]\npolicy_id = "a"\nhard_limit = 1\n')
    fresh = sound(
        '[tasks]\nconcurrency = 4\n[[budgets]]\npolicy_id = "b"\nhard_limit = 1\n'
        '[providers.p]\nkind = "deterministic"\n[console.keys]\nx = "f2"\n'
    )
    told = waiting(running, fresh)
    assert told["tasks.concurrency"] == told["providers.p.kind"] == "restart"
    assert told["budgets[0].policy_id"] == told["budgets[0].name"] == told["console.keys.x"] == "reload"
    assert "budgets[0].hard_limit" not in told
    assert waiting(fresh, fresh) == {}
    assert set(waiting(fresh, running)) == set(told)
    gone = waiting(running, sound("[tasks]\nconcurrency = 3\n"))
    assert set(gone.values()) == {"reload"}
    assert "budgets[0].hard_limit" in gone


def test_a_secret_that_differs_is_told_and_not_shown() -> None:
    text = '[providers.p]\nkind = "anthropic"\napi_key = "{}"\n'
    first, second = sound(text.format(CANARY)), sound(text.format(f"{CANARY}-2"))
    assert waiting(first, second) == {"providers.p.api_key": "restart"}
    assert values(first)["providers.p.api_key"] == "********"
    assert CANARY not in json.dumps(values(first))


KEYS_OF_SECRETS = ["api_key", "api_key_env", "api_key_vault_ref", "base_url", "auth_profiles", "pricing_provider"]


@settings(max_examples=40, deadline=None)
@given(shaped, st.dictionaries(variables, st.text(max_size=8), max_size=3), st.sampled_from(KEYS_OF_SECRETS))
def test_whatever_is_configured_can_be_told_and_hides_what_is_secret(
    tree: dict[str, Any], environ: dict[str, str], key: str
) -> None:
    text = "version = 1\n" + "".join(
        f"{quoted(name)} = {spelled(below, 0)}\n"
        for name, below in tree.items()
        if name not in ("version", "providers")
    )
    if "Decimal" in text:
        return
    given_key = f'api_key = "{CANARY}"\n' if key != "api_key" else ""
    value = f'["{CANARY} "]' if key == "auth_profiles" else f'"{CANARY}"'
    text += f'[providers.p]\nkind = "anthropic"\n{given_key}{key} = {value}\n'
    environ = {name: told for name, told in environ.items() if "\0" not in told}
    result = interpret(text.encode("utf-8", "replace"), FILE, {**environ, "PALYRA_PROVIDERS__P__API_KEY": CANARY}, {})
    told = [str(problem) for problem in (*result.problems, *result.warnings)]
    if result.config is not None:
        told.append(json.dumps(values(result.config)))
    assert CANARY not in "\n".join(told)


def test_what_a_canary_would_show() -> None:
    """The one above can fail: a secret in a place that is none is shown."""
    result = load(f'[[budgets]]\npolicy_id = "b"\nname = "plain-{"x" * 8}"\nhard_limit = 1\n')
    assert result.config is not None
    assert "plain-xxxxxxxx" in json.dumps(values(result.config))
